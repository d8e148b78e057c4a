"""Optimise a physical network for a task: backpropagation through time, with fresh process noise in every pass.

Each iteration draws new examples and new noise, solves the read-out exactly without gradient, and backpropagates the task's loss with
the read-out held fixed (variable projection, see readout.py). Now and then the network is judged on fixed validation examples in
several noise draws; the best parameters are kept. The final read-out is fitted on many noise draws of fixed training examples.
Drives stay inside their ranges by the wiring's own squash, at every iteration.
"""

from __future__ import annotations

import math
import time
from collections.abc import Generator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from twins.network.network import PhysicalNetwork
from twins.network.readout import Readout, fit_readout, fit_readout_by_validation
from twins.network.scores import Score, readout_kind, score
from twins.network.tasks import Metric, Task, TaskData, TaskError
from twins.network.wiring import Wiring


@dataclass(frozen=True, slots=True)
class OptimiserSettings:
    """How to optimise.

    n_iterations, n_trials, n_steps: passes, and examples of each. learning_rate: of Adam, falls to 0 as a cosine. clip: largest
    gradient norm. regularisation: of the read-out while training. validate_every: iterations. n_validation_trials,
    n_validation_steps, n_validation_draws: the fixed validation examples and noise draws (an equal number of other examples fits
    the read-out there). n_readout_trials, n_readout_draws: training examples and noise draws of the final read-out.
    budget_seconds: the cosine reaches its end by then, even if fewer iterations fit in.
    """

    n_iterations: int = 200
    n_trials: int = 64
    n_steps: int = 40
    learning_rate: float = 0.03
    clip: float = 1.0
    regularisation: float = 1e-3
    validate_every: int = 20
    n_validation_trials: int = 32
    n_validation_steps: int | None = None
    n_validation_draws: int = 3
    n_readout_trials: int = 64
    n_readout_draws: int = 8
    budget_seconds: float | None = None

    def __post_init__(self) -> None:
        counts = {
            name: getattr(self, name) for name in self.__slots__ if name.startswith("n_") or name == "validate_every"
        }
        bad = {name: value for name, value in counts.items() if value is not None and value < 1}
        if bad:
            raise TaskError(f"optimiser settings must be >= 1: {bad}")
        if not (self.learning_rate > 0 and self.clip > 0 and self.regularisation > 0):
            raise TaskError("learning_rate, clip and regularisation must be > 0")


@dataclass(frozen=True, slots=True)
class Iteration:
    """One optimisation step: training loss (mean squared error over target variance, or cross-entropy), seconds since the start."""

    iteration: int
    n_iterations: int
    loss: float
    learning_rate: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Validation:
    """The network judged on the validation examples, in all their noise draws."""

    iteration: int
    score: float
    accuracy: float | None
    best: bool
    seconds: float


@dataclass(frozen=True, slots=True)
class ReadoutPass:
    """One noise draw more was recorded on the twins for the final read-out, or for a validation."""

    draw: int
    n_draws: int
    seconds: float


