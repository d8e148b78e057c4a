"""Many starts: exactly the iterations asked for, the better half goes on, and a stopped choice is the same choice."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from twins.network import (
    Architecture,
    DelayedParity,
    DevicePort,
    OptimiserSettings,
    PhysicalNetwork,
    TaskError,
    multi_start,
    optimise_run,
    random_wiring,
)
from twins.network.halving import Rung, rungs
from twins.network.multi_start import Halved, StartJudged, optimise_from_many
from twins.network.optimise import Iteration, OptimiseStateError, Validation, optimise

PARITY = DelayedParity(order=2, delay=1)
SHORT = OptimiserSettings(
    n_iterations=24,
    n_trials=12,
    n_steps=6,
    validate_every=5,
    n_validation_trials=12,
    n_readout_draws=1,
    readout_regularisation=1e-3,
)
FEW: dict[str, Any] = {"seed": 1, "settings": SHORT, "n_drawn": 5, "n_started": 3, "share": 0.5}


@pytest.fixture
def make_network(ports: tuple[DevicePort, ...], devices: Any, true_stack: Any) -> Callable[..., PhysicalNetwork]:
    layer = ("leaky", "duffing")

    def make(rng: np.random.Generator) -> PhysicalNetwork:
        wiring = random_wiring(Architecture((layer, layer), 3, (0, 2), 2e-4), ports, rng)
        return PhysicalNetwork(wiring, devices, stack=true_stack)

    return make


@pytest.mark.parametrize(("n_iterations", "n_started", "share"), [(220, 4, 1 / 3), (100, 7, 0.5), (50, 1, 0.9)])
def test_rungs_spend_exactly_what_there_is_and_halve_every_time(
    n_iterations: int, n_started: int, share: float
) -> None:
    ladder = rungs(n_iterations, n_started, share)
    before = 0
    spent = 0
    for rung in ladder:
        spent += rung.n_alive * (rung.until - before)
        before = rung.until
    assert spent == n_iterations
    assert ladder[0].n_alive == n_started
    assert ladder[-1].n_alive == 1
    assert all(2 * after.n_alive - 1 <= rung.n_alive for rung, after in pairwise(ladder))
    assert ladder[-1].until - (ladder[-2].until if len(ladder) > 1 else 0) >= (1 - share) * n_iterations


def test_four_starts_of_the_demo_are_split_as_written_down() -> None:
    assert rungs(220, 4, 1 / 3) == (Rung(4, 9), Rung(2, 27), Rung(1, 175))


def test_numbers_that_do_not_fit_together_are_refused(make_network: Any, drain: Any) -> None:
    with pytest.raises(TaskError, match="too few to choose among 4"):
        rungs(10, 4, 1 / 3)
    with pytest.raises(TaskError, match="share"):
        rungs(100, 4, 1.5)
    with pytest.raises(TaskError, match="n_started <= n_drawn"):
        drain(optimise_from_many(make_network, PARITY, seed=0, n_drawn=2, n_started=3))


def test_the_best_draws_are_trained_and_the_best_of_those_to_the_end(make_network: Any, drain: Any) -> None:
    run = drain(optimise_from_many(make_network, PARITY, **FEW))
    judged = [event for event in run.events if isinstance(event, StartJudged)]
    assert [event.best for event in judged] == list(np.minimum.accumulate([event.score for event in judged]))
    halvings = [event for event in run.events if isinstance(event, Halved)]
    order = np.argsort([event.score for event in judged])
    assert [len(event.kept) for event in halvings] == [2, 1]
    assert set(halvings[0].kept) < set(order[:3]) and set(halvings[1].kept) < set(halvings[0].kept)
    assert list(halvings[0].scores) == sorted(halvings[0].scores)
    counted = [event.iteration for event in run.events if isinstance(event, Iteration)]
    assert counted == list(range(1, 25)), "iterations are counted over all starts"
    assert run.result.n_iterations == 24 > len(run.result.losses)
    scores = [event.score for event in run.events if isinstance(event, Validation)]
    assert run.result.validation.value in scores
    assert run.result.validation.value <= halvings[1].scores[0]
    rates = [event.learning_rate for event in run.events if isinstance(event, Iteration)]
    assert rates[-1] < 0.05 * rates[0]


def test_one_start_is_the_best_draw_trained_as_by_optimise(make_network: Any, drain: Any) -> None:
    run = drain(optimise_from_many(make_network, PARITY, **(FEW | {"n_started": 1})))
    judged = [event.score for event in run.events if isinstance(event, StartJudged)]
    draws, _, training = np.random.SeedSequence(1).spawn(3)
    best = make_network(np.random.default_rng(draws.spawn(5)[int(np.argmin(judged))]))
    seed = int(training.generate_state(1, np.uint64)[0] >> np.uint64(1))
    alone = drain(optimise(best, PARITY, seed=seed, settings=SHORT))
    assert run.result.losses == alone.result.losses
    np.testing.assert_array_equal(run.result.wiring.readout.weights, alone.result.wiring.readout.weights)


def test_a_stopped_choice_goes_on_as_if_it_had_not_been(make_network: Any, drain: Any, tmp_path: Path) -> None:
    whole = drain(optimise_from_many(make_network, PARITY, **FEW))
    state = tmp_path / "many.json"
    n_halved = 0
    while not n_halved:
        run = optimise_from_many(make_network, PARITY, **FEW, state=state)
        n_halved += sum(isinstance(next(run), Halved) for _ in range(30))
        run.close()
    assert n_halved == 1, "a part of the choice is still to come"
    found = drain(optimise_from_many(make_network, PARITY, **FEW, state=state))
    assert found.result.losses == whole.result.losses
    assert found.result.validation == whole.result.validation
    assert found.result.n_iterations == whole.result.n_iterations
    np.testing.assert_array_equal(found.result.wiring.readout.weights, whole.result.wiring.readout.weights)
    last = [[e.iteration for e in run.events if isinstance(e, Iteration)][-1] for run in (found, whole)]
    assert last == [24, 24]


def test_a_choice_of_another_run_or_a_damaged_one_is_refused(make_network: Any, drain: Any, tmp_path: Path) -> None:
    state = tmp_path / "many.json"
    drain(optimise_from_many(make_network, PARITY, **FEW, state=state))
    with pytest.raises(OptimiseStateError, match="n_drawn: 5 then, 6 now"):
        drain(optimise_from_many(make_network, PARITY, **(FEW | {"n_drawn": 6}), state=state))
    text = state.read_text()
    state.write_text(text.replace('"n_rungs_done": 2', '"n_rungs_done": 1'))
    with pytest.raises(OptimiseStateError, match="is damaged"):
        drain(optimise_from_many(make_network, PARITY, **FEW, state=state))
    state.write_text(text[:-20])
    with pytest.raises(OptimiseStateError, match="not a multi-start"):
        drain(optimise_from_many(make_network, PARITY, **FEW, state=state))


def test_without_its_choice_nothing_is_left_of_an_earlier_run(make_network: Any, drain: Any, tmp_path: Path) -> None:
    state = tmp_path / "many.json"
    drain(optimise_from_many(make_network, PARITY, **FEW, state=state))
    assert len(list(tmp_path.iterdir())) == 4, "the choice and its three starts"
    state.unlink()
    other = FEW | {"seed": 2, "n_started": 1}
    drain(optimise_from_many(make_network, PARITY, **other, state=state))
    assert len(list(tmp_path.iterdir())) == 2


def test_a_budget_of_seconds_is_for_all_starts_together(
    make_network: Any, drain: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds = itertools.count()  # one passes whenever somebody looks
    clock = SimpleNamespace(monotonic=lambda: float(next(seconds)))
    for module in (multi_start, optimise_run):
        monkeypatch.setattr(module, "time", clock)
    settings = replace(SHORT, n_iterations=100_000, budget_seconds=200.0, n_readout_draws=1)
    run = drain(optimise_from_many(make_network, PARITY, **(FEW | {"settings": settings})))
    assert sum(isinstance(event, Halved) for event in run.events) == 2
    last = [event for event in run.events if isinstance(event, Iteration)][-1]
    assert 170 < last.seconds < 240
    assert 10 < run.result.n_iterations < 100
    assert last.learning_rate < 0.05 * settings.learning_rate
