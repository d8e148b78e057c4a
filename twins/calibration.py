"""How far a twin's mean and noise can be trusted: figures on held-out inputs, each with what chance alone does to it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np
import torch

from twins.device.history import Histories, histories_of, start_sample
from twins.device.twin import DeviceTwin
from twins.errors import TracesInvalid
from twins.objectives.scores import energy_distance, interval, lag1_autocorrelation
from twins.traces import Traces

_N_SPLITS = 20
_LEVEL = 0.9


@dataclass(frozen=True, slots=True)
class Calibration:
    """Figures of free-running responses from measured starts, over all inputs.

    coverage_90: share of measured values inside the twin's central 90 % interval; _worst_input: of the worst input.
    std_ratio: twin's spread over the device's (root mean variance over repeats; without repeats, over the measured
    deviation from the twin's mean). lag1_autocorrelation: of deviations from the mean at each time.
    energy_distance: of whole responses, in response units a value, unbiased (may be negative); energy_relative: over
    the mean distance. Both need repeats, else None; so does a figure whose data do not vary.

    Each *_floor is the spread that chance alone gives. With at least 4 repeats it is the root mean square deviation of
    the figure from its ideal where one random half of the repeats stands in for the twin and judges the other; with
    fewer, and for the coverage, half the difference between random halves of the inputs, or of the trials.
    """

    coverage_90: float
    coverage_90_floor: float | None
    coverage_90_worst_input: float
    std_ratio: float
    std_ratio_floor: float | None
    lag1_autocorrelation_twin: float
    lag1_autocorrelation_device: float
    lag1_autocorrelation_floor: float | None
    energy_distance: float | None
    energy_distance_floor: float | None
    energy_relative: float | None
    energy_relative_floor: float | None
    n_inputs: int
    n_trials: int
    n_draws: int

    def as_dict(self) -> dict[str, float | int | None]:
        """Plain data, for JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True, eq=False)
class _Pair:
    """One input: draws of the twin and repeats of the device, (draw or repeat, time, channel)."""

    twin: np.ndarray
    device: np.ndarray


def calibrate(
    twin: DeviceTwin, traces: Traces, *, n_draws: int = 199, generator: torch.Generator, check_range: bool = True
) -> Calibration:
    """Compare n_draws free runs of every input with its measured repeats; the traces must be held out from the fit.

    The draws start from the measured histories of the input's own repeats, in turn. The first scored sample, which is
    the start itself, does not count. Raises TracesMismatch, TracesInvalid, OutsideFittedRange.
    """
    twin.spec.check_traces(traces)
    if n_draws < 20:
        raise TracesInvalid(f"n_draws must be at least 20 for a 90 % interval, not {n_draws}")
    pairs = [
        _pair(twin, traces.select(traces.inputs == input_id), n_draws, generator, check_range)
        for input_id in np.unique(traces.inputs)
    ]
    rng = np.random.default_rng(int(torch.randint(2**31, (1,), generator=generator)))
    coverages = [_trial_coverages(pair) for pair in pairs]
    lag_twin, lag_device = _lags(pairs)
    energy, relative = _energies(pairs)
    energy_floor = _floor(lambda some: _energies(some)[0], pairs, 0.0, rng)
    relative_floor = _floor(lambda some: _energies(some)[1], pairs, 0.0, rng)
    return Calibration(
        coverage_90=float(np.concatenate(coverages).mean()),
        coverage_90_floor=_coverage_floor(coverages, rng),
        coverage_90_worst_input=min(float(shares.mean()) for shares in coverages),
        std_ratio=_std_ratio(pairs),
        std_ratio_floor=_floor(_std_ratio, pairs, 1.0, rng),
        lag1_autocorrelation_twin=lag_twin,
        lag1_autocorrelation_device=lag_device,
        lag1_autocorrelation_floor=_floor(lambda some: _lags(some)[0] - _lags(some)[1], pairs, 0.0, rng),
        energy_distance=energy,
        energy_distance_floor=energy_floor,
        energy_relative=relative,
        energy_relative_floor=relative_floor,
        n_inputs=len(pairs),
        n_trials=traces.n_trials,
        n_draws=n_draws,
    )


