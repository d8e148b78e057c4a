"""A network on disk: one folder with the optimised wiring, its rivals, what they were optimised for, and what was promised.

network.json                         the plan (task, architecture, sizes), seeds, the promise, the gates of the twins
examples.safetensors                 the training and held-out examples that the promise is about
optimised | reservoir | unoptimised  .safetensors and .json of each wiring
promised.safetensors                 what the twins answer to the held-out examples, to look at

Whoever measures the network replays these examples, whatever the task's plan has become since. Nothing that is read is
run: of a task of a user's own only the name of its file and the examples are kept.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat

from labctl.campaigns.example_file import load_examples, same_examples, save_examples
from labctl.campaigns.optimise_network import OptimisedNetwork
from labctl.campaigns.plan_file import ChannelName, OwnTaskModel, PlanModel, TaskModel, plan_from, plan_model
from labctl.campaigns.plans import PLANS, TaskPlan
from labctl.campaigns.recorded_task import RecordedTask
from labctl.clearance import Gates
from labctl.errors import CampaignError, DeploymentError
from labctl.json_file import write_json
from labctl.own_task import OwnTask
from labctl.promised_outputs import save_promised
from twins.errors import TwinError
from twins.network.ports import WiringError
from twins.network.tasks import Metric, Task, TaskData, TaskError
from twins.network.wiring import Wiring
from twins.network.wiring_file import load_wiring, save_wiring

FORMAT: Final = "labctl-network-2"
FIRST_FORMAT: Final = "labctl-network-1"
WIRINGS = ("optimised", "reservoir", "unoptimised")
LARGEST_FILE_BYTES = 16 * 2**20
_Seed = Annotated[int, Field(ge=0, lt=2**64)]


class _Promised(BaseModel):
    """What both formats say."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    examples_seed: _Seed
    promised: float
    promised_std: float
    linear_same_taps: float
    linear_20_taps: float
    conditions: Annotated[dict[ChannelName, FiniteFloat], Field(max_length=1_000)]
    gates: Annotated[dict[ChannelName, dict[str, Any]], Field(max_length=10_000)] = {}
    provenance: dict[str, Any]

    def figures(self) -> dict[str, Any]:
        """The fields of NetworkFiles that are stored as they are."""
        simulated = self.provenance.get("simulated")
        if not isinstance(simulated, bool):
            raise ValueError("its provenance does not say whether it was learned on simulated devices")
        names = (
            "examples_seed",
            "promised",
            "promised_std",
            "linear_same_taps",
            "linear_20_taps",
            "conditions",
            "gates",
        )
        return {"simulated": simulated, **{name: getattr(self, name) for name in names}}


class _FirstNetwork(_Promised):
    """Format 1: the name of the task, and nothing of its plan."""

    format: Literal["labctl-network-1"]
    task: Annotated[str, Field(max_length=200)]
    devices: Annotated[list[ChannelName], Field(min_length=1, max_length=10_000)]


class _Network(_Promised):
    """Format 2."""

    format: Literal["labctl-network-2"]
    plan: PlanModel
    metric: Metric
    n_outputs: Annotated[int, Field(ge=1, le=100_000)]
    seed: _Seed
    network_file: Annotated[str, Field(max_length=2**20)] | None


@dataclass(frozen=True, slots=True)
class NetworkFiles:
    """What `network optimise` leaves for `deploy`.

    plan: what it was optimised for. examples: (training, held out) that the promise is about. conditions: those that were
    held; what was trained stands in each wiring. simulated: whether it was learned on simulated devices. gates: of each
    device's twin as they were then, empty for a twin that was not judged (see labctl.clearance). own_task: where a task of
    a user's own came from. notes: what a person should know before it is measured.
    """

    task: str
    plan: TaskPlan
    examples: tuple[TaskData, TaskData]
    devices: tuple[str, ...]
    seed: int | None
    examples_seed: int
    promised: float
    promised_std: float
    linear_same_taps: float
    linear_20_taps: float
    conditions: Mapping[str, float]
    simulated: bool
    gates: Mapping[str, Gates]
    wirings: Mapping[str, Wiring]
    own_task: OwnTaskModel | None = None
    notes: tuple[str, ...] = ()


