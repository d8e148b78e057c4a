"""Start a simulated bench as a process of its own, and fill a station template with its addresses.

    with SimulatedBench.start() as sim:
        station = write_demo_station(sim, folder / "station.toml")

    with simulated_station("demo") as station, Bench.open(station) as bench:  # as the scripts of the window have it
        bench.set("gate", 0.3)

    with SimulatedBench.start(bundled_bench("closed_loop")) as sim:  # slow devices that can be live all at once
        station = sim.write_station(folder / "station.toml", bundled_station("closed_loop"))

Simulation enters by address only: this module runs `python -m sim_devices` and reads one line of JSON from it.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import queue
import re
import subprocess
import sys
import tempfile
import threading
import tomllib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import labctl
from labctl.errors import SimulationError

START_S = 60.0
"""A busy machine may take long to start Python."""
STOP_S = 10.0


class SimulatedBench:
    """A running simulated bench. It ends with `stop`, with the `with` block, and with this process, however that ends."""

    def __init__(self, process: subprocess.Popen[str], said: Mapping[str, object], complaints: list[str]) -> None:
        self._process = process
        self._complaints = complaints
        instruments = said["instruments"]
        if not isinstance(instruments, dict):
            raise SimulationError(f"the simulator said {said!r}; its instruments are no table")
        self.name = str(said.get("bench", ""))
        self.pid = process.pid
        self.addresses: dict[str, str] = {name: str(item["address"]) for name, item in instruments.items()}
        self.identities: dict[str, str] = {name: str(item["identity"]) for name, item in instruments.items()}

    @classmethod
    def start(cls, bench: str | Path | None = None, *, on_log: Callable[[str], object] | None = None) -> SimulatedBench:
        """Start `python -m sim_devices BENCH.toml` (the demo's bench if none is given) and wait until it listens.

        on_log: gets every line of the simulator's log, on a thread of its own.
        Raises SimulationError with what the simulator wrote, if it does not start.
        """
        path = demo_bench() if bench is None else Path(bench)
        process = subprocess.Popen(
            [sys.executable, "-m", "sim_devices", str(path), "--exit-with-parent"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,  # Ctrl-C is for us; the instruments must live until their outputs are safe
        )
        complaints: list[str] = []
        threading.Thread(target=_drain, args=(process.stderr, complaints, on_log), daemon=True).start()
        line = _first_line(process)
        try:
            said = json.loads(line)
            return cls(process, said, complaints)
        except (json.JSONDecodeError, KeyError, TypeError) as error:
            process.kill()
            code = process.wait()
            told = "".join(complaints[-20:]).strip() or line.strip() or "nothing"
            raise SimulationError(
                f"the simulated bench {path} did not start (exit status {code}); it said: {told}"
            ) from error

    @property
    def running(self) -> bool:
        """Whether the process lives."""
        return self._process.poll() is None

    def fill(self, template: str) -> str:
        """A station template with {awg} and the like replaced by addresses; raises SimulationError for one left over."""
        text = template
        for name, address in self.addresses.items():
            text = text.replace("{" + name + "}", address)
        left = [line.strip() for line in text.splitlines() if line.strip().startswith("address") and "{" in line]
        if left:
            raise SimulationError(
                f"the simulated bench has no instrument for {'; '.join(left)}; it has {list(self.addresses)}"
            )
        return text

    def write_station(self, path: str | Path, template: str | None = None) -> Path:
        """Fill a station template (the demo's if none is given) and write it to `path`.

        What this wrote before is brought up to date, as long as nobody changed more than its addresses. Raises
        SimulationError where there is any other file: it may describe a real bench.
        """
        path = Path(path)
        text = self.fill(demo_station_template() if template is None else template)
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with path.open("x", encoding="utf-8") as file:
                file.write(text)
        except FileExistsError:
            if _but_addresses(path.read_text(encoding="utf-8", errors="replace")) != _but_addresses(text):
                raise SimulationError(f"{path} exists already; nothing is overwritten: name another file") from None
            path.write_text(text, encoding="utf-8")
        return path

    def stop(self) -> None:
        """End the process and wait for it."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):  # it is dead already
                    pipe.close()
        if self.running:
            self._process.terminate()
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.stop()


BUNDLED = ("demo", "closed_loop", "oscillator", "reaction_cell")
"""The simulated benches that come with a station file of the same name."""


def bundled_bench(name: str) -> Path:
    """The bench file of a bundled bench, found without importing the simulator."""
    _check_bundled(name)
    found = importlib.util.find_spec("sim_devices")
    if found is None or not found.submodule_search_locations:
        raise SimulationError("the package sim_devices is not installed; name a bench file")
    return Path(found.submodule_search_locations[0]) / "benches" / f"{name}.toml"


def bundled_station(name: str) -> str:
    """The station file of a bundled bench, with {INSTRUMENT} for each address."""
    return bundled_station_file(name).read_text(encoding="utf-8")


def bundled_station_file(name: str) -> Path:
    """Where that station file lies: for limits, devices and wiring alone, since nothing answers at its addresses."""
    _check_bundled(name)
    return Path(labctl.__file__).parent / "stations" / f"{name}.toml"


def bundled_like(text: str) -> str:
    """The bundled bench whose station file this is, filled with addresses and not changed otherwise; "" for any other."""
    wanted = _without_addresses(text)
    return next((name for name in BUNDLED if wanted and _without_addresses(bundled_station(name)) == wanted), "")


def _without_addresses(text: str) -> dict[str, Any]:
    try:
        content = tomllib.loads(text)
        for instrument in content["instruments"].values():
            del instrument["address"]
    except (tomllib.TOMLDecodeError, KeyError, TypeError, AttributeError):
        return {}
    return content


@contextlib.contextmanager
def simulated_station(name: str) -> Iterator[Path]:
    """A bundled bench, running as long as the block lasts; its station file lies in a temporary folder meanwhile."""
    with (
        SimulatedBench.start(bundled_bench(name)) as simulation,
        tempfile.TemporaryDirectory(prefix="labctl-simulated-") as folder,
    ):
        yield simulation.write_station(Path(folder) / f"{name}.toml", bundled_station(name))


def _check_bundled(name: str) -> None:
    if name not in BUNDLED:
        raise SimulationError(f"no simulated bench {name!r} comes with labctl; there are {', '.join(BUNDLED)}")


def demo_bench() -> Path:
    """The bench file of the demo."""
    return bundled_bench("demo")


def demo_station_template() -> str:
    """The station file of the demo, with {awg}, {digitiser} and {smu} for the addresses."""
    return bundled_station("demo")


def write_demo_station(sim: SimulatedBench, path: str | Path) -> Path:
    """Write the demo's station file with the addresses of a running simulated bench; see `SimulatedBench.write_station`."""
    return sim.write_station(path)


def _but_addresses(text: str) -> str:
    """With a mark for each address of a simulated instrument, wherever it stands."""
    return re.sub(r"TCPIP::127\.0\.0\.1::\d+::SOCKET|ASRL/dev/pts/\d+::INSTR", "ADDRESS", text)


def _first_line(process: subprocess.Popen[str]) -> str:
    lines: queue.Queue[str] = queue.Queue()
    threading.Thread(target=lambda: lines.put(process.stdout.readline() if process.stdout else ""), daemon=True).start()
    try:
        return lines.get(timeout=START_S)
    except queue.Empty:
        return ""


def _drain(pipe: IO[str] | None, into: list[str], on_log: Callable[[str], object] | None) -> None:
    """Keep reading, so that the process never waits for a full pipe; the last lines are for error messages."""
    if pipe is not None:
        for line in pipe:
            into.append(line)
            del into[:-200]
            if on_log is not None:
                on_log(line)
