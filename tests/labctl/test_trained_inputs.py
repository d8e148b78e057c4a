"""What a twin was trained on is recognised however it was cut, repeated or stored; everything else is not."""

import json
from dataclasses import replace

import numpy as np
import pytest

from labctl.trained_inputs import TrainedInputs
from twins import Traces


def traces(drive: np.ndarray, *, noise_seed: int = 0, n_prepare: int = 0, **conditions: float) -> Traces:
    """x' = 0.8 x + 0.2 u + 0.02 w."""
    rng = np.random.default_rng(noise_seed)
    response = np.zeros_like(drive)
    for k in range(drive.shape[1] - 1):
        response[:, k + 1] = 0.8 * response[:, k] + 0.2 * drive[:, k] + 0.02 * rng.standard_normal((len(drive), 1))
    names = ("u",), ("V",), ("x",), ("V",)
    return Traces(drive, response, 1e-3, *names, n_prepare=n_prepare, conditions=conditions)


def steps(n_trials: int, n_samples: int, *, seed: int, hold: int = 3) -> np.ndarray:
    levels = np.random.default_rng(seed).uniform(-1, 1, (n_trials, -(-n_samples // hold), 1))
    return np.repeat(levels, hold, axis=1)[:, :n_samples]


def binary(n_trials: int, n_samples: int, *, seed: int, hold: int = 5) -> np.ndarray:
    return np.sign(steps(n_trials, n_samples, seed=seed, hold=hold))


def again(trained: TrainedInputs) -> TrainedInputs:
    return TrainedInputs.from_dict(json.loads(json.dumps(trained.as_dict())))


@pytest.mark.parametrize("made", [steps, binary])
def test_other_repeats_of_the_same_drives_were_trained_on_and_other_drives_were_not(made) -> None:
    drive = made(6, 90, seed=0)
    trained = again(TrainedInputs.of([traces(drive)]))
    assert trained.seen(traces(drive, noise_seed=1)).all()
    assert not trained.seen(traces(made(6, 90, seed=5))).any()


def test_the_same_drive_at_another_condition_is_another_input() -> None:
    drive = steps(4, 90, seed=0)
    trained = again(TrainedInputs.of([traces(drive, bias=0.1), traces(steps(4, 90, seed=1), bias=0.3)]))
    assert trained.seen(traces(drive, noise_seed=1, bias=0.1005)).all()
    assert not trained.seen(traces(drive, noise_seed=1, bias=0.3)).any()
    assert not trained.seen(traces(drive, noise_seed=1, bias=0.2)).any()


@pytest.mark.parametrize("made", [steps, binary])
def test_the_same_samples_are_recognised_however_they_are_cut(made) -> None:
    whole = traces(made(1, 3000, seed=0))
    trained = again(TrainedInputs.of([whole.span(0, 2400).segments(200)]))
    assert trained.seen(whole.span(37, 2400).segments(150)).all()
    assert not trained.seen(whole.span(2400, 3000).segments(150)).any()


def test_repeats_of_a_long_drive_are_recognised_however_they_are_cut() -> None:
    drive = steps(1, 3000, seed=0)
    trained = again(TrainedInputs.of([traces(drive).span(0, 2400).segments(200)]))
    other = traces(drive, noise_seed=1)
    assert trained.seen(other.span(37, 2400).segments(150)).all()
    assert not trained.seen(other.span(2400, 3000).segments(150)).any()


def test_rests_and_ramps_that_all_drives_share_do_not_count() -> None:
    def loops(*tops: float) -> np.ndarray:
        up = np.linspace(0.0, 1.0, 150)
        return np.stack([np.minimum(np.concatenate((np.zeros(50), up, up[::-1])), top) for top in tops])[..., None]

    trained = again(TrainedInputs.of([traces(loops(1.0, 0.8, 0.6))]))
    assert not trained.seen(traces(loops(0.9, 0.7), noise_seed=1)).any()


def test_of_repeats_one_that_was_trained_on_tells_of_all() -> None:
    drive = np.concatenate([steps(1, 90, seed=0), steps(1, 90, seed=1)])
    trained = TrainedInputs.of([traces(drive[:1])])
    held = replace(traces(drive, noise_seed=1), input_id=np.array([7, 7]))
    assert trained.seen(held).all()


def test_fingerprints_of_much_data_stay_small_and_still_tell() -> None:
    drive = steps(400, 1000, seed=0)
    stored = json.dumps(TrainedInputs.of([traces(drive)]).as_dict())
    assert len(stored) < 300_000
    trained = TrainedInputs.from_dict(json.loads(stored))
    assert trained.seen(traces(drive[:50], noise_seed=1)).all()
    assert not trained.seen(traces(steps(50, 1000, seed=9))).any()
