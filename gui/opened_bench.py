"""A bench that this window opened, with what belongs to it: made safe before it is closed, opened anew, left for good.

Everything here waits for instruments, and is called in a thread.
"""

from __future__ import annotations

import contextlib
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

from gui.bridge import Bridge
from labctl.bench import Bench
from labctl.errors import SafetyError
from labctl.safety import SafeReport
from labctl.simulation import SimulatedBench, bundled_bench, bundled_station
from labctl.station import load_station

PATIENCE_S = 0.3
"""How long a campaign may take to end by itself before the outputs are made safe under it."""
PARTING_S = 10.0
"""How long the window waits, outputs safe already, for a campaign's thread to write its files and end."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A bench, and the simulation behind it where this window started one: its process, its name, its station file's folder."""

    bench: Bench
    simulation: SimulatedBench | None = None
    simulated_name: str = ""
    folder: tempfile.TemporaryDirectory[str] | None = None


class LostBench(Exception):  # noqa: N818 - the name says what happened
    """The bench was closed, and could not be opened again."""


def close_safely(bench: Bench) -> None:
    """Make safe and close; raises SafetyError, with the bench still open, if an output that was written to is not safe."""
    written = bench.safe_states.armed
    report = bench.make_safe()
    missing = {name for name in bench.station.channels if bench.missing(name)}
    if written and any(not one.ok and one.channel not in missing for one in report.channels):
        raise SafetyError(str(report))
    with contextlib.suppress(SafetyError):  # of instruments that were never reached
        bench.close()


def end(held: Opened) -> None:
    """In a worker: part from a bench for good."""
    close_safely(held.bench)
    if held.simulation is not None:
        held.simulation.stop()
    if held.folder is not None:
        held.folder.cleanup()


def reopened(held: Opened, path: Path) -> tuple[Opened, BaseException | None]:
    """In a worker: the bench of another station file, or that of before and why."""
    station = load_station(path)  # a mistake in it is told while the bench is open still
    close_safely(held.bench)
    try:
        return replace(held, bench=Bench.open_available(station)), None
    except Exception as error:  # noqa: BLE001 - told, after the bench of before was opened again
        try:
            return replace(held, bench=Bench.open_available(held.bench.station)), error
        except Exception as lost:
            if held.simulation is not None:
                held.simulation.stop()
            raise LostBench(f"{error}\nThe station of before cannot be opened again either: {lost}") from lost


def start_simulation(name: str) -> Opened:
    simulation = SimulatedBench.start(bundled_bench(name))
    folder = tempfile.TemporaryDirectory(prefix="labctl-gui-")  # lives as long as the bench: its station can be shown
    try:
        station = simulation.write_station(Path(folder.name) / f"{name}.toml", bundled_station(name))
        return Opened(Bench.open(station), simulation, name, folder)
    except BaseException:
        simulation.stop()
        folder.cleanup()
        raise


def leave(held: Opened, bridge: Bridge) -> SafeReport:
    """The outputs first, then everything else: what is done when the window closes."""
    bridge.wait(PATIENCE_S)
    report = held.bench.make_safe()
    if bridge.wait(0.0) is False and bridge.wait(PARTING_S):
        report = held.bench.make_safe()  # the campaign lived on for a moment: read back once more
    try:
        with contextlib.suppress(SafetyError):  # says what the report says
            held.bench.close(try_again=report.ok)
    finally:
        if held.simulation is not None:
            held.simulation.stop()
        if held.folder is not None:
            held.folder.cleanup()
    return report
