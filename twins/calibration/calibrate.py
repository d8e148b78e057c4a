"""calibrate: free runs of a twin beside measured responses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from twins.calibration.energy import Distances
from twins.calibration.figures import Calibration, InputFigures
from twins.calibration.pairs import N_LAGS, Pair, autocorrelations, draw_pair, repeated, std_ratios
from twins.errors import TracesInvalid
from twins.traces import Traces

if TYPE_CHECKING:
    from twins.ensemble import AnyTwin

_N_SPLITS = 20
_N_PERMUTATIONS = 100
_N_WORST = 400
_MIN_REPEATS = 4  # for halves that judge each other

_Samples = Sequence[tuple[np.ndarray, np.ndarray]]


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
    return figures_of(pairs, n_draws=n_draws, rng=rng)


def figures_of(pairs: Sequence[Pair], *, n_draws: int, rng: np.random.Generator) -> Calibration:
    """All figures of twin and device, input by input."""
    judged = [(pair.twin, pair.device) for pair in repeated(pairs)]
    ratios, lags = std_ratios(judged), autocorrelations(judged, N_LAGS)
    distances = [Distances.between(pair.twin, pair.device) if len(pair.device) > 1 else None for pair in pairs]
    known = [one for one in distances if one is not None]
    energy, energy_floor, relative, relative_floor, z = _energy_figures(known, rng)
    expected, worst_floor = _worst_by_chance(pairs, rng)
    return Calibration(
        coverage_90=float(np.concatenate([pair.inside for pair in pairs]).mean()),
        coverage_90_floor=_coverage_floor(np.concatenate([pair.inside for pair in pairs]), rng),
        coverage_90_worst_input=min(float(pair.inside.mean()) for pair in pairs),
        coverage_90_worst_input_expected=expected,
        coverage_90_worst_input_floor=worst_floor,
        std_ratio=_known(np.mean(ratios[np.isfinite(ratios)])) if np.isfinite(ratios).any() else None,
        std_ratio_floor=_floor(lambda some: float(np.nanmean(std_ratios(some))), judged, 1.0, rng),
        lag1_autocorrelation_twin=_known(lags[0, 0]),
        lag1_autocorrelation_device=_known(lags[1, 0]),
        lag1_autocorrelation_floor=_floor(_lag_difference, judged, 0.0, rng),
        energy_distance=energy,
        energy_distance_floor=energy_floor,
        energy_relative=relative,
        energy_relative_floor=relative_floor,
        energy_permutation_z=z,
        finite_share=float(np.mean([pair.n_finite / len(pair.twin) for pair in pairs])),
        largest_excursion=_excursion(pairs),
        std_ratios=tuple(_known(ratio) for ratio in ratios),
        autocorrelation_twin=tuple(_known(value) for value in lags[0]),
        autocorrelation_device=tuple(_known(value) for value in lags[1]),
        inputs=tuple(_of_input(pair, one) for pair, one in zip(pairs, distances, strict=True)),
        n_inputs=len(pairs),
        n_trials=sum(len(pair.device) for pair in pairs),
        n_draws=n_draws,
    )


def _known(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _of_input(pair: Pair, distances: Distances | None) -> InputFigures:
    relative = None
    if distances is not None:
        distance, between = distances.energy()
        relative = distance / between if between > 0 else None
    variance = float(pair.twin.var(axis=0, ddof=1).mean())
    off = float(((pair.device.mean(0) - pair.twin.mean(0)) ** 2).mean())
    ratio = _known(np.mean(std_ratios([(pair.twin, pair.device)]))) if len(pair.device) > 1 else None
    return InputFigures(
        input_id=pair.input_id,
        n_trials=len(pair.device),
        coverage_90=float(pair.inside.mean()),
        std_ratio=ratio,
        mean_error=float(np.sqrt(off / variance)) if variance > 0 else None,
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
    enough = [one for one in distances if len(one.matrix) - one.n_first >= _MIN_REPEATS]
    relative = float(energy / between) if between > 0 else None
    if not enough:
        return float(energy), None, relative, None, z
    halves, apart = np.mean([one.device_halves(_N_SPLITS, rng) for one in enough], axis=0)
    floor = float(np.sqrt(np.mean(halves**2)))
    relative_floor = float(np.sqrt(np.mean((halves / apart) ** 2))) if (apart > 0).all() else None
    return float(energy), floor, relative, relative_floor, z


def _worst_by_chance(pairs: Sequence[Pair], rng: np.random.Generator) -> tuple[float, float]:
    """(mean, standard deviation) of the worst input's coverage where the twin's own draws are measured."""
    covered = [
        pair.inside_twin[rng.integers(len(pair.inside_twin), size=(_N_WORST, len(pair.inside)))].mean(1)
        for pair in pairs
    ]
    # draws lie inside an interval made from themselves a little too often
    bias = np.mean([pair.inside_twin.mean() for pair in pairs]) - 0.9
    worst = np.min(covered, axis=0) - bias
    return float(worst.mean()), float(worst.std(ddof=1))


def _coverage_floor(shares: np.ndarray, rng: np.random.Generator) -> float | None:
    if len(shares) < 2:
        return None
    orders = (rng.permutation(shares) for _ in range(_N_SPLITS))
    half = len(shares) // 2
    return float(np.sqrt(np.mean([(0.5 * (order[:half].mean() - order[half:].mean())) ** 2 for order in orders])))


def _lag_difference(some: _Samples) -> float:
    lags = autocorrelations(some, 1)
    return float(lags[0, 0] - lags[1, 0])


def _excursion(pairs: Sequence[Pair]) -> float | None:
    low = np.min([pair.device.min((0, 1)) for pair in pairs], axis=0)
    high = np.max([pair.device.max((0, 1)) for pair in pairs], axis=0)
    half, middle = 0.5 * (high - low), 0.5 * (high + low)
    if not (half > 0).any():
        return None
    furthest = np.max([np.abs(pair.twin - middle).max((0, 1)) for pair in pairs], axis=0)
    return float((furthest[half > 0] / half[half > 0]).max())


def _floor(
    figure: Callable[[_Samples], float], pairs: _Samples, ideal: float, rng: np.random.Generator
) -> float | None:
    """What chance alone does to a figure, see Calibration."""
    enough = [device for _, device in pairs if len(device) >= _MIN_REPEATS]
    if enough:
        deviations = [figure([_halves(device, rng) for device in enough]) - ideal for _ in range(_N_SPLITS)]
    elif len(pairs) > 1:
        deviations = []
        for _ in range(_N_SPLITS):
            order = rng.permutation(len(pairs))
            halves = (order[: len(pairs) // 2], order[len(pairs) // 2 :])
            first, second = (figure([pairs[i] for i in half]) for half in halves)
            deviations.append(0.5 * (first - second))
    else:
        return None
    return _known(np.sqrt(np.mean(np.square(deviations))))


def _halves(device: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    order = rng.permutation(len(device))
    return device[order[: len(order) // 2]], device[order[len(order) // 2 :]]
