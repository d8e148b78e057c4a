"""calibrate: free runs of a twin beside measured responses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from twins.calibration.chance import MIN_REPEATS, N_SPLITS, Samples, coverage_floor, floor, worst_coverage
from twins.calibration.energy import Distances
from twins.calibration.figures import Calibration, ChannelFigures, InputFigures
from twins.calibration.means import Means
from twins.calibration.pairs import (
    N_LAGS,
    Pair,
    autocorrelations,
    channel_autocorrelations,
    draw_pair,
    repeated,
    spreads,
    std_ratios,
    varying,
)
from twins.errors import TracesInvalid
from twins.traces import Traces

if TYPE_CHECKING:
    from twins.ensemble import AnyTwin

_N_PERMUTATIONS = 100


def calibrate(
    twin: AnyTwin, traces: Traces, *, n_draws: int = 199, generator: torch.Generator, check_range: bool = True
) -> Calibration:
    """Compare n_draws free runs of every input with its measured repeats; the traces must be held out from the fit.

    The draws start from the measured histories of the input's own repeats, in turn. The first scored sample, which is
    the start itself, does not count. Raises TracesMismatch, TracesInvalid, OutsideFittedRange.
    """
    twin.spec.check_traces(traces)
    if n_draws < 20:
        raise TracesInvalid(f"n_draws must be at least 20 for a 90 % interval, not {n_draws}")
    pairs = [
        draw_pair(
            twin,
            traces.select(traces.inputs == input_id),
            n_draws=n_draws,
            generator=generator,
            check_range=check_range,
        )
        for input_id in np.unique(traces.inputs)
    ]
    rng = np.random.default_rng(int(torch.randint(2**31, (1,), generator=generator)))
    return figures_of(pairs, n_draws=n_draws, rng=rng, names=traces.response_names)


def figures_of(
    pairs: Sequence[Pair], *, n_draws: int, rng: np.random.Generator, names: Sequence[str] = ()
) -> Calibration:
    """All figures of twin and device, input by input and channel by channel. names: of the channels."""
    judged = [(pair.twin, pair.device) for pair in repeated(pairs)]
    varies = varying(pairs)
    kept = varies if varies.any() else np.ones_like(varies)
    in_units = [_in_units(pair, kept, spreads(judged)) for pair in pairs]
    distances = [Distances.between(*one) if len(one[1]) > 1 else None for one in in_units]
    energy = _energy_figures([one for one in distances if one is not None], rng)
    expected, worst_floor = worst_coverage(pairs, kept, rng)
    channels, lag1 = _channels(pairs, judged, kept & varies, names, rng)
    shown = [one for one, keep in zip(channels, kept, strict=True) if keep]
    widest = max(shown, key=lambda one: abs((one.coverage_90 or 0.0) - 0.9))
    ratio = max(shown, key=lambda one: -1.0 if one.std_ratio is None else abs(np.log(max(one.std_ratio, 1e-300))))
    lag = max(range(len(channels)), key=lambda number: _size(channels[number].lag1_difference))
    biased = max(shown, key=lambda one: _size(one.mean_bias))
    wrong = max(shown, key=lambda one: _size(one.mean_error))
    lags = autocorrelations([(twin[:, :, kept], device[:, :, kept]) for twin, device in judged], N_LAGS)
    return Calibration(
        coverage_90=widest.coverage_90 or 0.0,
        coverage_90_floor=widest.coverage_90_floor,
        coverage_90_worst_input=min(float(pair.inside.mean(0)[kept].min()) for pair in pairs),
        coverage_90_worst_input_expected=expected,
        coverage_90_worst_input_floor=worst_floor,
        std_ratio=ratio.std_ratio,
        std_ratio_floor=ratio.std_ratio_floor,
        lag1_autocorrelation_twin=_known(lag1[0, lag]),
        lag1_autocorrelation_device=_known(lag1[1, lag]),
        lag1_autocorrelation_floor=channels[lag].lag1_floor,
        energy_distance=energy[0],
        energy_distance_floor=energy[1],
        energy_relative=energy[2],
        energy_relative_floor=energy[3],
        energy_permutation_z=energy[4],
        finite_share=float(np.mean([pair.n_finite / len(pair.twin) for pair in pairs])),
        largest_excursion=_excursion(pairs),
        std_ratios=tuple(_known(value) for value in np.where(varies, std_ratios(judged), np.nan)),
        autocorrelation_twin=tuple(_known(value) for value in lags[0]),
        autocorrelation_device=tuple(_known(value) for value in lags[1]),
        inputs=tuple(_of_input(pair, one, kept) for pair, one in zip(pairs, distances, strict=True)),
        n_inputs=len(pairs),
        n_trials=sum(len(pair.device) for pair in pairs),
        n_draws=n_draws,
        mean_bias=biased.mean_bias,
        mean_bias_floor=biased.mean_bias_floor,
        mean_error=wrong.mean_error,
        mean_error_floor=wrong.mean_error_floor,
        channels=channels,
    )


def _channels(
    pairs: Sequence[Pair],
    judged: Samples,
    varies: np.ndarray,
    names: Sequence[str],
    rng: np.random.Generator,
) -> tuple[tuple[ChannelFigures, ...], np.ndarray]:
    """(figures of each channel, autocorrelations one sample apart (twin or device, channel))."""
    inside = np.concatenate([pair.inside for pair in pairs])
    coverage = coverage_floor(inside, rng)
    ratios, ratios_floor = std_ratios(judged), floor(std_ratios, judged, 1.0, rng)
    lag1, lag1_floor = channel_autocorrelations(judged), floor(_lag_difference, judged, 0.0, rng)
    means = Means.of(pairs, spreads(judged), rng)
    found = []
    for number, keep in enumerate(varies):
        name = names[number] if number < len(names) else f"channel {number}"
        if not keep and varies.any():
            found.append(ChannelFigures(channel=name, varies=False))
            continue
        found.append(
            ChannelFigures(
                channel=name,
                varies=bool(keep),
                coverage_90=float(inside[:, number].mean()),
                coverage_90_floor=_at(coverage, number),
                std_ratio=_known(ratios[number]),
                std_ratio_floor=_at(ratios_floor, number),
                lag1_difference=_known(lag1[0, number] - lag1[1, number]),
                lag1_floor=_at(lag1_floor, number),
                mean_bias=_at(means.bias, number),
                mean_bias_floor=_at(means.bias_floor, number),
                mean_error=_at(means.error, number),
                mean_error_floor=_at(means.error_floor, number),
            )
        )
    return tuple(found), lag1


def _in_units(pair: Pair, kept: np.ndarray, spread: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Samples of twin and device in the channels kept; of several, each in units of the device's spread."""
    if kept.sum() == 1:
        return pair.twin[:, :, kept], pair.device[:, :, kept]
    # A channel without noise is measured by how far it moves.
    units = np.where(spread > 0, spread, np.maximum(np.ptp(pair.device, axis=(0, 1)), 1e-300))[kept]
    return pair.twin[:, :, kept] / units, pair.device[:, :, kept] / units


