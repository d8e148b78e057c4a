"""The closed loop's settings from a few options: what is known of the bench, with what a person changes of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from labctl.bench import Bench
from labctl.campaigns.close_the_loop import DEFAULT_FIT, LoopSettings
from labctl.campaigns.plans import PLANS
from labctl.demo import loop_settings_of
from labctl.errors import UsageError


def loop_settings(
    bench: Bench,
    *,
    devices: Sequence[str] = (),
    tasks: Sequence[str] = (),
    max_fit_s: float | None = None,
    optimise_budget_s: float | None = None,
    override_gates: str | None = None,
) -> LoopSettings:
    """The demo's settings on the demo's simulated bench, the defaults on any other, with what is given in place of them.

    devices: which take part, all if none is named. tasks: by name. max_fit_s: training time of each twin (s).
    optimise_budget_s: of each task (s). override_gates: why networks are applied even if a twin does not pass its gates.
    Raises UsageError for a device or a task that does not exist.
    """
    known = loop_settings_of(bench.station)
    for name in devices:
        if name not in bench.station.devices:
            raise UsageError(f"the station has no device {name!r}; it has {', '.join(bench.station.devices) or 'none'}")
    unknown = [name for name in tasks if name not in PLANS]
    if unknown:
        raise UsageError(f"no plan for the task {unknown[0]!r}; known are {', '.join(PLANS)}")
    taking_part = tuple(devices) or tuple(bench.station.devices)
    fits = dict(known.fits)
    if max_fit_s is not None:
        fits = {name: replace(known.fits.get(name, DEFAULT_FIT), max_seconds=max_fit_s) for name in taking_part}
    return replace(
        known,
        devices=tuple(devices),
        tasks=tuple(tasks) or known.tasks,
        fits=fits,
        drive_ranges={name: ends for name, ends in known.drive_ranges.items() if name in taking_part},
        optimise_budget_s=known.optimise_budget_s if optimise_budget_s is None else optimise_budget_s,
        override_gates=override_gates or None,
    )
