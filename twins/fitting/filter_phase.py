"""Phase "filter": marginal likelihood of windows under a Kalman filter, where measurement noise hides the state."""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator, Sequence
from itertools import product

import numpy as np
import torch
from torch import Tensor

from twins.device.prepare import step_rows
from twins.device.spec import DeviceTwinSpec
from twins.device.twin import DeviceTwin
from twins.fitting.course import Course, PhaseOptions, descend
from twins.fitting.events import Epoch
from twins.objectives.filter import Recordings, filter_nll
from twins.traces import Traces

_RATE = 0.5  # of the learning rate
_RATE_OF_FEW = 4.0  # of that: numbers that are few and far from their end, where Adam's step is all that limits them
_MOST_WINDOWS, _FEWEST_WINDOWS, _N_SCORED = 64, 4, 32
_LARGE_STATE = 16  # numbers from which on a batch has fewer windows: a window's cost grows faster than they do
_BATCHES_PER_EPOCH, _DEFAULT_EPOCHS = 5, 100
_SEARCHED_VALUES, _FEWEST_SEARCHED = 8192, 8  # values, and windows, that tell how to share out the noise
_SEARCH_SHARE = 0.25  # of the phase's time
_BETWEEN_EVENTS_S = 0.25
_MEASURED_SHARES = (0.02, 0.1, 0.25, 0.5, 0.8)  # of the one-step residual's variance, tried for measurement noise
_PROCESS_SHARES = (0.02, 0.1, 0.25, 0.5, 0.9)
_SHARED = 0.9  # what both shares come to, about


