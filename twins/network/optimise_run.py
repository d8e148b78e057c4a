"""One optimisation that can be paused, written to a file, and gone on with: `optimise` and the multi-start drive it."""

from __future__ import annotations

import math
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from torch import Tensor

from twins.network.descent import Descent
from twins.network.judging import FixedJudge, torch_generator, with_readout_of_draws
from twins.network.network import PhysicalNetwork
from twins.network.optimise_settings import (
    Iteration,
    OptimiseEvent,
    OptimiseResult,
    OptimiserSettings,
    Resumed,
    Validation,
)
from twins.network.optimise_state import OptimiseStateError, RunIdentity, RunState, load_state, save_state
from twins.network.readout import ReadoutUnsolvableError
from twins.network.scores import NetworkDivergedError, Score
from twins.network.tasks import Task

_SAME_SCORE = 1e-3  # relative: more than another machine's rounding changes, less than any other twin does


class OptimiseRun:
    """begin, then advance as often as wanted, then finish: three generators of events.

    state: a file; every validation writes there all that is needed to go on, and `begin` goes on from a file that
    exists. Seconds count while the run advances, not while it is paused. judge: of the validations; by default one on
    fresh examples of the task.
    """

    def __init__(
        self,
        network: PhysicalNetwork,
        task: Task,
        *,
        seed: int,
        settings: OptimiserSettings,
        state: Path | None = None,
        judge: FixedJudge | None = None,
    ) -> None:
        self._network, self._task, self._use, self._file = network, task, settings, state
        examples, noise, judging = np.random.SeedSequence(seed).spawn(3)
        self._rng, self._generator = np.random.default_rng(examples), torch_generator(noise)
        self._judge = judge or FixedJudge(
            task, settings.n_validation_trials, settings.n_steps, n_draws=settings.n_validation_draws, seed=judging
        )
        self._descent = Descent(network, task.metric, settings, self._generator)
        self._identity = RunIdentity.of(task, seed=seed, settings=settings, conditions=network.conditions.ranges)
        self._initial = self._best = _parameters(network)
        self._seconds_before = 0.0
        self._since: float | None = None  # None: paused
        self._losses: list[float] = []
        self.validations: list[tuple[int, Score]] = []

    @property
    def iteration(self) -> int:
        """Iterations behind it."""
        return len(self._losses)

    @property
    def skipped(self) -> int:
        """Iterations that moved nothing, for they were not finite."""
        return self.iteration - self._descent.adam.n_steps

    @property
    def best(self) -> Score:
        """The best validation so far."""
        return min((score for _, score in self.validations), key=lambda score: score.value)

    @property
    def seconds(self) -> float:
        """Seconds of work so far, those before a resumption too."""
        return self._seconds_before + (0.0 if self._since is None else time.monotonic() - self._since)

    @property
    def progress(self) -> float:
        """0 at the start, 1 at the end: by iterations, or by the budget where that is used up sooner."""
        done = self.iteration / self._use.n_iterations
        return done if self._use.budget_seconds is None else max(done, self.seconds / self._use.budget_seconds)

    def begin(self) -> Generator[OptimiseEvent, None, None]:
        """Judge the start, or go on from the state file. Raises OptimiseStateError for a file of another run."""
        with self._at_work():
            if self._file is None or not self._file.exists():
                yield from self._validate()
                return
            found = load_state(self._file, self._identity, self._network)
            yield from self._check_same_start(found)
            self._restore(found)
            yield Resumed(self.iteration, self._use.n_iterations, self.seconds)

    def advance(self, until: float = 1.0) -> Generator[OptimiseEvent, None, None]:
        """Iterate until the progress is `until` (0..1), and validate there; nothing if it is there already."""
        use = self._use
        with self._at_work():
            while (progress := self.progress) < until:
                rate = use.learning_rate * 0.5 * (1 + math.cos(math.pi * progress))
                loss = self._descent.step(self._task.sample(use.n_trials, use.n_steps, self._rng), rate)
                self._losses.append(loss)
                yield Iteration(self.iteration, use.n_iterations, loss, rate, self.seconds, self.skipped)
                if self.iteration % use.validate_every == 0 or self.progress >= until:
                    yield from self._validate()

    def finish(self) -> Generator[OptimiseEvent, None, OptimiseResult]:
        """Fit the final read-outs, of the start and of the best; the network holds the best afterwards.

        Raises NetworkDivergedError if no validation was finite, ReadoutUnsolvableError if the best one's features now are not.
        """
        use = self._use
        if not math.isfinite(self.best.value):
            raise NetworkDivergedError(
                f"none of {len(self.validations)} validations was finite, and {self.skipped} of {self.iteration} passes were "
                "of no use: the twins diverge; begin from smaller scales or drive narrower ranges"
            )
        with self._at_work():
            data = self._task.sample(use.n_readout_trials, use.n_steps, self._rng)
            wirings = []
            for parameters in (self._initial, self._best):
                self._network.load_state_dict(parameters)
                try:
                    wiring = yield from with_readout_of_draws(
                        self._network,
                        self._task.metric,
                        data,
                        self._generator,
                        n_draws=use.n_readout_draws,
                        regularisation=use.readout_regularisation,
                    )
                except ReadoutUnsolvableError:
                    if parameters is self._best:
                        raise
                    wiring = self._network.wiring()  # where it began is no result
                wirings.append(wiring)
            first = self.validations[0][1]
            return OptimiseResult(
                wirings[1],
                wirings[0],
                self.best,
                first,
                self.iteration,
                self.seconds,
                tuple(self._losses),
                self.skipped,
            )

    def _validate(self) -> Generator[OptimiseEvent, None, None]:
        score, _ = yield from self._judge.judge(self._network, regularisation=self._use.regularisation)
        better = not self.validations or score.value < self.best.value
        if better:
            self._best = _parameters(self._network)
        self.validations.append((self.iteration, score))
        if self._file is not None:
            save_state(self._file, self._identity, self._state())
        yield Validation(self.iteration, score.value, score.accuracy, better, self.seconds)

    def _check_same_start(self, found: RunState) -> Generator[OptimiseEvent, None, None]:
        """What no list of settings tells: the same start on the same twins and examples scores the same."""
        self._network.load_state_dict(found.initial)
        score, _ = yield from self._judge.judge(self._network, regularisation=self._use.regularisation)
        then = found.validations[0][1].value
        if not math.isclose(score.value, then, rel_tol=_SAME_SCORE):
            raise OptimiseStateError(
                f"{self._file}: is of another run: its start scored {then:.6g} then and scores {score.value:.6g} now, so "
                "the twins, the task's examples or the ports differ; give those of that run, or remove the file"
            )

    def _state(self) -> RunState:
        return RunState(
            parameters=_parameters(self._network),
            best=self._best,
            initial=self._initial,
            adam=self._descent.adam.memory(),
            readout=self._descent.readout,
            noise=self._generator.get_state(),
            examples=self._rng.bit_generator.state,
            losses=tuple(self._losses),
            validations=tuple(self.validations),
            seconds=self.seconds,
        )

    def _restore(self, found: RunState) -> None:
        self._network.load_state_dict(found.parameters)
        self._best, self._initial = found.best, found.initial
        self._descent.adam.remember(found.adam)
        self._descent.readout = found.readout
        useful = [number for number, loss in enumerate(found.losses, start=1) if math.isfinite(loss)]
        self._descent.skipped_in_a_row = len(found.losses) - max(useful, default=0)
        self._generator.set_state(found.noise)
        self._rng.bit_generator.state = found.examples
        self._losses, self.validations = list(found.losses), list(found.validations)
        self._seconds_before += found.seconds

    @contextmanager
    def _at_work(self) -> Iterator[None]:
        self._since = time.monotonic()
        try:
            yield
        finally:
            self._seconds_before += time.monotonic() - self._since
            self._since = None


def _parameters(network: PhysicalNetwork) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in network.state_dict().items()}