def _pair(twin: DeviceTwin, repeats: Traces, n_draws: int, generator: torch.Generator, check_range: bool) -> _Pair:
    start = start_sample(twin.spec, repeats)
    measured = histories_of(twin.spec, repeats)
    turn = torch.arange(n_draws) % repeats.n_trials
    drive = torch.tensor(repeats.drive[:, start:])[turn].to(twin.linear_weight)
    with torch.no_grad():
        draws = twin.respond(
            drive,
            history=Histories(measured.response[turn], measured.drive[turn]),
            generator=generator,
            conditions=repeats.conditions,
            check_range=check_range,
        )
    return _Pair(draws[:, 1:].double().numpy(), repeats.response[:, start + 1 :])


def _trial_coverages(pair: _Pair) -> np.ndarray:
    """Share of each repeat's values inside the twin's interval, (repeat,)."""
    lower, upper = interval(pair.twin, _LEVEL)
    shares: np.ndarray = ((pair.device >= lower) & (pair.device <= upper)).mean((1, 2))
    return shares


def _coverage_floor(coverages: list[np.ndarray], rng: np.random.Generator) -> float | None:
    shares = np.concatenate(coverages)
    if len(shares) < 2:
        return None
    orders = (rng.permutation(shares) for _ in range(_N_SPLITS))
    half = len(shares) // 2
    return float(np.sqrt(np.mean([(0.5 * (order[:half].mean() - order[half:].mean())) ** 2 for order in orders])))


def _std_ratio(pairs: list[_Pair]) -> float:
    of_twin, of_device = [], []
    for pair in _repeated(pairs):
        of_twin.append(pair.twin.var(axis=0, ddof=1).mean(0))
        if len(pair.device) > 1:
            of_device.append(pair.device.var(axis=0, ddof=1).mean(0))
        else:
            correction = 1.0 + 1.0 / len(pair.twin)  # the mean of the draws is itself uncertain
            of_device.append(((pair.device[0] - pair.twin.mean(0)) ** 2).mean(0) / correction)
    ratios = np.sqrt(np.mean(of_twin, axis=0) / np.mean(of_device, axis=0))  # a channel each
    return float(np.mean(ratios))


def _lags(pairs: list[_Pair]) -> tuple[float, float]:
    deviations: tuple[list[np.ndarray], list[np.ndarray]] = ([], [])
    for pair in _repeated(pairs):
        mean = pair.twin.mean(0)
        deviations[0].append(pair.twin - mean)
        deviations[1].append(pair.device - (pair.device.mean(0) if len(pair.device) > 1 else mean))
    of_twin, of_device = (lag1_autocorrelation(np.concatenate(parts)) for parts in deviations)
    return of_twin, of_device


def _energies(pairs: list[_Pair]) -> tuple[float | None, float | None]:
    values = [
        energy_distance(pair.twin.reshape(len(pair.twin), -1), pair.device.reshape(len(pair.device), -1))
        for pair in pairs
        if len(pair.device) > 1
    ]
    if not values:
        return None, None
    distance, between = np.mean(values, axis=0)
    return float(distance), float(distance / between) if between > 0 else None


def _repeated(pairs: list[_Pair]) -> list[_Pair]:
    """The inputs with repeats, or all where none has."""
    return [pair for pair in pairs if len(pair.device) > 1] or pairs


def _floor(
    figure: Callable[[list[_Pair]], float | None], pairs: list[_Pair], ideal: float, rng: np.random.Generator
) -> float | None:
    repeated = [pair.device for pair in pairs if len(pair.device) >= 4]
    if repeated:
        deviations = [figure([_halves(device, rng) for device in repeated]) for _ in range(_N_SPLITS)]
        known = [deviation - ideal for deviation in deviations if deviation is not None]
        return float(np.sqrt(np.mean(np.square(known)))) if known else None
    if len(pairs) < 2:
        return None
    differences = []
    for _ in range(_N_SPLITS):
        order = rng.permutation(len(pairs))
        halves = (order[: len(pairs) // 2], order[len(pairs) // 2 :])
        first, second = (figure([pairs[i] for i in half]) for half in halves)
        if first is not None and second is not None:
            differences.append(0.5 * (first - second))
    return float(np.sqrt(np.mean(np.square(differences)))) if differences else None


def _halves(device: np.ndarray, rng: np.random.Generator) -> _Pair:
    order = rng.permutation(len(device))
    return _Pair(device[order[: len(order) // 2]], device[order[len(order) // 2 :]])
