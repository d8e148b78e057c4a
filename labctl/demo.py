"""The demo: the closed loop on a simulated bench that runs as a process of its own."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from labctl.bench import Bench
from labctl.campaign import Journal, run
from labctl.campaigns.close_the_loop import LoopResult, LoopSettings, close_the_loop
from labctl.campaigns.fit_twin import FitSettings
from labctl.events import Event
from labctl.report import LoopOutcome, write_report, write_summary
from labctl.safety import SafeReport
from labctl.simulation import SimulatedBench, write_demo_station

CONDITIONS = {"duffing_bias": 0.05}
"""The bias under which the Duffing device is learned and used: a set-point that has to be ramped up and made safe."""

FITS = {
    "leaky": FitSettings(response_delays=1, drive_delays=1, hidden=(16, 16), max_seconds=30.0),
    "duffing": FitSettings(max_seconds=30.0),
}
"""The leaky integrator is of first order and all of it is seen, so one delay is enough; the Duffing gets the defaults."""


DRIVE_RANGES = {"duffing": (-0.3, 0.3)}
"""Within this range the oscillator mostly stays in one well; beyond it optimised networks did less well (README)."""
DEMO_SETTINGS = LoopSettings(
    conditions=CONDITIONS,
    fits=FITS,
    drive_ranges=DRIVE_RANGES,
    optimise_budget_s=60.0,  # some 30 s are needed; a slow machine anneals faster rather than keep a person waiting
)


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
            result = run(
                close_the_loop(bench, folder=data, seed=seed, settings=settings), on_event=on_event, journal=journal
            )
            safe = bench.make_safe()
            outcome = _outcome(bench, result, safe, seconds=time.perf_counter() - began, seed=seed, data=data)
    write_summary(out / "summary.json", outcome)
    write_report(out / "report.html", outcome)
    return outcome


def _outcome(
    bench: Bench, result: LoopResult, safe: SafeReport, *, seconds: float, seed: int, data: Path
) -> LoopOutcome:
    summary: dict[str, Any] = {
        "seconds": seconds,
        "device_seconds": bench.device_seconds,
        "simulated": bench.simulated,
        "outputs_safe": safe.ok,
        "seed": seed,
        "data": str(data),
        "twins": {twin.device: dict(twin.calibration) for twin in result.twins},
        "outputs": [outcome_row(safe, index) for index in range(len(safe.channels))],
    }
    return LoopOutcome(
        summary=summary,
        tasks=result.tasks,
        twins=result.twins,
        task_figures=result.task_figures,
        identities={name: str(identity) for name, identity in bench.identities.items()},
        outputs=summary["outputs"],
        provenance={**bench.provenance(seed=seed), "command": sys.argv},
    )


def outcome_row(safe: SafeReport, index: int) -> Mapping[str, Any]:
    """One output of a safe report as plain data."""
    one = safe.channels[index]
    return {
        "channel": one.channel,
        "safe_value": one.target,
        "read_back": one.read_back,
        "unit": one.unit,
        "ok": one.ok,
        "message": one.message,
    }
