"""Optimise from many random starts: draw them, judge all, train the best few a little, and the best of those to the end.

From some random wirings descent ends in a poor minimum. Judging a start costs one pass without gradient; training a few
for a share of the iterations tells those that learn from those that do not. The halves that lose are dropped one after
another (halving.py), and all together spend exactly the iterations, or the seconds, of the settings.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from twins.network.halving import Rung, rungs
from twins.network.judging import FixedJudge
from twins.network.multi_start_state import ChoiceSoFar, MultiStartFile, forget_choice
from twins.network.network import PhysicalNetwork
from twins.network.optimise_run import OptimiseRun
from twins.network.optimise_settings import Iteration, OptimiseEvent, OptimiseResult, OptimiserSettings, Validation
from twins.network.scores import NetworkDivergedError
from twins.network.tasks import Task, TaskError

NetworkMaker = Callable[[np.random.Generator], PhysicalNetwork]


@dataclass(frozen=True, slots=True)
class StartJudged:
    """One random start was judged before any training: its score (lower is better) and the best so far."""

    draw: int
    n_drawn: int
    score: float
    best: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Halved:
    """Some starts were dropped. kept: numbers of the others, best first; scores: their best validations."""

    kept: tuple[int, ...]
    scores: tuple[float, ...]
    iteration: int
    seconds: float


MultiStartEvent = OptimiseEvent | StartJudged | Halved


def optimise_from_many(
    make_network: NetworkMaker,
    task: Task,
    *,
    seed: int,
    settings: OptimiserSettings | None = None,
    n_drawn: int = 16,
    n_started: int = 4,
    share: float = 1 / 3,
    state: Path | None = None,
    judge: FixedJudge | None = None,
) -> Generator[MultiStartEvent, None, OptimiseResult]:
    """Optimise the best of many networks for `task`: a generator of events that returns its result.

    make_network: makes a network with random parameters from a generator. n_drawn: how many are judged; n_started: how
    many of them are trained; share: of the iterations, for the choice among these. With n_started = 1 the best draw gets
    all iterations. The learning rate of each start falls as if it were to be the last. Iterations of events, and
    n_iterations of the result, are counted over all starts; losses of the result are those of the one that was left.

    state: a file, with one beside it for every start; as for `optimise`. judge: of the draws and of all validations; by
    default on fresh examples of the task. A draw whose features are not finite scores infinity. Raises TaskError for
    numbers that do not fit together, OptimiseStateError for files of another run, NetworkDivergedError where no draw is finite.
    """
    use = settings or OptimiserSettings()
    if not 1 <= n_started <= n_drawn:
        raise TaskError(f"starts: 1 <= n_started <= n_drawn expected, not {n_started} of {n_drawn}")
    many = _Many(make_network, task, seed, use, n_drawn, rungs(use.n_iterations, n_started, share), state, judge)
    yield from many.judge_draws()
    return (yield from many.train())


class _Many:
    """The starts of one run, and what was decided about them so far."""

    def __init__(
        self,
        make_network: NetworkMaker,
        task: Task,
        seed: int,
        use: OptimiserSettings,
        n_drawn: int,
        ladder: tuple[Rung, ...],
        state: Path | None,
        judge: FixedJudge | None,
    ) -> None:
        self._judge = judge
        draws, self._judging, training = np.random.SeedSequence(seed).spawn(3)
        self._draws = draws.spawn(n_drawn)
        self._training_seed = int(training.generate_state(1, np.uint64)[0] >> np.uint64(1))
        self._make_network, self._task, self._use, self._ladder = make_network, task, use, ladder
        self._file = None if state is None else MultiStartFile.of(
            state, task, seed=seed, settings=use, n_drawn=n_drawn, ladder=ladder
        )  # fmt: skip
        self._choice = ChoiceSoFar() if self._file is None else self._file.load()
        self._runs: dict[int, OptimiseRun] = {}

    def judge_draws(self) -> Generator[MultiStartEvent, None, None]:
        """Score all draws without training, unless the file has the scores already."""
        if self._choice.scores:
            return
        begin = time.monotonic()
        use, scores = self._use, list[float]()
        judge = self._judge or FixedJudge(
            self._task, use.n_validation_trials, use.n_steps, n_draws=use.n_validation_draws, seed=self._judging
        )
        for draw in range(len(self._draws)):
            score, _ = yield from judge.judge(self._network(draw), regularisation=use.regularisation)
            scores.append(score.value)
            yield StartJudged(draw + 1, len(self._draws), score.value, min(scores), time.monotonic() - begin)
        if not math.isfinite(min(scores)):
            raise NetworkDivergedError(
                f"none of {len(scores)} random starts is finite on the twins: draw them with smaller scales or narrower ranges"
            )
        order = sorted(range(len(scores)), key=scores.__getitem__)
        kept = tuple(order[: self._ladder[0].n_alive])
        seconds = time.monotonic() - begin
        if self._file is not None:
            forget_choice(self._file.path)  # starts of an earlier choice, whose own file was removed
        self._decide(ChoiceSoFar(scores=tuple(scores), kept=kept, judging_seconds=seconds, seconds=seconds))

    def train(self) -> Generator[MultiStartEvent, None, OptimiseResult]:
        """Climb the rungs, those that were decided already left out."""
        use = self._settings_of_a_run()
        for start in self._choice.kept:
            self._runs[start] = OptimiseRun(
                self._network(start),
                self._task,
                seed=self._training_seed,
                settings=use,
                state=None if self._file is None else self._file.of_start(start),
                judge=self._judge,
            )
            yield from self._counted(start, self._runs[start].begin())
        for number in range(self._choice.n_rungs_done, len(self._ladder)):
            rung = self._ladder[number]
            for start in self._choice.kept:
                try:
                    yield from self._counted(start, self._runs[start].advance(rung.until / use.n_iterations))
                except NetworkDivergedError:
                    if number + 1 == len(self._ladder):
                        raise
                    # one start that diverges is judged by the best that it was
            if number + 1 < len(self._ladder):
                yield self._halve(self._ladder[number + 1].n_alive)
        (last,) = self._choice.kept
        result = yield from self._runs[last].finish()
        return replace(result, n_iterations=self._n_iterations, seconds=self._seconds)

    def _halve(self, n_kept: int) -> Halved:
        runs, choice = self._runs, self._choice
        order = sorted(runs, key=lambda start: runs[start].best.value)
        kept, dropped = tuple(order[:n_kept]), [runs.pop(start) for start in order[n_kept:]]
        self._decide(
            replace(
                choice,
                kept=kept,
                n_rungs_done=choice.n_rungs_done + 1,
                dropped_iterations=choice.dropped_iterations + sum(run.iteration for run in dropped),
                seconds=choice.seconds + sum(run.seconds for run in dropped),
            )
        )
        return Halved(kept, tuple(runs[start].best.value for start in kept), self._n_iterations, self._seconds)

    def _decide(self, choice: ChoiceSoFar) -> None:
        self._choice = choice
        if self._file is not None:
            self._file.save(choice)

    def _network(self, draw: int) -> PhysicalNetwork:
        return self._make_network(np.random.default_rng(self._draws[draw]))

    def _settings_of_a_run(self) -> OptimiserSettings:
        """A run's own schedule: as many iterations, or as much of the seconds, as the last one left will have."""
        use, own = self._use, self._ladder[-1].until
        if use.budget_seconds is None:
            return replace(use, n_iterations=own)
        left = max(use.budget_seconds - self._choice.judging_seconds, 1e-3)
        return replace(use, n_iterations=own, budget_seconds=left * own / use.n_iterations)

    @property
    def _n_iterations(self) -> int:
        return self._choice.dropped_iterations + sum(run.iteration for run in self._runs.values())

    @property
    def _seconds(self) -> float:
        return self._choice.seconds + sum(run.seconds for run in self._runs.values())

    def _counted(
        self, start: int, events: Generator[OptimiseEvent, None, None]
    ) -> Generator[MultiStartEvent, None, None]:
        """The events of one start with iterations and seconds of all, and its number where it is not the only one."""
        number = start if len(self._ladder) > 1 else None
        for event in events:
            if isinstance(event, Iteration):
                yield replace(
                    event,
                    iteration=self._n_iterations,
                    n_iterations=self._use.n_iterations,
                    seconds=self._seconds,
                    start=number,
                )
            elif isinstance(event, Validation):
                yield replace(event, iteration=self._n_iterations, seconds=self._seconds, start=number)
            else:
                yield event
