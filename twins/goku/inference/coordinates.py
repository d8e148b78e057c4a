"""Free coordinates of what is unknown of a trace: any real numbers, where the prior and all limits are built in."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from twins.errors import EquationInvalid, SeriesInvalid
from twins.goku.inference.prediction import LOG_TWO_PI
from twins.goku.series import Series
from twins.goku.system import System

INITIAL = ("range", "free")
_INSIDE = 0.01  # of a range: where a start on its edge, which would have no slope, is moved to
_END = 1e-9  # of a range: closer to an end than this is on it

FURTHEST = 6.0
"""The free coordinate of what lies a share of 1e-9 from the end of its range: no value inside has one further out."""


class FreeCoordinates:
    """Parameters, initial state and noise sd of one trace, in this order, as numbers without limits.

    A quantity with a range is range(Φ(x)), Φ the normal distribution function, linear or in the logarithm. Uniform there
    before the data means that x is standard normal: its prior has the same curvature everywhere, so that posteriors cut
    by an end of a range stay near a Gaussian (under a logistic map they get long tails, and steps by the local
    information get lost there). Noise levels are uniform in the logarithm of their range.
    initial: "range": the state at the first sample is uniform in the states' ranges; "free": they tell its scale
    only, and nothing is known of it (where a trace may begin anywhere, as after a transient).
    noise_sd_range: (low, high), each a number or one a channel, in the channels' units.
    """

    def __init__(
        self,
        system: System,
        noise_sd_range: tuple[Float[np.ndarray, " channel"], Float[np.ndarray, " channel"]],
        *,
        initial: str = "range",
    ) -> None:
        if initial not in INITIAL:
            raise EquationInvalid(f"initial must be one of {', '.join(INITIAL)}, not {initial!r}")
        open_ended = [quantity.name for quantity in system.flat_states if not quantity.bounded]
        if initial == "range" and open_ended:
            raise EquationInvalid(
                f"{system.name}: the state {open_ended[0]!r} has no finite range of initial values; give it one by "
                "with_ranges, or use initial='free'"
            )
        like = torch.zeros((), dtype=torch.float64)
        noise_low, noise_high = (torch.as_tensor(np.array(end), dtype=torch.float64) for end in noise_sd_range)
        if not bool(((noise_low > 0) & (noise_low < noise_high) & torch.isfinite(noise_high)).all()):
            raise SeriesInvalid(f"noise_sd_range must be 0 < low < high, not {noise_sd_range}")
        low, high = system.parameter_range(like)
        state_low, state_high = system.state_range(like)
        state_high = torch.where(torch.isfinite(state_high - state_low), state_high, 1.0)
        state_low = torch.where(torch.isfinite(state_low), state_low, -1.0)
        self.sizes = [len(low), len(state_low), len(noise_low)]
        is_log = [quantity.scale == "log" for quantity in system.flat_parameters]
        self._is_log = torch.tensor([*is_log, *[False] * len(state_low), *[True] * len(noise_low)])
        self._low = torch.cat((low, state_low, noise_low))
        self._high = torch.cat((high, state_high, noise_high))
        self._low[self._is_log], self._high[self._is_log] = (end[self._is_log].log() for end in (self._low, self._high))
        self.bounded = torch.ones(self.size, dtype=torch.bool)
        if initial == "free":
            self.bounded[len(low) : len(low) + len(state_low)] = False

    @property
    def size(self) -> int:
        """Numbers a trace."""
        return sum(self.sizes)

    @property
    def n_parameters(self) -> int:
        """The first of them, which traces of a group share."""
        return self.sizes[0]

    def physical(self, free: Float[Tensor, "*batch unknown"]) -> Float[Tensor, "*batch unknown"]:
        """In physical units."""
        unit = torch.where(self.bounded, torch.special.ndtr(free), 0.5 + 0.5 * free)
        straight = self._low + (self._high - self._low) * unit
        return torch.where(self._is_log, torch.where(self._is_log, straight, 0.0).exp(), straight)

    def split(self, values: Float[Tensor, "*batch unknown"]) -> Sequence[Tensor]:
        """(parameters, initial state, noise sd)."""
        return torch.split(values, self.sizes, dim=-1)

    def slope(self, free: Float[Tensor, "*batch unknown"]) -> Float[Tensor, "*batch unknown"]:
        """How fast each physical value changes with its coordinate."""
        share = torch.exp(-0.5 * free.square() - 0.5 * LOG_TWO_PI)
        by_free = (self._high - self._low) * torch.where(self.bounded, share, 0.5)
        return torch.where(self._is_log, self.physical(free) * by_free, by_free)

    def free(
        self, physical: Float[Tensor, "*batch unknown"], *, inside: float = _INSIDE
    ) -> Float[Tensor, "*batch unknown"]:
        """The coordinates of physical values, exact for all inside their ranges.

        Those on an end (closer than 1e-9 of the range) or beyond it have none: they are moved this share of the range
        inside.
        """
        positive = torch.where(self._is_log & (physical <= 0.0), 1e-300, physical)
        straight = torch.where(self._is_log, torch.where(self._is_log, positive, 1.0).log(), physical)
        unit = (straight - self._low) / (self._high - self._low)
        kept = torch.where(unit < _END, inside, torch.where(unit > 1.0 - _END, 1.0 - inside, unit))
        return torch.where(self.bounded, torch.special.ndtri(kept), 2.0 * unit - 1.0)

    def at_edge(self, free: Float[Tensor, "*batch unknown"], share: float = 0.002) -> Tensor:
        """Which coordinates lie within this share of an end of their range."""
        near: Tensor = self.bounded & (torch.special.ndtr(-free.abs()) < share)
        return near

    def log_prior(self, free: Float[Tensor, "*batch unknown"]) -> Float[Tensor, "*batch unknown"]:
        """Logarithm of the prior density of each coordinate (0 for those that nothing is known of)."""
        return torch.where(self.bounded, -0.5 * free.square() - 0.5 * LOG_TWO_PI, 0.0)

    def prior_slope(self, free: Float[Tensor, "*batch unknown"]) -> tuple[Tensor, Tensor]:
        """(slope, negative second derivative) of ``log_prior``."""
        zero = torch.zeros_like(free)
        return torch.where(self.bounded, -free, zero), torch.where(self.bounded, zero + 1.0, zero)

    def draw(self, n: int, generator: torch.Generator) -> Float[Tensor, "n unknown"]:
        """From the prior (standard normal as well where nothing is known)."""
        return torch.randn((n, self.size), dtype=torch.float64, generator=generator)


def noise_sd_range_of(series: Series) -> tuple[np.ndarray, np.ndarray]:
    """A wide range of noise levels: 1e-4 to 3 times the spread of each channel over all traces.

    Raises SeriesInvalid for a channel without any spread.
    """
    spread = np.nanstd(series.values, axis=(0, 1))
    still = np.flatnonzero(~(spread > 0.0))
    if len(still):
        raise SeriesInvalid(f"channel {series.names[still[0]]!r} never changes; leave it away, or give noise_sd_range")
    return 1e-4 * spread, 3.0 * spread


def noise_sd_range_from(given: tuple[object, object] | None, series: Series) -> tuple[np.ndarray, np.ndarray]:
    """The range that was given, one end a channel, or ``noise_sd_range_of`` the series."""
    if given is None:
        return noise_sd_range_of(series)
    ends = [np.broadcast_to(np.asarray(end, dtype=np.float64), (series.n_channels,)).copy() for end in given]
    return ends[0], ends[1]