def _known(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _at(values: np.ndarray | None, number: int) -> float | None:
    return None if values is None else _known(values[number])


def _size(value: float | None) -> float:
    return -1.0 if value is None else abs(value)


def _of_input(pair: Pair, distances: Distances | None, kept: np.ndarray) -> InputFigures:
    relative = None
    if distances is not None:
        distance, between = distances.energy()
        relative = distance / between if between > 0 else None
    variance = pair.twin.var(axis=0, ddof=1).mean(0)[kept]
    off = ((pair.device.mean(0) - pair.twin.mean(0)) ** 2).mean(0)[kept]
    moving = variance > 0
    ratios = std_ratios([(pair.twin, pair.device)])[kept]
    known = ratios[np.isfinite(ratios)] if len(pair.device) > 1 else ratios[:0]
    return InputFigures(
        input_id=pair.input_id,
        n_trials=len(pair.device),
        coverage_90=float(pair.inside[:, kept].mean()),
        std_ratio=float(known.mean()) if len(known) else None,
        mean_error=float(np.sqrt((off[moving] / variance[moving]).mean())) if moving.any() else None,
        energy_relative=relative,
    )


def _energy_figures(
    distances: Sequence[Distances], rng: np.random.Generator
) -> tuple[float | None, float | None, float | None, float | None, float | None]:
    """(energy, its floor, over the mean distance, its floor, permutation z), means over the inputs."""
    if not distances:
        return None, None, None, None, None
    energy, between = np.mean([one.energy() for one in distances], axis=0)
    permuted = np.mean([one.permuted(_N_PERMUTATIONS, rng) for one in distances], axis=0)
    spread = float(permuted.std(ddof=1))
    z = float((energy - permuted.mean()) / spread) if spread > 0 else None
    enough = [one for one in distances if len(one.matrix) - one.n_first >= MIN_REPEATS]
    relative = float(energy / between) if between > 0 else None
    if not enough:  # too few repeats to halve
        return float(energy), spread, relative, float(spread / between) if between > 0 else None, z
    halves, apart = np.mean([one.device_halves(N_SPLITS, rng) for one in enough], axis=0)
    by_chance = float(np.sqrt(np.mean(halves**2)))
    relative_floor = float(np.sqrt(np.mean((halves / apart) ** 2))) if (apart > 0).all() else None
    return float(energy), by_chance, relative, relative_floor, z


def _lag_difference(some: Samples) -> np.ndarray:
    lags = channel_autocorrelations(some)
    out: np.ndarray = lags[0] - lags[1]
    return out


def _excursion(pairs: Sequence[Pair]) -> float | None:
    low = np.min([pair.device.min((0, 1)) for pair in pairs], axis=0)
    high = np.max([pair.device.max((0, 1)) for pair in pairs], axis=0)
    half, middle = 0.5 * (high - low), 0.5 * (high + low)
    if not (half > 0).any():
        return None
    furthest = np.max([np.abs(pair.twin - middle).max((0, 1)) for pair in pairs], axis=0)
    return float((furthest[half > 0] / half[half > 0]).max())
