"""Which traces are held out of a fit: whole groups, so that no parameters are on both sides."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int64


def held_out_traces(
    groups: Int64[np.ndarray, " trace"], fraction: float, rng: np.random.Generator
) -> Int64[np.ndarray, " held_out"]:
    """Indices of about `fraction` of the traces, at least one group and never all; empty if there is one group only."""
    distinct = rng.permutation(np.unique(groups))
    if len(distinct) < 2:
        return np.array([], dtype=np.int64)
    n_groups = min(len(distinct) - 1, max(1, round(fraction * len(distinct))))
    return np.flatnonzero(np.isin(groups, distinct[:n_groups])).astype(np.int64)
