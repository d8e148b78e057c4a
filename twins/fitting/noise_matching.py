"""The level of a twin's noise set so that its free runs spread as much as they err."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from twins.device.twin import DeviceTwin
from twins.fitting.course import Course
from twins.fitting.rollouts import Rollouts, free_run, jacobian, rollouts
from twins.traces import Traces

_WINDOW_STEPS, _MOST_WINDOWS = 256, 128
_ENOUGH_SAMPLES = 8000  # in all windows: a level is then known to a few per cent
_ROUNDS = 3  # channels feel each other's noise: the levels are set again
_MOST_WORK = 2e8  # products of the covariance's steps: with 40 inputs of state about a second
_MOST_UNEVEN = 10.0  # mean over median of the spreads' squares: beyond, a few runs that drift apart make up the mean
_SMALLEST_PART = 1e-3  # of the error's spread, that is left to either noise
_LARGEST_CHANGE = 30.0  # of a level in one round


def windows_to_match(course: Course, traces: Sequence[Traces], *, rng: np.random.Generator) -> Rollouts:
    """Free runs to match noise on: of held-out inputs where these suffice, since fitted errors are too small."""
    sets = [course.held_out, traces] if course.held_out else [traces]
    for chosen in sets:
        windows = rollouts(course.twin, chosen, n_steps=_WINDOW_STEPS, n_windows=_MOST_WINDOWS, rng=rng)
        if windows.n_windows * windows.n_steps >= _ENOUGH_SAMPLES:
            break
    return windows


def match_noise(twin: DeviceTwin, windows: Rollouts) -> bool:
    """Scale the process noise of each channel, and set its measurement noise if the twin has any. In place.

    What the free runs (their second half) and single steps miss, in the mean square, is what noise has to explain. The
    spread of free runs follows from that of a step through the drift's slopes along the run (Gaussian, linearised).
    Measurement noise counts once in a free run and several times in a step, which tells the two apart. Levels alone
    are set: how the noise depends on the state stays.

    Returns False, with nothing changed, where there is no noise to scale; or auxiliaries, whose share only a filter can
    tell; or where free runs drift apart (a double well, chaos), so that linearised spreads say nothing.
    """
    if not twin.spec.noisy or twin.spec.auxiliaries:
        return False
    with torch.no_grad():
        for _ in range(_ROUNDS):
            levels = _levels(copy.deepcopy(twin).double(), windows)
            if levels is None:
                return False
            factor, measurement = levels
            factor = torch.where(twin.noise_mask.double() > 0, factor, torch.ones_like(factor))
            _scale_noise(twin, factor, windows)
            if twin.spec.observation:
                twin.observation_log_std.copy_(measurement.log())
            if float((factor - 1.0).abs().max()) < 0.01:
                break
    return True


def _levels(twin: DeviceTwin, windows: Rollouts) -> tuple[Tensor, Tensor] | None:
    """(response,) each: factor of the process noise, standard deviation of the measurement noise; None: see match_noise."""
    spec = twin.spec
    n, size = spec.n_response, spec.n_state_inputs
    affordable = max(4, int(_MOST_WORK / (windows.n_steps * size**3)))
    windows = windows.part(slice(affordable))
    half = windows.n_steps // 2
    rows = free_run(twin, windows.start, windows.u)
    run = (rows[1:, :, :n] - windows.observed)[half:]
    inside = torch.isfinite(run).all(-1).all(0)
    slopes, noise = _steps(twin, rows[:-1])
    spread = _variances(slopes, noise)[half:]
    usual = spread.flatten(0, 1).median(0).values
    if not bool((spread.mean((0, 1)) <= _MOST_UNEVEN * usual).all()) or not bool(inside.any()):
        return None
    step_error, step_slopes, step_noise = _single_steps(twin, windows)
    return _solve(
        (run[:, inside].square().mean((0, 1)), spread[:, inside].mean((0, 1))),
        (step_error.square().mean((0, 1)), step_noise.mean((0, 1)), 1.0 + step_slopes.square().sum(-1).mean((0, 1))),
        observation=spec.observation,
    )


def _steps(twin: DeviceTwin, rows: Tensor) -> tuple[Tensor, Tensor]:
    """Slopes (step, window, response, state) and noise covariances (step, window, response, response) of rows."""
    n, flat = twin.spec.n_response, rows.flatten(0, 1)
    law = twin.step_law(flat)
    noise = flat.new_zeros(len(flat), n, n)
    if law.spread is not None:
        noise = noise + torch.diag_embed(law.spread[:, :n].square())
    if law.columns is not None:
        noise = noise + law.columns[:, :n] @ law.columns[:, :n].mT
    slopes = jacobian(twin, flat)
    return slopes.reshape(*rows.shape[:2], n, -1), noise.reshape(*rows.shape[:2], n, n)


def _variances(slopes: Tensor, noise: Tensor) -> Float[Tensor, "step window response"]:
    """Variances of a free run that starts sharp."""
    n_windows, n, size = slopes.shape[1:]
    covariance = slopes.new_zeros(n_windows, size, size)
    shift = torch.eye(size, dtype=slopes.dtype)[: size - n].expand(n_windows, -1, -1)
    variances = []
    for slope, own in zip(slopes, noise, strict=True):
        transition = torch.cat((slope, shift), dim=1)
        covariance = transition @ covariance @ transition.mT
        covariance[:, :n, :n] += own
        variances.append(covariance.diagonal(dim1=1, dim2=2)[:, :n])
    return torch.stack(variances)


def _single_steps(twin: DeviceTwin, windows: Rollouts) -> tuple[Tensor, Tensor, Tensor]:
    """Errors of single steps from measured states, slopes and noise variances there, (step, window, …)."""
    n, delays = twin.spec.n_response, twin.spec.response_delays
    longer = torch.cat((windows.start.flip(1).movedim(1, 0), windows.observed))
    steps = windows.n_steps
    seen = [longer[delays - d : delays - d + steps] for d in range(delays + 1)]
    rows = torch.cat((*seen, windows.u), dim=-1)
    slopes, noise = _steps(twin, rows)
    increment = twin.step_law(rows.flatten(0, 1)).increment.reshape(steps, windows.n_windows, n)
    error = windows.observed - seen[0] - increment
    return error, slopes, noise.diagonal(dim1=2, dim2=3)


def _solve(
    run: tuple[Tensor, Tensor], step: tuple[Tensor, Tensor, Tensor], *, observation: bool
) -> tuple[Tensor, Tensor]:
    """error² = c² · spread² + r² of runs and error² = c² · noise² + gain · r² of steps, for c and r not negative."""
    run_error, run_spread = run
    step_error, step_noise, gain = step
    least = _SMALLEST_PART**2
    alone = run_error / run_spread.clamp_min(1e-30)
    r2 = torch.zeros_like(run_error)
    if observation:
        determinant = run_spread * gain - step_noise
        r2 = (step_error * run_spread - run_error * step_noise) / determinant.clamp_min(1e-30)
        r2 = torch.minimum(r2.clamp_min(0.0), (1.0 - least) * run_error).clamp_min(least * run_error)
    c2 = ((run_error - r2) / run_spread.clamp_min(1e-30)).clamp_min(least * alone)
    factor = c2.sqrt().clamp(1.0 / _LARGEST_CHANGE, _LARGEST_CHANGE).nan_to_num(1.0)
    return factor, r2.sqrt().clamp_min(math.sqrt(torch.finfo(torch.float32).tiny))


def _scale_noise(twin: DeviceTwin, factor: Tensor, windows: Rollouts) -> None:
    """Multiply the spread of every channel: exact where it is constant and for columns, else by least squares.

    The diffusion net's last layer is the only one that changes.
    """
    spec, like = twin.spec, twin.linear_weight
    n, factor = spec.n_response, factor.to(like)
    delays = spec.response_delays
    rows = torch.cat((windows.start.flatten(1), windows.u[0]), dim=1).to(like)
    if windows.n_steps > delays + 1:
        middle = windows.observed[windows.n_steps // 2 - delays - 1 : windows.n_steps // 2].flip(0)
        later = torch.cat((middle.movedim(0, 1).flatten(1), windows.u[windows.n_steps // 2]), dim=1).to(like)
        rows = torch.cat((rows, later))
    layer = twin.nets.last_layers(rows @ twin.features)[1]
    if spec.noise_diagonal:
        raw = layer.hidden @ layer.weight[:, :n] + layer.bias[:n]
        wanted = _raw_spread((torch.nn.functional.softplus(raw) + spec.noise_floor) * factor, spec.noise_floor)
        design = torch.cat((layer.hidden, torch.ones_like(layer.hidden[:, :1])), dim=1).double()
        gram = design.T @ design + 1e-6 * len(design) * torch.eye(design.shape[1], dtype=torch.float64)
        change = torch.linalg.solve(gram, design.T @ (wanted - raw).double()).to(like)
        layer.weight[:, :n] += change[:-1]
        layer.bias[:n] += change[-1]
    if spec.noise_columns:
        first = n * spec.noise_diagonal
        span = slice(first, first + n * spec.noise_columns)
        each = factor.repeat_interleave(spec.noise_columns)
        layer.weight[:, span] *= each
        layer.bias[span] *= each


def _raw_spread(spread: Tensor, floor: float) -> Tensor:
    """The net's output that gives this spread."""
    above = (spread - floor).clamp_min(1e-6)
    return above + torch.log(-torch.expm1(-above))
