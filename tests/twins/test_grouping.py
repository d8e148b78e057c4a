"""Similar drives become repeats, similar conditions one recording; chains are refused."""

import numpy as np
import pytest

import twins
from twins.grouping import group_similar_conditions, group_similar_inputs


def traces_of(drive, *, conditions=None, input_id=None, n_prepare=0):
    drive = np.asarray(drive, float)
    return twins.Traces(
        drive[..., None], 2.0 * drive[..., None], 1e-3, ("u",), ("V",), ("y",), ("V",),
        n_prepare=n_prepare, input_id=input_id, conditions=conditions or {},
    )  # fmt: skip


def near_repeats(n_inputs=5, n_repeats=4, jitter=0.01, seed=0, n_samples=50):
    rng = np.random.default_rng(seed)
    drive = np.repeat(rng.uniform(-1, 1, (n_inputs, n_samples)), n_repeats, axis=0)
    return drive + jitter * rng.standard_normal(drive.shape)


def test_drives_that_nearly_agree_become_repeats():
    traces = traces_of(near_repeats())
    assert len(np.unique(traces.inputs)) == 20
    grouped = group_similar_inputs(traces, tolerance=0.1)
    np.testing.assert_array_equal(grouped.inputs, np.repeat(np.arange(5), 4))
    np.testing.assert_array_equal(grouped.drive, traces.drive)


def test_the_measure_is_in_units_of_each_channels_spread():
    rng = np.random.default_rng(1)
    base = rng.standard_normal((2, 400, 2))
    drive = np.concatenate([base, base + 0.1 * rng.standard_normal(base.shape)])  # 0.14 … of two jitters apart: 0.1
    scaled = drive * np.array([1e3, 1e-6])
    traces = twins.Traces(scaled, scaled, 1.0, ("a", "b"), ("V", "A"), ("y", "z"), ("V", "V"))
    np.testing.assert_array_equal(group_similar_inputs(traces, tolerance=0.15).inputs, [0, 1, 0, 1])
    np.testing.assert_array_equal(group_similar_inputs(traces, tolerance=0.05).inputs, [0, 1, 2, 3])


def test_the_preparation_does_not_count():
    drive = near_repeats(n_inputs=2, n_repeats=2, jitter=0.0)
    drive[:, :10] = np.arange(4)[:, None]
    np.testing.assert_array_equal(
        group_similar_inputs(traces_of(drive, n_prepare=10), tolerance=0.01).inputs, [0, 0, 1, 1]
    )


def test_trials_that_were_repeats_stay_so():
    drive = near_repeats(n_inputs=3, n_repeats=2)
    grouped = group_similar_inputs(traces_of(drive, input_id=np.array([7, 7, 3, 3, 5, 5])), tolerance=1e-6 + 0.1)
    np.testing.assert_array_equal(grouped.inputs, [0, 0, 1, 1, 2, 2])


def test_a_chain_of_similar_drives_is_refused():
    base = np.random.default_rng(0).standard_normal(80)
    drive = base + 0.1 * np.arange(4)[:, None]  # neighbours a tenth apart, the ends three
    with pytest.raises(twins.TracesInvalid, match="trials 0 and 3 differ"):
        group_similar_inputs(traces_of(drive), tolerance=0.12)
    assert len(np.unique(group_similar_inputs(traces_of(drive), tolerance=0.05).inputs)) == 4
    assert len(np.unique(group_similar_inputs(traces_of(drive), tolerance=0.5).inputs)) == 1


def test_many_trials_are_compared_in_blocks():
    grouped = group_similar_inputs(traces_of(near_repeats(n_inputs=300, n_repeats=3, n_samples=20)), tolerance=0.1)
    np.testing.assert_array_equal(grouped.inputs, np.repeat(np.arange(300), 3))


def test_a_constant_drive_is_one_input():
    assert len(np.unique(group_similar_inputs(traces_of(np.ones((3, 8))), tolerance=0.1).inputs)) == 1


def test_similar_conditions_become_one_with_their_mean():
    temperatures, n_trials = (20.0, 30.1, 20.2, 29.9), (1, 2, 3, 2)
    recordings = [
        traces_of(np.full((n, 6), i), conditions={"temperature": t, "bias": 1.0}, input_id=np.zeros(n, int))
        for i, (t, n) in enumerate(zip(temperatures, n_trials, strict=True))
    ]
    cold, warm = group_similar_conditions(recordings, tolerance={"temperature": 0.5})
    assert (cold.members, warm.members) == ((0, 2), (1, 3))
    assert cold.traces.conditions == pytest.approx({"temperature": (20.0 + 3 * 20.2) / 4, "bias": 1.0})
    assert warm.traces.conditions["temperature"] == pytest.approx(30.0)
    assert cold.spread == pytest.approx({"temperature": 0.2, "bias": 0.0})
    np.testing.assert_array_equal(cold.traces.drive[:, 0, 0], [0, 2, 2, 2])
    np.testing.assert_array_equal(cold.traces.inputs, [0, 1, 1, 1])  # ids of two recordings stay apart


def test_grouped_recordings_make_one_conditioned_twin():
    recordings = [traces_of(near_repeats(seed=i), conditions={"T": t}) for i, t in enumerate((10.0, 10.1, 20.0))]
    groups = group_similar_conditions(recordings, tolerance=0.2)
    spec = twins.DeviceTwinSpec.for_traces([group.traces for group in groups])
    assert spec.condition_names == ("T",) and len(groups) == 2


def test_a_chain_of_conditions_is_refused():
    recordings = [traces_of(np.ones((2, 6)), conditions={"T": t}) for t in (1.0, 1.5, 2.0)]
    with pytest.raises(twins.TracesInvalid, match=r"T is 1 in traces 0 and 2 in traces 2"):
        group_similar_conditions(recordings, tolerance=0.6)
    assert len(group_similar_conditions(recordings, tolerance=1.0)) == 1


def test_what_cannot_be_grouped_is_refused():
    first = traces_of(np.ones((2, 6)), conditions={"T": 1.0})
    with pytest.raises(twins.TracesMismatch, match="cut them alike"):
        group_similar_conditions([first, traces_of(np.ones((2, 7)), conditions={"T": 1.0})], tolerance=0.1)
    with pytest.raises(twins.TracesInvalid, match="the conditions are T"):
        group_similar_conditions([first], tolerance={"B": 1.0})
    with pytest.raises(twins.TracesMismatch, match="conditions differ"):
        group_similar_conditions([first, traces_of(np.ones((2, 6)))], tolerance=0.1)
    for wrong in (0.0, -1.0, float("nan")):
        with pytest.raises(twins.TracesInvalid, match="positive"):
            group_similar_inputs(first, tolerance=wrong)
        with pytest.raises(twins.TracesInvalid, match="positive"):
            group_similar_conditions([first], tolerance=wrong)
    with pytest.raises(twins.TracesMismatch, match="no traces"):
        group_similar_conditions([], tolerance=0.1)
