"""Which network a command is about: one that a file describes, or the usual one for a task that is named."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from typing import TYPE_CHECKING

from labctl.commands.network_arguments import GivenTwins, conditions_from
from labctl.errors import UsageError

if TYPE_CHECKING:
    from labctl.campaigns.plans import TaskPlan
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


def description_of(options: argparse.Namespace, *, station: Station | None = None) -> NetworkDescription | None:
    """The file options.network, checked; None where options.task names a task instead. Raises UsageError for both, or for
    neither, and NetworkFileError."""
    from labctl.network_file import load_network_file

    if (options.network is None) == (options.task is None):
        raise UsageError("give either NETWORK.toml, the file that describes the network, or --task NAME")
    if options.network is None:
        return None
    description = load_network_file(options.network)
    description.check(station=station)
    return description


def wanted_network(
    options: argparse.Namespace, description: NetworkDescription | None, given: GivenTwins, station: Station | None
) -> WantedNetwork:
    """With what options.condition, options.seed and options.seconds say beside it; options.task where nothing is described.

    Raises NetworkFileError, CampaignError or UsageError for what twins or station cannot do.
    """
    from labctl.campaigns.drive_ranges import check_conditions
    from labctl.campaigns.plans import plan_for

    number, conditions, text = 0, dict(given.conditions), None
    examples_seed = None
    if description is None:
        plan = plan_for(options.task, tuple(given.twins), dt_s=given.dt_s)
    else:
        given.of(description.devices)
        description.check(station=station, twins=given.twins, recorded=given.conditions)
        plan = description.plan(dt_s=given.dt_s, station=station)
        number, examples_seed, text = description.file.seed, description.file.examples_seed, description.text
        conditions |= description.held_conditions
    conditions |= conditions_from(options.condition, given.conditions)
    if station is not None:
        check_conditions(conditions, plan.trained_conditions, station)
    number = number if options.seed is None else options.seed
    plan = plan if options.seconds is None else plan.with_budget(options.seconds)
    return WantedNetwork(plan, conditions, number, number + 1 if examples_seed is None else examples_seed, text)
