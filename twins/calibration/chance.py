"""What chance alone does to a figure of each channel: data are divided at random and judge each other."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from twins.calibration.pairs import Pair

N_SPLITS = 20
MIN_REPEATS = 4  # for halves that judge each other
_N_WORST = 400

Samples = Sequence[tuple[np.ndarray, np.ndarray]]


def floor(
    figure: Callable[[Samples], np.ndarray], pairs: Samples, ideal: float, rng: np.random.Generator
) -> np.ndarray | None:
    """Spread by chance of a figure (channel,), see Calibration; None of a single trial."""
    enough = [device for _, device in pairs if len(device) >= MIN_REPEATS]
    if enough:
        deviations = [figure([_halves(device, rng) for device in enough]) - ideal for _ in range(N_SPLITS)]
    elif len(pairs) > 1:
        deviations = []
        for _ in range(N_SPLITS):
            order = rng.permutation(len(pairs))
            halves = (order[: len(pairs) // 2], order[len(pairs) // 2 :])
            first, second = (figure([pairs[i] for i in half]) for half in halves)
            deviations.append(0.5 * (first - second))
    else:
        return None
    out: np.ndarray = np.sqrt(np.mean(np.square(deviations), axis=0))
    return out


def coverage_floor(shares: np.ndarray, rng: np.random.Generator) -> np.ndarray | None:
    """Spread by chance of the mean of shares (trial, channel), (channel,); None of a single trial."""
    if len(shares) < 2:
        return None
    orders = [rng.permutation(len(shares)) for _ in range(N_SPLITS)]
    half = len(shares) // 2
    halves = [0.5 * (shares[order[:half]].mean(0) - shares[order[half:]].mean(0)) for order in orders]
    out: np.ndarray = np.sqrt(np.mean(np.square(halves), axis=0))
    return out


def worst_coverage(pairs: Sequence[Pair], kept: np.ndarray, rng: np.random.Generator) -> tuple[float, float]:
    """(mean, standard deviation) of the worst input's coverage where the twin's own draws are measured.

    The worst of all inputs and of the channels kept, (channel,) of booleans.
    """
    covered = [
        pair.inside_twin[rng.integers(len(pair.inside_twin), size=(_N_WORST, len(pair.inside)))].mean(1)
        for pair in pairs
    ]
    # draws lie inside an interval made from themselves a little too often
    bias = np.mean([pair.inside_twin.mean(0) for pair in pairs], axis=0) - 0.9
    worst = (np.min(covered, axis=0) - bias)[:, kept].min(axis=1)
    return float(worst.mean()), float(worst.std(ddof=1))


def _halves(device: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    order = rng.permutation(len(device))
    return device[order[: len(order) // 2]], device[order[len(order) // 2 :]]
