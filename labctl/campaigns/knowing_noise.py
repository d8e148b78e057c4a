"""Networks whose optimiser knew more or less of the noise: jobs for worker processes, on twins in files."""

from __future__ import annotations

import time
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from labctl.campaign import Campaign, Step
from labctl.campaigns.optimise_network import optimise_random_networks
from labctl.campaigns.plans import TaskPlan
from labctl.campaigns.streams import number_of
from labctl.campaigns.told import of_passes, of_search, of_training, told
from twins.ensemble import AnyTwin
from twins.ensemble_file import load_any_twin
from twins.network.judging import Promise, features_of_draws, promise, rows_of_draws, torch_generator
from twins.network.network import PhysicalNetwork, stack_under
from twins.network.ports import DevicePort
from twins.network.readout import fit_readout
from twins.network.reservoir import search_reservoir
from twins.network.scores import readout_kind
from twins.network.wiring import Wiring


@dataclass(frozen=True, slots=True, eq=False)
class KnowingNetwork:
    """A wiring with its read-out; what the model that it was optimised on promises, and what the true twin foresees."""

    wiring: Wiring
    promised: float
    promised_std: float
    foreseen: float
    cpu_seconds: float


@dataclass(frozen=True, slots=True)
class Optimising:
    """What all networks of a comparison share.

    twins: files of the twins (or ensembles) that know the noise. conditions: set-points by channel, held; of those that
    the plan trains, where training begins. seed: of starts, examples and noise, the same for all, so that what
    differs is the model alone. examples_seed: of the held-out examples, as in TaskPlan.examples. n_promise_draws: noise
    draws of each promise.
    """

    plan: TaskPlan
    ports: tuple[DevicePort, ...]
    twins: Mapping[str, Path]
    conditions: Mapping[str, float]
    seed: int
    examples_seed: int
    n_promise_draws: int


def optimise_knowing(
    knowledge: str, models: Mapping[str, Path], shared: Optimising, *, regularisation: float
) -> Campaign[KnowingNetwork]:
    """Optimise on `models` (device -> file), with one ridge for training, validation and the final read-out."""
    plan, began_s = shared.plan, time.process_time()
    key = f"compare/{plan.task.name}/{knowledge}/{regularisation:g}"
    step = Step(key, f"Optimise {plan.task.name}, knowing {knowledge}, ridge {regularisation:g}")
    yield step.started()
    loaded = _loaded(models)
    streams = np.random.SeedSequence(shared.seed).spawn(2)

    run = optimise_random_networks(
        plan,
        shared.ports,
        loaded,
        shared.conditions,
        seed=number_of(streams[0]),
        settings=replace(plan.settings, regularisation=regularisation, readout_regularisation=regularisation),
    )
    result = yield from told(run, of_training(key, plan.settings.budget_seconds))
    cpu_s = time.process_time() - began_s
    own = yield from told(_promising(result.wiring, loaded, shared, streams[1]), of_passes(key))
    foreseen = own
    if dict(models) != dict(shared.twins):
        foreseen = yield from told(_promising(result.wiring, _loaded(shared.twins), shared, streams[1]), of_passes(key))
    yield step.finished(f"promised {own.mean:.4f} ± {own.std:.4f}, foreseen by the twin {foreseen.mean:.4f}")
    return KnowingNetwork(result.wiring, own.mean, own.std, foreseen.mean, cpu_s)


def search_readout_only(
    shared: Optimising, *, regularisations: Sequence[float]
) -> Campaign[dict[float, KnowingNetwork]]:
    """For each ridge the best random network of the plan's search, its read-out fitted on the twins that know the noise."""
    step = Step(f"compare/{shared.plan.task.name}/readout_only", f"Search the reservoir for {shared.plan.task.name}")
    yield step.started()
    networks = {}
    for regularisation in regularisations:
        networks[regularisation] = yield from _searched(shared, regularisation, key=step.key)
    scores = ", ".join(f"{one.promised:.4f} at {ridge:g}" for ridge, one in networks.items())
    yield step.finished(f"best of {shared.plan.n_reservoir_draws} promises {scores}")
    return networks


def _searched(shared: Optimising, regularisation: float, *, key: str) -> Campaign[KnowingNetwork]:
    """One search, judged and fitted at this ridge throughout, as those are that it is compared with."""
    plan, began_s = shared.plan, time.process_time()
    twins, stack, settings = _loaded(shared.twins), stack_under(shared.conditions), plan.settings
    streams = np.random.SeedSequence(shared.seed).spawn(4)
    search = search_reservoir(
        plan.architecture,
        shared.ports,
        twins,
        plan.task,
        seed=number_of(streams[0]),
        n_steps=settings.n_steps,
        n_draws=plan.n_reservoir_draws,
        n_trials=plan.n_reservoir_trials,
        regularisation=regularisation,
        stack=stack,
    )
    found = yield from told(search, of_search(key))
    data = plan.task.sample(settings.n_readout_trials, settings.n_steps, np.random.default_rng(streams[2]))
    wiring = replace(found.wiring, conditions=dict(shared.conditions))
    draws = features_of_draws(
        PhysicalNetwork(wiring, twins), data, torch_generator(streams[3]), settings.n_readout_draws
    )
    rows, targets = rows_of_draws((yield from told(draws, of_passes(key))), data)
    readout = fit_readout(readout_kind(plan.task.metric), rows, targets, regularisation=regularisation)
    cpu_s = time.process_time() - began_s
    said = yield from told(_promising(wiring.with_readout(readout), twins, shared, streams[1]), of_passes(key))
    return KnowingNetwork(wiring.with_readout(readout), said.mean, said.std, said.mean, cpu_s)


def _promising(
    wiring: Wiring, models: Mapping[str, AnyTwin], shared: Optimising, stream: np.random.SeedSequence
) -> Generator[Any, None, Promise]:
    plan = shared.plan
    _, heldout = plan.examples(seed=shared.examples_seed)
    return promise(
        wiring,
        models,
        plan.task.metric,
        heldout,
        generator=torch_generator(stream),
        n_draws=shared.n_promise_draws,
    )


def _loaded(files: Mapping[str, Path]) -> dict[str, AnyTwin]:
    return {device: load_any_twin(path) for device, path in files.items()}
