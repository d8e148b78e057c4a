"""Calibrate the intervals of an amortised posterior on simulations whose truth is known.

Where the network's density puts the truth (its rank, "probability integral transform") is uniform if the density is
right (Talts, Betancourt, Simpson, Vehtari, Gelman, "Validating Bayesian inference algorithms with simulation-based
calibration", 2018). Where it is not, levels are mapped through the ranks' own distribution (Kuleshov, Fenner, Ermon,
"Accurate uncertainties for deep learning using calibrated regression", ICML 2018), coordinate by coordinate; the order
of the draws, and with it their dependence, stays.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor

from twins.goku.amortised.mixture import Mixture

_N_LEVELS = 201
_SMALLEST = 1e-9  # levels nearer to 0 or 1 than any number of draws can tell


@dataclass(frozen=True, slots=True, eq=False)
class LevelMap:
    """ranks: (level, coordinate): the density's level below which the truth lay in this fraction of the simulations, as
    standard normal scores, at the levels (i + 0.5) / n."""

    ranks: Float[Tensor, "level coordinate"]

    @classmethod
    def of(cls, ranks: Float[Tensor, "simulation coordinate"]) -> LevelMap:
        """From the ranks (0..1) of the truth in simulations."""
        levels = (torch.arange(_N_LEVELS, dtype=torch.float64) + 0.5) / _N_LEVELS
        return cls(scores(torch.quantile(ranks.to(torch.float64), levels, dim=0)))

    @property
    def levels(self) -> Float64[np.ndarray, " level"]:
        """The levels' standard normal scores."""
        n = len(self.ranks)
        result: np.ndarray = scores((torch.arange(n, dtype=torch.float64) + 0.5) / n).numpy()
        return result

    def wanted(self, level_scores: np.ndarray, coordinate: int) -> np.ndarray:
        """The density's own level (as a score) that stands for this calibrated level (as a score)."""
        return _interpolated(level_scores, self.levels, self.ranks[:, coordinate].numpy())

    def coverage(self, ranks: Float[Tensor, "simulation coordinate"], level: float = 0.9) -> tuple[float, ...]:
        """How often the central interval holds the truth, by coordinate, after the correction."""
        ends = scores(torch.tensor([0.5 * (1.0 - level), 0.5 * (1.0 + level)], dtype=torch.float64)).numpy()
        found = scores(ranks.to(torch.float64)).numpy()
        covered = []
        for coordinate in range(ranks.shape[-1]):
            low, high = self.wanted(ends, coordinate)
            covered.append(float(((found[:, coordinate] >= low) & (found[:, coordinate] <= high)).mean()))
        return tuple(covered)


def coverage_of(ranks: Float[Tensor, "simulation coordinate"], level: float = 0.9) -> tuple[float, ...]:
    """How often the uncorrected central interval holds the truth, by coordinate."""
    inside = (ranks - 0.5).abs() <= 0.5 * level
    return tuple(inside.to(torch.float64).mean(dim=0).tolist())


def calibrated_draws(
    mixture: Mixture, draws: Float[Tensor, "trace draw coordinate"], level_map: LevelMap
) -> Float[Tensor, "trace draw coordinate"]:
    """The draws moved along each coordinate so that their quantiles are the calibrated ones."""
    own = scores(mixture.marginal_cdf(draws)).numpy()
    places = draws.numpy()
    moved = np.empty_like(places)
    for coordinate in range(places.shape[-1]):
        wanted = level_map.wanted(own[..., coordinate], coordinate)
        for trace in range(len(places)):
            order = np.argsort(places[trace, :, coordinate])
            levels, values = own[trace, order, coordinate], places[trace, order, coordinate]
            moved[trace, :, coordinate] = _interpolated(wanted[trace], levels, values)
    return torch.from_numpy(moved)


def scores(levels: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
    """Standard normal scores of levels in 0..1; levels beyond what draws can tell count as the last that they can."""
    result: Tensor = torch.special.ndtri(levels.clamp(_SMALLEST, 1.0 - _SMALLEST))
    return result


def _interpolated(x: np.ndarray, known_x: np.ndarray, known_y: np.ndarray) -> np.ndarray:
    """Linear between known points and, with the slope of the outer twentieth, beyond them."""
    y: np.ndarray = np.interp(x, known_x, known_y)
    step = max(1, len(known_x) // 20)
    for end, inner, beyond in ((0, step, x < known_x[0]), (-1, -1 - step, x > known_x[-1])):
        run = known_x[end] - known_x[inner]
        slope = (known_y[end] - known_y[inner]) / run if run else 0.0
        y[beyond] = known_y[end] + slope * (x[beyond] - known_x[end])
    return y
