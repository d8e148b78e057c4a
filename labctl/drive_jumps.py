"""Drives that may jump further from one step to the next than an output is allowed to, found before anything is trained.

A drive of a network may go from any level of its range to any other within one sample, and back to rest at the end of a
trial. What a network really does is known only when it is played, a later layer when the one before was measured; so a
range that allows too much is worth a warning, and drives that are too fast are refused at the play itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from labctl.bench.plan import Mode, rate_per_s

if TYPE_CHECKING:
    from labctl.station import Channel, Station

_ROUNDING = 1.0 + 1e-9
Range = tuple[float, float]
DeviceRanges = Range | tuple[Range, ...]


def too_fast_jumps(
    station: Station, ranges: Mapping[str, ArrayLike], *, dt_s: float, recurrent: bool = False
) -> tuple[str, ...]:
    """In words, each drive channel whose largest jump within its range is faster than the station allows.

    ranges: by device, (low, high) or one such pair for each of its drive channels. recurrent: the network is played in a
    closed loop, sample by sample.
    """
    told = []
    for device, pairs in ranges.items():
        stepped = recurrent or station.device(device).mode == "stepped"
        each = np.asarray(pairs, dtype=np.float64).reshape(-1, 2).tolist()
        for name, (low, high) in zip(station.device(device).drive, each, strict=True):
            channel = station.channels[name]
            mode: Mode = "stepped" if stepped else "buffered"
            allowed = rate_per_s(channel, mode) * dt_s
            farthest = farthest_jump(channel, (low, high))
            if farthest > allowed * _ROUNDING:
                told.append(_in_words(device, channel, farthest, allowed, mode, dt_s))
    return tuple(told)


def farthest_jump(channel: Channel, between: Range) -> float:
    """The largest change from one level of a range, or rest, to another."""
    low, high = between
    return max(high - low, high - channel.rest, channel.rest - low)


def _in_words(device: str, channel: Channel, farthest: float, allowed: float, mode: Mode, dt_s: float) -> str:
    limit = "slew_per_s" if mode == "buffered" else "ramp_per_s"
    if mode == "stepped" and channel.ramp_per_s is None:
        limit = "slew_per_s"
    return (
        f"{channel.name}: from one step to the next the network may drive {device} {farthest:g} {channel.unit} further; "
        f"{limit} = {rate_per_s(channel, mode):g} {channel.unit}/s ({channel.where}) allows {allowed:g} {channel.unit} within a "
        f"sample of {dt_s:g} s. Drives that are faster are refused when they are to be played, those of a later layer only "
        f"after the one before was played: narrow the range of {device}, or raise {limit} if the device bears it"
    )
