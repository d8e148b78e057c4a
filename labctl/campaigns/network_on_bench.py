"""What can be done with a network on the bench besides deploying it, each as one campaign that leaves its outcome in a folder.

    close_gap_into         deploy, refit the twins on what the bench did, fine-tune, until promise and measurement agree
    train_on_bench_into    physics-aware training: the bench forward, the twins backward
    cascade_into           train layer by layer, each behind what the bench answered in those before it
    compare_noise_into     what knowing the devices' noise is worth

They are what `labctl network close-gap`, `train-on-bench`, `cascade` and `compare-noise` do, with the same names.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from labctl.campaign import Campaign
from labctl.campaigns.finish_twin import plain
from labctl.campaigns.network_files import NetworkFiles, load_network
from labctl.campaigns.recorded_task import RecordedTask
from labctl.campaigns.wanted_network import WantedNetwork, wanted_of
from labctl.clearance import Clearance, Gates, clear, shortcomings
from labctl.earlier_recordings import earlier_recordings_of
from labctl.errors import CampaignError, GatesNotPassed, UsageError
from labctl.events import Reported, Warned
from labctl.given_twins import GivenTwins, given_twins
from labctl.json_file import write_json
from labctl.network_file import load_network_file, parse_network_file
from labctl.own_task import load_own_task

if TYPE_CHECKING:
    from labctl.bench import Bench
    from labctl.campaigns.cascade_options import CascadedNetwork
    from twins.network.wiring import Wiring

Files = Mapping[str, Path]


def close_gap_into(
    bench: Bench,
    network: Path,
    twins: Files,
    *,
    folder: Path,
    budget_s: float,
    rounds: int = 6,
    repeats: int = 5,
    spreads: float = 1.0,
    examples: int | None = None,
    judged: int | None = None,
    earlier: Mapping[str, Sequence[Path]] | None = None,
    no_earlier: bool = False,
    task: str | None = None,
    override: str | None = None,
    seed: int = 0,
) -> Campaign[dict[str, Any]]:
    """Close the gap of the network in a folder: see labctl.campaigns.close_gap.

    twins: the file of each device's twin. budget_s: device time that may be spent (s). repeats: how often the judged
    examples are played. spreads: how many of the device's spreads the gap may be. earlier: by device, recordings that its
    twin was fitted to before, without which the refit may forget what the network does not play; as its file names them if
    not given. no_earlier: refit on the plays alone. task: FILE.py:ClassName of
    a task of one's own, which is run. Writes `gap.json`, and the best network as `network`. Raises as close_the_gap does.
    """
    from labctl.campaigns.close_gap import close_the_gap
    from labctl.campaigns.gap_design import GapBudget, GapSettings, Recorded

    files, given = _network_of(network, task), given_twins(twins)
    clearance = _clearance_of(network, files, given, override)
    yield from _warned(bench, files.notes, simulated=files.simulated or given.simulated)
    recorded = dict(earlier or {})
    for device in files.devices if not no_earlier else ():
        if device not in recorded:
            recorded[device], warnings = earlier_recordings_of(device, twins[device])
            for told in warnings:
                yield Warned("bench", told)
    result = yield from close_the_gap(
        bench,
        files.wirings["optimised"],
        dict(twins),
        files.plan,
        clearance=clearance,
        budget=GapBudget(budget_s, rounds),
        seed=seed,
        folder=folder,
        settings=GapSettings(n_training_trials=examples, n_judged_trials=judged, n_repeats=repeats, spreads=spreads),
        conditions=files.conditions,
        recorded=Recorded(recorded),
    )
    outcome = {"task": files.task, "simulated": bench.simulated, **result.as_dict()}
    write_json(folder / "gap.json", plain(outcome))
    provenance = bench.provenance(seed=seed)
    yield from _leave(network, files, folder, result.wiring, result.twins, result.gates, provenance, seed)
    return outcome


def train_on_bench_into(
    bench: Bench,
    network: Path,
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
    """Train the network in a folder on the bench: see labctl.campaigns.physics_aware.

    twins: the file of each device's twin. budget_s: device time that may be spent (s). iterations: at most. Writes
    `outcome.json`, and the best network as `network`. Raises as train_physics_aware does.
    """
    from labctl.campaigns.physics_aware import train_physics_aware
    from labctl.campaigns.physics_aware_design import PhysicsAwareSettings

    files, given = _network_of(network, task), given_twins(twins)
    clearance = _clearance_of(network, files, given, override)
    yield from _warned(bench, files.notes, simulated=files.simulated or given.simulated)
    wanted = {"n_trials": examples, "n_validations": validations, "learning_rate": learning_rate}
    said: dict[str, Any] = {name: value for name, value in wanted.items() if value is not None}
    result = yield from train_physics_aware(
        bench,
        files.wirings["optimised"],
        dict(twins),
        files.plan,
        clearance=clearance,
        budget_s=budget_s,
        seed=seed,
        folder=folder,
        settings=PhysicsAwareSettings(n_iterations=iterations, **said),
        conditions=files.conditions,
    )
    outcome = {"task": files.task, "simulated": bench.simulated, "clearance": clearance.as_dict(), **result.as_dict()}
    write_json(folder / "outcome.json", plain(outcome))
    provenance = bench.provenance(seed=seed)
    yield from _leave(network, files, folder, result.wiring, dict(twins), clearance.gates, provenance, seed)
    return outcome


def cascade_into(
    bench: Bench,
    twins: Files,
    *,
    folder: Path,
    network: Path | None = None,
    text: str | None = None,
    task: str | None = None,
    seconds: float | None = None,
    examples: int | None = None,
    validation: int = 24,
    repeats: int | None = None,
    readout_of: Literal["all", "own"] = "all",
    override: str | None = None,
    seed: int | None = None,
) -> Campaign[dict[str, Any]]:
    """Train a described network (its file, its text, or the usual one for a task) layer by layer: see labctl.campaigns.cascade.

    seconds: budget of each layer's training. An interrupted cascade in the folder is gone on with. Writes
    `outcome.json`, and the network as `network`. Raises as cascade does.
    """
    from labctl.campaigns.cascade import cascade
    from labctl.campaigns.cascade_options import CascadeOptions
    from labctl.campaigns.drive_ranges import allowed_ranges

    given, wanted = _described(bench, twins, network, text, task, seed, seconds)
    clearance = clear(wanted.plan.devices, given.gates, override=override)
    yield from _warned(bench, (), simulated=given.simulated)
    result = yield from cascade(
        bench,
        wanted.plan,
        dict(twins),
        clearance=clearance,
        ranges=allowed_ranges(given.twins, bench.station, options=wanted.plan.device_options),
        conditions=wanted.conditions,
        seed=wanted.seed,
        examples_seed=wanted.examples_seed,
        folder=folder,
        options=CascadeOptions(readout_of, examples, validation, repeats),
    )
    figures = {"task": result.plan.task.name, "metric": result.plan.task.metric, "simulated": bench.simulated}
    outcome = {**figures, "clearance": clearance.as_dict(), **result.as_dict()}
    write_json(folder / "outcome.json", plain(outcome))
    yield from _leave_cascade(folder / "network", result, twins, clearance, wanted, bench.provenance(seed=wanted.seed))
    return outcome


def compare_noise_into(
    bench: Bench,
    twins: Files,
    *,
    folder: Path,
    network: Path | None = None,
    text: str | None = None,
    task: str | None = None,
    recordings: Mapping[str, Sequence[Path]] | None = None,
    ridges: Sequence[float] | None = None,
    seconds: float | None = None,
    repeats: int | None = None,
    override: str | None = None,
    seed: int | None = None,
) -> Campaign[dict[str, Any]]:
    """Optimise a described network with and without knowledge of the noise, and measure all: see labctl.campaigns.compare_noise.

    recordings: by device, what its twin was fitted on; those that the twin's file names, if not given. ridges: strengths of
    the read-out's penalty. seconds: budget of each optimisation. Writes `comparison.json` and `report.html`.
    """
    from labctl.campaigns.compare_noise import RIDGES, compare_noise_knowledge
    from labctl.campaigns.drive_ranges import allowed_ranges
    from labctl.training_traces import training_traces

    given, wanted = _described(bench, twins, network, text, task, seed, seconds)
    training = training_traces(twins, recordings or {})
    clearance = clear(given.twins, given.gates, override=override)
    plan = wanted.plan if repeats is None else replace(wanted.plan, n_repeats=repeats)
    yield from _warned(bench, (), simulated=given.simulated)
    comparison = yield from compare_noise_knowledge(
        bench,
        dict(twins),
        training,
        plan,
        clearance=clearance,
        ranges=allowed_ranges(given.twins, bench.station, options=plan.device_options),
        conditions=wanted.conditions,
        regularisations=tuple(ridges or RIDGES),
        seed=wanted.seed,
        examples_seed=wanted.examples_seed,
        folder=folder,
    )
    return comparison.as_dict()


def _network_of(folder: Path, task: str | None) -> NetworkFiles:
    """The network, whose task must be able to draw fresh examples."""
    network = load_network(folder, task=None if task is None else load_own_task(task))
    if isinstance(network.plan.task, RecordedTask):
        own = network.own_task
        named = "FILE.py:ClassName" if own is None else f"{own.file}:{own.class_name}"
        why = "; ".join(network.notes) or "its class is needed, whose file is run"
        raise UsageError(
            f"fresh examples of {network.task} cannot be drawn: {why}; name its task, {named}, as it was when the network "
            "was optimised, or measure the network on the stored examples"
        )
    return network


def _clearance_of(folder: Path, network: NetworkFiles, given: GivenTwins, override: str | None) -> Clearance:
    """Both the twins that it was optimised on and those given must have passed; where the former did not, their gates hold."""
    missing = [device for device in network.devices if device not in given.twins]
    if missing:
        raise UsageError(f"the network plays on {', '.join(missing)}; the twin of each of its devices is needed")
    try:
        clear(network.devices, network.gates, override=override)
    except GatesNotPassed as error:
        raise GatesNotPassed(f"{folder}, of the twins that it was optimised on: {error}") from error
    before = {device: network.gates.get(device, {}) for device in network.devices}
    at_fault = {device: one for device, one in before.items() if shortcomings(device, one)}
    return clear(network.devices, {**given.gates, **at_fault}, override=override)


def _described(
    bench: Bench,
    twins: Files,
    network: Path | None,
    text: str | None,
    task: str | None,
    seed: int | None,
    seconds: float | None,
) -> tuple[GivenTwins, WantedNetwork]:
    if sum(one is not None for one in (network, text, task)) != 1:
        raise UsageError("give one of: the file that describes the network, its text, or a task")
    description = parse_network_file(text) if text is not None else None
    if network is not None:
        description = load_network_file(network)
    if description is not None:
        description.check(station=bench.station)
    given = given_twins(twins)
    return given, wanted_of(description, given, task=task, station=bench.station, seed=seed, seconds=seconds)


def _warned(bench: Bench, notes: Sequence[str], *, simulated: bool) -> Campaign[None]:
    for note in notes:
        yield Warned("bench", note)
    if simulated and not bench.simulated:
        yield Warned("bench", "network or twins were learned on SIMULATED devices, and this bench is a real one")


def _leave(
    source: Path,
    network: NetworkFiles,
    folder: Path,
    wiring: Wiring,
    twins: Files,
    gates: Mapping[str, Gates],
    provenance: Mapping[str, Any],
    seed: int,
) -> Campaign[None]:
    """The best wiring as a network folder, with what these twins promise of it."""
    from labctl.campaigns.fine_tune import promise_of
    from labctl.campaigns.retold_network import retell_network
    from labctl.workers import Job, side_by_side

    arguments = {
        "wiring": wiring, "twins": dict(twins), "plan": network.plan, "examples": network.examples[1],
        "n_draws": 24, "seed": seed, "key": "promise",
    }  # fmt: skip
    promised = (yield from side_by_side({"promise": Job(promise_of, arguments)}))["promise"]
    left = retell_network(
        source, folder / "network", wiring=wiring, promise=promised, gates=gates, provenance=provenance
    )
    yield Reported("network", {"promised": promised.mean, "promised_std": promised.std}, (str(left),))


def _leave_cascade(
    folder: Path,
    result: CascadedNetwork,
    twins: Files,
    clearance: Clearance,
    wanted: WantedNetwork,
    provenance: Mapping[str, Any],
) -> Campaign[None]:
    """The network with its rivals and the twins' promise for it."""
    from labctl.campaigns.cascade_layer import rivals_of_cascade
    from labctl.campaigns.network_files import save_network
    from labctl.workers import Job, side_by_side

    if folder.exists():
        raise CampaignError(f"{folder}: a network lies there already; choose another folder")
    key = f"cascade/{result.plan.task.name}"
    arguments = {
        "twins": dict(twins), "plan": result.plan, "wiring": result.wiring, "initial": result.initial,
        "learning_curve": result.learning_curve, "seed": result.seed, "examples_seed": result.examples_seed, "key": key,
    }  # fmt: skip
    optimised = (yield from side_by_side({key: Job(rivals_of_cascade, arguments)}))[key]
    save_network(
        folder, optimised, conditions=wanted.conditions, gates=clearance.gates, provenance=provenance,
        network_file=wanted.text,
    )  # fmt: skip
    yield Reported(key, {"promised": optimised.promise.mean, "promised_std": optimised.promise.std}, (str(folder),))
