"""The guardian: a small process that makes the outputs safe when their owner dies without a word.

    with Bench.open("bench.toml") as bench, guarded(bench, reports=folder):
        bench.set("gate", 0.3)  # kill -9 from here on: the guardian opens the station, and makes every output safe

A killed process cannot clean up behind itself. The guardian holds a pipe to it: the system closes that however the owner
ends. Where outputs had been written to, and were not read back safe since, the guardian opens the station for safety, as
`labctl safe` does, and writes what it read back to a file in `reports` and to standard error. An owner that closes its bench
says so, and the guardian ends quietly. It is given the station's text, for its file may be gone when it is needed.

While it waits it has loaded nothing but Python's own modules. It does not help where the machine itself stops.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from labctl.bench import Bench
    from labctl.safety import SafeReport

TRIES = 3
"""A line that the dying owner had open may need a moment before it can be opened again."""
BETWEEN_TRIES_S = 1.0
ARMED, SAFE, PARTED = "armed", "safe", "parted"
_log = logging.getLogger(__name__)


class Guardian:
    """The owner's end: a process that watches over one bench, until the bench is closed."""

    def __init__(self, bench: Bench, *, reports: Path) -> None:
        """Start it; raises OSError where no process can be started."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "labctl.guardian"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            bufsize=0,  # a signal's handler may speak in the middle of another word
            start_new_session=True,  # Ctrl-C and a closed terminal are for its owner
        )
        self.pid = self._process.pid
        self._parted = False
        self._lock = threading.RLock()
        station = bench.station
        path = str(station.path) if station.path is not None else None
        begin = {"owner": os.getpid(), "station": station.text, "path": path, "reports": str(reports.absolute())}
        self._say(json.dumps(begin))
        with contextlib.suppress(OSError):
            os.set_blocking(self._pipe.fileno(), False)  # from now on nothing at the bench waits for it
        bench.safe_states.watcher = self.tell
        if bench.safe_states.armed:
            self.tell(ARMED)
        threading.Thread(target=self._wait, name="guardian", daemon=True).start()

    def tell(self, state: str) -> None:
        """The bench is written to (ARMED), was read back safe (SAFE), or is closed (PARTED)."""
        with self._lock:
            if self._parted:
                return
            self._say(state)
            if state == PARTED:
                self._parted = True
                with contextlib.suppress(OSError):
                    self._pipe.close()

    def wait(self, timeout_s: float) -> int:
        """Wait for its end; its exit code. Raises subprocess.TimeoutExpired."""
        return self._process.wait(timeout_s)

    @property
    def _pipe(self) -> IO[bytes]:
        assert self._process.stdin is not None
        return self._process.stdin

    def _say(self, line: str) -> None:
        with contextlib.suppress(
            OSError, ValueError
        ):  # it is gone, which `_wait` tells; the bench must not fail for it
            self._pipe.write(f"{line}\n".encode())

    def _wait(self) -> None:
        code = self._process.wait()
        if not self._parted:
            _log.warning(
                "the guardian process (%d) has ended with code %s: if this process is killed now, outputs stay on",
                self.pid,
                code,
            )


@contextlib.contextmanager
def guarded(bench: Bench, *, reports: str | Path = ".") -> Iterator[Guardian]:
    """Have a guardian watch over the bench until it is closed; what it had to do is written into the folder `reports`."""
    guardian = Guardian(bench, reports=Path(reports))
    try:
        yield guardian
    finally:
        if not bench.safe_states.armed:  # else it stays until the bench is closed
            guardian.tell(PARTED)


def watch(lines: IO[bytes]) -> int:
    """In the guardian's process: follow what the owner says until it says no more, then do what is left to do."""
    first = lines.readline()
    if not first:
        return 0
    begin = json.loads(first)
    state = SAFE
    while line := lines.readline():
        state = line.decode(errors="replace").strip()
    if state != ARMED:
        return 0
    return _make_safe(begin["station"], begin["path"], Path(begin["reports"]), owner=int(begin["owner"]))


def _make_safe(text: str, path: str | None, reports: Path, *, owner: int) -> int:
    from labctl.bench import Bench
    from labctl.station import parse_station

    station = parse_station(text, path=None if path is None else Path(path))
    told = f"process {owner} ended without making its outputs safe; its guardian did, station {station.name}"
    report: SafeReport | None = None
    for number in range(TRIES):
        if number:
            time.sleep(BETWEEN_TRIES_S)
        with contextlib.suppress(Exception), Bench.open_for_safety(station) as bench:  # said in the report
            report = bench.make_safe()
        if report is not None and report.ok:
            break
    _write(f"{told}\n{report or 'OUTPUTS NOT KNOWN TO BE SAFE: the station could not be opened'}\n", reports, owner)
    return 0 if report is not None and report.ok else 1


def _write(text: str, reports: Path, owner: int) -> None:
    stamp = time.strftime("%Y-%m-%d_%H-%M-%S")
    with contextlib.suppress(OSError):  # standard error has it as well
        reports.mkdir(parents=True, exist_ok=True)
        (reports / f"{stamp}_guardian_{owner}.txt").write_text(text, encoding="utf-8")
    with contextlib.suppress(OSError):
        sys.stderr.write(text)
        sys.stderr.flush()


def main() -> int:
    """`python -m labctl.guardian`, started by `Guardian` only."""
    for name in ("SIGINT", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    return watch(sys.stdin.buffer)


if __name__ == "__main__":
    sys.exit(main())
