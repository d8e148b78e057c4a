"""Whether one method is better than others over the same seeds or traces."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from twins.errors import SeriesInvalid

ALTERNATIVES = ("two-sided", "less", "greater")


@dataclass(frozen=True, slots=True)
class SignedRank:
    """statistic: sum of the ranks of positive differences; n: differences that are not 0; p_value: see ``signed_rank``."""

    statistic: float
    p_value: float
    n: int


@dataclass(frozen=True, slots=True)
class Comparison:
    """One rival against the reference: median of reference - rival, and how likely so much is by chance.

    p_holm: corrected for the number of rivals.
    """

    rival: str
    median_difference: float
    p_value: float
    p_holm: float
    n: int


def signed_rank(
    one: Float64[np.ndarray, " pair"], other: Float64[np.ndarray, " pair"], *, alternative: str = "two-sided"
) -> SignedRank:
    """Wilcoxon's signed-rank test of paired scores (F. Wilcoxon, Biometrics Bull. 1, 80, 1945).

    alternative: "less" asks whether `one` is smaller. Pairs without a difference are left out, as Wilcoxon did; without any
    difference the p-value is 1. Exact for up to 50 pairs without ties, else by the normal approximation (scipy).
    Raises SeriesInvalid for scores that are not finite or not paired.
    """
    from scipy.stats import wilcoxon

    first, second = np.asarray(one, dtype=np.float64), np.asarray(other, dtype=np.float64)
    if (
        first.shape != second.shape
        or first.ndim != 1
        or not bool(np.isfinite(first).all() and np.isfinite(second).all())
    ):
        raise SeriesInvalid(
            f"paired scores must be finite, one a pair on both sides, not {first.shape} and {second.shape}"
        )
    if alternative not in ALTERNATIVES:
        raise SeriesInvalid(f"alternative must be one of {', '.join(ALTERNATIVES)}, not {alternative!r}")
    difference = (first - second)[first != second]
    if not len(difference):
        return SignedRank(0.0, 1.0, 0)
    tied = len(np.unique(np.abs(difference))) < len(difference)
    method = "exact" if len(difference) <= 50 and not tied else "asymptotic"
    # one-sided, scipy's statistic is the rank sum of positive differences whatever the alternative
    statistic = float(wilcoxon(difference, alternative="greater", method=method).statistic)
    return SignedRank(
        statistic, float(wilcoxon(difference, alternative=alternative, method=method).pvalue), len(difference)
    )


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values corrected for their number (S. Holm, Scand. J. Statist. 6, 65, 1979), in the order given.

    The smallest of m is multiplied by m, the next by m - 1 …; none is below one that was smaller, none above 1.
    Raises SeriesInvalid for what is no probability.
    """
    p = np.asarray(p_values, dtype=np.float64)
    if p.ndim != 1 or not bool(((p >= 0.0) & (p <= 1.0)).all()):
        raise SeriesInvalid(f"p-values must lie in 0..1, not {list(p_values)}")
    order = np.argsort(p, kind="stable")
    corrected = np.empty_like(p)
    corrected[order] = np.minimum(1.0, np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)))
    return [float(value) for value in corrected]


def compare(
    scores: Mapping[str, Float64[np.ndarray, " pair"]], reference: str, *, alternative: str = "two-sided"
) -> tuple[Comparison, ...]:
    """The reference against every other one over the same pairs (seeds, traces), corrected for their number.

    alternative: "less" asks whether the reference's scores are smaller. Raises SeriesInvalid.
    """
    if reference not in scores:
        raise SeriesInvalid(f"there are no scores of {reference!r}; there are {', '.join(scores)}")
    own = np.asarray(scores[reference], dtype=np.float64)
    rivals = [name for name in scores if name != reference]
    tests = [signed_rank(own, scores[name], alternative=alternative) for name in rivals]
    corrected = holm([test.p_value for test in tests])
    return tuple(
        Comparison(name, float(np.median(own - np.asarray(scores[name]))), test.p_value, p_holm, test.n)
        for name, test, p_holm in zip(rivals, tests, corrected, strict=True)
    )
