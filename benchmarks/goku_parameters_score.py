"""Figures of recovered parameters, for goku_parameters.py."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import Any

import numpy as np
import torch

from twins.goku.posterior import Posterior
from twins.goku.scoring.parameter_errors import parameter_errors
from twins.goku.system import System

FREE, N_SIGMA = 0.03, 3.0
"""A coverage may be off by FREE, or by so many standard deviations of its own chance."""


def tolerance(n: int, *, of: int = 1) -> float:
    """How far the farthest of so many coverages of n intervals each may lie from 0.9: max(0.03, 3 sqrt(0.09 / n)) for one;
    for more (Bonferroni) the chance that right intervals miss it stays what it is for one."""
    chance = 2.0 * NormalDist().cdf(-N_SIGMA)
    return float(max(FREE, NormalDist().inv_cdf(1.0 - 0.5 * chance / of) * np.sqrt(0.09 / n)))


def missed(covered: np.ndarray, n: int) -> list[int]:
    """Which coverages are not 0.9, by Holm's steps down from the farthest, each among those that are left."""
    found: list[int] = []
    distances = np.abs(covered - 0.9)
    for index in np.argsort(-distances, kind="stable"):
        if distances[index] <= tolerance(n, of=len(covered) - len(found)):
            break
        found.append(int(index))
    return found


def matched_posterior(system: System, observed: tuple[str, ...], posterior: Posterior, truth: np.ndarray) -> Posterior:
    """The draws after the change of parameters that no data can tell (a symmetry) and that brings them nearest to the truth."""
    matching = parameter_errors(system, posterior.median(), truth, observed=observed).matching
    return replace(posterior, parameters=matching.apply(posterior.parameters))


@dataclass(frozen=True, slots=True, eq=False)
class Answers:
    """What is said of each trace: estimate (posterior median) and whether the 90 % interval holds the truth (trace,
    parameter), and whether it is trusted (trace,)."""

    estimate: np.ndarray
    covered: np.ndarray
    trusted: np.ndarray

    @classmethod
    def of(cls, posterior: Posterior, truth: np.ndarray) -> Answers:
        """Of a posterior, after matching."""
        return cls(posterior.median(), posterior.covers(truth), posterior.trusted)

    @classmethod
    def joined(cls, lots: Sequence[Answers]) -> Answers:
        """Of several lots of traces."""
        parts = zip(*((lot.estimate, lot.covered, lot.trusted) for lot in lots), strict=True)
        return cls(*(np.concatenate(part) for part in parts))

    def where_trusted_else(self, other: Answers) -> Answers:
        """These where they are trusted, else the others: what a user is left with."""
        mine = self.trusted[:, None]
        return Answers(
            np.where(mine, self.estimate, other.estimate),
            np.where(mine, self.covered, other.covered),
            self.trusted | other.trusted,
        )


def scores(system: System, answers: Answers, truth: np.ndarray) -> dict[str, Any]:
    """Errors and coverage over all traces, trusted or not; lists are by parameter.

    relative_error: median over traces (and parameters) of |median of the draws - truth| / |truth|. error_of_range: root
    mean square, in units of the prior range (of its logarithm where the scale is). coverage90: of the central 90 %
    interval, all parameters together; coverages_missed: names of the parameters whose own coverage is not 0.9 (`missed`);
    coverage_within_tolerance: none is, and all together are within `tolerance` of n.
    """
    relative = np.abs(answers.estimate - truth) / np.abs(truth)
    of_range = _unit(system, answers.estimate) - _unit(system, truth)
    covered = answers.covered.mean(axis=0)
    names = [system.parameter_names[index] for index in missed(covered, len(truth))]
    return {
        "n": len(truth),
        "relative_error": float(np.median(relative)),
        "relative_errors": np.median(relative, axis=0),
        "error_of_range": float(np.sqrt(np.mean(of_range**2))),
        "errors_of_range": np.sqrt(np.mean(of_range**2, axis=0)),
        "coverage90": float(covered.mean()),
        "coverages90": covered,
        "tolerance": tolerance(len(truth)),
        "tolerance_of_the_farthest": tolerance(len(truth), of=len(covered)),
        "coverages_missed": names,
        "coverage_within_tolerance": not names and bool(np.abs(covered.mean() - 0.9) <= tolerance(len(truth))),
        "trusted": float(answers.trusted.mean()),
    }


def bound_factors(
    system: System, estimate: np.ndarray, truth: np.ndarray, bound: np.ndarray, trusted: np.ndarray
) -> dict[str, Any]:
    """Errors over the Cramér-Rao bound (trace, parameter), both in physical units.

    A parameter of a trace counts where the bound is less than half of the prior's standard deviation, because only there
    the data say more than the prior (which the estimate uses and the bound does not). cramer_rao_factor: root mean
    square of error / bound, all traces; _trusted: of those traces that the refinement itself trusts; _median: median of
    |error| / bound over 0.6745, which chance makes 1 and a few lost traces do not move.
    """
    low, high = (end.numpy() for end in system.parameter_range(torch.zeros(1, dtype=torch.float64)))
    told = np.isfinite(bound) & (bound < 0.5 * (high - low) / np.sqrt(12.0))
    ratio = np.where(told, (estimate - truth) / np.where(told, bound, 1.0), np.nan)
    alone = np.where(trusted[:, None], ratio, np.nan)
    return {
        "cramer_rao_factor": _root_mean_square(ratio),
        "cramer_rao_factor_trusted": _root_mean_square(alone),
        "cramer_rao_factor_median": float(np.nanmedian(np.abs(ratio)) / 0.6745) if told.any() else None,
        "cramer_rao_factors": [_root_mean_square(column) for column in ratio.T],
        "cramer_rao_told_fraction": float(told.mean()),
    }


def _root_mean_square(ratio: np.ndarray) -> float | None:
    return float(np.sqrt(np.nanmean(ratio**2))) if np.isfinite(ratio).any() else None


def _unit(system: System, parameters: np.ndarray) -> np.ndarray:
    unit: np.ndarray = system.parameters_to_unit(torch.from_numpy(np.array(parameters))).numpy()
    return unit
