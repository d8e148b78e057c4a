"""Energy distances of one input's samples, with other divisions of the same samples for chance to be seen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True, eq=False)
class Distances:
    """Distances between all samples of one input, twin's draws first; (sample, sample), in units of one value."""

    matrix: np.ndarray
    n_first: int

    @classmethod
    def between(cls, first: np.ndarray, second: np.ndarray) -> Distances:
        """Of samples (draw, …) and (repeat, …)."""
        both = np.concatenate((first.reshape(len(first), -1), second.reshape(len(second), -1)))
        both = both - both.mean(0)  # nearby values keep their digits
        power = (both**2).sum(1)
        squared = power[:, None] + power[None, :] - 2.0 * (both @ both.T)
        matrix = np.sqrt(np.maximum(squared, 0.0) / both.shape[1])
        np.fill_diagonal(matrix, 0.0)  # rounding must not give a point a distance from itself
        return cls(matrix, len(first))

    def energy(self) -> tuple[float, float]:
        """(unbiased energy distance, mean distance between the two samples)."""
        mask = np.zeros((1, len(self.matrix)))
        mask[0, : self.n_first] = 1.0
        distance, between = divided(self.matrix, mask)
        return float(distance[0]), float(between[0])

    def permuted(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """Energy distances where twin and device are exchanged at random, (n,)."""
        return divided(self.matrix, _masks(len(self.matrix), self.n_first, n, rng))[0]

    def device_halves(self, n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """(energy, mean distance) between random halves of the device's repeats, (n,) each."""
        device = self.matrix[self.n_first :, self.n_first :]
        return divided(device, _masks(len(device), len(device) // 2, n, rng))


def divided(matrix: np.ndarray, masks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(unbiased energy distance, mean distance between) of the samples with mask 1 and those with 0, (division,)."""
    n_first = masks.sum(1)
    n_second = masks.shape[1] - n_first
    rows = masks @ matrix
    inside = (rows * masks).sum(1)
    across = rows.sum(1) - inside
    outside = matrix.sum() - inside - 2.0 * across
    between = across / (n_first * n_second)
    energy = 2.0 * between - inside / (n_first * (n_first - 1)) - outside / (n_second * (n_second - 1))
    return energy, between


def _masks(n_samples: int, n_first: int, n: int, rng: np.random.Generator) -> np.ndarray:
    order = rng.random((n, n_samples)).argsort(axis=1)
    masks = np.zeros((n, n_samples))
    np.put_along_axis(masks, order[:, :n_first], 1.0, axis=1)
    return masks
