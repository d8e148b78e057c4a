"""Judge networks on fixed examples and fixed noise draws, and predict what a wiring will score."""

from __future__ import annotations

import math
import time
from collections.abc import Generator, Mapping
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray

from twins.network.judged import NoisePass, PenaltyTried, Promise
from twins.network.network import PhysicalNetwork, StackMaker
from twins.network.ports import WiringError
from twins.network.readout import Readout, ReadoutUnsolvableError, fit_readout, readout_choice
from twins.network.scores import Score, readout_kind, score
from twins.network.tasks import Metric, Task, TaskData
from twins.network.wiring import Wiring

__all__ = [
    "FixedJudge",
    "NoisePass",
    "PenaltyTried",
    "Promise",
    "features_of_draws",
    "promise",
    "rows_of_draws",
    "torch_generator",
    "with_readout_of_draws",
]

Array = NDArray[np.float64]


def promise(
    wiring: Wiring,
    twins: Mapping[str, Any],
    metric: Metric,
    data: TaskData,
    *,
    generator: torch.Generator,
    n_draws: int = 20,
    stack: StackMaker | None = None,
) -> Generator[NoisePass, None, Promise]:
    """Play the wiring on the twins with its own read-out, n_draws times with fresh noise on the same examples.

    Of an ensemble every draw takes a member at random for every device: the spread of the scores then holds what the
    data have left open about the devices (epistemic) besides their noise, as it does in a validation.
    """
    if wiring.readout is None:
        raise WiringError("the wiring has no read-out: nothing can be promised; fit one first")
    if n_draws < 2:
        raise WiringError(f"a promise needs at least 2 noise draws, not {n_draws}")
    network = PhysicalNetwork(wiring, twins, stack=stack)
    features = yield from features_of_draws(network, data, generator, n_draws)
    outputs = [wiring.readout.apply(one) for one in features]
    return Promise(tuple(score(metric, one, data) for one in outputs), outputs[0])


def features_of_draws(
    network: PhysicalNetwork, data: TaskData, generator: torch.Generator, n_draws: int
) -> Generator[NoisePass, None, Array]:
    """Features (draw, trial, step, feature), float64, of n_draws noise draws on the same inputs; an event after each."""
    begin = time.monotonic()
    inputs = network.as_inputs(data.inputs)
    draws = []
    for draw in range(n_draws):
        with torch.no_grad():
            draws.append(network(inputs, generator).double().cpu().numpy())
        yield NoisePass(draw + 1, n_draws, time.monotonic() - begin)
    return np.stack(draws)


class FixedJudge:
    """Two fixed sets of examples: a read-out is fitted on the first and scored on the second, with fixed noise draws.

    The same judge gives the same network the same score, and compares networks on equal terms: of ensembles it takes the
    same members in the same draws.
    """

    def __init__(self, task: Task, n_trials: int, n_steps: int, *, n_draws: int, seed: np.random.SeedSequence) -> None:
        examples, noise = seed.spawn(2)
        rng = np.random.default_rng(examples)
        fit_part, score_part = (task.sample(n_trials, n_steps, rng) for _ in range(2))
        self._keep(task.metric, fit_part, score_part, n_draws, noise)

    @classmethod
    def of_examples(
        cls, metric: Metric, fit_part: TaskData, score_part: TaskData, *, n_draws: int, seed: np.random.SeedSequence
    ) -> Self:
        """One that judges on these examples, of equally many steps: a read-out is fitted on the first."""
        judge = cls.__new__(cls)
        judge._keep(metric, fit_part, score_part, n_draws, seed)
        return judge

    def _keep(
        self, metric: Metric, fit_part: TaskData, score_part: TaskData, n_draws: int, noise: np.random.SeedSequence
    ) -> None:
        self._metric, self._n_draws, self._noise_seed = metric, n_draws, noise
        self._fit_part, self._score_part = fit_part, score_part
        self._both = _joined(fit_part, score_part)

    def judge(
        self, network: PhysicalNetwork, *, regularisation: float = 1e-3
    ) -> Generator[NoisePass, None, tuple[Score, Readout | None]]:
        """Score of the network, and the read-out that was fitted for it; infinite, and None, if its features at scored
        steps are not finite or too large for a read-out."""
        generator = torch_generator(self._noise_seed)
        features = yield from features_of_draws(network, self._both, generator, self._n_draws)
        split = len(self._fit_part.inputs)
        rows, targets = rows_of_draws(features[:, :split], self._fit_part)
        repeated = _repeated(self._score_part, self._n_draws)
        worst = Score(self._metric, math.inf, None if self._metric == "nrmse" else 0.0)
        if not np.isfinite(features[:, split:].reshape(*repeated.scored.shape, -1)[repeated.scored]).all():
            return worst, None
        try:
            readout = fit_readout(readout_kind(self._metric), rows, targets, regularisation=regularisation)
        except ReadoutUnsolvableError:
            return worst, None
        outputs = readout.apply(features[:, split:]).reshape(repeated.targets.shape)
        return score(self._metric, outputs, repeated), readout


def with_readout_of_draws(
    network: PhysicalNetwork,
    metric: Metric,
    data: TaskData,
    generator: torch.Generator,
    *,
    n_draws: int,
    regularisation: float | None = None,
) -> Generator[NoisePass | PenaltyTried, None, Wiring]:
    """The network's wiring with a read-out fitted on many noise draws, with this penalty.

    regularisation: None: chosen by validation over trials.
    """
    begin = time.monotonic()
    features = yield from features_of_draws(network, data, generator, n_draws)
    rows, targets = rows_of_draws(features, data)
    if regularisation is not None:
        return network.wiring(fit_readout(readout_kind(metric), rows, targets, regularisation=regularisation))
    trial_of_row = np.tile(np.nonzero(data.scored)[0], n_draws)
    choice = readout_choice(readout_kind(metric), rows, targets, trial_of_row)
    while True:
        try:
            yield PenaltyTried(next(choice), time.monotonic() - begin)
        except StopIteration as finished:
            return network.wiring(finished.value)


def rows_of_draws(features: Array, data: TaskData) -> tuple[Array, Array]:
    """Scored rows of features (draw, trial, step, feature) and of the targets, each draw after the other."""
    rows = np.concatenate([draw[data.scored] for draw in features])
    return rows, np.tile(data.targets[data.scored], (len(features), 1))


def torch_generator(seed: np.random.SeedSequence) -> torch.Generator:
    """A torch generator from a numpy seed sequence."""
    return torch.Generator().manual_seed(int(seed.generate_state(1, np.uint64)[0] >> 1))


def _joined(first: TaskData, second: TaskData) -> TaskData:
    return TaskData(
        np.concatenate([first.inputs, second.inputs]),
        np.concatenate([first.targets, second.targets]),
        np.concatenate([first.scored, second.scored]),
    )


def _repeated(data: TaskData, n: int) -> TaskData:
    return TaskData(np.tile(data.inputs, (n, 1, 1)), np.tile(data.targets, (n, 1, 1)), np.tile(data.scored, (n, 1)))
