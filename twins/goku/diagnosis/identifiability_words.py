"""A direction in parameter space in words: what trades off against what, and which combination is left known."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from jaxtyping import Float64
from numpy import ndarray

from twins.goku.quantity import Quantity

TAKES_PART = 0.15
"""Of the largest coefficient of a direction."""
_SAME = 0.03  # exponents this near to 1 are written as 1


@dataclass(frozen=True, slots=True)
class Direction:
    """A direction in which the parameters can move while the data hardly change.

    names: of the parameters that take part; coefficients: their parts in unit coordinates; relative: how much each
    changes relative to itself (None where that has no meaning, as for a range that holds 0); combination: what is
    known in its place, where two parameters take part, else "". sd_over_prior: how far the data leave it open (inf: wholly).
    structural: whether that is so wherever one looks, for traces of this design.
    """

    names: tuple[str, ...]
    coefficients: tuple[float, ...]
    relative: tuple[float | None, ...]
    combination: str
    sd_over_prior: float
    structural: bool
    words: str


def direction_of(
    quantities: Sequence[Quantity],
    vector: Float64[ndarray, " parameter"],
    at: Float64[ndarray, " parameter"],
    sd_over_prior: float,
    *,
    structural: bool,
    learned: Collection[str] = (),
) -> Direction:
    """Named. quantities: the flat parameters; vector: in unit coordinates; at: the estimate, in physical units.

    learned: names of parameters whose posterior is narrower than the prior all the same.
    """
    largest = max(range(len(vector)), key=lambda k: abs(float(vector[k])))
    sign = math.copysign(1.0, float(vector[largest]))
    parts = [k for k in range(len(vector)) if abs(vector[k]) > TAKES_PART * abs(vector[largest])]
    names = tuple(quantities[k].name for k in parts)
    coefficients = tuple(sign * float(vector[k]) for k in parts)
    changes = [sign * float(vector[k]) * _by_unit(quantities[k], float(at[k])) for k in parts]
    relative = tuple(
        change / float(at[k]) if _has_sign(quantities[k], float(at[k])) else None
        for k, change in zip(parts, changes, strict=True)
    )
    combination = _combination(names, relative, changes) if len(parts) == 2 else ""
    if structural and len(names) > 1 and not set(names).isdisjoint(learned):
        words = _words_of_ranges(names, combination)
    else:
        words = _words(names, relative, changes, combination, sd_over_prior, structural=structural)
    return Direction(names, coefficients, relative, combination, sd_over_prior, structural, words)


def _by_unit(quantity: Quantity, value: float) -> float:
    """Physical change a unit of the unit coordinate."""
    return value * math.log(quantity.high / quantity.low) if quantity.scale == "log" else quantity.high - quantity.low


def _has_sign(quantity: Quantity, value: float) -> bool:
    return value != 0.0 and (quantity.low >= 0.0 or quantity.high <= 0.0)


def _combination(names: tuple[str, ...], relative: tuple[float | None, ...], changes: list[float]) -> str:
    """What stays the same along the direction, to first order: a power law, or a sum where a sign is open."""
    first, second = relative
    if first is not None and second is not None:
        power = -first / second  # d ln a + power · d ln b = 0
        if abs(abs(power) - 1.0) < _SAME:
            return f"{names[0]} · {names[1]}" if power > 0.0 else f"{names[0]} / {names[1]}"
        return f"{names[0]} · {names[1]}^{power:.3g}"
    weight = -changes[0] / changes[1]
    return f"{names[0]} {'+' if weight > 0.0 else '-'} {abs(weight):.3g} · {names[1]}"


def _words_of_ranges(names: tuple[str, ...], combination: str) -> str:
    """Where no traces of this kind tell parameters apart, what is known of each comes from elsewhere."""
    told = f"only {combination}" if combination else "only what leaves the traces as they are"
    return (
        f"{', '.join(names[:-1])} and {names[-1]}: the data alone tell {told}; what is known of each by itself comes from "
        "the ranges (of an initial state, or of another parameter), and is as sure as these are"
    )


def _words(
    names: tuple[str, ...],
    relative: tuple[float | None, ...],
    changes: list[float],
    combination: str,
    sd_over_prior: float,
    *,
    structural: bool,
) -> str:
    if math.isinf(sd_over_prior):
        far = "of it they say nothing"
    else:
        far = f"the data alone leave it open to {sd_over_prior:.2g} times the prior's width"
    why = "no traces of this kind can tell" if structural else "these data do not tell"
    if len(names) == 1:
        return f"{names[0]}: {why} ({far})"
    if combination:
        return f"{names[0]} and {names[1]} trade off: only {combination} is known ({why} them apart; {far})"
    largest = max((abs(part) for part in relative if part is not None), default=1.0)
    moves = [
        f"{name} by {change:+.3g}" if part is None else f"{name} by {100.0 * part / (10.0 * largest):+.2g} %"
        for name, part, change in zip(names, relative, [change / (10.0 * largest) for change in changes], strict=True)
    ]
    return f"{', '.join(names)} trade off: moving {', '.join(moves)} changes the data little ({why}; {far})"
