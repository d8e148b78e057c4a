"""Does knowing the noise matter? One network optimised on models that know more or less of it, all measured on the bench.

The rivals are derived from the cleared twins: the same drift with constant noise, and without any. They pass no gates,
for a model without noise cannot; what they are is said in the provenance of all that comes of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from labctl.bench import Bench
from labctl.campaign import Campaign
from labctl.campaigns.drive_ranges import DeviceRanges, planned_ports, starting_conditions
from labctl.campaigns.knowing_noise import KnowingNetwork, Optimising, optimise_knowing, search_readout_only
from labctl.campaigns.noise_rivals import save_models
from labctl.campaigns.optimise_network import linear_rivals
from labctl.campaigns.plans import TaskPlan
from labctl.clearance import Clearance
from labctl.deployment import Measurement, deploy, mean_of
from labctl.errors import CampaignError, GatesNotPassed
from labctl.events import Reported
from labctl.network_bench import check_wiring
from labctl.noise_comparison import KNOWLEDGES, KnowledgeOutcome, NoiseComparison
from labctl.noise_report import write_noise_report
from labctl.workers import Job, side_by_side
from twins.ensemble_file import load_any_twin
from twins.network.initialise import random_wiring
from twins.network.judging import torch_generator
from twins.network.ports import DevicePort
from twins.network.wiring_file import save_wiring

if TYPE_CHECKING:
    from twins import Traces
    from twins.network.tasks import TaskData

RIDGES = (1e-5, 1e-3)
"""A strong ridge hides much of the difference, so it is shown at a weak and at a usual one."""


def compare_noise_knowledge(
    bench: Bench,
    twins: Mapping[str, Path],
    training: Mapping[str, Sequence[Traces]],
    plan: TaskPlan,
    *,
    clearance: Clearance,
    ranges: Mapping[str, DeviceRanges],
    conditions: Mapping[str, float] | None = None,
    regularisations: Sequence[float] = RIDGES,
    seed: int,
    examples_seed: int,
    folder: Path,
    further_models: Mapping[str, Mapping[str, Path]] | None = None,
    n_workers: int | None = None,
    n_promise_draws: int = 24,
) -> Campaign[NoiseComparison]:
    """Optimise the plan's network with every knowledge of the noise and every ridge, and measure all on the bench.

    twins: device -> file of its twin. training: device -> the traces that it was fitted on, from which the constant noise
    is estimated. ranges: where a network may drive each device. conditions: set-points by channel. Every network plays
    `plan.n_repeats` times the held-out examples, and once the training examples, on which a read-out of the same ridge is
    fitted as well. further_models: by name, device -> file, of models of one's own to optimise on as well (an ODE fitted
    by other means, say). n_workers: processes of the optimisations (None: as many as cores; 1: this one).

    Writes twins, wirings, recordings, comparison.json and report.html into `folder`. Raises CampaignError for plan,
    twins, training and ranges that do not name the same devices, GatesNotPassed and DeploymentError for what may not or
    cannot be played, all before anything is optimised; and what the bench raises.
    """
    further = dict(further_models or {})
    _check(plan, {"twin": twins, "training data": training, "drive range": ranges}, further, regularisations, clearance)
    held = starting_conditions(plan, conditions or {})
    ports = _ports(twins, ranges, plan, held, seed)
    # what the bench cannot play is told before anything is optimised
    check_wiring(bench, random_wiring(plan.architecture, ports, np.random.default_rng(seed), conditions=held))
    models = save_models(twins, training, further, folder / "twins", seed=seed)
    shared = Optimising(
        plan=plan,
        ports=ports,
        twins=dict(twins),
        conditions=held,
        seed=seed,
        examples_seed=examples_seed,
        n_promise_draws=n_promise_draws,
    )
    networks = yield from _optimise_all(shared, models.files, regularisations, n_workers)
    examples = plan.examples(seed=examples_seed)
    outcomes = []
    for (knowledge, regularisation), network in networks.items():
        measured = yield from _measure(
            bench, network, plan, examples, knowledge=knowledge, regularisation=regularisation, clearance=clearance,
            conditions=held, origin=models.origin[knowledge], examples_seed=examples_seed, folder=folder,
        )  # fmt: skip
        outcomes.append(_outcome(knowledge, regularisation, network, measured))
    comparison = _comparison(plan, outcomes, examples, simulated=bench.simulated, seed=seed, clearance=clearance)
    files = write_noise_report(folder, comparison)
    yield Reported(f"compare/{plan.task.name}", comparison.as_dict(), tuple(str(file) for file in files))
    return comparison


def _check(
    plan: TaskPlan,
    given: Mapping[str, Mapping[str, object]],
    further: Mapping[str, Mapping[str, Path]],
    regularisations: Sequence[float],
    clearance: Clearance,
) -> None:
    for what, by_device in {**given, **{f"model of {name!r}": one for name, one in further.items()}}.items():
        odd = sorted(set(plan.devices) ^ set(by_device))
        if odd:
            raise CampaignError(
                f"the plan plays on {', '.join(plan.devices)}; a {what} is given for {', '.join(by_device) or 'none'}: "
                f"{', '.join(odd)} on one side only"
            )
    if not regularisations or len(set(regularisations)) != len(regularisations) or not min(regularisations) > 0:
        raise CampaignError(f"regularisations must be different numbers greater than 0, not {list(regularisations)}")
    if set(further) & set(KNOWLEDGES):
        raise CampaignError(
            f"further models need other names than {', '.join(KNOWLEDGES)}; given: {', '.join(further)}"
        )
    lacking = clearance.lacks(plan.devices)
    if lacking:
        raise GatesNotPassed(f"the plan plays on {', '.join(lacking)}, whose twins were not cleared")


def _ports(
    twins: Mapping[str, Path],
    ranges: Mapping[str, DeviceRanges],
    plan: TaskPlan,
    conditions: Mapping[str, float],
    seed: int,
) -> tuple[DevicePort, ...]:
    """The same for all networks: ranges, and normalisation of the responses by the twins as they are."""
    streams = np.random.SeedSequence([seed, 1]).spawn(2)
    return planned_ports(
        {name: load_any_twin(path) for name, path in twins.items()},
        ranges,
        plan,
        conditions=conditions,
        rng=np.random.default_rng(streams[0]),
        generator=torch_generator(streams[1]),
    )


def _optimise_all(
    shared: Optimising,
    files: Mapping[str, Mapping[str, Path]],
    regularisations: Sequence[float],
    n_workers: int | None,
) -> Campaign[dict[tuple[str, float], KnowingNetwork]]:
    pairs = {f"{name}/{ridge:g}": (name, ridge) for ridge in regularisations for name in files}
    jobs = {
        label: Job(
            optimise_knowing,
            {"knowledge": name, "models": files[name], "shared": shared, "regularisation": ridge},
        )
        for label, (name, ridge) in pairs.items()
    }
    jobs["readout_only"] = Job(search_readout_only, {"shared": shared, "regularisations": tuple(regularisations)})
    found: dict[str, Any] = {}
    if n_workers == 1:
        for label, job in jobs.items():
            found[label] = yield from job.make(**job.arguments)
    else:
        found = yield from side_by_side(jobs, n_workers=n_workers)
    reservoirs = found["readout_only"]
    networks = {pair: found[label] for label, pair in pairs.items()}
    return {**networks, **{("readout_only", ridge): reservoirs[ridge] for ridge in regularisations}}


def _measure(
    bench: Bench,
    network: KnowingNetwork,
    plan: TaskPlan,
    examples: tuple[TaskData, TaskData],
    *,
    knowledge: str,
    regularisation: float,
    clearance: Clearance,
    conditions: Mapping[str, float],
    origin: Mapping[str, Any],
    examples_seed: int,
    folder: Path,
) -> Campaign[Measurement]:
    """Keep the wiring on disk, then play it."""
    name = f"{knowledge}-{regularisation:g}"
    said = {"knowledge_of_noise": knowledge, "regularisation": regularisation, "derived_from_cleared_twins": origin}
    provenance = {**bench.provenance(seed=examples_seed), **said}
    save_wiring(network.wiring, folder / "wirings" / name, provenance=provenance)
    training, heldout = examples
    return (
        yield from deploy(
            bench,
            network.wiring,
            clearance=clearance,
            metric=plan.task.metric,
            heldout=heldout,
            training=training,
            conditions=conditions,
            n_repeats=plan.n_repeats,
            folder=folder / f"measured-{name}",
            key=f"deploy/{plan.task.name}/{name}",
            title=f"Measure {plan.task.name}, {knowledge}, ridge {regularisation:g}",
            seed=examples_seed,
            refit_regularisation=regularisation,
            provenance=said,
        )
    )


def _outcome(knowledge: str, regularisation: float, network: KnowingNetwork, measured: Measurement) -> KnowledgeOutcome:
    refitted = [one.value for one in measured.refitted_scores]
    return KnowledgeOutcome(
        knowledge=knowledge,
        regularisation=regularisation,
        promised=network.promised,
        promised_std=network.promised_std,
        foreseen=network.foreseen,
        measured=measured.mean,
        repeat_spread=measured.std,
        refitted=mean_of(measured.refitted_scores),
        refitted_spread=float(np.std(refitted, ddof=1)) if len(refitted) > 1 else 0.0,
        repeats=len(measured.scores),
        cpu_seconds=network.cpu_seconds,
    )


def _comparison(
    plan: TaskPlan,
    outcomes: Sequence[KnowledgeOutcome],
    examples: tuple[TaskData, TaskData],
    *,
    simulated: bool,
    seed: int,
    clearance: Clearance,
) -> NoiseComparison:
    training, heldout = examples
    return NoiseComparison(
        task=plan.task.name,
        metric=plan.task.metric,
        simulated=simulated,
        seed=seed,
        heldout_steps=int(heldout.scored.sum()),
        **linear_rivals(plan, training, heldout),
        outcomes=tuple(outcomes),
        clearance=clearance.as_dict(),
    )
