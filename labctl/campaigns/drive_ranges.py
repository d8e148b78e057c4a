"""Where a network may drive each device: what its twin knows, what the station allows, and what a person wants."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from labctl.campaigns.device_options import DeviceOptions
from labctl.campaigns.plans import TaskPlan
from labctl.errors import CampaignError
from labctl.station import Station
from labctl.twin_drives import TwinDrives
from twins.network.ports import DevicePort

if TYPE_CHECKING:
    import torch

Range = tuple[float, float]
DeviceRanges = Range | tuple[Range, ...]
"""Lowest and highest drive of a device; of one with several drive channels, a pair for each."""


def range_of(ranges: DeviceRanges, channel: int) -> Range:
    """The range of one drive channel: a single pair is that of all."""
    pairs = np.asarray(ranges, dtype=np.float64).reshape(-1, 2)
    low, high = pairs[channel if len(pairs) > 1 else 0]
    return float(low), float(high)


def allowed_ranges(
    twins: Mapping[str, Any],
    station: Station | None,
    wanted: Mapping[str, DeviceRanges] | None = None,
    *,
    options: Mapping[str, DeviceOptions] | None = None,
) -> dict[str, DeviceRanges]:
    """Where a network may drive each device: inside the range its twin was fitted on AND the station's limits, AND
    inside the range `wanted` of it, or that of its `options`, if there is one. A pair for a device of one drive channel,
    a pair for each channel otherwise. twins: themselves, or what is known of their drives (TwinDrives). Raises
    CampaignError where nothing is left."""
    wanted, options = wanted or {}, options or {}
    unknown = sorted(set(wanted) - set(twins))
    if unknown:
        raise CampaignError(f"a drive range is given for {', '.join(unknown)}; there are twins of {', '.join(twins)}")
    ranges: dict[str, DeviceRanges] = {}
    for device, twin in twins.items():
        drives = twin if isinstance(twin, TwinDrives) else TwinDrives.of(twin)
        every = []
        for channel, name in enumerate(drives.names):
            asked = range_of(wanted[device], channel) if device in wanted else None
            if asked is None and device in options:
                asked = options[device].of(name).range
            every.append(_allowed(device, drives, channel, station, asked))
        ranges[device] = every[0] if len(every) == 1 else tuple(every)
    return ranges


def _allowed(device: str, fitted: TwinDrives, channel: int, station: Station | None, asked: Range | None) -> Range:
    low, high = fitted.ranges[channel]
    if asked is not None:
        if not low <= asked[0] < asked[1] <= high:
            raise CampaignError(
                f"{device}: range {asked[0]:g}..{asked[1]:g} asked for, its twin was fitted over {low:g}..{high:g}"
            )
        low, high = asked
    if station is None:
        return low, high
    drives = station.device(device).drive
    if len(drives) != len(fitted.ranges):
        raise CampaignError(
            f"{device}: its twin has {len(fitted.ranges)} drive channel(s), the station {len(drives)} "
            f"({', '.join(drives)}); record and fit it as it stands in the station file"
        )
    output = station.channel(drives[channel])
    allowed_low, allowed_high = output.limits
    if not max(low, allowed_low) < min(high, allowed_high):
        raise CampaignError(
            f"{device}: the twin was fitted over {low:g}..{high:g} {output.unit} and the station allows "
            f"{allowed_low:g}..{allowed_high:g}: nothing is left; record the device within its limits"
        )
    return max(low, allowed_low), min(high, allowed_high)


def starting_conditions(plan: TaskPlan, given: Mapping[str, float]) -> dict[str, float]:
    """What is held, and where what the plan trains begins: in the middle, if nothing else is given. Raises CampaignError
    for a start outside its range."""
    start = dict(given)
    for name, (low, high) in plan.trained_conditions.items():
        value = start.setdefault(name, 0.5 * (low + high))
        if not low <= value <= high:
            raise CampaignError(f"condition {name} is trained within {low:g}..{high:g} and cannot begin at {value:g}")
    return start


def check_conditions(held: Mapping[str, float], trained: Mapping[str, Range], station: Station) -> None:
    """Raise CampaignError unless each is a set channel of the station, whose limits cover its value or its range."""
    ranges = {**{name: (value, value) for name, value in held.items()}, **trained}
    for name, (low, high) in ranges.items():
        channel = station.channels.get(name)
        if channel is None or channel.kind != "set":
            settable = ", ".join(key for key, one in station.channels.items() if one.kind == "set") or "none"
            raise CampaignError(f"condition {name} cannot be set on this station; its set channels are {settable}")
        lowest, highest = channel.limits
        if low < lowest or high > highest:
            wanted = f"held at {low:g}" if low == high else f"trained within {low:g}..{high:g}"
            raise CampaignError(
                f"condition {name} is to be {wanted} {channel.unit}, the station allows {lowest:g}..{highest:g} "
                f"({channel.where}); nothing was trained"
            )


def planned_ports(
    twins: Mapping[str, Any],
    ranges: Mapping[str, DeviceRanges],
    plan: TaskPlan,
    *,
    conditions: Mapping[str, float],
    rng: np.random.Generator,
    generator: torch.Generator,
) -> tuple[DevicePort, ...]:
    """How each device is driven, over its ranges and with the levels that the plan gives its outputs, and how its
    responses are normalised under these conditions. Loads torch."""
    from twins.network.initialise import measured_ports
    from twins.network.network import stack_under

    options = plan.device_options
    ports = [_port(name, twin, ranges[name], options.get(name, DeviceOptions())) for name, twin in twins.items()]
    samples = plan.architecture.samples_per_step
    return measured_ports(
        ports, twins, samples_per_step=samples, rng=rng, generator=generator, stack=stack_under(conditions)
    )


def _port(name: str, twin: Any, ranges: DeviceRanges, options: DeviceOptions) -> DevicePort:
    channels = twin.spec.drive_names
    return DevicePort.from_ranges(
        name,
        [range_of(ranges, channel) for channel in range(len(channels))],
        drive_units=list(twin.spec.drive_units),
        response_units=list(twin.spec.response_units),
        levels=[options.of(channel).levels for channel in channels],
    )
