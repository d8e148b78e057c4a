"""Segments that a fit can hold out, and rows kept from it."""

import numpy as np
import pytest

from labctl.outside_data import OutsideDataError, read_traces
from labctl.outside_data.cutting import default_segment
from twins.fitting.held_out import split_by_input

OPTIONS = {"drive": "V1", "response": "V2", "rate_Hz": 1000}


@pytest.mark.parametrize(
    ("n_samples", "segment"), [(131072, 2048), (10**7, 2048), (50_000, 781), (4000, 256), (400, 50), (100, 32)]
)
def test_the_usual_segment(n_samples: int, segment: int) -> None:
    assert default_segment(n_samples) == segment


def test_a_single_trial_is_cut_so_that_held_out_segments_share_no_sample_with_the_rest(write_csv, one) -> None:
    data = read_traces(write_csv(one.columns), **OPTIONS)
    (traces,) = data.traces
    assert (traces.n_trials, traces.n_samples, traces.n_prepare) == (8, 50, 0)
    assert traces.inputs.tolist() == list(range(8))
    split = split_by_input([traces], fraction=0.25, rng=np.random.default_rng(0))
    held_out, train = (np.concatenate([part.drive.ravel() for part in side]) for side in (split.held_out, split.train))
    assert not set(held_out) & set(train)
    assert len(held_out) + len(train) == 400


def test_gaps_make_segments_shorter_so_that_most_samples_stay(write_csv) -> None:
    rng = np.random.default_rng(0)
    columns = {"V1": rng.standard_normal(20_000), "V2": rng.standard_normal(20_000)}
    columns["V2"][150::200] = np.nan
    data = read_traces(write_csv(columns), **OPTIONS, gaps="split")
    assert data.traces[0].drive.shape == (299, 64, 1)
    assert data.provenance["treatments"][-1]["left_away"] < 0.05 * 20_000


def test_many_trials_are_left_whole(write_csv, ten) -> None:
    columns = {"run": np.repeat(np.arange(10), 60), "V1": ten.drive.ravel(), "V2": ten.response.ravel()}
    (traces,) = read_traces(write_csv(columns), **OPTIONS, trial="run").traces
    assert (traces.n_trials, traces.n_samples) == (10, 60)


def test_trials_of_nearly_one_length_are_cut_to_the_shortest(write_csv, ten) -> None:
    keep = np.ones(600, dtype=bool)
    keep[[59, 118, 119]] = False
    columns = {"run": np.repeat(np.arange(10), 60), "V1": ten.drive.ravel(), "V2": ten.response.ravel()}
    data = read_traces(write_csv({name: values[keep] for name, values in columns.items()}), **OPTIONS, trial="run")
    assert np.array_equal(data.traces[0].drive[..., 0], ten.drive[:, :58])
    assert data.provenance["treatments"][-1] == {
        "treatment": "cut to segments", "samples": 58, "segments": 10, "left_away": 17,
    }  # fmt: skip


def test_whole_trials_of_different_lengths_make_traces_each(write_csv, one) -> None:
    columns = one.columns | {"run": np.repeat([0, 1], [150, 250])}
    data = read_traces(write_csv(columns), **OPTIONS, trial="run", segment_samples=0)
    assert [part.n_samples for part in data.traces] == [150, 250]


def test_periods_of_a_periodic_drive_are_repeats(write_csv, one) -> None:
    columns = one.columns | {"V1": np.tile(one.drive[0, :100], 4)}
    data = read_traces(write_csv(columns), **OPTIONS, segment_samples=100)
    assert data.traces[0].inputs.tolist() == [0, 0, 0, 0]
    assert {"treatment": "equal drives taken as repeats", "inputs": 1, "segments": 4} in data.provenance["treatments"]


def test_segments_of_repeats_stay_repeats(write_csv, ten) -> None:
    columns = {
        "run": np.repeat(np.arange(10), 60), "program": np.repeat(np.arange(10) % 2, 60),
        "V1": ten.drive.ravel(), "V2": ten.response.ravel(),
    }  # fmt: skip
    options = {**OPTIONS, "trial": "run", "input_column": "program", "segment_samples": 30}
    (traces,) = read_traces(write_csv(columns), **options).traces
    assert traces.inputs.tolist() == [0, 1, 2, 3] * 5


def test_test_rows_are_kept_from_the_fit_and_cut_like_the_rest(write_csv, one) -> None:
    data = read_traces(write_csv(one.columns), **OPTIONS, test_rows=(100, 205), segment_samples=50)
    assert np.array_equal(data.test[0].drive[..., 0], one.drive[0, 100:204].reshape(2, 52))
    record = {"treatment": "test rows cut to segments", "segments": 2, "left_away": 1}
    assert record in data.provenance["treatments"]
    training = np.concatenate((one.drive[0, :100], one.drive[0, 205:355]))
    assert np.array_equal(data.traces[0].drive.ravel(), training)


def test_rows_are_counted_over_the_whole_file(write_csv, ten) -> None:
    columns = {"run": np.repeat(np.arange(10), 60), "V1": ten.drive.ravel(), "V2": ten.response.ravel()}
    data = read_traces(write_csv(columns), **OPTIONS, trial="run", rows=(60, None), test_rows=(540, None))
    assert np.array_equal(data.traces[0].drive[..., 0], ten.drive[1:9])
    assert np.array_equal(data.test[0].drive[..., 0], ten.drive[9:])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"rows": (400, None)}, "no row is left for the fit: there are 400"),
        ({"test_rows": (0, None)}, "no row is left"),
        ({"rows": (0, 100), "test_rows": (200, 300)}, "test rows are not among the rows"),
        ({"test_rows": (380, None)}, "no stretch of 32 samples"),
        ({"rows": (0, 50)}, "50 samples are too few"),
    ],
)
def test_rows_that_leave_nothing_are_refused(write_csv, one, options: dict, words: str) -> None:
    with pytest.raises(OutsideDataError, match=words):
        read_traces(write_csv(one.columns), **OPTIONS, **options)
