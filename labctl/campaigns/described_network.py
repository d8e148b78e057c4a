"""A network file as a plan: what it does not say is as in the task's own plan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from pydantic import ValidationError

from labctl.campaigns.device_options import DeviceOptions, DriveOptions
from labctl.campaigns.plan_settings import settings_from, settings_model
from labctl.campaigns.plans import PLANS, TaskPlan, general_plan
from labctl.errors import CampaignError
from labctl.file_problems import Problem, problem_of
from labctl.network_checks import heard_by
from labctl.network_file import NetworkDescription
from labctl.network_fit import device_table, drive_table, output_levels
from labctl.network_schema import DriveTable, NetworkFile
from labctl.own_task import is_own_task, load_own_task
from labctl.station import Station
from twins.network.architecture import Architecture, LayerPlan
from twins.network.optimise_settings import OptimiserSettings
from twins.network.ports import Levels
from twins.network.tasks import TASKS, Task, TaskError, options_of, task_named


def plan_of(description: NetworkDescription, *, dt_s: float, station: Station | None) -> TaskPlan:
    """See NetworkDescription.plan."""
    file = description.file
    base = _base(description, dt_s)
    task = base.task
    problems: list[Problem] = []
    settings = _settings(file, base.settings, problems)
    architecture = _architecture(description, base.architecture, task, dt_s, problems)
    options = {device: _options(file, device, station, problems) for device in file.devices}
    problems += _starts(file, base)
    problems += _too_short(file, task, n_steps=file.sizes.n_steps or base.n_steps, n_training_steps=settings.n_steps)
    if problems:
        raise description.error(problems)
    initial = {name: value for name, value in file.initial.model_dump().items() if value is not None}
    sizes = {name: value for name, value in file.sizes.model_dump().items() if value is not None}
    sizes |= {name: initial.pop(name) for name in ("n_starts", "n_trained_starts") if name in initial}
    return replace(
        base,
        architecture=architecture,
        scales=replace(base.scales, **initial),
        settings=settings,
        device_options=options,
        trained_conditions=description.trained_conditions,
        **sizes,
    )


def _base(description: NetworkDescription, dt_s: float) -> TaskPlan:
    """The task's own plan (the general one for a task of a user's own), for the task with the file's options."""
    file, devices = description.file, description.devices
    try:
        if not is_own_task(file.task):
            return _known(file, devices, dt_s)
        if file.task_options:
            told = "are for tasks by name; a class of your own has its options as defaults of its fields"
            raise description.error([Problem(("task_options",), told)])
        folder = Path() if description.path is None else description.path.parent
        return general_plan(load_own_task(str(folder / file.task)), devices, dt_s=dt_s)
    except (TaskError, CampaignError) as error:
        where = ("task_options",) if file.task_options and file.task in TASKS else ("task",)
        raise description.error([Problem(where, str(error))]) from error


def _known(file: NetworkFile, devices: Sequence[str], dt_s: float) -> TaskPlan:
    """One of TASKS; options that the file does not name are as in the task's plan, not as in its class."""
    if file.task not in PLANS:
        raise TaskError(
            f"task {file.task!r} is unknown; there are {', '.join(PLANS)}, or FILE.py:ClassName of your own"
        )
    plan = PLANS[file.task](devices, dt_s=dt_s)
    if not file.task_options:
        return plan
    given = {name: tuple(one) if isinstance(one, list) else one for name, one in file.task_options.items()}
    return PLANS[file.task](devices, dt_s=dt_s, task=task_named(file.task, **{**options_of(plan.task), **given}))


def _settings(file: NetworkFile, base: OptimiserSettings, problems: list[Problem]) -> OptimiserSettings:
    try:
        return settings_from(file.optimiser, base)
    except ValidationError as error:
        problems += [problem_of(settings_model(), detail, under=("optimiser",)) for detail in error.errors()]
    except TaskError as error:
        problems.append(Problem(("optimiser",), str(error)))
    return base


def _starts(file: NetworkFile, base: TaskPlan) -> list[Problem]:
    drawn = file.initial.n_starts or base.n_starts
    trained = file.initial.n_trained_starts or base.n_trained_starts
    if trained <= drawn:
        return []
    where = ("initial", "n_trained_starts" if file.initial.n_trained_starts else "n_starts")
    return [Problem(where, f"{trained} starts are to be trained, of {drawn} that are drawn; train fewer or draw more")]


