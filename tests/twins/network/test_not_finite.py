"""Passes, draws and starts whose features are not finite: skipped, scored infinite and counted, never an end by surprise."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from twins.network import (
    Architecture,
    DelayedParity,
    NetworkDivergedError,
    OptimiserSettings,
    PhysicalNetwork,
    ReadoutError,
    ReadoutUnsolvableError,
    fit_readout,
    random_wiring,
    search_reservoir,
)
from twins.network.judging import FixedJudge
from twins.network.multi_start import StartJudged, optimise_from_many
from twins.network.optimise import Iteration, Validation, optimise
from twins.network.reservoir import ReservoirDraw

PARITY = DelayedParity(order=2, delay=1)
SHORT = OptimiserSettings(
    n_iterations=12,
    n_trials=8,
    n_steps=8,
    validate_every=4,
    n_validation_trials=8,
    n_readout_draws=1,
    n_readout_trials=16,
)


class Failing:
    """A stack whose answers hold one NaN in passes that `fails` names, by a count over all stacks that share it."""

    def __init__(self, inner: Any, fails: Callable[[int], bool], count: list[int]) -> None:
        self.inner, self.fails, self.count = inner, fails, count

    def respond(self, drive: torch.Tensor, *, generator: torch.Generator) -> torch.Tensor:
        response = self.inner.respond(drive, generator=generator)
        self.count[0] += 1
        if not self.fails(self.count[0]):
            return response
        broken = torch.zeros_like(response)
        broken[0, 0, -1] = math.nan
        return response + broken


@pytest.fixture
def begin(ports: Any, devices: Any, true_stack: Any) -> Callable[..., PhysicalNetwork]:
    def make(fails: Callable[[int], bool], seed: int = 0, count: list[int] | None = None) -> PhysicalNetwork:
        wiring = random_wiring(
            Architecture((("leaky", "duffing"),), 3, (0, 2), 2e-4), ports, np.random.default_rng(seed)
        )
        shared = [0] if count is None else count
        return PhysicalNetwork(wiring, devices, stack=lambda twins: Failing(true_stack(twins), fails, shared))

    return make


def iterations(run: Any) -> list[Iteration]:
    return [event for event in run.events if isinstance(event, Iteration)]


def test_a_pass_that_is_not_finite_moves_nothing_and_is_counted(begin: Any, drain: Any, tmp_path: Path) -> None:
    state = tmp_path / "state"
    # two noise draws judge the start; the third iteration is the fifth pass
    run = drain(optimise(begin(lambda n: n == 5), PARITY, seed=1, settings=SHORT, state=state))
    losses = [event.loss for event in iterations(run)]
    assert [number for number, loss in enumerate(losses) if not math.isfinite(loss)] == [2]
    assert math.isnan(losses[2]) and [event.skipped for event in iterations(run)] == [0, 0, *[1] * 10]
    assert run.result.n_skipped == 1 and len(run.result.losses) == 12
    assert drain(optimise(begin(lambda _: False), PARITY, seed=1, settings=SHORT, state=state)).result.n_skipped == 1


def test_a_validation_that_is_not_finite_scores_infinity_and_a_run_goes_on_from_there(
    begin: Any, drain: Any, tmp_path: Path
) -> None:
    state = tmp_path / "state"
    run = optimise(begin(lambda n: n == 2), PARITY, seed=1, settings=SHORT, state=state)
    events = [next(run)]
    while sum(isinstance(event, Iteration) for event in events) < 6:
        events.append(next(run))
    run.close()
    scores = [event.score for event in events if isinstance(event, Validation)]
    assert scores[0] == math.inf and math.isfinite(scores[1])
    again = drain(optimise(begin(lambda n: n == 2), PARITY, seed=1, settings=SHORT, state=state))
    assert again.result.initial_validation.value == math.inf and math.isfinite(again.result.validation.value)
    assert again.result.wiring.readout is not None


def test_a_start_that_never_is_finite_has_no_readout(begin: Any, drain: Any) -> None:
    network = begin(lambda n: n <= 2 or n == 2 + 12 + 3 * 2 + 1)  # the start's judgement, and its final read-out
    result = drain(optimise(network, PARITY, seed=1, settings=SHORT)).result
    assert result.initial.readout is None and result.wiring.readout is not None


@pytest.mark.parametrize(("n_iterations", "message"), [(60, "20 passes in a row"), (12, "none of 4 validations")])
def test_where_nothing_is_finite_the_run_ends_and_says_so(
    begin: Any, drain: Any, n_iterations: int, message: str
) -> None:
    settings = OptimiserSettings(**{**{f: getattr(SHORT, f) for f in SHORT.__slots__}, "n_iterations": n_iterations})
    with pytest.raises(NetworkDivergedError, match=message):
        drain(optimise(begin(lambda _: True), PARITY, seed=1, settings=settings))


def test_a_judge_scores_what_is_not_finite_in_either_part(begin: Any, drain: Any) -> None:
    judge = FixedJudge(PARITY, 4, 8, n_draws=1, seed=np.random.SeedSequence(0))
    for _ in range(2):
        score, readout = drain(judge.judge(begin(lambda _: True))).result
        assert (score.value, score.accuracy, readout) == (math.inf, 0.0, None)


def test_draws_that_diverge_are_the_last_to_be_chosen(begin: Any, drain: Any, tmp_path: Path) -> None:
    count, state = [0], tmp_path / "choice.json"
    options: Any = {"seed": 1, "settings": SHORT, "n_drawn": 4, "n_started": 1, "state": state}

    def make(rng: np.random.Generator) -> PhysicalNetwork:
        network: PhysicalNetwork = begin(lambda n: n in (3, 4), int(rng.integers(100)), count)  # of the second draw
        return network

    run = drain(optimise_from_many(make, PARITY, **options))
    scores = [event.score for event in run.events if isinstance(event, StartJudged)]
    assert [math.isinf(score) for score in scores] == [False, True, False, False]
    assert json.loads(state.read_text())["scores"][1] == math.inf
    assert drain(optimise_from_many(make, PARITY, **options)).result.n_iterations == 12
    with pytest.raises(NetworkDivergedError, match="none of 4 random starts"):
        drain(optimise_from_many(lambda _: begin(lambda _: True), PARITY, **{**options, "state": None}))


def test_a_start_that_diverges_is_left_and_the_others_go_on(begin: Any, drain: Any) -> None:
    made = []

    def make(_: np.random.Generator) -> PhysicalNetwork:
        number = len(made)  # two are drawn, and both made again for training: then the first diverges
        network: PhysicalNetwork = begin(lambda n: number == 2, number)
        made.append(network)
        return network

    settings = OptimiserSettings(**{**{f: getattr(SHORT, f) for f in SHORT.__slots__}, "n_iterations": 90})
    result = drain(
        optimise_from_many(make, PARITY, seed=1, settings=settings, n_drawn=2, n_started=2, share=0.5)
    ).result
    assert math.isfinite(result.validation.value) and result.n_skipped == 0


def test_one_diverging_draw_does_not_end_the_search_of_a_reservoir(
    ports: Any, devices: Any, true_stack: Any, drain: Any
) -> None:
    architecture, count = Architecture((("leaky", "duffing"),), 3, (0, 2), 2e-4), [0]

    def search(fails: Callable[[int], bool]) -> Any:
        def stack(twins: Any) -> Failing:
            return Failing(true_stack(twins), fails, count)

        return drain(
            search_reservoir(
                architecture, ports, devices, PARITY, seed=0, n_steps=8, n_trials=8, n_draws=20, stack=stack
            )
        )

    run = search(lambda n: n == 7)
    scores = [event.score for event in run.events if isinstance(event, ReservoirDraw)]
    assert [number for number, score in enumerate(scores) if math.isinf(score)] == [6]
    assert math.isfinite(run.result.validation.value)
    with pytest.raises(NetworkDivergedError, match="random networks"):
        search(lambda _: True)


@pytest.mark.parametrize("kind", ["linear", "softmax"])
def test_features_without_a_readout_are_told_from_arrays_that_do_not_fit(kind: Any) -> None:
    rng = np.random.default_rng(0)
    features, targets = rng.normal(size=(20, 3)), np.eye(2)[rng.integers(2, size=20)]
    for value in (math.nan, math.inf):
        broken = features.copy()
        broken[4, 1] = value
        with pytest.raises(ReadoutUnsolvableError, match="1 of 20 rows"):
            fit_readout(kind, broken, targets, regularisation=1e-3)
    with pytest.raises(ReadoutError, match="targets contain NaN") as found:
        fit_readout(kind, features, targets * math.nan, regularisation=1e-3)
    assert not isinstance(found.value, ReadoutUnsolvableError)


def test_features_too_large_to_solve_for_are_named() -> None:
    with pytest.raises(ReadoutUnsolvableError, match=r"features reach 1e\+200"):
        fit_readout("linear", np.array([[1e200, -1e200]] * 3 + [[-1e200, 1e200]] * 3), np.eye(6), regularisation=1e-3)
