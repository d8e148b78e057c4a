"""A window that is ended from outside while everything runs: no process is left, outputs are safe, or that is told."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import labctl.calls
from labctl.cli import main
from labctl.job_queue.queue_file import QueueFile
from labctl.simulation import SimulatedBench, write_demo_station

HERE = Path(__file__).parent
PATIENCE_S = 60.0

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="processes are looked for in /proc")


def descendants(pid: int) -> set[int]:
    """All processes below this one."""
    parents = {}
    for place in Path("/proc").iterdir():
        if place.name.isdigit():
            try:
                parents[int(place.name)] = int(place.joinpath("stat").read_text().rpartition(")")[2].split()[1])
            except (OSError, IndexError):
                continue
    found: set[int] = set()
    fresh = {pid}
    while fresh:
        fresh = {child for child, parent in parents.items() if parent in fresh} - found
        found |= fresh
    return found


def lives(pid: int) -> bool:
    """Whether it is there, and is more than an entry that nobody has asked for yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_until_gone(pids: set[int]) -> None:
    ends = time.monotonic() + PATIENCE_S
    while any(map(lives, pids)):
        assert time.monotonic() < ends, (
            f"still there: {[Path(f'/proc/{pid}/cmdline').read_bytes() for pid in pids if lives(pid)]}"
        )
        time.sleep(0.05)


def outputs_on(simulation: SimulatedBench) -> list[str]:
    """Over a connection of the test's own."""
    host, port = simulation.addresses["awg"].split("::")[1:3]
    answers = []
    with socket.create_connection((host, int(port)), timeout=10) as line:
        lines = line.makefile()
        for number in (1, 2):
            line.sendall(f"OUTP{number}?\n".encode())
            answers.append(lines.readline().strip())
    return answers


@contextmanager
def window_at_work(station: Path, folder: Path) -> Iterator[tuple[subprocess.Popen[str], set[int]]]:
    """A window in which everything runs, and the processes below it."""
    environment = {
        **os.environ,
        "QT_QPA_PLATFORM": "offscreen",
        "XDG_CONFIG_HOME": str(folder / "config"),
        "PYTHONPATH": os.pathsep.join([str(HERE), str(HERE.parents[1])]),
    }
    with subprocess.Popen(
        [sys.executable, str(HERE / "window_at_work.py"), str(station), str(folder / "runs")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "at work\n", process.stderr and process.stderr.read()
        try:
            yield process, descendants(process.pid)
        finally:
            process.kill()


SIGNALS = [
    signal.SIGTERM,
    pytest.param(signal.SIGINT, marks=pytest.mark.slow),
    pytest.param(signal.SIGHUP, marks=pytest.mark.slow),
]


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_leaves_no_process_and_no_output_on(
    simulation: SimulatedBench, tmp_path: Path, number: signal.Signals
) -> None:
    station = write_demo_station(simulation, tmp_path / "station.toml")
    with window_at_work(station, tmp_path) as (process, below):
        assert len(below) >= 4, "two workers, a job beside, a helper"
        assert "1" in outputs_on(simulation)
        process.send_signal(number)
        _, said = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, said
    assert outputs_on(simulation) == ["0", "0"]
    assert "terminate called" not in said
    assert "Traceback" not in said
    wait_until_gone(below)


def test_a_kill_leaves_no_process_and_no_output_on_and_the_cut_off_job_is_told(
    simulation: SimulatedBench, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(labctl.calls, "ALLOWED", (*labctl.calls.ALLOWED, "window_at_work:"))
    station = write_demo_station(simulation, tmp_path / "station.toml")
    with window_at_work(station, tmp_path) as (process, below):
        assert "1" in outputs_on(simulation)
        process.kill()
        process.wait(PATIENCE_S)
        wait_until_gone(below)  # the guardian among them, which made the outputs safe before it ended
    assert outputs_on(simulation) == ["0", "0"]
    assert "was cut off" in QueueFile(tmp_path / "runs").read().bench_unsafe[str(station)]
    assert main(["queue", "list", str(tmp_path / "runs")]) == 0
    assert f"labctl safe {station}" in capsys.readouterr().out
    assert main(["safe", str(station)]) == 0
    assert outputs_on(simulation) == ["0", "0"]
