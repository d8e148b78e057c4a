"""Traces take nothing that cannot be right."""

import copy
import dataclasses
import pickle

import numpy as np
import pytest

from twins import Traces, TracesInvalid, TracesMismatch
from twins.traces import check_same_grid


def make(**change):
    fields = {
        "drive": np.zeros((3, 20, 1)),
        "response": np.zeros((3, 20, 2)),
        "dt_s": 1e-3,
        "drive_names": ("d",),
        "drive_units": ("V",),
        "response_names": ("a", "b"),
        "response_units": ("V", "V"),
    }
    return Traces(**(fields | change))


def with_nan(shape):
    samples = np.zeros(shape)
    samples[1, 7, 0] = np.nan
    return samples


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"drive": with_nan((3, 20, 1))}, "drive holds 1 values .* trial 1, sample 7, channel 0"),
        ({"response": with_nan((3, 20, 2))}, "response holds"),
        ({"drive": np.zeros((20, 1))}, r"axes \(trial, time, channel\)"),
        ({"drive": np.zeros((3, 19, 1))}, "must agree"),
        ({"drive": np.zeros((3, 0, 1))}, "none empty"),
        ({"dt_s": 0.0}, "dt_s"),
        ({"dt_s": float("nan")}, "dt_s"),
        ({"drive_units": ()}, "1 channels but 1 names and 0 units"),
        ({"response_names": ("a", "a")}, "different"),
        ({"n_prepare": 20}, "n_prepare"),
        ({"input_id": np.zeros(2, dtype=int)}, "input_id"),
        ({"input_id": np.zeros(3)}, "input_id"),
        ({"conditions": {"bias": float("inf")}}, "condition bias"),
    ],
)
def test_impossible_data_are_refused_with_their_place(change, words):
    with pytest.raises(TracesInvalid, match=words):
        make(**change)


def test_traces_are_frozen_copies():
    drive = np.zeros((3, 20, 1))
    traces = make(drive=drive)
    drive[:] = 7.0
    assert not traces.drive.any()
    with pytest.raises(ValueError, match="read-only"):
        traces.drive[0] = 1.0
    with pytest.raises(dataclasses.FrozenInstanceError):
        traces.dt_s = 2.0


def test_traces_travel_between_processes():
    assert copy.deepcopy(make(conditions={"bias": 0.1})).conditions == {"bias": 0.1}
    assert pickle.dumps(make(conditions={"bias": 0.1}))


def test_without_input_ids_every_trial_is_an_input_of_its_own():
    assert make().inputs.tolist() == [0, 1, 2]
    assert make(input_id=[4, 4, 9]).select([0, 2]).inputs.tolist() == [4, 9]


@pytest.mark.parametrize("change", [{"dt_s": 2e-3}, {"drive_units": ("mV",)}, {"conditions": {"bias": 0.1}}])
def test_recordings_that_differ_are_not_mixed(change):
    with pytest.raises(TracesMismatch):
        check_same_grid([make(), make(**change)])


def counting(n_trials=2, n_samples=11, **change):
    """Samples that say where they stood."""
    drive = np.arange(n_trials * n_samples, dtype=float).reshape(n_trials, n_samples, 1)
    return make(drive=drive, response=np.repeat(-drive, 2, axis=2), **change)


def test_segments_without_overlap_share_no_sample_and_are_inputs_of_their_own():
    cut = counting().segments(4)
    assert cut.drive[:, :, 0].tolist() == [[0, 1, 2, 3], [4, 5, 6, 7], [11, 12, 13, 14], [15, 16, 17, 18]]
    assert np.array_equal(cut.response[..., 1], -cut.drive[..., 0])
    assert cut.inputs.tolist() == [0, 1, 2, 3]
    assert cut.n_prepare == 0


def test_segments_with_overlap_score_every_sample_once_with_history_before_it():
    cut = counting(n_trials=1, n_samples=11, n_prepare=3).segments(4, overlap=2)
    assert cut.n_prepare == 2
    assert cut.drive[:, :2, 0].tolist() == [[1, 2], [3, 4], [5, 6], [7, 8]]
    assert cut.scored()[0][..., 0].reshape(-1).tolist() == [3, 4, 5, 6, 7, 8, 9, 10]


def test_segments_of_repeats_stay_repeats():
    cut = counting(n_trials=3, input_id=[7, 2, 7]).segments(5)
    assert cut.inputs.tolist() == [2, 3, 0, 1, 2, 3]


@pytest.mark.parametrize(("n_samples", "overlap"), [(12, 0), (4, 4), (4, -1), (0, 0)])
def test_segments_that_cannot_be_are_refused(n_samples, overlap):
    with pytest.raises(TracesInvalid, match="segment"):
        counting().segments(n_samples, overlap=overlap)


def test_a_span_keeps_what_is_left_of_the_preparation():
    part = counting(n_prepare=3).span(1, 5)
    assert part.drive[0, :, 0].tolist() == [1, 2, 3, 4]
    assert part.n_prepare == 2
    with pytest.raises(TracesInvalid, match="5:12"):
        counting().span(5, 12)