OptimiseEvent = Iteration | Validation | ReadoutPass


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
    network: PhysicalNetwork,
    task: Task,
    *,
    seed: int,
    settings: OptimiserSettings | None = None,
) -> Generator[OptimiseEvent, None, OptimiseResult]:
    """Optimise `network` in place for `task`; it ends with its best parameters. A generator of events that returns the result."""
    use = OptimiserSettings() if settings is None else settings
    clock = _Clock(use)
    examples, noise_seed, validation_seed = np.random.SeedSequence(seed).spawn(3)
    rng, generator = np.random.default_rng(examples), _torch_generator(noise_seed)
    judge = _Judge(task, use, np.random.default_rng(validation_seed), clock)
    optimiser = torch.optim.Adam(network.parameters(), lr=use.learning_rate)
    initial_state = _state(network)
    initial_score = yield from judge.judge(network, 0)
    readout: Readout | None = None
    iteration = 0
    while iteration < use.n_iterations and clock.progress(iteration) < 1.0:
        rate = use.learning_rate * 0.5 * (1 + math.cos(math.pi * clock.progress(iteration)))
        for group in optimiser.param_groups:
            group["lr"] = rate
        data = task.sample(use.n_trials, use.n_steps, rng)
        loss, readout = _step(network, task.metric, data, use, generator, readout, optimiser)
        iteration += 1
        yield Iteration(iteration, use.n_iterations, loss, rate, clock.seconds)
        last = iteration == use.n_iterations or clock.progress(iteration) >= 1.0
        if iteration % use.validate_every == 0 or last:
            yield from judge.judge(network, iteration)
    best_state = judge.best_state if judge.best_state is not None else initial_state
    data = task.sample(use.n_readout_trials, _validation_steps(use), rng)
    network.load_state_dict(initial_state)
    initial = yield from _with_final_readout(network, task.metric, data, use, generator, clock)
    network.load_state_dict(best_state)
    wiring = yield from _with_final_readout(network, task.metric, data, use, generator, clock)
    return OptimiseResult(wiring, initial, judge.best, initial_score, iteration, clock.seconds)


def features_of_draws(
    network: PhysicalNetwork, data: TaskData, generator: torch.Generator, n_draws: int
) -> Generator[ReadoutPass, None, np.ndarray]:
    """Features (draw, trial, step, feature), float64, of n_draws noise draws on the same inputs; an event after each draw."""
    begin = time.monotonic()
    inputs = _as_inputs(network, data)
    draws = []
    for draw in range(n_draws):
        with torch.no_grad():
            draws.append(network(inputs, generator).double().cpu().numpy())
        yield ReadoutPass(draw + 1, n_draws, time.monotonic() - begin)
    return np.stack(draws)


def _step(
    network: PhysicalNetwork,
    metric: Metric,
    data: TaskData,
    use: OptimiserSettings,
    generator: torch.Generator,
    previous: Readout | None,
    optimiser: torch.optim.Optimizer,
) -> tuple[float, Readout]:
    """One pass forward with noise, the exact read-out, one pass backward with it frozen, one step of Adam."""
    optimiser.zero_grad(set_to_none=True)
    features = network(_as_inputs(network, data), generator)
    rows = features[torch.as_tensor(data.scored, device=features.device)]
    targets = data.targets[data.scored]
    readout = fit_readout(
        readout_kind(metric),
        rows.detach().double().cpu().numpy(),
        targets,
        regularisation=use.regularisation,
        start=previous,
    )
    loss = frozen_readout_loss(rows, targets, readout)
    loss.backward()  # type: ignore[no-untyped-call]
    torch.nn.utils.clip_grad_norm_(network.parameters(), use.clip, error_if_nonfinite=True)
    optimiser.step()
    return float(loss.detach()), readout


def frozen_readout_loss(rows: Tensor, targets: np.ndarray, readout: Readout) -> Tensor:
    """The task's loss of features (row, feature) with the read-out held fixed: its gradient is that of the minimal loss.

    Regression: mean squared error over the variance of the targets. Classification: cross-entropy in nats. The read-out's
    penalty does not depend on the features and is left out.
    """
    weights = torch.as_tensor(readout.weights, dtype=rows.dtype, device=rows.device)
    bias = torch.as_tensor(readout.bias, dtype=rows.dtype, device=rows.device)
    wanted = torch.as_tensor(targets, dtype=rows.dtype, device=rows.device)
    outputs = rows @ weights.T + bias
    if readout.kind == "linear":
        return ((outputs - wanted).square().mean(dim=0) / wanted.var(dim=0, correction=0)).mean()
    return -(wanted * torch.log_softmax(outputs, dim=-1)).sum(dim=-1).mean()


