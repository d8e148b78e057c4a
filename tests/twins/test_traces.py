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
