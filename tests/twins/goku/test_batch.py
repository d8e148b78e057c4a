"""What is missing, and that where nothing is one value tells it."""

import numpy as np
import torch

from twins.goku.network.batch import all_seen, batch_of, chunks, repeated
from twins.goku.series import Series


def series(*, gap):
    values = np.random.default_rng(0).normal(size=(5, 9, 2))
    if gap:
        values[1, 3, 0] = np.nan
    return Series(values, 0.1 * np.arange(9), ("a", "b"), ("V", "V"))


def parts_of(batch):
    return [
        batch.cropped(np.array([3, 1, 1]), np.array([0, 2, 0]), 5),
        *chunks(batch, 2),
        repeated(batch, 7),
    ]


def test_where_nothing_is_missing_one_value_tells_it_in_every_part():
    whole = batch_of(series(gap=False))
    for part in [whole, *parts_of(whole)]:
        assert part.seen.shape == part.values.shape and part.seen.dtype is torch.bool
        assert all_seen(part.seen) and part.seen.all() and not any(part.seen.stride())


def test_a_gap_is_where_it_was_in_every_part():
    whole = batch_of(series(gap=True))
    assert not all_seen(whole.seen) and int((~whole.seen).sum()) == 1
    crop = whole.cropped(np.array([3, 1, 1]), np.array([0, 2, 0]), 5)
    assert (~crop.seen).nonzero().tolist() == [[1, 1, 0], [2, 3, 0]]
    assert [all_seen(part.seen) for part in chunks(whole, 2)] == [False, True, True]
    assert int((~repeated(whole, 7).seen).sum()) == 2
