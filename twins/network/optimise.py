"""Optimise a physical network for a task: backpropagation through time, with fresh process noise in every pass.

Each iteration draws new examples and new noise, solves the read-out exactly without gradient, and backpropagates the
task's loss with the read-out held fixed (variable projection, see readout.py). Now and then the network is judged on
fixed examples in fixed noise draws; the best parameters are kept. The final read-out is fitted on many noise draws.
Drives stay inside their ranges by the wiring's own squash, at every iteration.
"""

from __future__ import annotations

import math
import time
from collections.abc import Generator
from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import Tensor

from twins.fitting.adam import FlatAdam
from twins.network.judging import FixedJudge, NoisePass, PenaltyTried, torch_generator, with_readout_of_draws
from twins.network.network import PhysicalNetwork
from twins.network.readout import Readout, fit_readout
from twins.network.scores import Score, readout_kind
from twins.network.tasks import Metric, Task, TaskData, TaskError
from twins.network.wiring import Wiring


@dataclass(frozen=True, slots=True)
class OptimiserSettings:
    """How to optimise.

    n_iterations, n_trials, n_steps: passes, and the examples of each. learning_rate: of Adam; falls to 0 as a cosine.
    clip: largest gradient norm. regularisation: of the read-out while training. validate_every: iterations between
    validations. n_validation_trials, n_validation_draws: fixed examples (twice as many: one half fits the read-out)
    and noise draws. n_readout_trials, n_readout_draws: examples and noise draws of the final read-out.
    budget_seconds: the cosine is at its end by then, even if fewer iterations fit in; None: no limit.
    """

    n_iterations: int = 200
    n_trials: int = 64
    n_steps: int = 40
    learning_rate: float = 0.03
    clip: float = 1.0
    regularisation: float = 1e-3
    validate_every: int = 20
    n_validation_trials: int = 64
    n_validation_draws: int = 2
    n_readout_trials: int = 64
    n_readout_draws: int = 8
    budget_seconds: float | None = None

    def __post_init__(self) -> None:
        bad = {
            one.name: getattr(self, one.name)
            for one in fields(self)
            if not (getattr(self, one.name) is None or getattr(self, one.name) > 0)
        }
        if bad:
            raise TaskError(f"optimiser settings must be greater than 0, not {bad}")


@dataclass(frozen=True, slots=True)
class Iteration:
    """One optimisation step. loss: mean squared error over the targets' variance, or cross-entropy; seconds since the
    start."""

    iteration: int
    n_iterations: int
    loss: float
    learning_rate: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Validation:
    """The network was judged. best: it is the best so far, and kept."""

    iteration: int
    score: float
    accuracy: float | None
    best: bool
    seconds: float


OptimiseEvent = Iteration | Validation | NoisePass | PenaltyTried


@dataclass(frozen=True, slots=True)
class OptimiseResult:
    """wiring: the best found, with its read-out. initial: where it began, with a read-out fitted in the same way."""

    wiring: Wiring
    initial: Wiring
    validation: Score
    initial_validation: Score
    n_iterations: int
    seconds: float


def optimise(
    network: PhysicalNetwork, task: Task, *, seed: int, settings: OptimiserSettings | None = None
) -> Generator[OptimiseEvent, None, OptimiseResult]:
    """Optimise `network` in place for `task`: a generator of events that returns the result.

    At the end the network holds its best parameters. A pass whose gradient is not finite moves nothing.
    """
    use = OptimiserSettings() if settings is None else settings
    examples, noise, judging = np.random.SeedSequence(seed).spawn(3)
    rng, generator = np.random.default_rng(examples), torch_generator(noise)
    keeper = _Keeper(network, task, use, judging)
    descent = _Descent(network, task.metric, use, generator)
    initial_state = _state(network)
    initial_score = yield from keeper.validate(0)
    iteration = 0
    while keeper.progress(iteration) < 1.0:
        rate = use.learning_rate * 0.5 * (1 + math.cos(math.pi * keeper.progress(iteration)))
        loss = descent.step(task.sample(use.n_trials, use.n_steps, rng), rate)
        iteration += 1
        yield Iteration(iteration, use.n_iterations, loss, rate, keeper.seconds)
        if iteration % use.validate_every == 0 or keeper.progress(iteration) >= 1.0:
            yield from keeper.validate(iteration)
    data = task.sample(use.n_readout_trials, use.n_steps, rng)
    wirings = []
    for state in (initial_state, keeper.best_state):
        network.load_state_dict(state)
        wirings.append(
            (yield from with_readout_of_draws(network, task.metric, data, generator, n_draws=use.n_readout_draws))
        )
    return OptimiseResult(wirings[1], wirings[0], keeper.best, initial_score, iteration, keeper.seconds)


