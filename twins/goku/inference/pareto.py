"""Pareto-smoothed weights of importance draws: how heavy their tail is, and a tail without its chance extremes.

Sources: Vehtari, Simpson, Gelman, Yao, Gabry, JMLR 25 (2024); the fit of the tail: Zhang and Stephens,
Technometrics 51 (2009), with the weakly informative prior on the shape that the former add.
"""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float64

_LEAST_TAIL = 5


def smooth_weights(
    log_ratios: Float64[np.ndarray, "row draw"],
) -> tuple[Float64[np.ndarray, "row draw"], Float64[np.ndarray, " row"]]:
    """(smoothed logarithms of the weights, k_hat), row by row, with the weights' level kept (their mean is the evidence).

    Draws of weight 0 (-inf) are allowed. k_hat is inf for a row whose tail cannot be fitted: no more than a few draws
    count at all.
    """
    n_rows, n_draws = log_ratios.shape
    length = math.ceil(min(0.2 * n_draws, 3.0 * math.sqrt(n_draws)))
    largest = log_ratios.max(axis=1, keepdims=True)
    level = np.where(np.isfinite(largest), largest, 0.0)
    ratios = np.exp(log_ratios - level)
    order = np.argsort(ratios, axis=1)
    tail_at = order[:, n_draws - length :]
    cut = np.take_along_axis(ratios, order[:, n_draws - length - 1 : n_draws - length], axis=1)
    excess = np.take_along_axis(ratios, tail_at, axis=1) - cut
    fits = (length >= _LEAST_TAIL) & (excess[:, length // 4] > 1e-150) & np.isfinite(largest[:, 0])
    k_hat = np.full(n_rows, math.inf)
    if fits.any():
        shape, scale = fit_tail(excess[fits])
        k_hat[fits] = shape
        at = (np.arange(length) + 0.5) / length
        tail = cut[fits] + _quantiles(shape[:, None], scale[:, None], at)
        smoothed = ratios[fits]
        np.put_along_axis(smoothed, tail_at[fits], np.minimum(tail, 1.0), axis=1)
        ratios[fits] = smoothed
    with np.errstate(divide="ignore"):
        return np.log(ratios) + level, k_hat


def fit_tail(
    excess: Float64[np.ndarray, "row n"],
) -> tuple[Float64[np.ndarray, " row"], Float64[np.ndarray, " row"]]:
    """(shape k, scale) of a generalised Pareto distribution for excesses in rising order."""
    n = excess.shape[1]
    n_grid = 30 + int(math.sqrt(n))
    grid = 1.0 - np.sqrt(n_grid / (np.arange(1, n_grid + 1) - 0.5))
    quarter = excess[:, int(n / 4 + 0.5) - 1]
    theta = 1.0 / excess[:, -1:] + grid / (3.0 * quarter[:, None])
    shape = np.log1p(-theta[:, :, None] * excess[:, None, :]).mean(axis=2)
    profile = n * (np.log(-theta / shape) - shape - 1.0)
    weight = np.exp(profile - profile.max(axis=1, keepdims=True))
    weight /= weight.sum(axis=1, keepdims=True)
    best = (theta * weight).sum(axis=1)
    k = np.log1p(-best[:, None] * excess).mean(axis=1)
    scale = -k / best
    return (n * k + 5.0) / (n + 10.0), scale


def _quantiles(shape: np.ndarray, scale: np.ndarray, at: np.ndarray) -> np.ndarray:
    straight = -np.log1p(-at)
    safe = np.where(np.abs(shape) < 1e-8, 1.0, shape)
    with np.errstate(over="ignore"):  # a tail beyond all numbers is cut at the largest weight
        found: np.ndarray = np.where(np.abs(shape) < 1e-8, straight, np.expm1(safe * straight) / safe) * scale
    return found
