"""Optimise a network of twins and leave it in a folder, ready to be deployed: all of `labctl network optimise` as one campaign."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from labctl.campaign import Campaign
from labctl.campaigns.network_files import save_network
from labctl.campaigns.network_needs import jump_warnings
from labctl.campaigns.optimise_network import OptimisedNetwork, allowed_ranges, optimise_network
from labctl.campaigns.wanted_network import WantedNetwork, wanted_of
from labctl.clearance import shortcomings
from labctl.errors import UsageError
from labctl.events import Reported, Warned
from labctl.given_twins import GivenTwins, given_twins
from labctl.network_file import NetworkDescription, load_network_file, parse_network_file
from labctl.provenance import collect_provenance
from labctl.station import load_station
from labctl.unfinished import unfinished
from twins.network.multi_start_state import forget_choice


def optimise_into(
    folder: Path,
    twins: Mapping[str, Path],
    *,
    network: Path | None = None,
    text: str | None = None,
    task: str | None = None,
    station: Path | None = None,
    ranges: Mapping[str, tuple[float, float]] | None = None,
    conditions: Mapping[str, float] | None = None,
    seconds: float | None = None,
    seed: int | None = None,
    resume: bool = True,
) -> Campaign[dict[str, Any]]:
    """Optimise the network that a file (`network`), the text of one (`text`) or the usual plan of a `task` describes.

    twins: the file of each device's twin. station: whose limits bound the drives besides the fitted ranges. ranges:
    narrower drive ranges by device. conditions: where set-points are held. seconds: budget of the optimiser. resume: go
    on where an interrupted run into this folder stopped; otherwise one that lies there is refused with UsageError.
    Leaves the network in `folder` (see labctl.campaigns.network_files) and returns what is promised, as plain data.
    Raises NetworkFileError, CampaignError or UsageError before anything is trained.
    """
    bench = None if station is None else load_station(station)
    description = _described(network, text, task)
    if description is not None:
        description.check(station=bench)
    given = given_twins(twins)
    wanted = wanted_of(description, given, task=task, station=bench, conditions=conditions, seed=seed, seconds=seconds)
    key = f"optimise/{wanted.plan.task.name}"
    for fault in (fault for name, one in given.gates.items() for fault in shortcomings(name, one)):
        yield Warned(key, f"{fault}; `labctl deploy` will refuse this network")
    allowed = allowed_ranges(given.twins, bench, ranges or {}, options=wanted.plan.device_options)
    for told in jump_warnings(wanted.plan, bench, ranges=allowed) if bench else ():
        yield Warned(key, told)
    state = unfinished(folder, resume=resume)
    optimised = yield from optimise_network(
        given.twins,
        wanted.plan,
        ranges=allowed,
        conditions=wanted.conditions,
        seed=wanted.seed,
        examples_seed=wanted.examples_seed,
        state=state,
    )
    _save(folder, optimised, wanted, given)
    forget_choice(state)
    promised = promised_of(optimised, given, folder)
    yield Reported(key, promised, (str(folder / "network.json"),))
    return promised


def promised_of(optimised: OptimisedNetwork, given: GivenTwins, folder: Path) -> dict[str, Any]:
    """What the twins promise, as plain data."""
    trained = optimised.plan.trained_conditions
    return {
        "task": optimised.plan.task.name,
        "simulated": given.simulated,
        "promised": optimised.promise.mean,
        "promised_std": optimised.promise.std,
        **optimised.promise.details,
        "trained_conditions": {name: optimised.wiring.conditions[name] for name in trained},
        "folder": str(folder),
    }


def _described(network: Path | None, text: str | None, task: str | None) -> NetworkDescription | None:
    if sum(one is not None for one in (network, text, task)) != 1:
        raise UsageError("give one of: the file that describes the network, its text, or a task")
    if text is not None:
        return parse_network_file(text)
    return None if network is None else load_network_file(network)


def _save(folder: Path, optimised: OptimisedNetwork, wanted: WantedNetwork, given: GivenTwins) -> None:
    trained = wanted.plan.trained_conditions
    save_network(
        folder,
        optimised,
        conditions={name: value for name, value in wanted.conditions.items() if name not in trained},
        gates=given.gates,
        provenance=collect_provenance(simulated=given.simulated, seed=wanted.seed),
        network_file=wanted.text,
    )
