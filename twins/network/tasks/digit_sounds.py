"""The sounds of ten digits as tracks of formants and hiss, and what a bank of filters makes of them.

No recording is used: formants of vowels are the averages of Peterson and Barney (J. Acoust. Soc. Am. 24:175, 1952), men;
those of consonants, and all levels and durations, are plausible figures set by hand.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from twins.network.tasks.task import Array

FORMANT_LEVELS = np.array([1.0, 0.6, 0.3])
_HISS_WIDTH = 0.4  # of the natural logarithm of the frequency


@dataclass(frozen=True, slots=True)
class Phone:
    """One sound: three formants (Hz) voiced at a level, hiss at another around hiss_Hz."""

    formants_Hz: tuple[float, float, float]
    voiced: float = 1.0
    hissed: float = 0.0
    hiss_Hz: float = 3000.0

    def as_track_point(self) -> Array:
        """ln of the formants, voiced, hissed, ln of the hiss frequency: (6,)."""
        return np.array([*np.log(self.formants_Hz), self.voiced, self.hissed, np.log(self.hiss_Hz)])


PHONES: Mapping[str, Phone] = MappingProxyType(
    {
        "iy": Phone((270.0, 2290.0, 3010.0)),
        "ih": Phone((390.0, 1990.0, 2550.0)),
        "eh": Phone((530.0, 1840.0, 2480.0)),
        "aa": Phone((730.0, 1090.0, 2440.0)),
        "ao": Phone((570.0, 840.0, 2410.0)),
        "uh": Phone((440.0, 1020.0, 2240.0)),
        "uw": Phone((300.0, 870.0, 2240.0)),
        "ah": Phone((640.0, 1190.0, 2390.0)),
        "er": Phone((490.0, 1350.0, 1690.0)),
        "w": Phone((300.0, 700.0, 2200.0), voiced=0.6),
        "n": Phone((280.0, 1500.0, 2500.0), voiced=0.5),
        "v": Phone((250.0, 1200.0, 2300.0), voiced=0.4, hissed=0.15),
        "z": Phone((250.0, 1600.0, 2500.0), voiced=0.3, hissed=0.6, hiss_Hz=4500.0),
        "s": Phone((300.0, 1700.0, 2500.0), voiced=0.0, hissed=1.0, hiss_Hz=4800.0),
        "f": Phone((300.0, 1200.0, 2300.0), voiced=0.0, hissed=0.35),
        "th": Phone((300.0, 1400.0, 2500.0), voiced=0.0, hissed=0.25, hiss_Hz=3800.0),
        "t": Phone((300.0, 1700.0, 2600.0), voiced=0.0, hissed=0.6, hiss_Hz=4000.0),
        "k": Phone((300.0, 1800.0, 2500.0), voiced=0.0, hissed=0.4, hiss_Hz=1900.0),
        "closed": Phone((300.0, 1500.0, 2500.0), voiced=0.0),
    }
)
"""Sounds by their ARPAbet names; 'closed' is the silence before a burst."""

WORDS: tuple[tuple[tuple[str, float], ...], ...] = (
    (("z", 1.0), ("ih", 1.0), ("er", 1.0), ("ao", 1.0), ("uh", 0.8)),
    (("w", 1.0), ("ah", 2.0), ("n", 1.2)),
    (("closed", 0.4), ("t", 0.6), ("uw", 3.0)),
    (("th", 0.9), ("er", 0.8), ("iy", 2.3)),
    (("f", 1.0), ("ao", 2.0), ("er", 1.2)),
    (("f", 1.0), ("aa", 1.4), ("ih", 1.0), ("v", 0.8)),
    (("s", 1.2), ("ih", 1.0), ("closed", 0.5), ("k", 0.5), ("s", 1.2)),
    (("s", 1.1), ("eh", 1.0), ("v", 0.6), ("ah", 0.6), ("n", 0.9)),
    (("eh", 1.2), ("ih", 1.2), ("closed", 0.5), ("t", 0.6)),
    (("n", 0.9), ("aa", 1.3), ("ih", 1.0), ("n", 1.0)),
)
"""The digits 0..9: sounds and their relative durations."""


def word_track(digit: int, durations: Array, frames: int) -> Array:
    """Track (frame, 6) of a digit whose sounds last `durations` (any unit): each stays for the middle half of its time,
    and passes linearly into the next."""
    points = np.stack([PHONES[phone].as_track_point() for phone, _ in WORDS[digit]])
    ends = np.cumsum(durations) / np.sum(durations)
    begins = np.concatenate([[0.0], ends[:-1]])
    nodes = np.stack([begins + 0.25 * (ends - begins), begins + 0.75 * (ends - begins)], axis=1).ravel()
    times = (np.arange(frames) + 0.5) / frames
    return np.stack([np.interp(times, nodes, np.repeat(column, 2)) for column in points.T], axis=-1)


def channel_powers(track: Array, centres_Hz: Array) -> Array:
    """Power (…, channel) of filters around centres_Hz for tracks (…, 6); their width is their spacing."""
    ln_centres = np.log(centres_Hz)
    width = float(np.mean(np.diff(ln_centres)))
    formants = np.exp(-0.5 * ((ln_centres - track[..., :3, None]) / width) ** 2)
    voiced = track[..., 3, None] * np.einsum("f,...fc->...c", FORMANT_LEVELS, formants)
    hissed = track[..., 4, None] * np.exp(-0.5 * ((ln_centres - track[..., 5, None]) / _HISS_WIDTH) ** 2)
    powers: Array = voiced + hissed
    return powers
