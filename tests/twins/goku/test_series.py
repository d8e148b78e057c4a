"""Observed series, and what is known of their parameters."""

import numpy as np
import pytest

from twins.errors import SeriesInvalid
from twins.goku.posterior import Guess, Posterior
from twins.goku.series import Series
from twins.traces import Traces


def _series(**changes: object) -> Series:
    options = {"values": np.zeros((2, 4, 1)), "times_s": np.arange(4.0), "names": ("v",), "units": ("V",), **changes}
    return Series(**options)  # type: ignore[arg-type]


def test_missing_samples_are_nan_and_counted_as_not_seen():
    values = np.zeros((2, 4, 1))
    values[1, 2] = np.nan
    series = _series(values=values)
    assert int(series.seen.sum()) == 7
    assert series.uniform_step_s == 1.0
    assert series.groups.tolist() == [0, 1]


def test_times_of_their_own_are_kept_by_trace():
    series = _series(times_s=np.array([[0.0, 1.0, 2.0, 4.0], [0.0, 0.5, 1.0, 1.5]]))
    assert series.uniform_step_s is None
    assert series.select([1]).uniform_step_s == 0.5
    assert series.span(1, 3).times_s.tolist() == [[1.0, 2.0], [0.5, 1.0]]


def test_a_recording_comes_over_without_its_preparation():
    traces = Traces(np.ones((3, 6, 1)), np.zeros((3, 6, 2)), 0.5, ("i",), ("A",), ("a", "b"), ("V", "V"), n_prepare=2)
    series = Series.of(traces)
    assert series.values.shape == (3, 4, 2)
    assert series.drive is not None
    assert series.drive.shape == (3, 4, 1)
    assert series.uniform_step_s == 0.5
    assert Series.of(traces, driven=False).drive is None


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"values": np.zeros((2, 4))}, "axes \\(trace, time, channel\\)"),
        ({"values": np.full((2, 4, 1), np.nan)}, "trace 0 has no sample"),
        ({"values": np.full((2, 4, 1), np.inf)}, "give NaN"),
        ({"times_s": np.array([0.0, 1.0, 1.0, 2.0])}, "times must rise"),
        ({"times_s": np.arange(3.0)}, "times_s must be finite"),
        ({"names": ("a", "b")}, "must be 1 different names"),
        ({"drive": np.zeros((2, 3, 1)), "drive_names": ("i",), "drive_units": ("A",)}, "beside values"),
        ({"group": np.array([0.5, 1.0])}, "2 integers"),
    ],
)
def test_series_without_sense_are_refused(changes, said):
    with pytest.raises(SeriesInvalid, match=said):
        _series(**changes)


def _posterior(parameters: np.ndarray, weights: np.ndarray) -> Posterior:
    n_traces, n_draws = weights.shape
    other = np.zeros((n_traces, n_draws, 1))
    trusted = np.ones(n_traces, dtype=bool)
    return Posterior(("k",), ("1/s",), parameters, other, other, weights, "importance", trusted, {1: "few draws"})


def test_intervals_of_many_draws_are_those_of_the_distribution():
    draws = np.random.default_rng(1).normal(size=(2, 20000, 1)) * np.array([1.0, 2.0])[:, None, None]
    posterior = _posterior(draws, np.full((2, 20000), 1 / 20000))
    low, high = posterior.interval(0.9)
    assert low[:, 0] == pytest.approx([-1.645, -3.29], rel=0.03)
    assert high[:, 0] == pytest.approx([1.645, 3.29], rel=0.03)
    assert posterior.covers(np.array([[1.6], [3.5]])).tolist() == [[True], [False]]


def test_weights_count_in_means_and_intervals():
    draws = np.tile(np.linspace(0.0, 1.0, 1001)[None, :, None], (2, 1, 1))
    weights = np.linspace(0.0, 1.0, 1001)[None].repeat(2, 0)
    weights = weights / weights.sum(1, keepdims=True)
    posterior = _posterior(draws, weights)
    assert posterior.mean()[:, 0] == pytest.approx(2 / 3, abs=1e-3)
    assert posterior.sd()[:, 0] == pytest.approx(np.sqrt(1 / 18), abs=1e-3)
    assert posterior.median()[:, 0] == pytest.approx(np.sqrt(0.5), abs=1e-3)
    assert Guess.of(posterior).parameters[0, 0] == pytest.approx(2 / 3, abs=1e-3)


def test_a_posterior_counts_no_draws_by_weights_that_resampling_made_equal():
    """Four of five draws are one and the same: by their equal weights they would be worth five."""
    draws = np.array([[[0.0], [0.0], [0.0], [0.0], [1.0]]])
    posterior = _posterior(draws, np.full((1, 5), 0.2))
    told = [name for name in dir(posterior) if "effective" in name]
    assert not told, f"{told} cannot be known from draws and weights alone; see Refined.effective"


def test_a_selection_keeps_why_a_trace_is_not_trusted():
    posterior = _posterior(np.zeros((3, 2, 1)), np.full((3, 2), 0.5))
    assert posterior.select([1]).why == {0: "few draws"}
    assert posterior.select([0, 2]).why == {}