def frozen_readout_loss(rows: Tensor, targets: np.ndarray, readout: Readout) -> Tensor:
    """Loss of features (row, feature) with the read-out held fixed: its gradient is that of the minimal penalised
    loss.

    Regression: mean squared error over the variance of the targets. Classification: cross-entropy in nats. The read-
    out's penalty does not depend on the features and is left out.
    """
    weights, bias, wanted = (
        torch.as_tensor(array, dtype=rows.dtype, device=rows.device)
        for array in (readout.weights, readout.bias, targets)
    )
    outputs = rows @ weights.T + bias
    if readout.kind == "linear":
        return ((outputs - wanted).square().mean(dim=0) / wanted.var(dim=0, correction=0)).mean()
    return -(wanted * torch.log_softmax(outputs, dim=-1)).sum(dim=-1).mean()


class _Descent:
    """One step: forward with noise, the exact read-out, backward with it frozen, Adam."""

    def __init__(
        self, network: PhysicalNetwork, metric: Metric, use: OptimiserSettings, generator: torch.Generator
    ) -> None:
        self._network, self._metric, self._use, self._generator = network, metric, use, generator
        used = [parameter for parameter in network.parameters() if parameter.numel()]  # a first layer has no coupling
        self._adam = FlatAdam(used, largest_gradient=use.clip)
        self._readout: Readout | None = None

    def step(self, data: TaskData, learning_rate: float) -> float:
        """The training loss of this pass."""
        features = self._network(self._network.as_inputs(data.inputs), self._generator)
        rows = features[torch.tensor(data.scored, device=features.device)]
        targets = data.targets[data.scored]
        self._readout = fit_readout(
            readout_kind(self._metric),
            rows.detach().double().cpu().numpy(),
            targets,
            regularisation=self._use.regularisation,
            start=self._readout,
        )
        loss = frozen_readout_loss(rows, targets, self._readout)
        self._adam.step(loss, learning_rate)
        return float(loss.detach())


class _Keeper:
    """Validates the network now and then, keeps the best, and knows how far the run has come."""

    def __init__(
        self, network: PhysicalNetwork, task: Task, use: OptimiserSettings, seed: np.random.SeedSequence
    ) -> None:
        self._network, self._use = network, use
        self._begin = time.monotonic()
        self._judge = FixedJudge(task, use.n_validation_trials, use.n_steps, n_draws=use.n_validation_draws, seed=seed)
        self.best = Score(task.metric, math.inf)
        self.best_state = _state(network)

    @property
    def seconds(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._begin

    def progress(self, iteration: int) -> float:
        """0 at the start, 1 at the end: by iterations, or by the budget where that is used up sooner."""
        done = iteration / self._use.n_iterations
        return done if self._use.budget_seconds is None else max(done, self.seconds / self._use.budget_seconds)

    def validate(self, iteration: int) -> Generator[OptimiseEvent, None, Score]:
        """Judge the network as it is."""
        result, _ = yield from self._judge.judge(self._network, regularisation=self._use.regularisation)
        better = result.value < self.best.value
        if better:
            self.best, self.best_state = result, _state(self._network)
        yield Validation(iteration, result.value, result.accuracy, better, self.seconds)
        return result


def _state(network: PhysicalNetwork) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in network.state_dict().items()}
