"""Slow drift over repeats: offsets that stay for a trial and move from trial to trial.

The early and the late part of a trial share the offset, but not the white noise; neighbouring trials share it as far as
it moves slowly, but not what the device remembers within a trial. Subtracting the mean over repeats takes part of the
drift away and ties trials together; both are undone exactly for an AR(1) drift.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from twins.diagnosis.figures import Drift, Estimate
from twins.diagnosis.repeats import Repeats

_MAX_TRIALS = 500
_CORRELATIONS = np.concatenate((np.linspace(0.0, 0.9, 10), [0.94, 0.97, 0.985]))
_SIGNIFICANT = 3.5  # standard deviations of what trials without drift give
_SHARED = 0.3  # neighbours' correlation that a device's own memory does not make
_N_SIMULATIONS = 100


@dataclass(frozen=True, slots=True, eq=False)
class _Plan:
    """centre: the matrix that subtracts each input's mean. kept, neighbour: what an AR(1) drift of unit variance
    leaves on average in a trial's square and in the product of neighbours, for each of _CORRELATIONS. chance: square of
    a channel's offsets, (channel,), that is significant.
    """

    centre: np.ndarray
    adjacent: np.ndarray
    kept: np.ndarray
    neighbour: np.ndarray
    chance: np.ndarray

    def moments(self, early: np.ndarray, late: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(square of the shared offset, product of neighbours) of (trial, channel) means."""
        first, second = self.adjacent, self.adjacent + 1
        across = 0.5 * (early[first] * late[second] + late[first] * early[second])
        return (early * late).mean(0), across.mean(0) if len(first) else np.zeros(early.shape[1])

    def solve(self, square: np.ndarray, product: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(variance of the offsets, correlation of neighbours), from (…, channel) moments; all channels share the latter.

        A drift has one pace, and few blocks of repeats say little of it: so channels are taken together, each by its
        own strength.
        """
        strong = square > self.chance
        shared = np.where(strong, product, 0.0) / np.where(strong, square, 1.0)
        n_strong = strong.sum(-1, keepdims=True)
        ratio = np.broadcast_to(shared.sum(-1, keepdims=True) / np.maximum(n_strong, 1), square.shape)
        correlation = np.interp(ratio, self.neighbour / self.kept, _CORRELATIONS)
        return np.maximum(square, 0.0) / np.interp(correlation, _CORRELATIONS, self.kept), correlation


def drift_over_repeats(repeats: Repeats, rng: np.random.Generator) -> tuple[Drift, ...]:
    """The drift of every channel."""
    order, plan, early, late = _prepare(repeats)
    square, product = plan.moments(early, late)
    variance, correlation = plan.solve(square, product)
    chance = plan.chance / _SIGNIFICANT
    total = repeats.covariances(0)[0]
    total = total + variance * (1.0 - np.interp(correlation, _CORRELATIONS, plan.kept))
    within = np.maximum(0.5 * ((early**2).mean(0) + (late**2).mean(0)) - square, 1e-30)
    middle = int(np.argsort(variance)[len(variance) // 2])
    sd_relative, sd_correlation = _uncertainty(plan, variance[middle], correlation[middle], within[middle], rng)
    shared = max(_SHARED, 2.0 / np.sqrt(len(order)))
    out = []
    for i, all_variance in enumerate(np.maximum(total, 1e-300)):
        if square[i] <= _SIGNIFICANT * chance[i]:
            std = Estimate(float(np.sqrt(max(square[i], 0.0))), float(np.sqrt(chance[i])))
            share = Estimate(float(max(square[i], 0.0) / all_variance), float(chance[i] / all_variance))
            out.append(Drift(std, share, Estimate(0.0, 1.0), significant=False, distinct=False))
            continue
        root = float(np.sqrt(variance[i]))
        std = Estimate(root, float(max(root * sd_relative, 0.5 * chance[i] / root)))
        share = Estimate(
            float(variance[i] / all_variance), float(max(2.0 * variance[i] * sd_relative, chance[i]) / all_variance)
        )
        distinct = bool(correlation[i] > shared)
        out.append(
            Drift(std, share, Estimate(float(correlation[i]), sd_correlation), significant=True, distinct=distinct)
        )
    return tuple(out)


def trial_offsets(repeats: Repeats, drifts: tuple[Drift, ...]) -> list[np.ndarray]:
    """The likely offset of every repeat, (repeat, channel) of each group: the mean, shrunk by its own uncertainty."""
    out = []
    for group in repeats.groups:
        mean = group.mean(1)
        power = (mean**2).mean(0)
        wanted = np.array([drift.std.value**2 if drift.distinct else 0.0 for drift in drifts])
        out.append(mean * np.clip(np.divide(wanted, power, out=np.zeros_like(power), where=power > 0), 0.0, 1.0))
    return out


def _prepare(repeats: Repeats) -> tuple[np.ndarray, _Plan, np.ndarray, np.ndarray]:
    groups, trials, n = [], [], 0
    for group, places in zip(repeats.groups, repeats.trials, strict=True):
        if n and n + len(group) > _MAX_TRIALS:
            break
        groups.append(group[:_MAX_TRIALS] - group[:_MAX_TRIALS].mean(0))
        trials.append(places[:_MAX_TRIALS])
        n += len(trials[-1])
    owner = np.repeat(np.arange(len(groups)), [len(group) for group in groups])
    place = np.concatenate(trials)
    order = np.argsort(place)
    place, owner = place[order], owner[order]
    part = max(1, int(0.4 * groups[0].shape[1]))
    early, late = (
        np.concatenate([group[:, side].mean(1) for group in groups])[order]
        for side in (slice(0, part), slice(-part, None))
    )
    same = owner[:, None] == owner[None, :]
    centre = np.eye(len(place)) - same / same.sum(1, keepdims=True)
    apart = np.abs(place[:, None] - place[None, :])
    adjacent = np.flatnonzero(np.diff(place) == 1)
    left = [centre @ correlation**apart @ centre for correlation in _CORRELATIONS]
    kept = np.array([np.trace(one) / len(place) for one in left])
    neighbour = np.array([one[adjacent, adjacent + 1].mean() if len(adjacent) else 0.0 for one in left])
    chance = np.sqrt((early**2).mean(0) * (late**2).mean(0) / max(1, len(place) - len(groups)))
    return place, _Plan(centre, adjacent, kept, neighbour, _SIGNIFICANT * chance), early, late


def _uncertainty(
    plan: _Plan, variance: float, correlation: float, within: float, rng: np.random.Generator
) -> tuple[float, float]:
    """(relative standard error of the offsets' std, standard error of the correlation), from simulated trials."""
    n = len(plan.centre)
    step = rng.standard_normal((n, _N_SIMULATIONS))
    offsets = np.empty_like(step)
    offsets[0] = step[0]
    for k in range(1, n):
        offsets[k] = correlation * offsets[k - 1] + np.sqrt(1.0 - correlation**2) * step[k]
    noise = rng.standard_normal((2, n, _N_SIMULATIONS)) * np.sqrt(within)
    early, late = (plan.centre @ (np.sqrt(variance) * offsets + one) for one in noise)
    square, product = plan.moments(early, late)
    one = replace(plan, chance=np.zeros(1))
    variances, correlations = (values[:, 0] for values in one.solve(square[:, None], product[:, None]))
    return _half_width(np.sqrt(variances)) / max(np.sqrt(variance), 1e-15), _half_width(correlations)


def _half_width(values: np.ndarray) -> float:
    """The standard deviation of the middle, where few values may lie far out."""
    low, high = np.quantile(values, (0.16, 0.84))
    return float(0.5 * (high - low))
