"""A plan as plain data and back: what a network was optimised for, whole. What is read is not trusted before it is checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Annotated, Any, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat

from labctl.campaigns.device_options import DeviceOptions, DriveOptions
from labctl.campaigns.plan_settings import settings_from
from labctl.campaigns.plans import TaskPlan
from labctl.network_schema import MOST_LAYERS, MOST_NODES, MOST_STEPS_BACK
from labctl.own_task import OwnTask
from twins.network.architecture import Architecture, InitialScales, LayerPlan
from twins.network.optimise_settings import OptimiserSettings
from twins.network.ports import Levels
from twins.network.tasks import Task, options_of, task_named

ChannelName = Annotated[str, Field(min_length=1, max_length=200)]
_Range = tuple[FiniteFloat, FiniteFloat]
_Steps = Annotated[list[Annotated[int, Field(ge=0, le=MOST_STEPS_BACK)]], Field(max_length=1_000)]
_Count = Annotated[int, Field(ge=1, le=10_000_000)]
_Density = Annotated[float, Field(ge=0.0, le=1.0)]
_Text = Annotated[str, Field(min_length=1, max_length=4_096)]
_Option = bool | int | float | _Text | None
_SIZES = tuple(one.name for one in fields(TaskPlan) if get_type_hints(TaskPlan)[one.name] is int)
"""n_steps, n_training_trials …: whatever a plan counts."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class LevelsModel(_Strict):
    """twins.network.ports.Levels."""

    low: float
    high: float
    n: Annotated[int, Field(ge=2, le=2**32)]


class OwnTaskModel(_Strict):
    """Where a task of a user's own came from. sha256: of its file as it was. The file is only named, never run."""

    file: _Text
    class_name: _Text
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class TaskModel(_Strict):
    """The task: one of TASKS by name and options, or one of a user's own."""

    name: _Text
    options: Annotated[dict[_Text, _Option | list[_Option]], Field(max_length=100)]
    own: OwnTaskModel | None = None


class LayerModel(_Strict):
    """twins.network.initialise.LayerPlan."""

    devices: Annotated[list[ChannelName], Field(min_length=1, max_length=MOST_NODES)]
    name: Annotated[str, Field(max_length=200)]
    sources: Annotated[list[Annotated[int, Field(ge=0, lt=MOST_LAYERS)]], Field(max_length=MOST_LAYERS)] | None
    input_taps: _Steps | None
    coupling_delays: _Steps | None
    input_density: _Density
    coupling_density: _Density
    gain_levels: LevelsModel | None


class ArchitectureModel(_Strict):
    """twins.network.initialise.Architecture."""

    layers: Annotated[list[LayerModel], Field(min_length=1, max_length=MOST_LAYERS)]
    samples_per_step: Annotated[int, Field(ge=1, le=100_000)]
    sample_offsets: Annotated[list[Annotated[int, Field(ge=0, lt=100_000)]], Field(min_length=1, max_length=100_000)]
    dt_s: Annotated[float, Field(gt=0.0)]
    input_taps: _Steps
    coupling_delays: _Steps
    n_inputs: Annotated[int, Field(ge=1, le=10_000)]
    washout: Annotated[int, Field(ge=0, le=10_000_000)]


class DriveModel(_Strict):
    """labctl.campaigns.device_options.DriveOptions."""

    range: _Range | None
    levels: LevelsModel | None


class DeviceModel(_Strict):
    """labctl.campaigns.device_options.DeviceOptions."""

    every: DriveModel
    drives: Annotated[dict[ChannelName, DriveModel], Field(max_length=1_000)]


class PlanModel(_Strict):
    """labctl.campaigns.plans.TaskPlan."""

    task: TaskModel
    architecture: ArchitectureModel
    scales: Annotated[dict[_Text, FiniteFloat], Field(max_length=100)]
    settings: Annotated[dict[_Text, _Option], Field(max_length=100)]
    sizes: Annotated[dict[_Text, _Count], Field(max_length=100)]
    device_options: Annotated[dict[ChannelName, DeviceModel], Field(max_length=MOST_NODES)]
    trained_conditions: Annotated[dict[ChannelName, _Range], Field(max_length=1_000)]


