"""Generated spoken digits: lengths, padding, the decision from the whole word."""

from __future__ import annotations

import numpy as np
import pytest

from twins.network import SpokenDigits, TaskError, linear_on_taps, score
from twins.network.tasks.digit_sounds import PHONES, WORDS, channel_powers, word_track
from twins.network.tasks.spoken_digits import decided_words


def test_words_have_different_lengths_and_the_rest_is_background() -> None:
    task = SpokenDigits(noise=0.0)
    data = task.sample(300, 30, np.random.default_rng(0))
    lengths = data.scored.sum(axis=1)
    assert lengths.min() == 13 and lengths.max() == 20
    assert np.all(data.inputs[~data.scored] == -1.0), "silence is the lower end of the range"
    first = np.argmax(data.scored, axis=1)
    assert np.all(first == task.washout)


def test_a_trial_says_one_digit_and_all_ten_are_said() -> None:
    data = SpokenDigits().sample(400, 24, np.random.default_rng(1))
    digits = np.argmax(data.targets, axis=-1)
    assert np.all(digits == digits[:, :1])
    assert set(digits[:, 0]) == set(range(10))


def test_trials_shorter_than_the_longest_word_are_refused() -> None:
    task = SpokenDigits()
    assert task.longest == 22
    with pytest.raises(TaskError, match="at least 22"):
        task.sample(2, 21, np.random.default_rng(0))


def test_the_decision_is_made_from_the_whole_word() -> None:
    probabilities = np.full((2, 3, 10), 0.02)
    probabilities[0, :, 4] = [0.5, 0.5, 0.1]
    probabilities[0, :, 7] = [0.2, 0.2, 0.9]  # the larger sum of probabilities, the smaller product
    probabilities[1, :, 1] = [0.9, 0.9, 0.01]
    probabilities[1, :, 2] = [0.05, 0.05, 0.97]
    scored = np.array([[True, True, True], [False, False, True]])
    assert decided_words(probabilities, scored).tolist() == [7, 2]
    probabilities[0, 2, 7] = 0.5
    assert decided_words(probabilities, scored).tolist() == [4, 2]


def test_word_accuracy_stands_beside_the_score() -> None:
    data = SpokenDigits().sample(50, 24, np.random.default_rng(2))
    sure = score("cross_entropy", data.targets, data)
    assert (sure.value, sure.accuracy, sure.details["word accuracy"]) == (0.0, 1.0, 1.0)
    other = np.roll(data.targets, 1, axis=-1)
    assert score("cross_entropy", other, data).details["word accuracy"] == 0.0
    half = np.where(np.arange(50)[:, None, None] < 25, data.targets, other)
    assert score("cross_entropy", half, data).details["word accuracy"] == 0.5


def test_vowels_sound_where_their_formants_are() -> None:
    centres = np.geomspace(250.0, 5000.0, 24)
    powers = channel_powers(PHONES["iy"].as_track_point()[None], centres)[0]
    peaks = centres[1:-1][(powers[1:-1] > powers[:-2]) & (powers[1:-1] > powers[2:])]
    assert peaks[0] == pytest.approx(270.0, rel=0.1)
    assert np.any(np.abs(peaks / 2290.0 - 1) < 0.1)


def test_a_track_holds_its_sounds_and_passes_from_one_to_the_next() -> None:
    track = word_track(1, np.array([1.0, 1.0, 1.0]), 12)  # w ah n
    for frame, phone in ((1, "w"), (5, "ah"), (10, "n")):
        np.testing.assert_allclose(track[frame], PHONES[phone].as_track_point())
    assert PHONES["w"].voiced < track[3, 3] < PHONES["ah"].voiced


def test_no_two_digits_are_the_same_word() -> None:
    assert len({tuple(phone for phone, _ in word) for word in WORDS}) == 10


def test_speakers_differ_and_a_linear_model_tells_some_digits() -> None:
    task = SpokenDigits(noise=0.0)
    one, two = (task.say(3, np.random.default_rng(seed)) for seed in (0, 1))
    assert one.shape != two.shape or np.abs(one - two).max() > 0.1
    rng = np.random.default_rng(3)
    training, heldout = (task.sample(150, 22, rng) for _ in range(2))
    linear = linear_on_taps("cross_entropy", training, heldout, taps=[0])
    assert 0.3 < linear.details["word accuracy"] < 0.95
