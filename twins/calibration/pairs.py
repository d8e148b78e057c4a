"""Twin and device side by side on one input, and the figures that follow from several."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from twins.device.history import Histories, histories_of, start_sample
from twins.objectives.scores import interval
from twins.traces import Traces

if TYPE_CHECKING:
    from twins.ensemble import AnyTwin

LEVEL = 0.9
DIVERGED = 1e6  # half-ranges of the measured response: where a free run that is not finite is put
N_LAGS = 5


@dataclass(frozen=True, slots=True, eq=False)
class Pair:
    """One input: draws of the twin and repeats of the device, (draw or repeat, time, channel).

    inside: share of each repeat's values inside the twin's interval, (repeat, channel); inside_twin: of each draw's,
    (draw, channel). n_finite: draws that stayed finite.
    """

    input_id: int
    twin: np.ndarray
    device: np.ndarray
    inside: np.ndarray
    inside_twin: np.ndarray
    n_finite: int


def draw_pair(twin: AnyTwin, repeats: Traces, *, n_draws: int, generator: torch.Generator, check_range: bool) -> Pair:
    """Free runs of one input from the measured histories of its repeats, in turn."""
    start = start_sample(twin.spec, repeats)
    measured = histories_of(twin.spec, repeats)
    turn = torch.arange(n_draws) % repeats.n_trials
    conditions = {name: repeats.conditions[name] for name in twin.spec.condition_names}
    with torch.no_grad():
        draws = twin.respond(
            torch.tensor(repeats.drive[:, start:])[turn].to(twin.linear_weight),
            history=Histories(measured.response[turn], measured.drive[turn]),
            generator=generator,
            conditions=conditions or None,
            check_range=check_range,
        )
    samples, n_finite = _without_diverged(draws[:, 1:].double().cpu().numpy(), repeats.response)
    device = repeats.response[:, start + 1 :]
    lower, upper = interval(samples, LEVEL)
    inside, inside_twin = (((one >= lower) & (one <= upper)).mean(1) for one in (device, samples))
    return Pair(int(repeats.inputs[0]), samples, device, inside, inside_twin, n_finite)


def _without_diverged(samples: np.ndarray, response: np.ndarray) -> tuple[np.ndarray, int]:
    bad = ~np.isfinite(samples)
    n_finite = int((~bad.any((1, 2))).sum())
    if n_finite < len(samples):
        low, high = response.min((0, 1)), response.max((0, 1))
        samples = np.where(bad, high + DIVERGED * np.maximum(high - low, 1e-300), samples)
    return samples, n_finite


def repeated(pairs: Sequence[Pair]) -> list[Pair]:
    """The inputs with repeats, or all where none has."""
    return [pair for pair in pairs if len(pair.device) > 1] or list(pairs)


def std_ratios(pairs: Sequence[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """Spread of the first samples over that of the second, of each channel; NaN where these do not vary."""
    of_twin = np.mean([twin.var(axis=0, ddof=1).mean(0) for twin, _ in pairs], axis=0)
    of_device = np.mean([_device_variance(twin, device) for twin, device in pairs], axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        out: np.ndarray = np.where(of_device > 0, np.sqrt(of_twin / of_device), np.nan)
    return out


def _device_variance(twin: np.ndarray, device: np.ndarray) -> np.ndarray:
    if len(device) > 1:
        out: np.ndarray = device.var(axis=0, ddof=1).mean(0)
        return out
    correction = 1.0 + 1.0 / len(twin)  # the mean of the draws is itself uncertain
    single: np.ndarray = ((device[0] - twin.mean(0)) ** 2).mean(0) / correction
    return single


def varying(pairs: Sequence[Pair]) -> np.ndarray:
    """Which channels of the device vary at all, over time, repeats or inputs, (channel,)."""
    low = np.min([pair.device.min((0, 1)) for pair in pairs], axis=0)
    high = np.max([pair.device.max((0, 1)) for pair in pairs], axis=0)
    out: np.ndarray = high > low
    return out


def spreads(pairs: Sequence[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """The device's spread about its mean at each time (without repeats, about the twin's), (channel,)."""
    out: np.ndarray = np.sqrt(np.mean([_device_variance(twin, device) for twin, device in pairs], axis=0))
    return out


def autocorrelations(pairs: Sequence[tuple[np.ndarray, np.ndarray]], n_lags: int) -> np.ndarray:
    """Of deviations from the mean at each time, pooled over pairs: (twin or device, lag 1 …); NaN without variance.

    Several channels count alike whatever their units: each is taken in units of the device's spread.
    """
    products = _lag_products(pairs, n_lags)
    if products.shape[2] > 1:
        power = products[1, 0]
        products = products[:, :, power > 0] / power[power > 0]
    return _correlations(products.sum(axis=2))


def channel_autocorrelations(pairs: Sequence[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """The same one sample apart, of each channel: (twin or device, channel)."""
    return _correlations(_lag_products(pairs, 1))[:, 0]


def _lag_products(pairs: Sequence[tuple[np.ndarray, np.ndarray]], n_lags: int) -> np.ndarray:
    """Sums of products of deviations, (twin or device, lag 0 …, channel)."""
    products = np.zeros((2, n_lags + 1, pairs[0][0].shape[2]))
    for twin, device in pairs:
        mean = twin.mean(0)
        about = device.mean(0) if len(device) > 1 else mean
        for side, deviation in enumerate((twin - mean, device - about)):
            n_time = deviation.shape[1]
            for lag in range(min(n_lags, n_time - 1) + 1):
                product = deviation[:, lag:] * deviation[:, : n_time - lag]
                products[side, lag] += product.sum((0, 1)) / (1.0 - lag / n_time)
    return products


def _correlations(products: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore", invalid="ignore"):
        out: np.ndarray = products[:, 1:] / products[:, :1]
    return np.where(np.isfinite(out), out, np.nan)
