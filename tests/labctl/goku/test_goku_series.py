"""Measured traces for an equation: missing samples, uneven times, interrupted trials, drives and conditions."""

from pathlib import Path

import numpy as np
import pytest

from labctl.errors import RecordingError, UsageError
from labctl.goku_reading import joined, of_loose, of_recordings
from labctl.outside_data import OutsideDataError, Treatments
from labctl.outside_data.loose import LooseColumnMap, LooseData, read_loose
from labctl.recording import Recording, RecordingHeader


def read(path: Path, *, drive: tuple[str, ...] = (), dt_s: float | None = None, **treatments: object) -> LooseData:
    time = None if dt_s else "t"
    columns = LooseColumnMap(drive=drive, response=("x",), time=time)
    return read_loose(path, columns, Treatments(**treatments), dt_s=dt_s)


def written(path: Path, header: str, *columns: np.ndarray) -> Path:
    np.savetxt(path, np.stack(columns, axis=1), delimiter=",", header=header, comments="", fmt="%.9g")
    return path


def test_missing_samples_and_uneven_times_stay_as_they_are(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    times = np.cumsum(rng.uniform(0.9, 1.1, 40))
    values = np.sin(times)
    values[[3, 4, 20]] = np.nan
    values[5] = np.inf
    data = read(written(tmp_path / "a.csv", "t,x", times, values))
    series = of_loose(0, data).series(("x",), {})
    np.testing.assert_allclose(series.times_s[0], times - times[0], rtol=1e-7)
    assert np.flatnonzero(~series.seen[0, :, 0]).tolist() == [3, 4, 5, 20]
    assert series.uniform_step_s is None
    assert {"infinities taken as missing", "missing values left missing"} <= {
        one["treatment"] for one in data.provenance["treatments"]
    }


def test_a_gap_in_the_time_stamps_becomes_missing_samples_so_that_no_step_spans_it(tmp_path: Path) -> None:
    times = np.delete(0.1 * np.arange(30), slice(10, 14))
    series = of_loose(0, read(written(tmp_path / "a.csv", "t,x", times, np.cos(times)))).series(("x",), {})
    np.testing.assert_allclose(series.times_s[0], 0.1 * np.arange(30), atol=1e-7)
    assert np.flatnonzero(~series.seen[0, :, 0]).tolist() == [10, 11, 12, 13]


def test_a_drive_must_be_there_throughout_or_what_to_do_must_be_said(tmp_path: Path) -> None:
    times = 0.1 * np.arange(40)
    drive = np.sin(times)
    drive[10:12] = np.nan
    path = written(tmp_path / "a.csv", "t,u,x", times, drive, np.cos(times))
    with pytest.raises(OutsideDataError, match="drive is missing at 2 samples"):
        read(path, drive=("u",))
    measured = of_loose(0, read(path, drive=("u",), gaps="interpolate", longest_gap=3))
    filled = measured.series(("x",), {"force": "u"}).drive
    assert filled is not None
    np.testing.assert_allclose(filled[0, :, 0], np.sin(times), atol=0.01)
    split = of_loose(0, read(path, drive=("u",), gaps="split"))
    assert [len(trace.times_s) for trace in split.traces] == [10, 28]
    dropped = np.delete(np.stack((times, np.sin(times), np.cos(times))), slice(20, 25), axis=1)
    with pytest.raises(OutsideDataError, match="nothing says what the drive was"):
        read(written(tmp_path / "b.csv", "t,u,x", *dropped), drive=("u",))


def test_samples_at_a_rail_can_be_taken_for_missing(tmp_path: Path) -> None:
    times = 0.05 * np.arange(400)
    path = written(tmp_path / "a.csv", "t,x", times, np.clip(np.sin(times), -2.0, 0.8))
    with pytest.raises(OutsideDataError, match="clipped"):
        read(path)
    series = of_loose(0, read(path, clipped="drop")).series(("x",), {})
    assert np.nanmax(series.values) < 0.8
    np.testing.assert_array_equal(series.seen[0, :, 0], np.sin(times) < 0.8)


@pytest.mark.parametrize(
    ("options", "told"),
    [({"dt_s": 0.1, "resample": True}, "no --resample"), ({}, "go backwards")],
)
def test_what_cannot_be_read_so_is_refused(options: dict[str, object], told: str, tmp_path: Path) -> None:
    times = np.array([0.0, 0.1, 0.2, 0.1, 0.3])
    path = written(tmp_path / "a.csv", "t,x", times, np.arange(5.0))
    with pytest.raises((OutsideDataError, UsageError), match=told):
        read(path, **options)  # type: ignore[arg-type]


def recording(bias: float, *, valid: tuple[int, ...] = (12, 12, 7)) -> Recording:
    n_trials, n_samples = len(valid), 12
    rng = np.random.default_rng(0)
    drive, response = rng.standard_normal((2, n_trials, n_samples, 1))
    for trial, count in enumerate(valid):
        drive[trial, count:], response[trial, count:] = np.nan, np.nan
    header = RecordingHeader(
        (n_trials, n_samples), 0.1, ("gate",), ("V",), ("current",), ("A",), 2, np.arange(n_trials), True,
        conditions={"bias": bias},
    )  # fmt: skip
    return Recording(header, drive, response, np.array(valid), complete=False)


def test_interrupted_trials_count_as_far_as_they_go_and_conditions_can_drive() -> None:
    measured = joined([of_recordings([recording(0.1)]).of_file(0), of_recordings([recording(0.2)]).of_file(1)])
    series = measured.series(("current",), {"u": "gate", "v": "bias"}, share="conditions")
    assert series.values.shape == (6, 10, 1)
    assert series.seen.sum(axis=(1, 2)).tolist() == [10, 10, 5, 10, 10, 5]
    assert series.drive is not None
    np.testing.assert_array_equal(series.drive[:, 0, 1], [0.1, 0.1, 0.1, 0.2, 0.2, 0.2])
    assert np.isfinite(series.drive).all()
    assert series.groups.tolist() == [0, 0, 0, 1, 1, 1]
    assert series.drive_units == ("V", "")
    assert any("trial 2: 5 of 10 samples" in text for text in measured.treatments)
    with pytest.raises(RecordingError, match="no 'field' to drive"):
        measured.series(("current",), {"u": "field"})


def test_long_traces_are_cut_and_only_whole_segments_train() -> None:
    measured = of_recordings([recording(0.1, valid=(12, 12, 12))])
    assert [len(trace.times_s) for trace in measured.cut(4).traces] == [4, 4, 2] * 3
    whole = measured.cut(4, ends=False)
    assert [len(trace.times_s) for trace in whole.traces] == [4, 4] * 3
    assert whole.traces[1].label == "a recording, trial 0, samples 4:8"
    assert measured.cut(0) is measured
    assert whole.series(("current",), {}, share="segments").groups.tolist() == [0, 0, 1, 1, 2, 2]
    with pytest.raises(UsageError, match="at least 2"):
        measured.cut(1)
