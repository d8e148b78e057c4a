"""Phase "simulation": squared error of long noiseless free runs, by Levenberg–Marquardt on the drift's linear weights."""

from __future__ import annotations

import copy
import math
from collections.abc import Generator, Sequence

import numpy as np
import torch
from torch import Tensor

from twins.device.twin import DeviceTwin
from twins.fitting.course import Course, PhaseOptions
from twins.fitting.events import Epoch
from twins.fitting.noise_matching import match_noise
from twins.fitting.rollouts import Rollouts, rollouts
from twins.fitting.sensitivities import LinearWeights, NormalEquations, normal_equations, squared_error
from twins.traces import Traces

_STEPS, _MOST_ROWS = 500, 60_000  # of a free run; of all together
_BURN_IN = 0.2  # of a free run: what a start measured through noise spoils
_RIDGE = 1e-6  # as of the backbone's least squares
_DEFAULT_EPOCHS = 12
_ENOUGH = 1e-3  # relative gain of a step, below which it is done
_DAMPINGS = tuple(10.0**exponent for exponent in (-3, -2, -1, 0, 1, 2))


def simulation_phase(course: Course, traces: Sequence[Traces], options: PhaseOptions) -> Generator[Epoch, None, None]:
    """Refine what the drift is linear in (the backbone, and the net's last layer) on free runs of up to 500 samples.

    One-step fits are biased by measurement noise and say little about slow directions; free runs see both. A dozen
    Gauss–Newton steps do what Adam needs thousands for. Then the noise's level is set so that free runs spread as much
    as they err. Raises TracesInvalid where the drift has no such weights, or more than can be told.
    """
    rng = np.random.default_rng([options.seed, 3])
    windows = rollouts(course.twin, traces, n_steps=_STEPS, n_windows=10**6, rng=rng)
    windows = windows.part(
        torch.from_numpy(rng.permutation(windows.n_windows)[: max(8, _MOST_ROWS // windows.n_steps)])
    )
    burn_in = int(_BURN_IN * windows.n_steps)
    n_epochs = _DEFAULT_EPOCHS if options.max_epochs is None else options.max_epochs
    fine = copy.deepcopy(course.twin).double()
    weights, began_s = LinearWeights(fine), course.seconds
    with torch.no_grad():
        equations = normal_equations(weights, windows, burn_in=burn_in)
    for number in range(1, n_epochs + 1):
        with torch.no_grad():
            gain, equations = _improve(weights, equations, windows, burn_in)
        progress = number / n_epochs
        if options.until_s is not None:
            progress = max(progress, (course.seconds - began_s) / max(1e-9, options.until_s - began_s))
        progress = 1.0 if gain < _ENOUGH else min(1.0, progress)
        _hand_over(fine, course.twin)
        match_noise(course.twin, windows)
        course.epoch += 1
        kept = course.judge("simulation")
        loss = equations.error / float(course.twin.increment_scale.square().mean())
        yield Epoch("simulation", course.epoch, loss, course.latest, course.seconds, kept, progress)
        if progress >= 1.0:
            return


def _improve(
    weights: LinearWeights, equations: NormalEquations, windows: Rollouts, burn_in: int
) -> tuple[float, NormalEquations]:
    """One step, damped until it helps: its relative gain (0: none was found) and the equations after it."""
    before, ridge = weights.vector(), _RIDGE * weights.penalised()

    def objective(error: float, vector: Tensor) -> float:
        return error + float((ridge * vector.square()).sum()) / weights.twin.spec.n_response

    now = objective(equations.error, before)
    n = weights.twin.spec.n_response
    gram = equations.gram + torch.diag(ridge / n)
    gradient = equations.gradient - ridge / n * before
    if not math.isfinite(now):
        return 0.0, equations
    for damping in _DAMPINGS:
        damped = gram + torch.diag(damping * gram.diagonal().clamp_min(1e-15))
        after = before + torch.linalg.solve(damped, gradient)
        weights.assign(after)
        then = objective(squared_error(weights, windows, burn_in=burn_in), after)
        if then < now:
            return 1.0 - then / now, normal_equations(weights, windows, burn_in=burn_in)
    weights.assign(before)
    return 0.0, equations


def _hand_over(fine: DeviceTwin, twin: DeviceTwin) -> None:
    with torch.no_grad():
        for name in ("linear_weight", "linear_bias", "higher_weight"):
            getattr(twin, name).copy_(getattr(fine, name))
        # the diffusion's half of it is the same in both: noise is matched afterwards, from the twin's own
        row = torch.zeros(1, twin.spec.n_inputs)
        source = fine.nets.last_layers(row.double())[0]
        target = twin.nets.last_layers(row.to(twin.linear_weight))[0]
        n = twin.spec.n_response
        target.weight[:, :n].copy_(source.weight[:, :n])
