"""Whether the twin's mean is the device's: over all times and inputs, and at each time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from twins.calibration.pairs import Pair

_N_SPLITS = 20


@dataclass(frozen=True, slots=True, eq=False)
class Means:
    """Of each channel, in units of the device's spread: see Calibration; NaN where not known."""

    bias: np.ndarray
    bias_floor: np.ndarray
    error: np.ndarray
    error_floor: np.ndarray

    @classmethod
    def of(cls, pairs: Sequence[Pair], spread: np.ndarray, rng: np.random.Generator) -> Means:
        """Compare means, the device's spread of each channel being known."""
        with np.errstate(divide="ignore", invalid="ignore"):
            unit = np.where(spread > 0, spread, np.nan)
        bias, bias_floor = _bias(pairs)
        several = [(pair.twin, pair.device) for pair in pairs if len(pair.device) > 1]
        squared, floor = _squared(several, rng) if several else (np.full_like(unit, np.nan),) * 2
        return cls(bias / unit, bias_floor / unit, np.sqrt(np.maximum(squared, 0.0)) / unit, np.sqrt(floor) / unit)


def _bias(pairs: Sequence[Pair]) -> tuple[np.ndarray, np.ndarray]:
    """(device's mean less the twin's, its standard error), (channel,) each."""
    of_inputs = np.array([(pair.device.mean((0, 1)) - pair.twin.mean((0, 1))) for pair in pairs])
    # What the twin's own noise gives is known well even from few inputs; how inputs differ includes the twin's faults.
    variances = [
        pair.twin.mean(1).var(axis=0, ddof=1) * (1.0 / len(pair.device) + 1.0 / len(pair.twin)) for pair in pairs
    ]
    error = np.sqrt(np.sum(variances, axis=0)) / len(pairs)
    if len(pairs) > 1:
        error = np.maximum(error, of_inputs.std(axis=0, ddof=1) / np.sqrt(len(pairs)))
    return of_inputs.mean(0), error


def _squared(pairs: Sequence[tuple[np.ndarray, np.ndarray]], rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """(unbiased mean square difference of the means at each time, its deviation by chance), (channel,) each.

    By chance: as many of the twin's draws as there are repeats stand in for the device.
    """
    squared = np.mean([_unbiased(twin, device) for twin, device in pairs], axis=0)
    by_chance = [np.mean([_unbiased(*_stand_in(*pair, rng)) for pair in pairs], axis=0) for _ in range(_N_SPLITS)]
    return squared, np.sqrt(np.mean(np.square(by_chance), axis=0))


def _unbiased(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    chance = sum(one.var(axis=0, ddof=1) / len(one) for one in (first, second))
    out: np.ndarray = ((first.mean(0) - second.mean(0)) ** 2 - chance).mean(0)
    return out


def _stand_in(twin: np.ndarray, device: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    order = rng.permutation(len(twin))
    n = min(len(device), len(twin) // 2)
    return twin[order[n:]], twin[order[:n]]
