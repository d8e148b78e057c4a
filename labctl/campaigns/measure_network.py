"""Measure a network and its rivals on the device, on the same examples."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from labctl.bench import Bench
from labctl.campaign import Campaign
from labctl.campaigns.task_plan import TaskPlan
from labctl.clearance import Clearance
from labctl.deployment import Measurement, deploy
from twins.network.tasks import TaskData
from twins.network.wiring import Wiring


def measure_network(
    bench: Bench,
    plan: TaskPlan,
    wirings: Mapping[str, Wiring],
    *,
    clearance: Clearance,
    examples_seed: int,
    conditions: Mapping[str, float],
    folder: Path,
    examples: tuple[TaskData, TaskData] | None = None,
) -> Campaign[dict[str, Measurement]]:
    """Deploy each of `wirings` by name; "optimised" is measured `plan.n_repeats` times, its rivals once.

    clearance: leave to apply what was optimised on these devices' twins.

    All play the same (training, held out) `examples`, those that the plan draws with examples_seed if not given, under
    the same conditions and those of its own that a wiring was trained with.
    """
    training, heldout = plan.examples(seed=examples_seed) if examples is None else examples
    name = plan.task.name
    measured: dict[str, Measurement] = {}
    for who, wiring in wirings.items():
        measured[who] = yield from deploy(
            bench,
            wiring,
            clearance=clearance,
            metric=plan.task.metric,
            heldout=heldout,
            training=training,
            conditions=conditions,
            n_repeats=plan.n_repeats if who == "optimised" else 1,
            folder=folder / f"measured-{who}",
            key=f"deploy/{name}/{who}",
            title=f"Measure {name}, {who}",
            seed=examples_seed,
        )
    return measured
