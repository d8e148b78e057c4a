"""Power spectra and autocorrelation of responses, pooled over inputs and trials; plain numpy."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

TINY = 1e-300


def power_density(signals: Sequence[Array], dt_s: float) -> tuple[Array, Array]:
    """(frequency in Hz (frequency,), power density (frequency, channel) in unit²/Hz) of signals (trial, time, channel).

    One-sided, with a Hann window over whole responses (Welch 1967, doi 10.1109/TAU.1967.1161901, with one segment a
    trial); of the shortest signal's length, mean over trials, then over signals.
    """
    n = min(one.shape[1] for one in signals)
    window = np.hanning(n + 2)[1:-1]
    scale = dt_s / float((window**2).sum())
    density = np.mean(
        [scale * (np.abs(np.fft.rfft(one[:, :n] * window[:, None], axis=1)) ** 2).mean(0) for one in signals], axis=0
    )
    density[1 : (n + 1) // 2] *= 2.0  # all but zero and the highest frequency stand for two
    return np.asarray(np.fft.rfftfreq(n, dt_s), dtype=np.float64), np.asarray(density, dtype=np.float64)


def autocorrelation(signals: Sequence[Array], n_lags: int) -> Array:
    """(lag, channel) from lag 0 to n_lags of signals (trial, time, channel), each channel by its own power.

    NaN at lags that the shortest signal does not have.
    """
    found = np.full((n_lags + 1, signals[0].shape[2]), np.nan)
    power = np.maximum(np.mean([(one**2).mean((0, 1)) for one in signals], axis=0), TINY)
    for lag in range(min(n_lags, min(one.shape[1] for one in signals) - 1) + 1):
        products = [(one[:, : one.shape[1] - lag] * one[:, lag:]).mean((0, 1)) for one in signals]
        found[lag] = np.mean(products, axis=0) / power
    return found
