"""Optimise a network of twins for a task, and search the reservoir it is compared with."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch

from labctl.campaign import Campaign, Step
from labctl.campaigns.task_plan import TaskPlan
from labctl.errors import CampaignError
from labctl.events import Figures, Progress, Reported
from labctl.station import Station
from twins import DeviceTwin, load_twin
from twins.network.baselines import linear_on_taps
from twins.network.initialise import measured_ports, random_wiring
from twins.network.judging import NoisePass, Promise, promise, torch_generator
from twins.network.multi_start import StartJudged, optimise_from_many
from twins.network.network import PhysicalNetwork, StackMaker, stack_under
from twins.network.optimise import Iteration, OptimiseResult, Validation
from twins.network.ports import DevicePort
from twins.network.reservoir import ReservoirDraw, ReservoirResult, search_reservoir
from twins.network.wiring import Wiring

N_PROMISE_DRAWS = 24
Outcome = TypeVar("Outcome")


@dataclass(frozen=True, slots=True)
class OptimisedNetwork:
    """What the twins say: the optimised wiring with its read-out and what it promises on the held-out examples.

    initial: where the optimiser began. reservoir: the best random network of its search. learning_curve: training loss of
    each iteration of the start that was kept. linear_same_taps, linear_20_taps: scores of linear models of the input
    alone. examples_seed: of the examples that all scores are about.
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


def allowed_ranges(
    twins: Mapping[str, DeviceTwin],
    station: Station | None,
    wanted: Mapping[str, tuple[float, float]] | None = None,
) -> dict[str, tuple[float, float]]:
    """Where a network may drive each device: inside the range its twin was fitted on AND the station's limits, AND
    inside the range `wanted` of it, if there is one. Raises CampaignError where nothing is left."""
    unknown = sorted(set(wanted or {}) - set(twins))
    if unknown:
        raise CampaignError(f"a drive range is given for {', '.join(unknown)}; there are twins of {', '.join(twins)}")
    ranges = {}
    for name, twin in twins.items():
        low, high = (float(edge) for edge in twin.drive_range[0])
        if wanted and name in wanted:
            if not low <= wanted[name][0] < wanted[name][1] <= high:
                raise CampaignError(
                    f"{name}: range {wanted[name][0]:g}..{wanted[name][1]:g} asked for, its twin was fitted over {low:g}..{high:g}"
                )
            low, high = wanted[name]
        if station is not None:
            channel = station.channel(station.device(name).drive[0])
            allowed_low, allowed_high = channel.limits
            if not max(low, allowed_low) < min(high, allowed_high):
                raise CampaignError(
                    f"{name}: the twin was fitted over {low:g}..{high:g} {channel.unit} and the station allows "
                    f"{allowed_low:g}..{allowed_high:g}: nothing is left; record the device within its limits"
                )
            low, high = max(low, allowed_low), min(high, allowed_high)
        ranges[name] = (low, high)
    return ranges


def optimise_network(
    twins: Mapping[str, DeviceTwin] | Mapping[str, Path],
    plan: TaskPlan,
    *,
    ranges: Mapping[str, tuple[float, float]],
    widest_ranges: Mapping[str, tuple[float, float]] | None = None,
    conditions: Mapping[str, float] | None = None,
    seed: int,
    examples_seed: int,
    state: Path | None = None,
) -> Campaign[OptimisedNetwork]:
    """Optimise the plan's network on the twins (or the files that hold them), search its reservoir, and promise a score
    on the held-out examples.

    ranges: where the network may drive each device. widest_ranges: where the reservoir may too, if it does better there.
    conditions: set-points by channel, for twins that were fitted at several values of them. state: a file where the
    optimiser keeps how far it is (its starts beside it), and from which it goes on if it is there.
    """
    loaded = {name: load_twin(twin) if isinstance(twin, Path) else twin for name, twin in twins.items()}
    stack = stack_under(conditions or {})
    key = f"optimise/{plan.task.name}"
    streams = np.random.SeedSequence(seed).spawn(5)
    rng = np.random.default_rng(streams[0])
    training, heldout = plan.examples(seed=examples_seed)
    generator = torch_generator(streams[1])
    ports = _ports(loaded, ranges, plan, rng=rng, generator=generator, stack=stack)
    step = Step(key, f"Optimise {plan.task.name}, {plan.n_nodes} nodes")
    yield step.started()

    def random_network(draw: np.random.Generator) -> PhysicalNetwork:
        return PhysicalNetwork(random_wiring(plan.architecture, ports, draw, scales=plan.scales), loaded, stack=stack)

    run = optimise_from_many(
        random_network,
        plan.task,
        seed=_number(streams[2]),
        settings=plan.settings,
        n_drawn=plan.n_starts,
        n_started=plan.n_trained_starts,
        state=state,
    )
    result = yield from _learning(key, run, plan.settings.budget_seconds)
    yield step.finished(f"{plan.task.metric} {result.initial_validation.value:.3f} -> {result.validation.value:.3f}")

    choices = [ports]
    if widest_ranges is not None and dict(widest_ranges) != dict(ranges):
        choices.append(_ports(loaded, widest_ranges, plan, rng=rng, generator=generator, stack=stack))
    reservoir = yield from _reservoir(
        plan, choices, loaded, seed=_number(streams[3]), key=f"{key}/reservoir", stack=stack
    )
    noise = torch_generator(streams[4])
    promised = yield from promising(
        result.wiring, loaded, plan, heldout, generator=noise, key=f"{key}/promise", stack=stack
    )
    taps = plan.reachable_taps
    outcome = OptimisedNetwork(
        plan=plan,
        wiring=result.wiring,
        initial=result.initial,
        reservoir=reservoir,
        promise=promised,
        learning_curve=result.losses,
        linear_same_taps=linear_on_taps(plan.task.metric, training, heldout, taps=taps).value,
        linear_20_taps=linear_on_taps(plan.task.metric, training, heldout, taps=range(20)).value,
        examples_seed=examples_seed,
    )
    yield Reported(
        key, {"promised": promised.mean, "promised_std": promised.std, "validation": result.validation.value}
    )
    return outcome


