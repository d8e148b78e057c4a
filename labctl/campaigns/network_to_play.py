"""A network that is about to be played and trained on the bench, with its twins: read and cleared before anything is opened.

Two kinds: a network that was optimised before and lies in a folder, and one that is only described (its file, its text,
or the usual one for a task). The commands read them before they open the bench; the campaigns of
labctl.campaigns.network_on_bench take what was read, or read it themselves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from labctl.campaign import Campaign
from labctl.campaigns.drive_ranges import allowed_ranges
from labctl.campaigns.network_files import NetworkFiles, load_network
from labctl.campaigns.network_needs import jump_warnings
from labctl.campaigns.recorded_task import RecordedTask
from labctl.campaigns.wanted_network import WantedNetwork, wanted_of
from labctl.clearance import Clearance, clear, shortcomings
from labctl.errors import GatesNotPassed, UsageError
from labctl.events import Warned
from labctl.given_twins import GivenTwins, given_twins
from labctl.network_file import load_network_file, parse_network_file
from labctl.own_task import load_own_task

if TYPE_CHECKING:
    from labctl.bench import Bench
    from labctl.campaigns.drive_ranges import DeviceRanges
    from labctl.station import Station

Files = Mapping[str, Path]


@dataclass(frozen=True, slots=True)
class NetworkToPlay:
    """A network of a folder, the twins that it is to be trained with, and the leave to play both."""

    folder: Path
    network: NetworkFiles
    given: GivenTwins
    clearance: Clearance


@dataclass(frozen=True, slots=True)
class DescribedToPlay:
    """A network that is described, the twins that it is to be trained with, the leave to play it, where its devices may be
    driven, and in words what could be driven faster than the station allows."""

    wanted: WantedNetwork
    given: GivenTwins
    clearance: Clearance
    ranges: Mapping[str, DeviceRanges]
    jumps: tuple[str, ...]


def network_to_play(
    folder: Path, twins: Files, *, task: str | None = None, override: str | None = None
) -> NetworkToPlay:
    """Read the network in `folder` and the twins, and see whether they may be played.

    task: FILE.py:ClassName of a task of one's own, which is run. Raises UsageError for a task that cannot draw fresh examples
    or a device without a twin; GatesNotPassed where neither the twins that it was optimised on nor those given may be used.
    """
    network = load_network(folder, task=None if task is None else load_own_task(task))
    if isinstance(network.plan.task, RecordedTask):
        own = network.own_task
        named = "FILE.py:ClassName" if own is None else f"{own.file}:{own.class_name}"
        why = "; ".join(network.notes) or "its class is needed, whose file is run"
        raise UsageError(
            f"fresh examples of {network.task} cannot be drawn: {why}; give --task {named}, as it was when the network was "
            "optimised, or measure the network on the stored examples (`labctl deploy`)"
        )
    given = given_twins(twins)
    return NetworkToPlay(folder, network, given, _clearance_of(folder, network, given, override))


def described_to_play(
    twins: Files,
    station: Station,
    *,
    network: Path | None = None,
    text: str | None = None,
    task: str | None = None,
    ranges: Mapping[str, tuple[float, float]] | None = None,
    conditions: Mapping[str, float] | None = None,
    seed: int | None = None,
    seconds: float | None = None,
    override: str | None = None,
) -> DescribedToPlay:
    """Read what describes the network and its twins, and see whether they may be played on this station.

    ranges: narrower drive ranges by device. conditions: set-points besides those of the file. seed: instead of the file's.
    seconds: budget of each training. Raises NetworkFileError, CampaignError or UsageError for what twins or station cannot
    do, GatesNotPassed.
    """
    if sum(one is not None for one in (network, text, task)) != 1:
        raise UsageError("give one of: the file that describes the network (NETWORK.toml), its text, or a task")
    description = parse_network_file(text) if text is not None else None
    if network is not None:
        description = load_network_file(network)
    if description is not None:
        description.check(station=station)
    given = given_twins(twins)
    wanted = wanted_of(
        description, given, task=task, station=station, conditions=conditions, seed=seed, seconds=seconds
    )
    clearance = clear(given.twins, given.gates, override=override)
    allowed = allowed_ranges(given.twins, station, ranges or {}, options=wanted.plan.device_options)
    return DescribedToPlay(wanted, given, clearance, allowed, jump_warnings(wanted.plan, station, ranges=allowed))


def warnings_of_play(bench: Bench, played: NetworkToPlay | DescribedToPlay) -> Campaign[None]:
    """What a person should know before anything is played."""
    network = played.network if isinstance(played, NetworkToPlay) else None
    for told in played.jumps if isinstance(played, DescribedToPlay) else played.network.notes:
        yield Warned("bench", told)
    if bench.simulated:
        return
    for what, simulated in (
        ("this network was", network is not None and network.simulated),
        ("these twins were", played.given.simulated),
    ):
        if simulated:
            yield Warned("bench", f"{what} learned on SIMULATED devices, and this bench is a real one")


def _clearance_of(folder: Path, network: NetworkFiles, given: GivenTwins, override: str | None) -> Clearance:
    """Both the twins that it was optimised on and those given must have passed; where the former did not, their gates hold."""
    missing: Sequence[str] = [device for device in network.devices if device not in given.twins]
    if missing:
        raise UsageError(
            f"the network plays on {', '.join(missing)}, and no twin of it is given; give --twin {missing[0]}=FILE"
        )
    try:
        clear(network.devices, network.gates, override=override)
    except GatesNotPassed as error:
        raise GatesNotPassed(f"{folder}, of the twins that it was optimised on: {error}") from error
    before = {device: network.gates.get(device, {}) for device in network.devices}
    at_fault = {device: one for device, one in before.items() if shortcomings(device, one)}
    return clear(network.devices, {**given.gates, **at_fault}, override=override)