class _Judge:
    """Fixed examples on which networks are compared; keeps the best parameters."""

    def __init__(self, task: Task, use: OptimiserSettings, rng: np.random.Generator, clock: _Clock) -> None:
        self.metric = task.metric
        self.use = use
        self.clock = clock
        self.fit_part = task.sample(use.n_validation_trials, _validation_steps(use), rng)
        self.score_part = task.sample(use.n_validation_trials, _validation_steps(use), rng)
        self.noise_seed = np.random.SeedSequence(int(rng.integers(2**63)))
        self.best_state: dict[str, Tensor] | None = None
        self.best = Score(self.metric, math.inf)

    def judge(self, network: PhysicalNetwork, iteration: int) -> Generator[OptimiseEvent, None, Score]:
        """Fit a read-out on one part, score it on the other, both in several noise draws that are the same every time."""
        generator = _torch_generator(self.noise_seed)
        both = _joined(self.fit_part, self.score_part)
        features = yield from features_of_draws(network, both, generator, self.use.n_validation_draws)
        split = len(self.fit_part.inputs)
        readout = fit_readout(
            readout_kind(self.metric),
            *rows_of_draws(features[:, :split], self.fit_part),
            regularisation=self.use.regularisation,
        )
        n_draws = len(features)
        repeated = _repeated(self.score_part, n_draws)
        outputs = readout.apply(features[:, split:]).reshape(repeated.targets.shape)
        result = score(self.metric, outputs, repeated)
        better = result.value < self.best.value
        if better:
            self.best, self.best_state = result, _state(network)
        yield Validation(iteration, result.value, result.accuracy, better, self.clock.seconds)
        return result


def rows_of_draws(features: np.ndarray, data: TaskData) -> tuple[np.ndarray, np.ndarray]:
    """Scored rows of features (draw, trial, step, feature) and of the targets, each draw after the other."""
    rows = np.concatenate([draw[data.scored] for draw in features])
    return rows, np.tile(data.targets[data.scored], (len(features), 1))


def _with_final_readout(
    network: PhysicalNetwork,
    metric: Metric,
    data: TaskData,
    use: OptimiserSettings,
    generator: torch.Generator,
    clock: _Clock,
) -> Generator[OptimiseEvent, None, Wiring]:
    """The network's wiring with a read-out fitted on many noise draws, its regularisation by validation over trials."""
    features = yield from features_of_draws(network, data, generator, use.n_readout_draws)
    rows, targets = rows_of_draws(features, data)
    trial_of_row = np.tile(np.nonzero(data.scored)[0], len(features))
    readout = fit_readout_by_validation(readout_kind(metric), rows, targets, trial_of_row)
    return network.wiring(readout)


class _Clock:
    def __init__(self, use: OptimiserSettings) -> None:
        self.use = use
        self.begin = time.monotonic()

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.begin

    def progress(self, iteration: int) -> float:
        """0 at the start, 1 at the end: by iterations, or by the budget where that is used up sooner."""
        by_iterations = iteration / self.use.n_iterations
        if self.use.budget_seconds is None:
            return by_iterations
        return max(by_iterations, min(self.seconds / self.use.budget_seconds, 1.0))


def _validation_steps(use: OptimiserSettings) -> int:
    return use.n_steps if use.n_validation_steps is None else use.n_validation_steps


def _as_inputs(network: PhysicalNetwork, data: TaskData) -> Tensor:
    first = next(network.parameters())
    return torch.as_tensor(data.inputs, dtype=first.dtype, device=first.device)


def _torch_generator(seed: np.random.SeedSequence) -> torch.Generator:
    return torch.Generator().manual_seed(int(seed.generate_state(1, np.uint64)[0] >> 1))


def _state(network: PhysicalNetwork) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in network.state_dict().items()}


def _joined(first: TaskData, second: TaskData) -> TaskData:
    return TaskData(
        np.concatenate([first.inputs, second.inputs]),
        np.concatenate([first.targets, second.targets]),
        np.concatenate([first.scored, second.scored]),
    )


def _repeated(data: TaskData, n: int) -> TaskData:
    return TaskData(np.tile(data.inputs, (n, 1, 1)), np.tile(data.targets, (n, 1, 1)), np.tile(data.scored, (n, 1)))
