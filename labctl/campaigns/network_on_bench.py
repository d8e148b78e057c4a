"""What can be done with a network on the bench besides deploying it, each as one campaign that leaves its outcome in a folder.

    close_gap_into         deploy, refit the twins on what the bench did, fine-tune, until promise and measurement agree
    train_on_bench_into    physics-aware training: the bench forward, the twins backward
    cascade_into           train layer by layer, each behind what the bench answered in those before it
    compare_noise_into     what knowing the devices' noise is worth

`labctl network close-gap`, `train-on-bench`, `cascade` and `compare-noise` and the window run them. Each makes the outputs
safe once it plays nothing any more, and its outcome says so (`outputs_safe`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from labctl.campaign import Campaign
from labctl.campaigns.network_left import check_no_network, keep_outcome, leave_cascade, leave_network, made_safe
from labctl.campaigns.network_to_play import (
    DescribedToPlay,
    NetworkToPlay,
    described_to_play,
    network_to_play,
    warnings_of_play,
)
from labctl.earlier_recordings import earlier_recordings_of
from labctl.events import Warned

if TYPE_CHECKING:
    from labctl.bench import Bench

Files = Mapping[str, Path]
Ranges = Mapping[str, tuple[float, float]]
Recordings = Mapping[str, Sequence[Path]]


def close_gap_into(
    bench: Bench,
    network: Path | NetworkToPlay,
    twins: Files,
    *,
    folder: Path,
    budget_s: float,
    rounds: int = 6,
    repeats: int = 5,
    spreads: float = 1.0,
    examples: int | None = None,
    judged: int | None = None,
    earlier: Recordings | None = None,
    heldout: Recordings | None = None,
    no_earlier: bool = False,
    task: str | None = None,
    override: str | None = None,
    seed: int = 0,
) -> Campaign[dict[str, Any]]:
    """Close the gap of the network in a folder (or as network_to_play has read it): see labctl.campaigns.close_gap.

    twins: the file of each device's twin. budget_s: device time that may be spent (s). repeats: how often the judged
    examples are played. spreads: how many of the device's spreads the gap may be. earlier: by device, recordings that its
    twin was fitted to before, without which the refit may forget what the network does not play; as its file names them if
    not given. no_earlier: refit on the plays alone. heldout: by device, recordings on which the refitted twin must pass as
    well. task: FILE.py:ClassName of a task of one's own, which is run. Writes `gap.json`, and the best network as `network`.
    Raises as close_the_gap does.
    """
    from labctl.campaigns.close_gap import close_the_gap
    from labctl.campaigns.gap_design import GapBudget, GapSettings, Recorded

    settings = GapSettings(n_training_trials=examples, n_judged_trials=judged, n_repeats=repeats, spreads=spreads)
    played = _read(network, twins, task, override)
    yield from warnings_of_play(bench, played)
    recorded = dict(earlier or {}) if no_earlier else (yield from _with_earlier(played, twins, earlier or {}))
    result = yield from close_the_gap(
        bench, played.network.wirings["optimised"], dict(twins), played.network.plan,
        clearance=played.clearance, budget=GapBudget(budget_s, rounds), seed=seed, folder=folder, settings=settings,
        conditions=played.network.conditions, recorded=Recorded(recorded, dict(heldout or {})),
    )  # fmt: skip
    safe = yield from made_safe(bench)
    told = {"task": played.network.task, "simulated": bench.simulated, "outputs_safe": safe, **result.as_dict()}
    outcome = keep_outcome(folder / "gap.json", told)
    provenance = bench.provenance(seed=seed)
    yield from leave_network(
        played, folder, wiring=result.wiring, twins=result.twins, gates=result.gates, provenance=provenance, seed=seed
    )
    return outcome


def train_on_bench_into(
    bench: Bench,
    network: Path | NetworkToPlay,
    twins: Files,
    *,
    folder: Path,
    budget_s: float,
    iterations: int = 200,
    examples: int | None = None,
    validations: int | None = None,
    learning_rate: float | None = None,
    task: str | None = None,
    override: str | None = None,
    seed: int = 0,
) -> Campaign[dict[str, Any]]:
    """Train the network in a folder (or as network_to_play has read it) on the bench: see labctl.campaigns.physics_aware.

    twins: the file of each device's twin. budget_s: device time that may be spent (s). iterations: at most. task: as
    close_gap_into has it. Writes `outcome.json`, and the best network as `network`. Raises as train_physics_aware does.
    """
    from labctl.campaigns.physics_aware import train_physics_aware
    from labctl.campaigns.physics_aware_design import PhysicsAwareSettings

    wanted = {"n_trials": examples, "n_validations": validations, "learning_rate": learning_rate}
    said: dict[str, Any] = {name: value for name, value in wanted.items() if value is not None}
    played = _read(network, twins, task, override)
    yield from warnings_of_play(bench, played)
    result = yield from train_physics_aware(
        bench, played.network.wirings["optimised"], dict(twins), played.network.plan,
        clearance=played.clearance, budget_s=budget_s, seed=seed, folder=folder,
        settings=PhysicsAwareSettings(n_iterations=iterations, **said), conditions=played.network.conditions,
    )  # fmt: skip
    safe = yield from made_safe(bench)
    told = {"task": played.network.task, "simulated": bench.simulated, "outputs_safe": safe}
    outcome = keep_outcome(
        folder / "outcome.json", {**told, "clearance": played.clearance.as_dict(), **result.as_dict()}
    )
    provenance, gates = bench.provenance(seed=seed), played.clearance.gates
    yield from leave_network(
        played, folder, wiring=result.wiring, twins=twins, gates=gates, provenance=provenance, seed=seed
    )
    return outcome


def cascade_into(
    bench: Bench,
    twins: Files,
    *,
    folder: Path,
    network: Path | DescribedToPlay | None = None,
    text: str | None = None,
    task: str | None = None,
    ranges: Ranges | None = None,
    conditions: Mapping[str, float] | None = None,
    seconds: float | None = None,
    examples: int | None = None,
    validation: int = 24,
    repeats: int | None = None,
    readout_of: Literal["all", "own"] = "all",
    override: str | None = None,
    seed: int | None = None,
) -> Campaign[dict[str, Any]]:
    """Train a described network (its file, its text, or the usual one for a task) layer by layer: see labctl.campaigns.cascade.

    ranges: narrower drive ranges by device. conditions: where set-points are held. seconds: budget of each layer's
    training. An interrupted cascade in the folder is gone on with. Writes `outcome.json`, and the network as `network`.
    Raises as cascade does, and CampaignError where a network lies there already.
    """
    from labctl.campaigns.cascade import cascade
    from labctl.campaigns.cascade_options import CascadeOptions

    which = {"network": network, "text": text, "task": task}
    said = {"ranges": ranges, "conditions": conditions, "seed": seed, "seconds": seconds, "override": override}
    played = _described(bench, twins, {**which, **said})
    check_no_network(folder)
    yield from warnings_of_play(bench, played)
    wanted = played.wanted
    result = yield from cascade(
        bench, wanted.plan, dict(twins),
        clearance=played.clearance, ranges=played.ranges, conditions=wanted.conditions,
        seed=wanted.seed, examples_seed=wanted.examples_seed, folder=folder,
        options=CascadeOptions(readout_of, examples, validation, repeats),
    )  # fmt: skip
    safe = yield from made_safe(bench)
    told = {"task": result.plan.task.name, "metric": result.plan.task.metric, "simulated": bench.simulated}
    told |= {"outputs_safe": safe, "clearance": played.clearance.as_dict(), **result.as_dict()}
    outcome = keep_outcome(folder / "outcome.json", told)
    yield from leave_cascade(folder, result, twins, played.clearance, wanted, bench.provenance(seed=wanted.seed))
    return outcome


def compare_noise_into(
    bench: Bench,
    twins: Files,
    *,
    folder: Path,
    network: Path | DescribedToPlay | None = None,
    text: str | None = None,
    task: str | None = None,
    recordings: Recordings | None = None,
    ranges: Ranges | None = None,
    conditions: Mapping[str, float] | None = None,
    ridges: Sequence[float] | None = None,
    seconds: float | None = None,
    repeats: int | None = None,
    override: str | None = None,
    seed: int | None = None,
) -> Campaign[dict[str, Any]]:
    """Optimise a described network with and without knowledge of the noise, and measure all: see labctl.campaigns.compare_noise.

    recordings: by device, what its twin was fitted on; those that the twin's file names, if not given. ranges, conditions:
    as cascade_into has them. ridges: strengths of the read-out's penalty. seconds: budget of each optimisation. Writes
    `comparison.json` and `report.html`. Raises as compare_noise_knowledge does.
    """
    from labctl.campaigns.compare_noise import RIDGES, compare_noise_knowledge
    from labctl.training_traces import training_traces

    which = {"network": network, "text": text, "task": task}
    said = {"ranges": ranges, "conditions": conditions, "seed": seed, "seconds": seconds, "override": override}
    played = _described(bench, twins, {**which, **said})
    training = training_traces(twins, recordings or {})
    wanted = played.wanted
    plan = wanted.plan if repeats is None else replace(wanted.plan, n_repeats=repeats)
    yield from warnings_of_play(bench, played)
    comparison = yield from compare_noise_knowledge(
        bench, dict(twins), training, plan,
        clearance=played.clearance, ranges=played.ranges, conditions=wanted.conditions,
        regularisations=tuple(ridges or RIDGES), seed=wanted.seed, examples_seed=wanted.examples_seed, folder=folder,
    )  # fmt: skip
    return {**comparison.as_dict(), "outputs_safe": (yield from made_safe(bench))}


def _read(network: Path | NetworkToPlay, twins: Files, task: str | None, override: str | None) -> NetworkToPlay:
    if isinstance(network, NetworkToPlay):
        return network
    return network_to_play(network, twins, task=task, override=override)


def _described(bench: Bench, twins: Files, said: Mapping[str, Any]) -> DescribedToPlay:
    if isinstance(said["network"], DescribedToPlay):
        return said["network"]
    return described_to_play(twins, bench.station, **said)


def _with_earlier(played: NetworkToPlay, twins: Files, given: Recordings) -> Campaign[dict[str, Sequence[Path]]]:
    """The recordings that the twins were fitted to: as given, or as their files name them, if these are still as they were."""
    recorded = dict(given)
    for device in played.network.devices:
        if device not in recorded:
            recorded[device], warnings = earlier_recordings_of(device, twins[device])
            for told in warnings:
                yield Warned("bench", told)
    return recorded