def _reservoir(
    plan: TaskPlan,
    choices: Sequence[Sequence[DevicePort]],
    twins: Mapping[str, DeviceTwin],
    *,
    seed: int,
    key: str,
    stack: StackMaker,
) -> Campaign[Wiring]:
    """The best random network of the plan's search, over every choice of drive ranges: only its read-out is ever fitted
    to the task. All are judged on the same examples."""
    step = Step(key, f"Search the reservoir for {plan.task.name}")
    yield step.started()
    found: list[ReservoirResult] = []
    for ports in choices:
        search = search_reservoir(
            plan.architecture,
            ports,
            twins,
            plan.task,
            seed=seed,
            n_steps=plan.settings.n_steps,
            n_draws=plan.n_reservoir_draws,
            n_trials=plan.n_reservoir_trials,
            stack=stack,
        )
        one = yield from _searching(key, search)
        found.append(one)
    best = min(found, key=lambda one: one.validation.value)
    yield step.finished(f"best of {plan.n_reservoir_draws * len(choices)}: {best.validation.value:.3f}")
    return best.wiring


def promising(
    wiring: Wiring,
    twins: Mapping[str, DeviceTwin],
    plan: TaskPlan,
    heldout: Any,
    *,
    generator: Any,
    key: str,
    stack: StackMaker | None = None,
) -> Campaign[Promise]:
    """The score that the twins promise on the held-out examples, over noise draws."""
    step = Step(key, f"Promise for {plan.task.name}")
    yield step.started()
    passes = promise(
        wiring, twins, plan.task.metric, heldout, generator=generator, n_draws=N_PROMISE_DRAWS, stack=stack
    )
    promised: Promise = yield from _passes(key, passes)
    yield step.finished(
        f"{plan.task.metric} {promised.mean:.4f} ± {promised.std:.4f} over {N_PROMISE_DRAWS} noise draws"
    )
    return promised


def _ports(
    twins: Mapping[str, DeviceTwin],
    ranges: Mapping[str, tuple[float, float]],
    plan: TaskPlan,
    *,
    rng: np.random.Generator,
    generator: torch.Generator,
    stack: StackMaker,
) -> tuple[DevicePort, ...]:
    """How each device is driven and its response normalised, over the given drive ranges."""
    ports = [
        DevicePort.from_ranges(
            name,
            [ranges[name]],
            drive_units=list(twin.spec.drive_units),
            response_units=list(twin.spec.response_units),
        )
        for name, twin in twins.items()
    ]
    samples = plan.architecture.samples_per_step
    return measured_ports(ports, twins, samples_per_step=samples, rng=rng, generator=generator, stack=stack)


def drained(run: Generator[Any, None, Outcome]) -> Outcome:
    """The result of a generator whose events nobody wants."""
    while True:
        try:
            next(run)
        except StopIteration as finished:
            outcome: Outcome = finished.value
            return outcome


def _learning(key: str, run: Generator[Any, None, OptimiseResult], budget_s: float | None) -> Campaign[OptimiseResult]:
    n_iterations = 0
    while True:
        try:
            event = next(run)
        except StopIteration as finished:
            result: OptimiseResult = finished.value
            return result
        match event:
            case StartJudged(draw=draw, n_drawn=total, best=best):
                yield Progress(key, draw, total, f"random starts: best {best:.4f}")
            case Iteration(iteration=n_iterations, n_iterations=total, loss=loss, seconds=seconds):
                share = max(n_iterations / total, seconds / budget_s if budget_s else 0.0)
                yield Figures(key, n_iterations, {"loss": loss})
                yield Progress(key, share, 1.0, f"loss {loss:.4f}")
            case Validation(iteration=n_iterations, score=value):
                yield Figures(key, n_iterations, {"validation": value})
            case _:
                yield Figures(key, n_iterations, {})


def _searching(key: str, run: Generator[Any, None, Outcome]) -> Campaign[Outcome]:
    while True:
        try:
            event = next(run)
        except StopIteration as finished:
            outcome: Outcome = finished.value
            return outcome
        if isinstance(event, ReservoirDraw):
            yield Progress(key, event.draw, event.n_draws, f"best {event.best:.3f}")


def _passes(key: str, run: Generator[NoisePass, None, Outcome]) -> Campaign[Outcome]:
    while True:
        try:
            event = next(run)
        except StopIteration as finished:
            outcome: Outcome = finished.value
            return outcome
        yield Progress(key, event.draw, event.n_draws)


def _number(stream: np.random.SeedSequence) -> int:
    return int(stream.generate_state(1, np.uint64)[0] >> np.uint64(1))
