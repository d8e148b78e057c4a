"""Optimise a network of twins for a task, and search the reservoir it is compared with."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from labctl.campaign import Campaign, Step
from labctl.campaigns.drive_ranges import DeviceRanges, allowed_ranges, planned_ports, starting_conditions
from labctl.campaigns.plans import TaskPlan
from labctl.campaigns.streams import number_of
from labctl.campaigns.told import of_passes, of_search, of_training, told
from labctl.events import Reported
from twins.network.judged import Promise
from twins.network.optimise_settings import OptimiseResult, OptimiserSettings
from twins.network.ports import DevicePort
from twins.network.tasks import TaskData
from twins.network.wiring import Wiring

if TYPE_CHECKING:
    from twins.ensemble import AnyTwin
    from twins.network.network import PhysicalNetwork, StackMaker
    from twins.network.reservoir import ReservoirResult

__all__ = [
    "OptimisedNetwork",
    "allowed_ranges",
    "best_reservoir",
    "optimise_network",
    "promising",
]

N_PROMISE_DRAWS = 24


@dataclass(frozen=True, slots=True)
class OptimisedNetwork:
    """What the twins say: the optimised wiring with its read-out and what it promises on the held-out examples.

    initial: where the optimiser began. reservoir: the best random network of its search. learning_curve: training loss of
    each iteration of the start that was kept. linear_same_taps, linear_20_taps: scores of linear models of the input
    alone. examples_seed: of the examples that all scores are about. seed: of the optimisation.
    """

    plan: TaskPlan
    wiring: Wiring
    initial: Wiring
    reservoir: Wiring
    promise: Promise
    learning_curve: tuple[float, ...]
    linear_same_taps: float
    linear_20_taps: float
    examples_seed: int
    seed: int


def optimise_network(
    twins: Mapping[str, AnyTwin] | Mapping[str, Path],
    plan: TaskPlan,
    *,
    ranges: Mapping[str, DeviceRanges],
    widest_ranges: Mapping[str, DeviceRanges] | None = None,
    conditions: Mapping[str, float] | None = None,
    seed: int,
    examples_seed: int,
    state: Path | None = None,
) -> Campaign[OptimisedNetwork]:
    """Optimise the plan's network on the twins (or the files that hold them), search its reservoir, and promise a score
    on the held-out examples.

    twins: also ensembles, of which every pass takes a member at random. ranges: where the network may drive each device,
    with the levels that the plan gives its outputs. widest_ranges: where the reservoir may too, if it does better there.
    conditions: set-points by channel, for twins that were fitted at several values of them; of those that the plan
    trains, where training begins (the middle if not given). state: a file where the optimiser keeps how far it is (its
    starts beside it), and from which it goes on if it is there. Loads torch, which importing this module does not: where
    a bench is, the work is done elsewhere.
    """
    from twins.ensemble_file import load_any_twin
    from twins.network.judging import torch_generator

    loaded = {name: load_any_twin(twin) if isinstance(twin, Path) else twin for name, twin in twins.items()}
    held = starting_conditions(plan, conditions or {})
    key = f"optimise/{plan.task.name}"
    streams = np.random.SeedSequence(seed).spawn(5)
    rng = np.random.default_rng(streams[0])
    training, heldout = plan.examples(seed=examples_seed)
    generator = torch_generator(streams[1])

    def ports_over(over: Mapping[str, DeviceRanges], under: Mapping[str, float]) -> tuple[DevicePort, ...]:
        return planned_ports(loaded, over, plan, conditions=under, rng=rng, generator=generator)

    ports = ports_over(ranges, held)
    step = Step(key, f"Optimise {plan.task.name}, {plan.n_nodes} nodes")
    yield step.started()

    run = optimise_random_networks(
        plan, ports, loaded, held, seed=number_of(streams[2]), settings=plan.settings, state=state
    )
    result = yield from told(run, of_training(key, plan.settings.budget_seconds))
    yield step.finished(f"{plan.task.metric} {result.initial_validation.value:.3f} -> {result.validation.value:.3f}")

    choices = [(ports, held)]
    if widest_ranges is not None and dict(widest_ranges) != dict(ranges):
        choices.append((ports_over(widest_ranges, held), held))
    if plan.trained_conditions:  # the reservoir is not left at worse set-points than those that training found
        found = dict(result.wiring.conditions)
        choices.append((ports_over(ranges, found), found))
    reservoir = yield from best_reservoir(plan, choices, loaded, seed=number_of(streams[3]), key=f"{key}/reservoir")
    noise = torch_generator(streams[4])
    promised = yield from promising(result.wiring, loaded, plan, heldout, generator=noise, key=f"{key}/promise")
    outcome = OptimisedNetwork(
        plan=plan,
        wiring=result.wiring,
        initial=result.initial,
        reservoir=reservoir,
        promise=promised,
        learning_curve=result.losses,
        **linear_rivals(plan, training, heldout),
        examples_seed=examples_seed,
        seed=seed,
    )
    yield Reported(
        key, {"promised": promised.mean, "promised_std": promised.std, "validation": result.validation.value}
    )
    return outcome


def optimise_random_networks(
    plan: TaskPlan,
    ports: Sequence[DevicePort],
    twins: Mapping[str, AnyTwin],
    conditions: Mapping[str, float],
    *,
    seed: int,
    settings: OptimiserSettings,
    state: Path | None = None,
) -> Generator[Any, None, OptimiseResult]:
    """The optimiser on as many random networks of the plan as it says, its events not told yet; conditions: held, and
    where those begin that the plan trains."""
    from twins.network.initialise import random_wiring
    from twins.network.multi_start import optimise_from_many
    from twins.network.network import PhysicalNetwork

    def random_network(draw: np.random.Generator) -> PhysicalNetwork:
        wiring = random_wiring(plan.architecture, ports, draw, scales=plan.scales, conditions=dict(conditions))
        return PhysicalNetwork(wiring, twins, conditions=plan.trained_conditions)

    return optimise_from_many(
        random_network,
        plan.task,
        seed=seed,
        settings=settings,
        n_drawn=plan.n_starts,
        n_started=plan.n_trained_starts,
        state=state,
    )


def linear_rivals(plan: TaskPlan, training: TaskData, heldout: TaskData) -> dict[str, float]:
    """Held-out scores of linear models of the input alone: on the taps that the network reaches, and on 20."""
    from twins.network.baselines import linear_on_taps

    taps = {"linear_same_taps": plan.reachable_taps, "linear_20_taps": range(20)}
    return {name: linear_on_taps(plan.task.metric, training, heldout, taps=one).value for name, one in taps.items()}


def best_reservoir(
    plan: TaskPlan,
    choices: Sequence[tuple[Sequence[DevicePort], Mapping[str, float]]],
    twins: Mapping[str, AnyTwin],
    *,
    seed: int,
    key: str,
) -> Campaign[Wiring]:
    """The best random network of the plan's search, over every choice of drive ranges and conditions: only its read-out is
    ever fitted to the task. All are judged on the same examples."""
    from twins.network.network import stack_under
    from twins.network.reservoir import search_reservoir

    step = Step(key, f"Search the reservoir for {plan.task.name}")
    yield step.started()
    found: list[tuple[ReservoirResult, Mapping[str, float]]] = []
    for ports, conditions in choices:
        search = search_reservoir(
            plan.architecture,
            ports,
            twins,
            plan.task,
            seed=seed,
            n_steps=plan.settings.n_steps,
            n_draws=plan.n_reservoir_draws,
            n_trials=plan.n_reservoir_trials,
            stack=stack_under(conditions),
        )
        one = yield from told(search, of_search(key))
        found.append((one, conditions))
    best, conditions = min(found, key=lambda one: one[0].validation.value)
    yield step.finished(f"best of {plan.n_reservoir_draws * len(choices)}: {best.validation.value:.3f}")
    return replace(best.wiring, conditions=dict(conditions))


def promising(
    wiring: Wiring,
    twins: Mapping[str, AnyTwin],
    plan: TaskPlan,
    heldout: Any,
    *,
    generator: Any,
    key: str,
    stack: StackMaker | None = None,
) -> Campaign[Promise]:
    """The score that the twins promise on the held-out examples, over noise draws."""
    from twins.network.judging import promise

    step = Step(key, f"Promise for {plan.task.name}")
    yield step.started()
    passes = promise(
        wiring, twins, plan.task.metric, heldout, generator=generator, n_draws=N_PROMISE_DRAWS, stack=stack
    )
    promised: Promise = yield from told(passes, of_passes(key))
    yield step.finished(
        f"{plan.task.metric} {promised.mean:.4f} ± {promised.std:.4f} over {N_PROMISE_DRAWS} noise draws"
    )
    return promised
