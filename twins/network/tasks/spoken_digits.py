"""Spoken digits, generated: ten words of many speakers as a bank of filters hears them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from twins.network.tasks.digit_sounds import WORDS, channel_powers, word_track
from twins.network.tasks.task import Array, Metric, TaskData, TaskError, check_size

TYPICAL_FRAMES = 16
_TEMPI = (0.8, 1.25)
_QUIET = 0.25  # power at which a channel is at the middle of its range


@dataclass(frozen=True, slots=True)
class SpokenDigits:
    """Which of the ten digits is being said? Inputs are the powers of `n_channels` filters between 250 and 5000 Hz; for
    people four bands are enough (Shannon et al., Science 270:303, 1995).

    GENERATED, not recorded: see digit_sounds.py. One trial is one word. Each has a speaker (all formants longer or
    shorter by up to `speaker_spread`, on a logarithm), a tempo (13 to 20 steps in all, every sound up to a quarter longer
    or shorter besides), a loudness (0.7 to 1.4) and background noise of mean power `noise`, exponentially distributed as the
    power of noise in a band is. The word begins after `washout` steps; what is left of the trial is background. Input: 2
    P/(P + 0.25) - 1 of the power P.

    The read-out says a probability for each digit at every step of the word, and cross-entropy and accuracy are over those
    steps. The decision is made from the whole word: the digit with the largest sum of log-probabilities over its steps.
    'word accuracy' beside the score is the share of words decided rightly.
    """

    n_channels: int = 4
    noise: float = 0.1
    speaker_spread: float = 0.15
    washout: int = 2

    name = "spoken_digits"
    metric: ClassVar[Metric] = "cross_entropy"
    n_outputs = len(WORDS)

    def __post_init__(self) -> None:
        if self.n_channels < 2 or self.noise < 0 or not 0 <= self.speaker_spread < 1 or self.washout < 0:
            raise TaskError(
                f"spoken digits need n_channels >= 2, noise >= 0, 0 <= speaker_spread < 1 and washout >= 0, not {self}"
            )

    @property
    def n_inputs(self) -> int:
        """One for each channel."""
        return self.n_channels

    @property
    def longest(self) -> int:
        """Steps that a trial needs at least: the longest word after the washout."""
        return self.washout + round(TYPICAL_FRAMES * _TEMPI[1])

    @property
    def centres_Hz(self) -> Array:
        """Centres of the filters (Hz), evenly on a logarithm."""
        return np.geomspace(250.0, 5000.0, self.n_channels)

    def sample(self, n_trials: int, n_steps: int, rng: np.random.Generator) -> TaskData:
        """n_trials words in trials of n_steps steps, which must hold the longest word."""
        check_size(n_trials, n_steps, self.washout)
        if n_steps < self.longest:
            raise TaskError(f"trials of {n_steps} steps do not hold the longest word: give at least {self.longest}")
        digits = rng.integers(0, len(WORDS), size=n_trials)
        powers = np.zeros((n_trials, n_steps, self.n_channels))
        scored = np.zeros((n_trials, n_steps), dtype=bool)
        for trial, digit in enumerate(digits):
            word = self.say(int(digit), rng)
            powers[trial, self.washout : self.washout + len(word)] = word
            scored[trial, self.washout : self.washout + len(word)] = True
        powers += self.noise * rng.exponential(size=powers.shape)
        targets = np.broadcast_to(np.eye(len(WORDS))[digits][:, None], (n_trials, n_steps, len(WORDS))).copy()
        return TaskData(2.0 * powers / (powers + _QUIET) - 1.0, targets, scored, word_details)

    def say(self, digit: int, rng: np.random.Generator) -> Array:
        """Powers (step, channel) of one digit by a fresh speaker, without the background."""
        frames = round(TYPICAL_FRAMES * rng.uniform(*_TEMPI))
        durations = np.array([length for _, length in WORDS[digit]]) * rng.uniform(0.75, 1.25, size=len(WORDS[digit]))
        track = word_track(digit, durations, frames)
        track[:, :3] += np.log1p(self.speaker_spread) * rng.uniform(-1.0, 1.0)
        loudness = float(np.exp(rng.uniform(np.log(0.7), np.log(1.4))))
        return loudness * channel_powers(track, self.centres_Hz)


def word_details(outputs: Array, data: TaskData) -> dict[str, float]:
    """{'word accuracy': share} of probabilities (trial, step, digit)."""
    right = decided_words(outputs, data.scored) == np.argmax(data.targets[:, -1], axis=-1)
    return {"word accuracy": float(np.mean(right))}


def decided_words(probabilities: Array, scored: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The digit of each trial: the largest sum of log-probabilities over its scored steps."""
    logs = np.log(np.maximum(probabilities, 1e-12))  # as in the score: an excluded digit costs 27.6 nats
    return np.asarray(np.argmax(np.sum(logs * scored[..., None], axis=1), axis=-1))