def filter_phase(course: Course, traces: Sequence[Traces], options: PhaseOptions) -> Generator[Epoch, None, None]:
    """Train nets, auxiliaries and the observation head together, from random windows.

    Before, the residual of the one-step likelihood is shared out between process and measurement by a search. The
    gradient is that of the filter's own likelihood: expectation maximisation over sampled states cannot train noises
    that response and auxiliaries share, whose joint law has no density.
    """
    twin, rng = course.twin, np.random.default_rng([options.seed, 2])
    recordings = Recordings.of(twin, traces)
    burn_in = twin.spec.warm_up
    n_samples, n_windows = twin.spec.response_delays + 1 + burn_in + _N_SCORED, windows_in_batch(twin.spec)

    def losses() -> Iterator[Tensor]:
        for _ in range(_BATCHES_PER_EPOCH):
            yield filter_nll(twin, *recordings.windows(n_windows, n_samples, rng), burn_in=burn_in)

    if twin.spec.observation:
        n_searched = max(_FEWEST_SEARCHED, -(-_SEARCHED_VALUES // (_N_SCORED * twin.spec.n_response)))
        windows = recordings.windows(n_searched, n_samples, rng)
        yield from _search(course, windows, start_patterns(twin, traces), until_s=options.until_s)
    nets = list(twin.nets.parameters())
    few = [twin.auxiliary_coupling, twin.auxiliary_rate, twin.observation_log_std, twin.observation_patterns]
    yield from descend(
        course,
        losses,
        "filter",
        parameters=[*nets, *few],
        rates=[1.0] * len(nets) + [_RATE_OF_FEW] * len(few),
        learning_rate=_RATE * options.learning_rate,
        n_epochs=_DEFAULT_EPOCHS if options.max_epochs is None else options.max_epochs,
        until_s=options.until_s,
    )


def windows_in_batch(spec: DeviceTwinSpec) -> int:
    """Fewer where the filter's state is large; each then has many channels to learn from."""
    n_state = spec.n_state_inputs + spec.auxiliaries + spec.n_response * spec.trial_drift
    share = math.pow(min(1.0, _LARGE_STATE / n_state), 1.5)
    return max(_FEWEST_WINDOWS, round(_MOST_WINDOWS * share))


def _search(
    course: Course, windows: tuple[Tensor, Tensor], patterns: Tensor, *, until_s: float | None
) -> Generator[Epoch, None, None]:
    """Share the noise out, within a share of the phase's time; an event now and then, at which a fit can be stopped."""
    began_s = told_s = course.seconds
    search = share_noise(course.twin, windows, patterns, burn_in=course.twin.spec.warm_up)
    for lowest in search:
        if until_s is not None and course.seconds - began_s > _SEARCH_SHARE * (until_s - began_s):
            search.close()  # the likeliest so far is put in place
            return
        if course.seconds - told_s > _BETWEEN_EVENTS_S:
            told_s = course.seconds
            yield Epoch("filter", course.epoch, lowest, course.latest, told_s, False, 0.0)


@torch.no_grad()
def start_patterns(twin: DeviceTwin, traces: Sequence[Traces]) -> Tensor:
    """Strongest shared patterns of the one-step residual, (response, observation column), its variance being 1.

    At zero they would have no gradient.
    """
    n, k = twin.spec.n_response, twin.spec.observation_columns
    if not k:
        return twin.observation_patterns.detach()
    rows, increments = (torch.cat(parts) for parts in zip(*(step_rows(twin, t) for t in traces), strict=True))
    residual = increments - twin.step_law(rows).increment
    correlation = torch.corrcoef(residual.T.double()).reshape(n, n).nan_to_num(0.0)
    variance, directions = torch.linalg.eigh(correlation)
    patterns = directions[:, -k:] * variance[-k:].clamp_min(0.0).sqrt()
    started: Tensor = patterns.to(twin.linear_weight)
    return started


def share_noise(
    twin: DeviceTwin, windows: tuple[Tensor, Tensor], patterns: Tensor, *, burn_in: int
) -> Generator[float, None, None]:
    """Share the one-step residual out between process and measurement noise, as is likeliest over these windows.

    Yields the lowest negative log likelihood so far after each that was tried, shares that make up most of the residual
    first. At the end, or when closed before, the twin has the likeliest of them; one that does better as it is, having
    been through this phase before, stays so.
    """
    parameters: dict[str, Tensor] = {name: value.detach() for name, value in twin.named_parameters()}
    before = {name: value.clone() for name, value in parameters.items()}
    best = before
    process_shares = _PROCESS_SHARES if twin.spec.noisy else (1.0,)
    pairs = sorted(product(_MEASURED_SHARES, process_shares), key=lambda pair: abs(sum(pair) - _SHARED))
    try:
        lowest = _nll(twin, windows, burn_in)
        yield lowest
        for measured, process in pairs:
            with torch.no_grad():
                _apply_shares(twin, patterns, measured, process)
            nll = _nll(twin, windows, burn_in)
            if nll < lowest:
                lowest, best = nll, {name: value.clone() for name, value in parameters.items()}
            _assign(parameters, before)
            yield lowest
    finally:
        _assign(parameters, best)


@torch.no_grad()
def _nll(twin: DeviceTwin, windows: tuple[Tensor, Tensor], burn_in: int) -> float:
    return float(filter_nll(twin, *windows, burn_in=burn_in))


def _assign(parameters: dict[str, Tensor], values: dict[str, Tensor]) -> None:
    for name, value in values.items():
        parameters[name].copy_(value)


def _apply_shares(twin: DeviceTwin, patterns: Tensor, measured: float, process: float) -> None:
    """Measurement noise of this share of the residual's variance; all process noise times the other's root."""
    own = (1.0 - patterns.square().sum(1)).clamp_min(0.05).sqrt()
    twin.observation_log_std.copy_((twin.increment_scale * own * measured**0.5).log())
    twin.observation_patterns.copy_(patterns * (twin.increment_scale * measured**0.5).unsqueeze(1))
    if not twin.spec.noisy:
        return
    spec, factor = twin.spec, process**0.5
    n, n_own = spec.n_response, (spec.n_response + spec.auxiliaries) * spec.noise_diagonal
    weight, bias = twin.nets.weights[-1][-1], twin.nets.biases[-1][-1, 0]
    alone, shared = slice(0, n * spec.noise_diagonal), slice(n_own, n_own + n * spec.noise_columns)
    level = torch.nn.functional.softplus(bias[alone])
    lower = torch.log(torch.expm1((factor * level).clamp_min(1e-6)))
    weight[:, alone] *= factor * torch.sigmoid(bias[alone]) / torch.sigmoid(lower)
    bias[alone] = lower
    weight[:, shared] *= factor
    bias[shared] *= factor
