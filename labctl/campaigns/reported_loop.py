"""The closed loop with its report: ends with every output safe and read back, and with the two files that tell all."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from labctl.bench import Bench
from labctl.campaign import Campaign, Step
from labctl.campaigns.close_the_loop import LoopResult, LoopSettings, close_the_loop
from labctl.events import Reported, Warned
from labctl.report import LoopOutcome, write_report, write_summary
from labctl.safety import SafeOutcome, SafeReport


def close_the_loop_and_report(
    bench: Bench,
    *,
    folder: Path,
    seed: int,
    settings: LoopSettings | None = None,
    report_folder: Path | None = None,
    began: float | None = None,
) -> Campaign[LoopOutcome]:
    """`close_the_loop`, then every output brought to its safe value, then report.html and summary.json.

    The data goes into `folder`, the two files into `report_folder` (default: the same), replacing older ones there.
    began: time.perf_counter() from which the wall time counts (default: now).
    """
    started = time.perf_counter() if began is None else began
    result = yield from close_the_loop(bench, folder=folder, seed=seed, settings=settings)
    step = Step("safe", "All outputs to their safe values")
    yield step.started()
    safe = bench.make_safe()
    if not safe.ok:
        yield Warned("safe", str(safe))
    yield step.finished(", ".join(f"{one.channel} {one.read_back}" for one in safe.channels))
    outcome = _outcome(bench, result, safe, seconds=time.perf_counter() - started, seed=seed, folder=folder)
    files = report_folder or folder
    write_summary(files / "summary.json", outcome)
    write_report(files / "report.html", outcome)
    yield Reported("report", {"outputs_safe": safe.ok}, (str(files / "report.html"), str(files / "summary.json")))
    return outcome


def _outcome(
    bench: Bench, result: LoopResult, safe: SafeReport, *, seconds: float, seed: int, folder: Path
) -> LoopOutcome:
    outputs = [_row(one) for one in safe.channels]
    summary: dict[str, Any] = {
        "seconds": seconds,
        "device_seconds": bench.device_seconds,
        "simulated": bench.simulated,
        "outputs_safe": safe.ok,
        "seed": seed,
        "data": str(folder),
        "clearance": result.clearance.as_dict(),
        "twins": {twin.device: dict(twin.calibration) for twin in result.twins},
        "outputs": outputs,
    }
    return LoopOutcome(
        summary=summary,
        tasks=result.tasks,
        twins=result.twins,
        task_figures=result.task_figures,
        identities={name: str(identity) for name, identity in bench.identities.items()},
        outputs=outputs,
        provenance={**bench.provenance(seed=seed), "command": sys.argv},
    )


def _row(one: SafeOutcome) -> Mapping[str, Any]:
    """One output of a safe report as plain data."""
    return {
        "channel": one.channel,
        "safe_value": one.target,
        "read_back": one.read_back,
        "unit": one.unit,
        "ok": one.ok,
        "message": one.message,
    }
