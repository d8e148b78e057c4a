"""The demo: the closed loop on a simulated bench that runs as a process of its own."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from labctl.bench import Bench
from labctl.campaign import Campaign, Journal, run
from labctl.campaigns.close_the_loop import LoopSettings
from labctl.campaigns.fit_twin import FitSettings
from labctl.campaigns.reported_loop import close_the_loop_and_report
from labctl.events import Event
from labctl.report import LoopOutcome
from labctl.simulation import SimulatedBench, write_demo_station
from labctl.station import Station

CONDITIONS = {"duffing_bias": 0.05}
"""The bias under which the Duffing device is learned and used: a set-point that has to be ramped up and made safe."""

FITS = {
    "leaky": FitSettings(choice="plain", response_delays=1, drive_delays=1, hidden=(16, 16), max_seconds=120.0),
    "duffing": FitSettings(choice="plain", max_seconds=120.0),
}
"""The leaky integrator is of first order and all of it is seen, so one delay is enough; the Duffing gets the defaults.

Some 15 s of processor time are needed; a busy machine takes longer, since a twin cut short may not pass its gates.
"""


DRIVE_RANGES = {"duffing": (-0.3, 0.3)}
"""Within this range the oscillator mostly stays in one well; beyond it optimised networks did less well (README)."""
DEMO_SETTINGS = LoopSettings(
    conditions=CONDITIONS,
    fits=FITS,
    drive_ranges=DRIVE_RANGES,
    optimise_budget_s=80.0,  # some 30 s are needed; a slow machine anneals faster rather than keep a person waiting
)


def loop_settings_of(station: Station) -> LoopSettings:
    """The demo's settings for the demo's simulated bench, the defaults for any other."""
    known = station.simulated and set(station.devices) == set(FITS) and set(CONDITIONS) <= set(station.channels)
    return DEMO_SETTINGS if known else LoopSettings()


def close_the_known_loop(bench: Bench, *, folder: Path, seed: int) -> Campaign[LoopOutcome]:
    """`close_the_loop_and_report` with what is known of the bench: the demo's settings on the demo's bench (as `labctl demo`)."""
    settings = loop_settings_of(bench.station)
    return close_the_loop_and_report(bench, folder=folder, seed=seed, settings=settings)


def run_demo(
    out: Path, *, seed: int, on_event: Callable[[Event], None], settings: LoopSettings = DEMO_SETTINGS
) -> LoopOutcome:
    """Start the simulated bench, close the loop on it, leave it safe, and write summary.json and report.html.

    Data goes into a fresh folder below `out`, so that nothing measured is ever overwritten.
    """
    began = time.perf_counter()
    data = out / f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-demo"
    data.mkdir(parents=True)
    with SimulatedBench.start() as simulation:
        station = write_demo_station(simulation, data / "station.toml")
        with Bench.open(station) as bench, Journal(data / "journal.jsonl") as journal:
            loop = close_the_loop_and_report(
                bench, folder=data, seed=seed, settings=settings, report_folder=out, began=began
            )
            return run(loop, on_event=on_event, journal=journal)
