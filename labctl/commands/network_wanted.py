"""Which network a command is about: one that a file describes, or the usual one for a task that is named."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from labctl.commands.network_arguments import GivenTwins, conditions_from
from labctl.errors import UsageError

if TYPE_CHECKING:
    from labctl.campaigns.wanted_network import WantedNetwork
    from labctl.network_file import NetworkDescription
    from labctl.station import Station


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
    from labctl.campaigns.wanted_network import wanted_of

    return wanted_of(
        description,
        given,
        task=options.task,
        station=station,
        conditions=conditions_from(options.condition, given.conditions),
        seed=options.seed,
        seconds=options.seconds,
    )