def plan_model(plan: TaskPlan) -> PlanModel:
    """The plan as plain data. Raises TaskError for a task that is neither one of TASKS nor an OwnTask."""
    shape = plan.architecture
    return PlanModel(
        task=_task_model(plan.task),
        architecture=ArchitectureModel(
            layers=[_layer_model(layer) for layer in shape.plans],
            samples_per_step=shape.samples_per_step,
            sample_offsets=list(shape.sample_offsets),
            dt_s=shape.dt_s,
            input_taps=list(shape.input_taps),
            coupling_delays=list(shape.coupling_delays),
            n_inputs=shape.n_inputs,
            washout=shape.washout,
        ),
        scales=asdict(plan.scales),
        settings=asdict(plan.settings),
        device_options={
            device: DeviceModel(
                every=_drive_model(one.every), drives={name: _drive_model(drive) for name, drive in one.drives.items()}
            )
            for device, one in plan.device_options.items()
        },
        trained_conditions=dict(plan.trained_conditions),
        sizes={name: getattr(plan, name) for name in _SIZES},
    )


def plan_from(model: PlanModel, *, task: Task | None = None) -> TaskPlan:
    """The plan that was stored; task: what stands for it, instead of the one of TASKS with the stored options.

    Raises TaskError, TypeError or ValueError for options, settings or scales that this version does not know.
    """
    if task is None:
        options = {name: tuple(one) if isinstance(one, list) else one for name, one in model.task.options.items()}
        task = task_named(model.task.name, **options)
    shape = model.architecture
    return TaskPlan(
        task=task,
        architecture=Architecture(
            layers=tuple(_layer_plan(layer) for layer in shape.layers),
            samples_per_step=shape.samples_per_step,
            sample_offsets=tuple(shape.sample_offsets),
            dt_s=shape.dt_s,
            input_taps=tuple(shape.input_taps),
            coupling_delays=tuple(shape.coupling_delays),
            n_inputs=shape.n_inputs,
            washout=shape.washout,
        ),
        scales=InitialScales(**model.scales),
        settings=settings_from(model.settings, OptimiserSettings()),
        device_options={
            device: DeviceOptions(_drive(one.every), {name: _drive(drive) for name, drive in one.drives.items()})
            for device, one in model.device_options.items()
        },
        trained_conditions=dict(model.trained_conditions),
        **_sizes(model),
    )


def _sizes(model: PlanModel) -> dict[str, Any]:
    unknown = sorted(set(model.sizes) - set(_SIZES))
    if unknown:
        raise ValueError(f"a plan has no {', '.join(unknown)}; it has {', '.join(_SIZES)}")
    return dict(model.sizes)


def _task_model(task: Task) -> TaskModel:
    if isinstance(task, OwnTask):
        own = OwnTaskModel(file=str(task.path), class_name=task.class_name, sha256=task.sha256)
        return TaskModel(name=task.name, options={}, own=own)
    given: Mapping[str, Any] = options_of(task)
    options = {name: list(value) if isinstance(value, tuple) else value for name, value in given.items()}
    return TaskModel(name=task.name, options=options)


def _levels_model(levels: Levels | None) -> LevelsModel | None:
    return None if levels is None else LevelsModel(low=levels.low, high=levels.high, n=levels.n)


def _levels(model: LevelsModel | None) -> Levels | None:
    return None if model is None else Levels(model.low, model.high, model.n)


def _drive_model(options: DriveOptions) -> DriveModel:
    return DriveModel(range=options.range, levels=_levels_model(options.levels))


def _drive(model: DriveModel) -> DriveOptions:
    return DriveOptions(model.range, _levels(model.levels))


def _layer_model(layer: LayerPlan) -> LayerModel:
    return LayerModel(
        devices=list(layer.devices),
        name=layer.name,
        sources=_listed(layer.sources),
        input_taps=_listed(layer.input_taps),
        coupling_delays=_listed(layer.coupling_delays),
        input_density=layer.input_density,
        coupling_density=layer.coupling_density,
        gain_levels=_levels_model(layer.gain_levels),
    )


def _layer_plan(model: LayerModel) -> LayerPlan:
    return LayerPlan(
        devices=tuple(model.devices),
        name=model.name,
        sources=None if model.sources is None else tuple(model.sources),
        input_taps=None if model.input_taps is None else tuple(model.input_taps),
        coupling_delays=None if model.coupling_delays is None else tuple(model.coupling_delays),
        input_density=model.input_density,
        coupling_density=model.coupling_density,
        gain_levels=_levels(model.gain_levels),
    )


def _listed(numbers: tuple[int, ...] | None) -> list[int] | None:
    return None if numbers is None else list(numbers)
