"""Excitations and their designs."""

import pickle

import numpy as np
import pytest

from labctl.designs import chirp, combine, multisine, noise, prbs, pulse, random_steps
from labctl.errors import ExcitationError
from labctl.excitation import Excitation, concatenate, repeats, shuffled

DT_S = 1e-3


def steps(n_trials: int = 6, seed: int = 0, channel: str = "a") -> Excitation:
    return random_steps(
        channel,
        low=-1.0,
        high=2.0,
        hold_s=[2e-3, 5e-3],
        duration_s=0.05,
        n_trials=n_trials,
        dt_s=DT_S,
        generator=np.random.default_rng(seed),
    )


def test_nan_is_refused_with_channel_trial_and_sample() -> None:
    drive = np.zeros((3, 4, 2))
    drive[1, 2, 1] = np.nan
    with pytest.raises(ExcitationError, match=r"gate.*trial 1, sample 2"):
        Excitation(drive, ("bias", "gate"), DT_S)


@pytest.mark.parametrize("drive", [np.zeros((3, 4)), np.zeros((3, 4, 2)), np.zeros((0, 4, 1)), [["x"]]])
def test_a_drive_of_wrong_shape_is_refused(drive: object) -> None:
    with pytest.raises(ExcitationError):
        Excitation(drive, ("gate",), DT_S)  # type: ignore[arg-type]


@pytest.mark.parametrize("dt_s", [0.0, -1.0, float("nan"), float("inf")])
def test_a_sampling_time_must_be_positive(dt_s: float) -> None:
    with pytest.raises(ExcitationError, match="dt_s"):
        Excitation(np.zeros((1, 2, 1)), ("gate",), dt_s)


def test_an_excitation_cannot_be_changed_and_does_not_follow_the_array_it_was_made_of() -> None:
    drive = np.zeros((1, 3, 1))
    excitation = Excitation(drive, ("gate",), DT_S)
    drive[0, 0, 0] = 5.0
    assert excitation.drive[0, 0, 0] == 0.0
    with pytest.raises(ValueError, match="read-only"):
        excitation.drive[0, 0, 0] = 1.0


def test_an_excitation_crosses_process_borders() -> None:
    excitation = steps()
    again = pickle.loads(pickle.dumps(excitation))  # noqa: S301 - our own bytes
    np.testing.assert_array_equal(again.drive, excitation.drive)
    assert again.description == excitation.description


def test_random_steps_hold_each_level_for_its_hold_time_and_stay_in_range() -> None:
    drive = steps(40).drive[:, :, 0]
    assert drive.min() >= -1.0
    assert drive.max() <= 2.0
    assert (np.diff(drive[0].reshape(-1, 2), axis=1) == 0.0).all()
    assert (np.diff(drive[1].reshape(-1, 5), axis=1) == 0.0).all()


def test_the_same_generator_state_gives_the_same_drive() -> None:
    np.testing.assert_array_equal(steps(seed=3).drive, steps(seed=3).drive)
    assert not np.array_equal(steps(seed=3).drive, steps(seed=4).drive)


def test_a_duration_that_is_no_whole_number_of_samples_is_refused() -> None:
    with pytest.raises(ExcitationError, match="whole number of samples"):
        pulse("a", rest=0.0, level=1.0, start_s=0.0, width_s=1e-3, duration_s=1.5e-3, dt_s=DT_S)


def test_a_multisine_has_power_in_its_band_only() -> None:
    excitation = multisine(
        "a",
        low=-1.0,
        high=1.0,
        lowest_Hz=20.0,
        highest_Hz=100.0,
        duration_s=0.5,
        n_trials=2,
        dt_s=DT_S,
        generator=np.random.default_rng(0),
        odd_only=True,
    )
    power = np.abs(np.fft.rfft(excitation.drive[0, :, 0])) ** 2
    frequency_Hz = np.fft.rfftfreq(500, DT_S)
    inside = (frequency_Hz >= 20.0) & (frequency_Hz <= 100.0) & (np.arange(power.size) % 2 == 1)
    assert power[inside].min() > 1e6 * power[~inside].max()


def test_every_design_fills_its_range_and_leaves_it_nowhere() -> None:
    rng = np.random.default_rng(1)
    designs = [
        prbs("a", low=0.1, high=0.7, hold_s=2e-3, duration_s=0.2, n_trials=3, dt_s=DT_S, generator=rng),
        noise("a", low=0.1, high=0.7, cutoff_Hz=50.0, duration_s=0.2, n_trials=3, dt_s=DT_S, generator=rng),
        chirp("a", low=0.1, high=0.7, start_Hz=5.0, end_Hz=100.0, duration_s=0.2, dt_s=DT_S),
    ]
    for excitation in designs:
        assert excitation.drive.min() >= 0.1
        assert excitation.drive.max() <= 0.7
        assert np.ptp(excitation.drive) > 0.55


def test_repeats_keep_the_input_id_and_go_round_by_round() -> None:
    repeated = repeats(steps(3), 4)
    assert repeated.input_id.tolist() == [0, 1, 2] * 4
    np.testing.assert_array_equal(repeated.drive[0], repeated.drive[9])


def test_concatenate_keeps_inputs_apart_and_repeats_together() -> None:
    joined = concatenate(repeats(steps(2), 2), steps(2, seed=9))
    assert joined.input_id.tolist() == [0, 1, 0, 1, 2, 3]


def test_concatenate_refuses_different_sampling_times() -> None:
    other = Excitation(np.zeros((1, 50, 1)), ("a",), 2 * DT_S)
    with pytest.raises(ExcitationError, match="sampling times differ"):
        concatenate(steps(), other)


def test_shuffled_moves_drive_and_id_together() -> None:
    excitation = shuffled(steps(8), np.random.default_rng(5))
    original = steps(8)
    for trial, identity in enumerate(excitation.input_id):
        np.testing.assert_array_equal(excitation.drive[trial], original.drive[identity])


def test_combine_plays_channels_at_the_same_time() -> None:
    both = combine(steps(4), steps(4, seed=1, channel="b"))
    assert both.channels == ("a", "b")
    np.testing.assert_array_equal(both.values("b"), steps(4, seed=1).values("a"))
    with pytest.raises(ExcitationError, match="twice"):
        combine(steps(), steps())