def save_network(
    folder: Path,
    optimised: OptimisedNetwork,
    *,
    conditions: Mapping[str, float],
    gates: Mapping[str, Gates],
    provenance: Mapping[str, Any],
    network_file: str | None = None,
) -> None:
    """Write the network into `folder`; gates: of each device's twin. network_file: the text of the file that describes it,
    to be kept."""
    plan = optimised.plan
    network = _Network(
        format=FORMAT,
        plan=plan_model(plan),
        metric=plan.task.metric,
        n_outputs=plan.task.n_outputs,
        seed=optimised.seed,
        examples_seed=optimised.examples_seed,
        promised=optimised.promise.mean,
        promised_std=optimised.promise.std,
        linear_same_taps=optimised.linear_same_taps,
        linear_20_taps=optimised.linear_20_taps,
        conditions=dict(conditions),
        gates={name: dict(one) for name, one in gates.items()},
        provenance=dict(provenance),
        network_file=network_file,
    )
    folder.mkdir(parents=True, exist_ok=True)
    for name, wiring in _wirings(optimised).items():
        save_wiring(wiring, folder / name, provenance=provenance)
    save_examples(folder, *plan.examples(seed=optimised.examples_seed))
    save_promised(folder, optimised.promise)
    write_json(folder / "network.json", network.model_dump(mode="json"))


def load_network(folder: Path, *, task: Task | None = None) -> NetworkFiles:
    """Read what `save_network` wrote; raises DeploymentError that says what is missing or wrong.

    task: stands for a task of a user's own, which is never run from a file that was read; without it the plan can say
    everything of the task, and replay the stored examples, but draw no further ones. An OwnTask of another class or content
    than the stored one is refused.
    """
    path = folder / "network.json"
    text = _read(path, folder)
    try:
        content = json.loads(text)
        if not isinstance(content, dict) or content.get("format") not in (FORMAT, FIRST_FORMAT):
            raise DeploymentError(f"{path}: is no network of format {FORMAT!r} or {FIRST_FORMAT!r}")
        if content["format"] == FIRST_FORMAT:
            return _of_first(_FirstNetwork.model_validate_json(text), folder)
        return _of_second(_Network.model_validate_json(text), folder, task)
    # a ValidationError is a ValueError; deeper nesting than Python goes is no network either
    except (TwinError, CampaignError, TypeError, ValueError, RecursionError) as error:
        raise DeploymentError(f"{path}: is damaged: {error}") from error


def _read(path: Path, folder: Path) -> str:
    try:
        if path.stat().st_size > LARGEST_FILE_BYTES:
            raise DeploymentError(f"{path}: {path.stat().st_size} bytes are too many (at most {LARGEST_FILE_BYTES})")
        return path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise DeploymentError(f"{path}: no such file; `labctl network optimise --out {folder}` writes it") from error
    except (OSError, UnicodeDecodeError) as error:
        raise DeploymentError(f"{path}: cannot be read: {error}") from error


def _of_first(model: _FirstNetwork, folder: Path) -> NetworkFiles:
    wirings = {name: load_wiring(folder / name) for name in WIRINGS}
    if model.task not in PLANS:
        raise TaskError(f"task {model.task!r} is unknown; there are {', '.join(PLANS)}")
    plan = PLANS[model.task](tuple(model.devices), dt_s=wirings["optimised"].dt_s)
    note = (
        f"{folder / 'network.json'} is of format 1, which does not keep the plan: it is measured on examples of the present "
        f"plan of {model.task}, and its promise may be about others. Optimise it again to be sure"
    )
    return NetworkFiles(
        task=model.task,
        plan=plan,
        examples=plan.examples(seed=model.examples_seed),
        devices=tuple(model.devices),
        seed=None,
        wirings=wirings,
        notes=(note,),
        **model.figures(),
    )


def _of_second(model: _Network, folder: Path, task: Task | None) -> NetworkFiles:
    _check_own(model.plan.task, task, folder)
    wirings = {name: load_wiring(folder / name) for name in WIRINGS}
    plan, examples, notes = _plan_and_examples(model, load_examples(folder), task)
    _check(plan, examples, wirings)
    return NetworkFiles(
        task=plan.task.name,
        plan=plan,
        examples=examples,
        devices=plan.devices,
        seed=model.seed,
        wirings=wirings,
        own_task=model.plan.task.own,
        notes=notes,
        **model.figures(),
    )


