"""NaN among the samples is told, cut out or filled, as declared; never anything else."""

import numpy as np
import pytest

from labctl.outside_data import OutsideDataError, read_traces

OPTIONS = {"drive": "V1", "response": "V2", "rate_Hz": 1000}


def with_nan(one, *places: int, channel: str = "V2") -> dict[str, np.ndarray]:
    values = one.columns[channel].copy()
    values[list(places)] = np.nan
    return one.columns | {channel: values}


def test_nan_is_refused_with_channel_place_and_number(write_csv, one) -> None:
    words = r"3 of 400 samples are missing or not finite \(3 of V2\), the first in the data at sample 50, at most 2 in a row"
    with pytest.raises(OutsideDataError, match=words):
        read_traces(write_csv(with_nan(one, 50, 51, 70)), **OPTIONS)


def test_infinity_counts_as_missing(write_csv, one) -> None:
    values = one.drive[0].copy()
    values[3] = np.inf
    with pytest.raises(OutsideDataError, match="1 of V1"):
        read_traces(write_csv(one.columns | {"V1": values}), **OPTIONS)


def test_nan_in_a_column_that_is_not_used_does_no_harm(write_csv, one) -> None:
    columns = one.columns | {"V3": np.full(400, np.nan)}
    assert read_traces(write_csv(columns), **OPTIONS).traces


def test_a_channel_of_nothing_but_nan_is_refused(write_csv, one) -> None:
    columns = one.columns | {"V2": np.full(400, np.nan)}
    with pytest.raises(OutsideDataError, match="V2 holds not one number"):
        read_traces(write_csv(columns), **OPTIONS, gaps="split")


def test_data_are_cut_at_nan_and_the_rest_is_left_away_visibly(write_csv, one) -> None:
    data = read_traces(write_csv(with_nan(one, 150)), **OPTIONS, gaps="split", segment_samples=100)
    (traces,) = data.traces
    assert np.array_equal(traces.response[0, :, 0], one.response[0, :100])
    assert np.array_equal(traces.response[1, :, 0], one.response[0, 151:251])
    split, cut = data.provenance["treatments"][-2:]
    assert split == {"treatment": "gaps: split", "of": "NaN", "samples": 1, "by_channel": {"V2": 1}}
    assert cut == {"treatment": "cut to segments", "samples": 100, "segments": 3, "left_away": 99}


def test_short_runs_are_filled_and_only_in_the_channel_that_misses_them(write_csv, one) -> None:
    options = {**OPTIONS, "gaps": "interpolate", "longest_gap": 2, "segment_samples": 0}
    data = read_traces(write_csv(with_nan(one, 50, 51)), **options)
    (traces,) = data.traces
    assert np.array_equal(traces.drive[0, :, 0], one.drive[0])
    expected = np.interp([50, 51], [49, 52], one.response[0, [49, 52]])
    assert np.allclose(traces.response[0, 50:52, 0], expected)
    assert data.provenance["treatments"][-1]["treatment"] == "gaps: interpolate"


@pytest.mark.parametrize(
    ("places", "words"), [((50, 51, 52), "3 samples in a row"), ((0,), "begins or ends"), ((399,), "begins")]
)
def test_what_cannot_be_filled_is_refused(write_csv, one, places: tuple[int, ...], words: str) -> None:
    with pytest.raises(OutsideDataError, match=words):
        read_traces(write_csv(with_nan(one, *places)), **OPTIONS, gaps="interpolate", longest_gap=2)


def test_resampling_does_not_hide_nan(write_csv, one) -> None:
    path = write_csv(with_nan(one, 50))
    options = {"drive": "V1", "response": "V2", "time": "t", "resample": True, "segment_samples": 0}
    with pytest.raises(OutsideDataError, match="1 of 400 samples are missing"):
        read_traces(path, **options)
    (traces,) = read_traces(path, **options, gaps="interpolate", longest_gap=1).traces
    assert traces.response[0, 50, 0] == pytest.approx(one.response[0, [49, 51]].mean())
    assert [part.n_samples for part in read_traces(path, **options, gaps="split").traces] == [50, 349]


def test_gaps_that_leave_no_segment_are_told(write_csv, one) -> None:
    with pytest.raises(OutsideDataError, match="not one segment of 50 samples fits into the longest stretch of 9"):
        read_traces(write_csv(with_nan(one, *range(9, 400, 10))), **OPTIONS, gaps="split", segment_samples=50)
