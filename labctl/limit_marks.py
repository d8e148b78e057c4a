"""Whether a value is near a limit of its channel, at it, or beyond: in a word and a sign, not by colour alone."""

from __future__ import annotations

import math
from dataclasses import dataclass

from labctl.station import Channel

NEAR = 0.05
"""Nearer to a limit than this share of the span between the limits is "near"."""


@dataclass(frozen=True, slots=True)
class LimitMark:
    """`grade` is "near", "at" or "beyond"; `sign` stands beside the value, `words` explain it."""

    grade: str
    sign: str
    words: str


def mark_of(channel: Channel, value: float) -> LimitMark | None:
    """None where there is nothing to say: well within, at rest or at the safe value, or no limits known."""
    low, high = channel.limits
    if math.isinf(low) or math.isinf(high) or math.isnan(value):
        return None
    at_rest = (channel.rest, *((channel.safe.value,) if channel.safe else ()))
    if channel.is_output and any(abs(value - level) <= channel.tolerance for level in at_rest):
        return None
    upper = abs(high - value) <= abs(value - low)
    limit, side, sign = (high, "upper", "▲") if upper else (low, "lower", "▼")
    name = f"the {side} {'limit' if channel.is_output else 'end of the range'}"
    away = high - value if upper else value - low
    if away < -channel.tolerance:
        return LimitMark("beyond", "✖", f"beyond {name}, {limit:g} {channel.unit}")
    if away <= channel.tolerance:
        return LimitMark("at", sign + sign, f"at {name}, {limit:g} {channel.unit}")
    if away <= NEAR * (high - low):
        return LimitMark("near", sign, f"near {name}, {limit:g} {channel.unit}")
    return None
