"""How far apart the scores of two candidates are, and whether more than by chance: over groups of traces, not traces.

Traces of one group share their parameters, and so the posterior's error: they are not independent of each other.

Sources: Cameron and Miller, J. Hum. Resour. 50 (2015), for groups that share an error; Bonferroni's correction.
"""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float64, Int64

_SAME = 1e-6  # nats a sample: rounding, not evidence


def by_group(
    scores: Float64[np.ndarray, " trace"], groups: Int64[np.ndarray, " trace"]
) -> Float64[np.ndarray, " group"]:
    """The mean over the traces of every group; -inf where one of them is."""
    return np.array([scores[groups == group].mean() for group in np.unique(groups)])


def difference_over_groups(
    scores: Float64[np.ndarray, " trace"], best: Float64[np.ndarray, " trace"], groups: Int64[np.ndarray, " trace"]
) -> tuple[float, float]:
    """(mean difference, its standard error) over groups; the error is NaN for a single group, 0 where one side ran away."""
    if scores is best:
        return 0.0, 0.0
    if not np.isfinite(scores).all():
        return -math.inf, 0.0
    apart = by_group(scores - best, groups)
    error = float(apart.std(ddof=1) / math.sqrt(len(apart))) if len(apart) > 1 else math.nan
    return float(apart.mean()), error


def student_quantile(n_groups: int, n_candidates: int, confidence: float) -> float:
    """Standard errors beyond which any two of so many equal candidates differ by chance at most 1 - confidence of the time.

    Student's quantile, two-sided, shared by all pairs, as the best is picked after the scores are seen; inf for one group.
    """
    from scipy.special import stdtrit

    if n_groups < 2:
        return math.inf
    n_pairs = n_candidates * (n_candidates - 1) // 2
    return float(stdtrit(n_groups - 1, 1.0 - 0.5 * (1.0 - confidence) / n_pairs))


def is_behind(difference: float, standard_error: float, quantile: float) -> bool:
    """Whether so much is no chance. Of a single group only what ran away is (a density of 0 needs no error)."""
    if math.isinf(difference):
        return True
    if math.isinf(quantile):
        return False
    return abs(difference) > max(quantile * standard_error, _SAME)
