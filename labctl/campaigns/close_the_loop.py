"""The main job: instrument -> recordings -> twins -> optimised networks -> instrument, measured and compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from labctl.bench import Bench
from labctl.campaign import Campaign
from labctl.campaigns.characterise import Characterisation, CharacterisationDesign, characterise
from labctl.campaigns.drive_ranges import DeviceRanges, allowed_ranges
from labctl.campaigns.fit_twin import FitSettings, FittedTwin, fit_twin
from labctl.campaigns.measure_network import measure_network
from labctl.campaigns.network_files import save_network
from labctl.campaigns.optimise_network import OptimisedNetwork, optimise_network
from labctl.campaigns.plans import DEMO_PLANS, TaskPlan, plan_for
from labctl.clearance import Clearance, clear
from labctl.deployment import Measurement, details_of, mean_accuracy, mean_of
from labctl.errors import CampaignError, ExcitationError
from labctl.events import Reported
from labctl.network_bench import apply_conditions
from labctl.report import TaskFigure, TaskOutcome, TwinFigure
from labctl.workers import Job, side_by_side

N_SHOWN_STEPS = 100
DEFAULT_FIT = FitSettings(ensemble=1, max_seconds=120.0)
"""As the recordings call for; a network is optimised on one twin a device, so more members would only cost time."""


@dataclass(frozen=True, slots=True)
class LoopSettings:
    """What the loop does. Devices not named in `designs` or `fits` get the defaults; `conditions` are set before
    anything is recorded and held throughout. devices: which take part, all of the station if none is named. tasks: by
    name, or as plans of one's own on these devices. drive_ranges narrow what a network may drive a device with, below the
    fitted range and the station's limits. optimise_budget_s limits the wall time of each task's optimiser. override_gates:
    why networks are to be applied even if a twin does not pass its gates; kept with all that is measured."""

    conditions: Mapping[str, float] = field(default_factory=dict)
    designs: Mapping[str, CharacterisationDesign] = field(default_factory=dict)
    fits: Mapping[str, FitSettings] = field(default_factory=dict)
    devices: Sequence[str] = ()
    tasks: Sequence[str | TaskPlan] = DEMO_PLANS
    drive_ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    optimise_budget_s: float | None = None
    override_gates: str | None = None


@dataclass(frozen=True, slots=True)
class LoopResult:
    """What came of it, for the report."""

    tasks: tuple[TaskOutcome, ...]
    twins: tuple[TwinFigure, ...]
    task_figures: tuple[TaskFigure, ...]
    clearance: Clearance


def close_the_loop(
    bench: Bench, *, folder: Path, seed: int, settings: LoopSettings | None = None
) -> Campaign[LoopResult]:
    """Characterise every device of the station, fit its twin, and for each task optimise a network and measure it.

    Writes recordings, twins and wirings into `folder`. Raises CampaignError, before anything is played, for devices that
    cannot be nodes of one network; GatesNotPassed, before anything is optimised or applied, if a twin does not pass its
    gates on the held-out inputs; and whatever the bench raises. What was measured until then is on disk.
    """
    settings = settings or LoopSettings()
    streams = np.random.SeedSequence(seed).spawn(4)
    devices = tuple(settings.devices) or tuple(bench.station.devices)
    check_devices(bench, devices, settings.tasks)
    apply_conditions(bench, settings.conditions)
    recorded = yield from _characterise_all(bench, devices, folder, _seed(streams[0], 0), settings)
    fitted = yield from _fit_all(recorded, folder / "twins", streams[1], settings)
    clearance = clear(devices, {name: one.gates for name, one in fitted.items()}, override=settings.override_gates)
    networks = yield from _optimise_all(bench, fitted, streams[2:], settings)
    outcomes, figures = [], []
    for optimised in networks.values():
        outcome, figure = yield from _measure(bench, optimised, folder, clearance=clearance, settings=settings)
        outcomes.append(outcome)
        figures.append(figure)
    shown = tuple(twin_figure(bench, recorded[device], fitted[device]) for device in devices)
    return LoopResult(tuple(outcomes), shown, tuple(figures), clearance)


def check_devices(bench: Bench, devices: Sequence[str], tasks: Sequence[str | TaskPlan]) -> None:
    """Raise CampaignError, naming every problem, for devices that cannot be nodes of one network on this bench."""
    if not devices:
        raise CampaignError("the station file has no [devices.…]: there is nothing to characterise")
    problems = []
    for name in devices:
        device = bench.station.device(name)
        if len(device.drive) != 1 or len(device.response) != 1:
            problems.append(
                f"{name} has {len(device.drive)} drive and {len(device.response)} response channels, not one each"
            )
        try:
            bench.way_of(name)
        except ExcitationError as error:
            problems.append(f"{name}: {error}")
    rates = {name: bench.station.device(name).sample_rate_Hz for name in devices}
    if len(set(rates.values())) > 1:
        listed = ", ".join(f"{name} {rate:g}" for name, rate in rates.items())
        problems.append(f"their sample rates differ: {listed} Hz")
    for plan in tasks:
        absent = [] if isinstance(plan, str) else [name for name in plan.devices if name not in devices]
        problems += [f"the plan of {plan.task.name} needs {name}" for name in absent if not isinstance(plan, str)]
    if problems:
        raise CampaignError(f"{'; '.join(problems)}. LoopSettings(devices=…) leaves devices out; nothing was played")


def _characterise_all(
    bench: Bench, devices: Sequence[str], folder: Path, seed: int, settings: LoopSettings
) -> Campaign[dict[str, Characterisation]]:
    recorded: dict[str, Characterisation] = {}
    for number, device in enumerate(devices):
        recorded[device] = yield from characterise(
            bench,
            device,
            folder=folder / "recordings",
            rng=np.random.default_rng([seed, number]),
            design=settings.designs.get(device),
            seed=seed,
        )
    return recorded


def _fit_all(
    recorded: Mapping[str, Characterisation], folder: Path, stream: np.random.SeedSequence, settings: LoopSettings
) -> Campaign[dict[str, FittedTwin]]:
    jobs = {
        device: Job(
            fit_twin,
            {
                "device": device,
                "training": [recordings.training],
                "heldout": recordings.heldout,
                "seed": _seed(stream, number),
                "settings": settings.fits.get(device, DEFAULT_FIT),
                "folder": folder,
            },
        )
        for number, (device, recordings) in enumerate(recorded.items())
    }
    fitted: dict[str, FittedTwin] = yield from side_by_side(jobs)
    return fitted


def _optimise_all(
    bench: Bench,
    fitted: Mapping[str, FittedTwin],
    streams: Sequence[np.random.SeedSequence],
    settings: LoopSettings,
) -> Campaign[dict[str, OptimisedNetwork]]:
    drives = {device: one.drives for device, one in fitted.items()}
    dt_s = next(iter(drives.values())).dt_s
    plans = [
        task if isinstance(task, TaskPlan) else plan_for(task, tuple(fitted), dt_s=dt_s) for task in settings.tasks
    ]
    if settings.optimise_budget_s is not None:
        plans = [plan.with_budget(settings.optimise_budget_s) for plan in plans]

    def ranges(plan: TaskPlan, wanted: Mapping[str, tuple[float, float]]) -> dict[str, DeviceRanges]:
        found = allowed_ranges(drives, bench.station, wanted, options=plan.device_options)
        return {device: found[device] for device in plan.devices}

    jobs = {
        plan.task.name: Job(
            optimise_network,
            {
                "twins": {device: fitted[device].path for device in plan.devices},
                "plan": plan,
                "ranges": ranges(plan, settings.drive_ranges),
                "widest_ranges": ranges(plan, {}),
                "seed": _seed(streams[0], number),
                "examples_seed": _seed(streams[1], number),
            },
        )
        for number, plan in enumerate(plans)
    }
    networks: dict[str, OptimisedNetwork] = yield from side_by_side(jobs)
    return networks


def _measure(
    bench: Bench, optimised: OptimisedNetwork, folder: Path, *, clearance: Clearance, settings: LoopSettings
) -> Campaign[tuple[TaskOutcome, TaskFigure]]:
    """Keep the optimised network on disk, then measure it and its rivals on the device."""
    name = optimised.plan.task.name
    save_network(
        folder / name,
        optimised,
        conditions=settings.conditions,
        gates=clearance.gates,
        provenance=bench.provenance(seed=optimised.examples_seed),
    )
    wirings = {"optimised": optimised.wiring, "reservoir": optimised.reservoir, "unoptimised": optimised.initial}
    measured = yield from measure_network(
        bench,
        optimised.plan,
        wirings,
        clearance=clearance,
        examples_seed=optimised.examples_seed,
        conditions=settings.conditions,
        folder=folder / name,
    )
    outcome = task_outcome(optimised, measured)
    yield Reported(f"deploy/{name}", outcome.as_dict())
    return outcome, task_figure(optimised, measured["optimised"])


def task_outcome(optimised: OptimisedNetwork, measured: Mapping[str, Measurement]) -> TaskOutcome:
    """The figures of one task. The rivals' read-outs are fitted on measured training data, ours is the twin's."""
    ours = measured["optimised"]
    details = {
        "measured with the read-out refitted on measured training data": mean_of(ours.refitted_scores),
        "reservoir with the twin's read-out, measured": measured["reservoir"].mean,
        "unoptimised with the twin's read-out, measured": measured["unoptimised"].mean,
        "measured over reservoir": ours.mean / mean_of(measured["reservoir"].refitted_scores),
        "device seconds": sum(one.device_seconds for one in measured.values()),
        "held-out sequences": len(ours.outputs[0]),
        "nodes": optimised.wiring.n_nodes,
    }
    accuracies = {
        "accuracy promised": optimised.promise.accuracy,
        "accuracy measured": mean_accuracy(ours.scores),
        "accuracy of the reservoir, measured": mean_accuracy(measured["reservoir"].refitted_scores),
        "accuracy unoptimised, measured": mean_accuracy(measured["unoptimised"].refitted_scores),
    }
    details |= {name: value for name, value in accuracies.items() if value is not None}
    details |= {f"{name} promised": value for name, value in optimised.promise.details.items()}
    details |= {f"{name} measured": value for name, value in details_of(ours.scores).items()}
    return TaskOutcome(
        name=optimised.plan.task.name,
        metric=optimised.plan.task.metric,
        promised=optimised.promise.mean,
        promised_std=optimised.promise.std,
        measured_mean=ours.mean,
        measured_std=ours.std,
        reservoir_measured=mean_of(measured["reservoir"].refitted_scores),
        unoptimised_measured=mean_of(measured["unoptimised"].refitted_scores),
        linear_same_taps=optimised.linear_same_taps,
        linear_20_taps=optimised.linear_20_taps,
        details=details,
    )


def task_figure(optimised: OptimisedNetwork, measured: Measurement) -> TaskFigure:
    """The first scored steps of the held-out examples, one trial after another."""
    _, heldout = optimised.plan.examples(seed=optimised.examples_seed)
    column = -1  # the only output of a regression; of a classification the probability of the last class
    return TaskFigure(
        name=optimised.plan.task.name,
        target=heldout.targets[heldout.scored][:N_SHOWN_STEPS, column],
        promised=optimised.promise.outputs[heldout.scored][:N_SHOWN_STEPS, column],
        measured=measured.outputs[0][heldout.scored][:N_SHOWN_STEPS, column],
        learning_curve=optimised.learning_curve,
    )


def twin_figure(bench: Bench, recorded: Characterisation, fitted: FittedTwin) -> TwinFigure:
    """One held-out input: what the device did each time, and as many free runs of the twin."""
    held = recorded.heldout
    same = held.trials(np.flatnonzero(held.input_id == held.input_id[0]))
    drive, response = same.scored()
    sampled = slice(fitted.sampled_from, fitted.sampled_from + fitted.sampled.shape[1])
    return TwinFigure(
        device=recorded.device,
        calibration=fitted.figures,
        unit=bench.station.channel(held.response_names[0]).unit,
        time_s=same.time_s[same.n_prepare :][sampled],
        drive=drive[0, sampled, 0],
        measured=response[:, sampled, 0],
        sampled=fitted.sampled,
    )


def _seed(stream: np.random.SeedSequence, number: int) -> int:
    return int(stream.generate_state(number + 1, np.uint32)[number])
