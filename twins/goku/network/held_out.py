"""Which traces are held out of a fit: whole groups, so that no parameters are on both sides; and what is seen of them."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int64

from twins.goku.network.batch import Batch

FEWEST_CROPS = 64
_GOLDEN = 0.5 * (5.0**0.5 - 1.0)


def held_out_traces(
    groups: Int64[np.ndarray, " trace"], fraction: float, rng: np.random.Generator
) -> Int64[np.ndarray, " held_out"]:
    """Indices of about `fraction` of the traces, at least one group and never all; empty if there is one group only."""
    distinct = rng.permutation(np.unique(groups))
    if len(distinct) < 2:
        return np.array([], dtype=np.int64)
    n_groups = min(len(distinct) - 1, max(1, round(fraction * len(distinct))))
    return np.flatnonzero(np.isin(groups, distinct[:n_groups])).astype(np.int64)


def fixed_crops(batch: Batch, length: int) -> Batch:
    """Crops of `length` samples by which every epoch of a training is judged, so that no epoch is chosen for easy ones.

    At starts that are spread evenly and do not repeat (the golden ratio); of few traces several each, so that there are
    about FEWEST_CROPS. The batch itself where it is that long.
    """
    n, spare = len(batch), batch.values.shape[1] - length
    if not spare:
        return batch
    copies = min(spare + 1, -(-FEWEST_CROPS // n))
    starts = (np.arange(n * copies) * _GOLDEN % 1.0 * (spare + 1)).astype(np.int64)
    return batch.cropped(np.tile(np.arange(n), copies), starts, length)
