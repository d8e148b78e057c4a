"""Columns that say what the rest is: trials, repeats, conditions, units."""

from pathlib import Path

import h5py
import numpy as np
import pytest

from labctl.errors import UsageError
from labctl.outside_data import OutsideDataError, read_traces


def long_format(ten, **columns: object) -> dict[str, object]:
    """All trials below each other."""
    n_trials, n_samples = ten.drive.shape
    return {
        "run": np.repeat(np.arange(n_trials), n_samples),
        "t": np.tile(ten.time_s, n_trials),
        "u": ten.drive.reshape(-1),
        "y": ten.response.reshape(-1),
        **{name: np.repeat(values, n_samples) for name, values in columns.items()},
    }


def test_a_trial_column_tells_trials_apart(write_csv, ten) -> None:
    path = write_csv(long_format(ten))
    (traces,) = read_traces(path, drive="u", response="y", time="t", trial="run").traces
    assert np.array_equal(traces.drive[..., 0], ten.drive)
    assert np.array_equal(traces.response[..., 0], ten.response)
    assert traces.inputs.tolist() == list(range(10))


def test_a_trial_in_two_places_is_refused(write_csv, ten) -> None:
    columns = long_format(ten)
    columns["run"] = np.asarray(columns["run"]) % 5
    with pytest.raises(OutsideDataError, match="the trial of row 300 stands further up"):
        read_traces(write_csv(columns), drive="u", response="y", time="t", trial="run")


def test_an_input_column_marks_repeats(write_csv, ten) -> None:
    path = write_csv(long_format(ten, program=[f"p{number % 5}" for number in range(10)]))
    (traces,) = read_traces(path, drive="u", response="y", time="t", trial="run", input_column="program").traces
    assert traces.inputs.tolist() == [0, 1, 2, 3, 4] * 2


def test_an_input_column_that_changes_within_a_trial_is_refused(write_csv, ten) -> None:
    columns = long_format(ten) | {"program": np.arange(600)}
    with pytest.raises(OutsideDataError, match="program changes within the trial"):
        read_traces(write_csv(columns), drive="u", response="y", time="t", trial="run", input_column="program")


def test_conditions_make_traces_of_their_own(write_csv, ten) -> None:
    path = write_csv(long_format(ten, bias=[0.1] * 6 + [0.2] * 4))
    options = {"drive": "u", "response": "y", "time": "t", "trial": "run"}
    traces = read_traces(path, **options, conditions={"bias": "bias", "temperature": 300.0}).traces
    assert [(part.n_trials, part.conditions) for part in traces] == [
        (6, {"bias": 0.1, "temperature": 300.0}),
        (4, {"bias": 0.2, "temperature": 300.0}),
    ]


def test_a_condition_that_moves_is_no_condition(write_csv, ten) -> None:
    columns = long_format(ten) | {"bias": np.linspace(0, 1, 600)}
    with pytest.raises(OutsideDataError, match=r"trial 0 .*condition bias moves from 0 to .*--drive"):
        read_traces(write_csv(columns), drive="u", response="y", time="t", trial="run", conditions={"bias": "bias"})


def test_conditions_of_arrays_are_one_a_trial(tmp_path: Path, ten) -> None:
    with h5py.File(tmp_path / "data.h5", "w") as file:
        file["u"], file["y"], file["field"] = ten.drive, ten.response, np.repeat([1.0, 2.0], 5)
        file["program"] = np.arange(10) // 2
    traces = read_traces(
        tmp_path / "data.h5", drive="u", response="y", rate_Hz=1e3, axes=("trial", "time"),
        conditions={"field": "field"}, input_column="program",
    ).traces  # fmt: skip
    assert [part.conditions["field"] for part in traces] == [1.0, 2.0]
    assert traces[0].inputs.tolist() == [0, 0, 1, 1, 2]


def test_units_are_kept_as_text_and_nothing_is_converted(write_csv, one) -> None:
    columns = {"V1 [mV]": one.drive[0], "V2": one.response[0]}
    (traces,) = read_traces(write_csv(columns), drive="V1", response="V2", rate_Hz=1e3, units={"V2": "uA"}).traces
    assert (traces.drive_units, traces.response_units) == (("mV",), ("uA",))
    assert traces.drive[0, 0, 0] == one.drive[0, 0]
    with pytest.raises(OutsideDataError, match="unit is given for V3"):
        read_traces(write_csv(columns), drive="V1", response="V2", rate_Hz=1e3, units={"V3": "uA"})


def test_arrays_of_different_lengths_are_refused(tmp_path: Path, one) -> None:
    with h5py.File(tmp_path / "data.h5", "w") as file:
        file["u"], file["y"] = one.drive[0], one.response[0, :-1]
    with pytest.raises(OutsideDataError, match=r"not of one length .*u 1 × 400, y 1 × 399"):
        read_traces(tmp_path / "data.h5", drive="u", response="y", rate_Hz=1e3)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (np.ones(400, dtype=complex), "complex"),
        (np.array([b"a"] * 400), "text"),
        (np.full(400, 1 << 60), "beyond 2\\^53"),
        (np.tile([True, False], 200), "true and false"),
    ],
)
def test_what_is_no_real_number_is_refused(tmp_path: Path, one, values: np.ndarray, words: str) -> None:
    with h5py.File(tmp_path / "data.h5", "w") as file:
        file["u"], file["y"] = values, one.response[0]
    with pytest.raises(OutsideDataError, match=words):
        read_traces(tmp_path / "data.h5", drive="u", response="y", rate_Hz=1e3)


def test_integers_are_numbers(tmp_path: Path, one) -> None:
    with h5py.File(tmp_path / "data.h5", "w") as file:
        file["u"], file["y"] = np.round(one.drive[0] * 100).astype(np.int16), one.response[0]
    (traces,) = read_traces(tmp_path / "data.h5", drive="u", response="y", rate_Hz=1e3, segment_samples=0).traces
    assert np.array_equal(traces.drive[0, :, 0], np.round(one.drive[0] * 100))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"drive": (), "response": "y"}, "--drive NAME"),
        ({"drive": "u", "response": "u"}, "column 'u' cannot be drive and response"),
        ({"drive": ("u", "u"), "response": "y"}, "'u' cannot be drive and drive"),
        ({"drive": "u", "response": "y", "rate_Hz": 1.0, "dt_s": 1.0}, "not both"),
        ({"drive": "u", "response": "y", "rate_Hz": -1.0}, "positive"),
        ({"drive": "u", "response": "y", "axes": ("time", "row")}, "axes are trial, time, channel"),
        ({"drive": "u", "response": "y", "gaps": "interpolate"}, "interpolate:3"),
        ({"drive": "u", "response": "y", "time": "t", "time_unit": "V"}, "no unit of time"),
    ],
)
def test_options_that_contradict_each_other_are_refused(options: dict, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        read_traces("never opened.csv", **options)