def _too_short(file: NetworkFile, task: Task, *, n_steps: int, n_training_steps: int) -> list[Problem]:
    """Trials of which nothing is scored."""
    told = f"steps are all within the washout of {task.washout} of {task.name}; nothing would be scored"
    problems = []
    if n_steps <= task.washout:
        problems.append(Problem(("sizes", "n_steps") if file.sizes.n_steps else ("task",), f"{n_steps} {told}"))
    if n_training_steps <= task.washout:
        where = ("optimiser", "n_steps") if "n_steps" in file.optimiser else ("task",)
        problems.append(Problem(where, f"{n_training_steps} {told}"))
    return problems


def _architecture(
    description: NetworkDescription, base: Architecture, task: Task, dt_s: float, problems: list[Problem]
) -> Architecture:
    file = description.file
    samples = _samples_per_step(file, base.samples_per_step, dt_s, problems)
    offsets = tuple(range(samples)) if file.sample_offsets is None else file.sample_offsets
    if offsets[-1] >= samples:
        problems.append(Problem(("sample_offsets",), f"a step has samples 0..{samples - 1}, not {offsets[-1]}"))
    delays = base.coupling_delays if file.coupling_delays is None else file.coupling_delays
    if description.recurrent and file.coupling_delays is None:
        delays = tuple(delay for delay in delays if delay > 0) or (1,)
    return Architecture(
        layers=_layers(file),
        samples_per_step=samples,
        sample_offsets=offsets,
        dt_s=dt_s,
        input_taps=base.input_taps if file.input_taps is None else file.input_taps,
        coupling_delays=delays,
        n_inputs=task.n_inputs,
        washout=task.washout,
    )


def _samples_per_step(file: NetworkFile, otherwise: int, dt_s: float, problems: list[Problem]) -> int:
    if file.hold_s is None:
        return otherwise if file.samples_per_step is None else file.samples_per_step
    samples = round(file.hold_s / dt_s)
    if samples < 1 or abs(samples * dt_s / file.hold_s - 1.0) > 1e-6:
        below = max(1, int(file.hold_s / dt_s))
        told = (
            f"{file.hold_s:g} s is no whole number of sampling times of {dt_s:g} s; near are {below * dt_s:g} s and "
            f"{(below + 1) * dt_s:g} s"
        )
        problems.append(Problem(("hold_s",), told))
    return max(samples, 1)


def _layers(file: NetworkFile) -> tuple[LayerPlan, ...]:
    layers = []
    for (name, layer), heard in zip(file.layers.items(), heard_by(file).values(), strict=True):
        gains = layer.gain_levels
        layers.append(
            LayerPlan(
                devices=layer.nodes,
                name=name,
                sources=heard.sources,
                input_taps=layer.input_taps if heard.hears_input else (),
                coupling_delays=layer.coupling_delays if heard.sources else (),
                input_density=layer.input_density,
                coupling_density=layer.coupling_density,
                gain_levels=None if gains is None else Levels(gains.low, gains.high, gains.count),
            )
        )
    return tuple(layers)


def _options(file: NetworkFile, device: str, station: Station | None, problems: list[Problem]) -> DeviceOptions:
    """The options of every drive channel that the station, or the file itself, knows of this device."""
    table = device_table(file, device)
    limits: Mapping[str, tuple[float, float]] = {}
    if station is not None and device in station.devices:
        limits = {name: station.channels[name].limits for name in station.devices[device].drive}
    drives = {}
    for name in dict.fromkeys((*limits, *table.drives)):
        where = ("devices", device, "drives", name) if name in table.drives else ("devices", device)
        drives[name] = _drive_options(drive_table(table, name), limits.get(name), where, problems)
    # with a station every channel is among `drives`, each with its own limits
    every = DriveOptions(table.range) if limits else _drive_options(table, None, ("devices", device), problems)
    return DeviceOptions(every, drives)


def _drive_options(
    table: DriveTable, limits: tuple[float, float] | None, where: tuple[str, ...], problems: list[Problem]
) -> DriveOptions:
    try:
        found = output_levels(table, limits)
    except ValueError as error:
        problems.append(Problem(where, str(error)))
        return DriveOptions(table.range)
    return DriveOptions(table.range, None if found is None else Levels(found.low, found.high, found.n))