def _check_own(stored: TaskModel, task: Task | None, folder: Path) -> None:
    """Raise DeploymentError where a task of a user's own is not the one that the network was optimised for."""
    if not isinstance(task, OwnTask):
        return
    own = stored.own
    if own is None:
        raise DeploymentError(
            f"{folder}: was optimised for {stored.name}, which is no task of your own; leave {task.source} out"
        )
    other = []
    if task.class_name != own.class_name:
        other.append(f"its class was {own.class_name}, not {task.class_name}")
    if task.sha256 != own.sha256:
        other.append(
            f"its file was {own.file} of SHA-256 {own.sha256[:12]}…, that of {task.path} is {task.sha256[:12]}…"
        )
    if other:
        raise DeploymentError(
            f"{folder}: was optimised for another task than {task.source}: {'; '.join(other)}. Give the file as it was, or "
            "optimise the network anew for the task as it is"
        )


def _plan_and_examples(
    model: _Network, stored: tuple[TaskData, TaskData], task: Task | None
) -> tuple[TaskPlan, tuple[TaskData, TaskData], tuple[str, ...]]:
    """The plan, the stored examples (with the task's further figures where it draws the same), and notes."""
    for data, trials in zip(stored, ("n_training_trials", "n_heldout_trials"), strict=True):
        wanted = (model.plan.sizes.get(trials), model.plan.sizes.get("n_steps"))
        if data.inputs.shape[:2] != wanted:  # also: nobody is made to draw more than a file can hold
            raise TaskError(f"the examples are (trial, step) = {data.inputs.shape[:2]}, the plan says {wanted}")
    shape = model.plan.architecture
    recorded = RecordedTask(model.plan.task.name, model.metric, shape.n_inputs, model.n_outputs, shape.washout)
    if model.plan.task.own is not None and task is None:
        return plan_from(model.plan, task=recorded), stored, ()
    try:
        plan = plan_from(model.plan, task=task)
        if (plan.task.metric, plan.task.n_outputs) != (model.metric, model.n_outputs):
            raise ValueError(
                f"{plan.task.name} has {plan.task.n_outputs} output(s) judged by {plan.task.metric}, the file says "
                f"{model.n_outputs} judged by {model.metric}"
            )
        drawn = plan.examples(seed=model.examples_seed)
    except (TaskError, CampaignError) as error:
        told = f"{recorded.name} is not the task that it was ({error}); the stored examples are played"
        return plan_from(model.plan, task=recorded), stored, (told,)
    if same_examples(drawn, stored):
        return plan, drawn, ()
    return plan, stored, (f"{recorded.name} draws other examples than it did; the stored ones are played",)


def _check(plan: TaskPlan, examples: tuple[TaskData, TaskData], wirings: Mapping[str, Wiring]) -> None:
    """Raise where plan, wirings and examples are of different networks."""
    for data in examples:
        found = (data.inputs.shape[2], data.targets.shape[2])
        if found != (plan.task.n_inputs, plan.task.n_outputs):
            raise TaskError(
                f"the examples have {found[0]} inputs and {found[1]} outputs, the task {plan.task.n_inputs} and "
                f"{plan.task.n_outputs}"
            )
    shape = plan.architecture
    want = (shape.n_inputs, shape.samples_per_step, tuple(shape.sample_offsets), shape.dt_s)
    for name, wiring in wirings.items():
        foreign = sorted({port.name for port in wiring.ports} - set(plan.devices))
        if foreign:
            raise WiringError(f"{name}: plays on {', '.join(foreign)}, which the plan does not name")
        have = (wiring.n_inputs, wiring.samples_per_step, tuple(wiring.sample_offsets), wiring.dt_s)
        if have != want:
            raise WiringError(f"{name}: inputs, samples, offsets and dt_s {have} are not those of the plan, {want}")
        missing = sorted(set(plan.trained_conditions) - set(wiring.conditions))
        if missing:
            raise WiringError(f"{name}: says nothing of the trained {', '.join(missing)}")
        if wiring.readout is not None and wiring.readout.weights.shape[0] != plan.task.n_outputs:
            raise WiringError(
                f"{name}: its read-out has {wiring.readout.weights.shape[0]} outputs, not {plan.task.n_outputs}"
            )


def _wirings(optimised: OptimisedNetwork) -> dict[str, Wiring]:
    return {"optimised": optimised.wiring, "reservoir": optimised.reservoir, "unoptimised": optimised.initial}
