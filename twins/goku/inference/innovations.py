"""Whether the surprises of a noisy equation's filter are what the filter itself says they are.

The filter takes the state as Gaussian. Where it is not (two wells, steps long beside the time scale), the standardised
surprises are no longer independent and standard normal, though draws from the filter's posterior look as good as ever.
Four tests at the estimate: their shape (skewness, kurtosis) and their memory (of themselves and of their squares).

Sources: D'Agostino, Biometrika 57 (1970); Anscombe and Glynn, Biometrika 70 (1983); the memory of squares: McLeod and Li,
J. Time Ser. Anal. 4 (1983). Their spread says nothing, since the noise levels were fitted to it.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from twins.goku.inference.likelihood import TraceLikelihood

SMALLEST_CHANCE = 1e-3  # of all tests of a trace together
_LEAST_SAMPLES = 30


def filter_doubts(likelihood: TraceLikelihood, parameters: Tensor, initial: Tensor, noise_sd: Tensor) -> list[str]:
    """What contradicts the filter, trace by trace; "" where nothing does (or too few samples tell, or the equation has no
    noise of its own)."""
    if not likelihood.system.stochastic:
        return [""] * likelihood.n_traces
    predicted = likelihood.predict(parameters, initial, noise_sd)
    assert predicted.covariance is not None
    seen = likelihood.data.seen
    factor, _ = torch.linalg.cholesky_ex(predicted.covariance)
    error = ((likelihood.data.values - predicted.mean) * seen).unsqueeze(-1)
    white = torch.linalg.solve_triangular(factor, error, upper=False).squeeze(-1).numpy()
    return [_doubt(white[:, trace], seen[:, trace].numpy()) for trace in range(likelihood.n_traces)]


def _doubt(white: np.ndarray, seen: np.ndarray) -> str:
    """Of one trace: white (time, channel)."""
    from scipy import stats

    chances: dict[str, float] = {}
    for channel in range(white.shape[1]):
        there = seen[1:, channel]  # the first sample is told by the unknown state at it
        surprise = white[1:, channel][there]
        if len(surprise) < _LEAST_SAMPLES or not np.isfinite(surprise).all() or not surprise.std() > 0.0:
            continue
        chances[f"skewness {stats.skew(surprise):.2f} instead of 0"] = float(stats.skewtest(surprise).pvalue)
        found = stats.kurtosis(surprise, fisher=False)
        chances[f"kurtosis {found:.1f} instead of 3"] = float(stats.kurtosistest(surprise).pvalue)
        pairs = there[1:] & there[:-1]
        for name, series in (
            ("one after the other", white[1:, channel]),
            ("of their squares", white[1:, channel] ** 2),
        ):
            correlation = _correlation(series, there, pairs)
            chance = math.erfc(abs(correlation) * math.sqrt(max(int(pairs.sum()), 1) / 2.0))
            chances[f"correlation {correlation:.2f} {name} instead of 0"] = chance
    if not chances or min(chances.values()) * len(chances) > SMALLEST_CHANCE:
        return ""
    worst = min(chances, key=lambda one: chances[one])
    return (
        f"the samples contradict the filter: standardised surprises have {worst} (chance {chances[worst]:.1g}). The "
        "equation does not fit, or its state is far from Gaussian given the samples (then sample more often)"
    )


def _correlation(series: np.ndarray, there: np.ndarray, pairs: np.ndarray) -> float:
    apart = series - series[there].mean()
    return float((apart[1:] * apart[:-1])[pairs].mean() / apart[there].var()) if pairs.any() else 0.0
