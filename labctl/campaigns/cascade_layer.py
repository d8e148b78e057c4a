"""What a cascade does in worker processes: train one layer behind measured ones, and tell what to compare the outcome with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from labctl.campaign import Campaign, Step
from labctl.campaigns.drive_ranges import DeviceRanges, planned_ports
from labctl.campaigns.optimise_network import OptimisedNetwork, best_reservoir, linear_rivals, promising
from labctl.campaigns.plans import TaskPlan
from labctl.campaigns.streams import number_of
from labctl.campaigns.told import drained, of_training, told
from twins.ensemble_file import load_any_twin
from twins.network.cascade import MeasuredExamples, ReadoutOf, first_layers, train_layer, with_first_layers
from twins.network.initialise import random_wiring
from twins.network.judging import torch_generator, with_readout_of_draws
from twins.network.network import PhysicalNetwork
from twins.network.optimise import OptimiserSettings
from twins.network.ports import DevicePort
from twins.network.readout import fit_readout
from twins.network.scores import readout_kind, score
from twins.network.wiring import Wiring, flat_features


@dataclass(frozen=True, slots=True)
class TrainedLayer:
    """wiring: the first layers, the last of them just trained, without read-out. before, promised: scores on the twins on
    the validation examples, of the start and of the best. learning_curve: training loss of every pass."""

    wiring: Wiring
    before: float
    promised: float
    n_passes: int
    seconds: float
    learning_curve: tuple[float, ...]


def settings_of_a_layer(plan: TaskPlan) -> OptimiserSettings:
    """As many passes a layer as the plan has for the whole network, of as many scored steps each, in measured trials.

    A pass simulates one layer instead of all: so both ways take about the same time.
    """
    use, washout = plan.settings, plan.architecture.washout
    scored = max(1, use.n_steps - washout) / max(1, plan.n_steps - washout)
    n_trials = min(plan.n_training_trials, max(2, round(use.n_trials * scored)))
    # The read-out that comes with a layer is of no use: it is fitted anew on what the layer is measured to say.
    return replace(
        use,
        n_trials=n_trials,
        n_readout_trials=2,
        n_readout_draws=1,
        readout_regularisation=use.regularisation,
    )


def starting_wiring(
    twins: Mapping[str, Any],
    plan: TaskPlan,
    ranges: Mapping[str, DeviceRanges],
    conditions: Mapping[str, float],
    streams: Sequence[np.random.SeedSequence],
) -> Wiring:
    """Random weights on the ports that these twins have within these ranges; streams: two, of weights and of noise."""
    rng = np.random.default_rng(streams[0])
    generator = torch_generator(streams[1])
    ports = planned_ports(twins, ranges, plan, conditions=conditions, rng=rng, generator=generator)
    return random_wiring(plan.architecture, ports, rng, scales=plan.scales, conditions=conditions)


def validated(
    plan: TaskPlan, training: MeasuredExamples, validation: MeasuredExamples, *, readout_of: ReadoutOf
) -> float:
    """The score that TrainedLayer.promised is about, measured: a read-out of the measured training examples, with the
    penalty of the training, on the validation examples."""
    own = slice(-1, None) if readout_of == "own" else slice(None)
    data, metric = training.data, plan.task.metric
    rows = flat_features(training.features[own])[data.scored]
    regularisation = plan.settings.regularisation
    readout = fit_readout(readout_kind(metric), rows, data.targets[data.scored], regularisation=regularisation)
    return score(metric, readout.apply(flat_features(validation.features[own])), validation.data).value


def train_cascade_layer(
    twins: Mapping[str, Path],
    plan: TaskPlan,
    ports: tuple[DevicePort, ...],
    first: Wiring | None,
    training: MeasuredExamples,
    validation: MeasuredExamples,
    *,
    conditions: Mapping[str, float],
    seed: int,
    readout_of: ReadoutOf,
    key: str,
    state: Path | None = None,
) -> Campaign[TrainedLayer]:
    """Train the layer behind `first` (None: the first of all) on the twins in these files."""
    loaded = {device: load_any_twin(path) for device, path in twins.items()}
    number = 0 if first is None else len(first.layers)
    step = Step(key, f"Train layer {number + 1} of {len(plan.architecture.plans)} for {plan.task.name}")
    yield step.started()

    def draw(rng: np.random.Generator) -> Wiring:
        whole = random_wiring(plan.architecture, ports, rng, scales=plan.scales, conditions=conditions)
        return first_layers(whole if first is None else with_first_layers(whole, first), number + 1)

    settings = settings_of_a_layer(plan)
    course = train_layer(
        draw,
        loaded,
        plan.task,
        training,
        validation,
        seed=seed,
        settings=settings,
        readout_of=readout_of,
        n_drawn=plan.n_starts,
        n_started=plan.n_trained_starts,
        state=state,
    )
    result = yield from told(course, of_training(key, settings.budget_seconds))
    before, promised = result.initial_validation.value, result.validation.value
    yield step.finished(f"{plan.task.metric} {before:.4f} -> {promised:.4f} on the twins")
    wiring = result.wiring.with_readout(None)
    return TrainedLayer(wiring, before, promised, result.n_iterations, result.seconds, result.losses)


def rivals_of_cascade(
    twins: Mapping[str, Path],
    plan: TaskPlan,
    wiring: Wiring,
    initial: Wiring,
    *,
    learning_curve: tuple[float, ...],
    seed: int,
    examples_seed: int,
    key: str,
) -> Campaign[OptimisedNetwork]:
    """A wiring that came out of a cascade beside what it is to be compared with, as `optimise_network` tells it: the twins'
    promise for it, the reservoir, and the random wiring that it began from with a read-out of the twins."""
    loaded = {device: load_any_twin(path) for device, path in twins.items()}
    streams = np.random.SeedSequence(seed).spawn(3)
    conditions = dict(wiring.conditions)
    reservoir = yield from best_reservoir(
        plan, [(wiring.ports, conditions)], loaded, seed=number_of(streams[0]), key=f"{key}/reservoir"
    )
    training, heldout = plan.examples(seed=examples_seed)
    generator = torch_generator(streams[1])
    use = plan.settings
    unoptimised = drained(
        with_readout_of_draws(
            PhysicalNetwork(initial, loaded),
            plan.task.metric,
            plan.task.sample(use.n_readout_trials, use.n_steps, np.random.default_rng(streams[2])),
            generator,
            n_draws=use.n_readout_draws,
            regularisation=use.readout_regularisation,
        )
    )
    promised = yield from promising(wiring, loaded, plan, heldout, generator=generator, key=f"{key}/promise")
    return OptimisedNetwork(
        plan=plan,
        wiring=wiring,
        initial=unoptimised,
        reservoir=reservoir,
        promise=promised,
        learning_curve=learning_curve,
        **linear_rivals(plan, training, heldout),
        examples_seed=examples_seed,
        seed=seed,
    )
