"""A rule in effective terms, to be read by people."""

from __future__ import annotations

from dataclasses import dataclass

from twins.errors import AutomatonInvalid

_NEGLIGIBLE_SHARE = 0.01


@dataclass(frozen=True, slots=True)
class Coefficient:
    """Of one term, in the images' units, cells and units of time. standard_error: a jackknife over parts of the data."""

    term: str
    value: float
    standard_error: float


@dataclass(frozen=True, slots=True)
class ChannelRule:
    """What makes one observed channel change.

    coefficients: those that were kept. r2: share of the rate's variance that they explain on held-out data. r2_all: that all
    terms of the library explain. r2_with_hidden: that these and the hidden channels explain (they, their Laplacians, and their
    products with observed channels and each other); None where there are none. rate_sd: standard deviation of the rate.

    Where the rule was read through whole frames, the shares are of the mean square change over a frame. nrmse: how far the
    rule's own steps over a frame are off, root mean square in units of the change: predicting no change has 1. own_error:
    the automaton's error against the data over a frame, in the same units. None where they are not known.
    """

    channel: str
    coefficients: tuple[Coefficient, ...]
    r2: float
    r2_all: float
    r2_with_hidden: float | None
    rate_sd: float
    nrmse: float | None = None
    own_error: float | None = None

    @property
    def needs_hidden(self) -> float:
        """Share of the variance that the hidden channels add to all terms: at least so much needs them."""
        return 0.0 if self.r2_with_hidden is None else max(0.0, self.r2_with_hidden - max(0.0, self.r2_all))

    @property
    def equation(self) -> str:
        """The rate as a sum, operators first."""
        parts = [_signed(one.value, one.term) for one in self.coefficients]
        return f"∂{self.channel}/∂t = " + (" ".join(parts).removeprefix("+ ") or "0")


@dataclass(frozen=True, slots=True)
class ReadableRule:
    """The rates of all observed channels. terms: the library. source: automaton, frames, or the name of an equation.
    simulated: whether a model, not a camera, made the data. n_cells: looked at. n_steps: Euler steps of a frame that the rule
    was read through; 0 where it was read from rates."""

    channels: tuple[ChannelRule, ...]
    terms: tuple[str, ...]
    source: str
    time_unit: str
    simulated: bool
    n_cells: int
    n_steps: int = 0

    def coefficient(self, channel: str, term: str) -> float:
        """Zero for a term that was dropped. Raises AutomatonInvalid for one that was never tried."""
        if term not in self.terms:
            raise AutomatonInvalid(f"no term {term!r} was tried; there are {', '.join(self.terms)}")
        return next((one.value for one in self.channel(channel).coefficients if one.term == term), 0.0)

    def channel(self, name: str) -> ChannelRule:
        """The rule of one channel. Raises AutomatonInvalid for a channel that is not there."""
        for one in self.channels:
            if one.channel == name:
                return one
        raise AutomatonInvalid(f"no channel {name!r}; there are {', '.join(one.channel for one in self.channels)}")

    def markdown(self) -> str:
        """The rule in words: an equation a channel, how much it explains, and every coefficient with its error."""
        lines = [f"## Effective rule ({self.source}{', SIMULATED' if self.simulated else ''})", ""]
        lines += [f"From {self.n_cells} cells; lengths in cells, time in {self.time_unit}.", ""]
        for one in self.channels:
            lines += [f"**{one.equation}**", "", _told(one), ""]
            if one.coefficients:
                lines += ["| term | coefficient | standard error |", "|---|---|---|"]
                lines += [f"| {c.term} | {c.value:.5g} | {c.standard_error:.2g} |" for c in one.coefficients]
                lines.append("")
        return "\n".join(lines)


def _told(rule: ChannelRule) -> str:
    left = 1.0 - rule.r2
    of = "the variance of the rate" if rule.nrmse is None else "the mean square change over a frame"
    text = f"These terms explain {_percent(rule.r2)} of {of} on data held out."
    if rule.nrmse is not None:
        own = "" if rule.own_error is None else f"; the automaton against its data: {rule.own_error:.3g}"
        text += f" Their own steps over a frame are off by {rule.nrmse:.3g} of the change (no change at all: 1{own})."
    if left < _NEGLIGIBLE_SHARE:
        return text
    text += f" All terms tried explain {_percent(rule.r2_all)}."
    if rule.r2_with_hidden is not None:
        text += (
            f" With the hidden channels beside them it is {_percent(rule.r2_with_hidden)}: at least "
            f"{_percent(rule.needs_hidden)} needs what the hidden channels remember."
        )
    best = max(rule.r2, rule.r2_all, rule.r2_with_hidden or 0.0)
    return f"{text} {_percent(1.0 - best)} is explained by none of these."


def _percent(share: float) -> str:
    """Negative where a constant would have done better."""
    return f"{100 * share:.3g} %"


def _signed(value: float, term: str) -> str:
    number = f"{'-' if value < 0 else '+'} {abs(value):.4g}"
    return number if term == "1" else f"{number} {term}"
