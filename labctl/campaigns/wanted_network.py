"""Which network is meant: one that a file describes, or the usual one for a task, with what a person says besides."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from labctl.campaigns.drive_ranges import check_conditions
from labctl.campaigns.plans import TaskPlan, plan_for
from labctl.errors import UsageError

if TYPE_CHECKING:
    from labctl.given_twins import GivenTwins
    from labctl.network_file import NetworkDescription
    from labctl.station import Station


@dataclass(frozen=True, slots=True)
class WantedNetwork:
    """conditions: held, or where training begins. text: of the file that describes it, if one does."""

    plan: TaskPlan
    conditions: dict[str, float]
    seed: int
    examples_seed: int
    text: str | None


def wanted_of(
    description: NetworkDescription | None,
    given: GivenTwins,
    *,
    task: str | None = None,
    station: Station | None = None,
    conditions: Mapping[str, float] | None = None,
    seed: int | None = None,
    seconds: float | None = None,
) -> WantedNetwork:
    """The described network, or the usual one for `task` where nothing is described, on these twins.

    conditions: set-points besides those of the file. seed: instead of the file's. seconds: budget of the optimiser.
    Raises NetworkFileError, CampaignError or UsageError for what twins or station cannot do.
    """
    number, held, text = 0, dict(given.conditions), None
    examples_seed = None
    if description is None:
        if task is None:
            raise UsageError("give either the file that describes the network, or a task")
        plan = plan_for(task, tuple(given.twins), dt_s=given.dt_s)
    else:
        given.of(description.devices)
        description.check(station=station, twins=given.twins, recorded=given.conditions)
        plan = description.plan(dt_s=given.dt_s, station=station)
        number, examples_seed, text = description.file.seed, description.file.examples_seed, description.text
        held |= description.held_conditions
    for name, value in (conditions or {}).items():
        if given.conditions.get(name, value) != value:
            raise UsageError(
                f"--condition {name}={value:g}: the twins were recorded at {name} = {given.conditions[name]:g} alone"
            )
    held |= conditions or {}
    _check_all_known(given, {*held, *plan.trained_conditions})
    if station is not None:
        check_conditions(held, plan.trained_conditions, station)
    number = number if seed is None else seed
    plan = plan if seconds is None else plan.with_budget(seconds)
    return WantedNetwork(plan, held, number, number + 1 if examples_seed is None else examples_seed, text)


def _check_all_known(given: GivenTwins, known: set[str]) -> None:
    """Raise UsageError for a set-point that a twin knows, and nobody says where it is to be."""
    for device, twin in given.twins.items():
        for number, name in enumerate(twin.spec.condition_names):
            if name not in known:
                low, high = (float(edge) for edge in twin.condition_range[number])
                raise UsageError(
                    f"{name}: the twin of {device} was fitted at several values of it, from {low:g} to {high:g}; say where it "
                    f"is held ([conditions] {name} = VALUE in the file, or --condition {name}=VALUE), or train it"
                )
