"""Phase "simulation": squared error of noiseless free runs, by Levenberg–Marquardt on the drift's linear weights."""

from __future__ import annotations

import copy
import math
from collections.abc import Generator, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from twins.device.twin import DeviceTwin
from twins.fitting.course import Course, PhaseOptions
from twins.fitting.events import Epoch
from twins.fitting.noise_matching import match_noise, windows_to_match
from twins.fitting.rollouts import Rollouts, rollouts
from twins.fitting.sensitivities import LinearWeights, NormalEquations, gather_equations, squared_error
from twins.traces import Traces

_HORIZONS = (24, 96, 384)  # samples of a free run
_MOST_ROWS = 60_000  # of all free runs together
_MOST_PRODUCTS = 2e10  # of their equations' Gram matrix: beyond, there are fewer rows,
_LEAST_EQUATIONS = 10  # but as many a weight, if the data have them
_BETWEEN_EVENTS_S = 0.5
_BURN_IN = 0.2  # of a free run: what a start measured through noise spoils
_RIDGE = 1e-6  # as of the backbone's least squares
_DEFAULT_EPOCHS = 8  # a horizon
_ENOUGH = 1e-3  # relative gain of a step, below which it is done
_DAMPINGS = tuple(10.0**exponent for exponent in (-3, -2, -1, 0, 1, 2))
_BEYOND_CHANCE = 2.0  # standard errors by which a longer horizon must be better
_TRIED = 3  # steps at a longer horizon, without one that helps, after which it is given up


def simulation_phase(course: Course, traces: Sequence[Traces], options: PhaseOptions) -> Generator[Epoch, None, None]:
    """Refine what the drift is linear in (the backbone, and the net's last layer) on free runs.

    One-step fits are biased by measurement noise and say little about slow directions; free runs see both. A few
    Gauss–Newton steps do what Adam needs thousands for. Short runs tell the weights best where process noise rules,
    long ones where measurement noise does or memory is long: three horizons are tried, and a longer one is kept only
    where the held-out free run improves beyond chance. After each step the noise's level is set so that free runs
    spread as much as they err. Raises TracesInvalid where the drift has no such weights, or more than can be told.
    """
    rng = np.random.default_rng([options.seed, 3])
    longest = min(part.n_samples for part in traces) - 1 - course.twin.spec.n_delays
    horizons = [steps for steps in _HORIZONS if steps <= max(longest, _HORIZONS[0])]
    matched = windows_to_match(course, traces, rng=rng)
    began_s = course.seconds
    for number, n_steps in enumerate(horizons):
        course.restore_kept()
        n_windows = max(8, _n_rows(course.twin) // n_steps)
        windows = rollouts(course.twin, traces, n_steps=n_steps, n_windows=n_windows, rng=rng)
        n_epochs = options.max_epochs or _DEFAULT_EPOCHS
        epochs = _descend(course, windows, matched, n_epochs, longer=number > 0, until_s=options.until_s)
        for epoch in epochs:
            progress = (number + epoch.progress) / len(horizons)
            if options.until_s is not None:
                progress = max(progress, min(1.0, (course.seconds - began_s) / max(1e-9, options.until_s - began_s)))
            yield replace(epoch, progress=progress)
            # what was begun comes to its end, if soon; only then is it judged
            if progress >= 1.0 and epoch.epoch == course.epoch and not math.isnan(epoch.train_loss):
                return


def _n_rows(twin: DeviceTwin) -> int:
    """Of all free runs of a horizon: as many as their equations take about a second for."""
    size, n = LinearWeights(twin).size, twin.spec.n_response
    affordable = int(_MOST_PRODUCTS / (n * size**2))
    return min(_MOST_ROWS, max(affordable, _LEAST_EQUATIONS * size // n))


def _descend(
    course: Course, windows: Rollouts, matched: Rollouts, n_epochs: int, *, longer: bool, until_s: float | None
) -> Generator[Epoch, None, None]:
    """Steps at one horizon until they gain nothing; progress is that of this horizon.

    Where a step takes long there are events within it, whose train_loss is not a number.
    """
    burn_in = int(_BURN_IN * windows.n_steps)
    fine = copy.deepcopy(course.twin).double()
    weights, helps, progress = LinearWeights(fine), not longer, 0.0
    equations = yield from _told(course, gather_equations(weights, windows, burn_in=burn_in), progress, until_s)
    for number in range(1, n_epochs + 1):
        began_s = course.seconds
        with torch.no_grad():
            gain = _improve(weights, equations, windows, burn_in)
        _hand_over(fine, course.twin)
        if course.seconds - began_s > _BETWEEN_EVENTS_S:
            yield Epoch("simulation", course.epoch, math.nan, course.latest, course.seconds, False, progress)
        match_noise(course.twin, matched)
        course.epoch += 1
        # At the first horizon a worse step has no excuse: steps are few, and their loss is not noisy.
        kept = course.judge("simulation", must_improve=longer, chance=_BEYOND_CHANCE if longer else 0.0)
        helps = helps or kept
        done = gain < _ENOUGH or number == n_epochs or (number >= _TRIED and not helps)
        loss = equations.error / float(course.twin.increment_scale.square().mean())
        progress = 1.0 if done else number / n_epochs
        yield Epoch("simulation", course.epoch, loss, course.latest, course.seconds, kept, progress)
        if done:
            return
        equations = yield from _told(course, gather_equations(weights, windows, burn_in=burn_in), progress, until_s)


def _told(
    course: Course, parts: Generator[None, bool | None, NormalEquations], progress: float, until_s: float | None
) -> Generator[Epoch, None, NormalEquations]:
    """What comes of the parts, which are no more than there is time for, with an event now and then."""
    told_s, enough = course.seconds, None
    while True:
        try:
            parts.send(enough)
        except StopIteration as done:
            found: NormalEquations = done.value
            return found
        enough = until_s is not None and course.seconds >= until_s
        if course.seconds - told_s > _BETWEEN_EVENTS_S:
            told_s = course.seconds
            yield Epoch("simulation", course.epoch, math.nan, course.latest, told_s, False, progress)


def _improve(weights: LinearWeights, equations: NormalEquations, windows: Rollouts, burn_in: int) -> float:
    """One step, damped until it helps: its relative gain (0: none was found)."""
    before, ridge = weights.vector(), _RIDGE * weights.penalised()

    def objective(error: float, vector: Tensor) -> float:
        return error + float((ridge * vector.square()).sum()) / weights.twin.spec.n_response

    # of all windows, for the equations may be of some
    now = objective(squared_error(weights, windows, burn_in=burn_in), before)
    n = weights.twin.spec.n_response
    gram = equations.gram + torch.diag(ridge / n)
    gradient = equations.gradient - ridge / n * before
    if not math.isfinite(now):
        return 0.0
    for damping in _DAMPINGS:
        damped = gram + torch.diag(damping * gram.diagonal().clamp_min(1e-15))
        after = before + torch.linalg.solve(damped, gradient)
        weights.assign(after)
        then = objective(squared_error(weights, windows, burn_in=burn_in), after)
        if then < now:
            return 1.0 - then / now
    weights.assign(before)
    return 0.0


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
