"""Few points for many samples."""

from __future__ import annotations

import numpy as np
import pytest

from labctl.few_points import extremes


@pytest.mark.parametrize("count", [11, 1000, 1001, 4999, 12_345])
def test_every_spike_is_there_wherever_it_stands(count: int) -> None:
    for at in (0, 1, count // 3, count // 2, count - 2, count - 1):
        values = np.zeros((2, count), dtype=np.float32)
        values[0, at], values[1, at] = 5.0, -5.0
        positions, few = extremes(values, 10)
        assert few.shape == (2, len(positions))
        assert len(positions) <= 10
        assert few[0].max() == 5.0
        assert few[1].min() == -5.0
        width = -(-count // 5)
        assert abs(positions[int(np.argmax(few[0]))] - at) <= width


def test_positions_grow_and_stay_among_the_samples() -> None:
    positions, _ = extremes(np.zeros(12_345), 100)
    assert (np.diff(positions) > 0).all()
    assert positions[0] == 0
    assert positions[-1] < 12_345


def test_few_samples_are_left_as_they_are() -> None:
    values = np.arange(10.0)
    positions, same = extremes(values, 10)
    assert same is values
    assert list(positions) == list(range(10))


def test_a_gap_hides_no_spike_beside_it() -> None:
    values = np.full(1000, np.nan)
    values[501] = 3.0
    _, few = extremes(values, 10)
    assert np.nanmax(few) == 3.0
    assert np.isnan(few).sum() == 8
