"""The state of an optimisation on disk: one safetensors file with all arrays, and the rest as JSON in its header.

One file, written whole or not at all, so that arrays and numbers are always of the same moment. What is read is not
trusted before it is checked: nothing is unpickled, and a file of another run is refused.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from twins.errors import TwinError
from twins.files import write_whole
from twins.fitting.adam import AdamMemory
from twins.network.network import PhysicalNetwork
from twins.network.optimise_settings import OptimiserSettings
from twins.network.readout import Readout, ReadoutError, ReadoutKind
from twins.network.scores import Score
from twins.network.tasks import Metric, Task

FORMAT: Final = "labctl-optimise-state"
LARGEST_FILE_BYTES = 2**30
_GROUPS = ("parameters", "best", "initial")
_HEADER = "labctl"


class OptimiseStateError(TwinError, ValueError):
    """A state file that is damaged, foreign, or of another run."""


@dataclass(frozen=True, slots=True)
class RunIdentity:
    """What must be the same for a run to go on, as plain JSON data. conditions: (low, high) of those that are trained."""

    settings: Mapping[str, Any]
    task: Mapping[str, Any]
    metric: Metric
    seed: int
    conditions: Mapping[str, list[float]] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        task: Task,
        *,
        seed: int,
        settings: OptimiserSettings,
        conditions: Mapping[str, tuple[float, float]] | None = None,
    ) -> RunIdentity:
        """Of a run. A task is told by its name and sizes, and by its fields where they are plain data."""
        told = {name: getattr(task, name) for name in ("name", "metric", "n_inputs", "n_outputs", "washout")}
        anything: Any = task
        if dataclasses.is_dataclass(anything):
            values = {one.name: getattr(task, one.name) for one in dataclasses.fields(anything)}
            told |= {name: _plain(value) for name, value in values.items() if _is_plain(value)}
        ranges = {name: [float(low), float(high)] for name, (low, high) in (conditions or {}).items()}
        return cls(dataclasses.asdict(settings), told, task.metric, seed, ranges)


@dataclass(frozen=True, slots=True, eq=False)
class RunState:
    """All there is to go on from. parameters, best, initial: state dicts of the network. noise, examples: states of the
    torch and the numpy generator. validations: (iteration, score), the first of the start."""

    parameters: dict[str, Tensor]
    best: dict[str, Tensor]
    initial: dict[str, Tensor]
    adam: AdamMemory
    readout: Readout | None
    noise: Tensor
    examples: Mapping[str, Any]
    losses: tuple[float, ...]
    validations: tuple[tuple[int, Score], ...]
    seconds: float


def save_state(path: Path, identity: RunIdentity, state: RunState) -> None:
    """Write the file, whole or not at all."""
    header = _Header(
        format=FORMAT,
        version=1,
        settings=dict(identity.settings),
        task=dict(identity.task),
        seed=identity.seed,
        conditions=dict(identity.conditions),
        adam_steps=state.adam.n_steps,
        readout=None
        if state.readout is None
        else _Readout(kind=state.readout.kind, regularisation=state.readout.regularisation),
        examples=_Pcg64.model_validate(state.examples),
        validations=[
            _Validation(iteration=at, value=one.value, accuracy=one.accuracy, details=dict(one.details))
            for at, one in state.validations
        ],
        seconds=state.seconds,
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, save(_tensors_of(state), metadata={_HEADER: header.model_dump_json()}))


def load_state(path: Path, identity: RunIdentity, network: PhysicalNetwork) -> RunState:
    """Read what `save_state` wrote of this run on such a network; raises OptimiseStateError that says what is wrong."""
    header, tensors = _read(path)
    _check_identity(path, header, identity)
    like = network.state_dict()
    groups = {group: _group(path, tensors, group, like) for group in _GROUPS}
    fixed = [name for name, _ in network.named_buffers() if name in like]
    for name in fixed:
        if not torch.equal(groups["initial"][name], like[name].cpu()):
            raise OptimiseStateError(f"{path}: {name} is not that of this network (other ports or ranges)")
    adam = AdamMemory(tensors["adam.mean"], tensors["adam.square"], header.adam_steps)
    size = sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)
    if adam.mean.shape != (size,) or adam.square.shape != (size,):
        raise OptimiseStateError(f"{path}: Adam's moments are not of {size} parameters, as this network has")
    losses = _of_type(path, tensors, "losses", torch.float64, 1).tolist()
    return RunState(
        **groups,
        adam=adam,
        readout=_readout_of(path, header, tensors),
        noise=_of_type(path, tensors, "noise", torch.uint8, 1),
        examples=header.examples.model_dump(),
        losses=tuple(losses),
        validations=_validations_of(path, header, len(losses), identity.metric),
        seconds=header.seconds,
    )


def differences(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What two mappings do not agree on, as 'name: 3 then, 4 now'."""
    names = sorted(set(then) | set(now))
    absent = "absent"
    pairs = {name: (then.get(name, absent), now.get(name, absent)) for name in names}
    return [f"{name}: {a!r} then, {b!r} now" for name, (a, b) in pairs.items() if a != b]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class _Pcg64Numbers(_Strict):
    state: Annotated[int, Field(ge=0, lt=2**128)]
    inc: Annotated[int, Field(ge=0, lt=2**128)]


class _Pcg64(_Strict):
    """State of numpy's default generator."""

    bit_generator: Literal["PCG64"]
    state: _Pcg64Numbers
    has_uint32: Literal[0, 1]
    uinteger: Annotated[int, Field(ge=0, lt=2**32)]


class _Readout(_Strict):
    kind: ReadoutKind
    regularisation: float


class _Validation(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, ser_json_inf_nan="constants")

    iteration: Annotated[int, Field(ge=0)]
    value: float
    accuracy: float | None
    details: dict[str, float]


class _Header(_Strict):
    format: Literal["labctl-optimise-state"]
    version: Literal[1]
    settings: dict[str, int | float | None]
    task: dict[str, int | float | str | bool | list[Any] | None]
    seed: int
    conditions: dict[str, list[float]] = {}
    adam_steps: Annotated[int, Field(ge=0)]
    readout: _Readout | None
    examples: _Pcg64
    validations: Annotated[list[_Validation], Field(min_length=1)]
    seconds: Annotated[float, Field(ge=0)]


def _is_plain(value: Any) -> bool:
    if isinstance(value, tuple | list):
        return all(_is_plain(one) for one in value)
    return isinstance(value, int | float | str | None)


def _plain(value: Any) -> Any:
    """Tuples as the lists that JSON makes of them."""
    return [_plain(one) for one in value] if isinstance(value, tuple | list) else value


def _tensors_of(state: RunState) -> dict[str, Tensor]:
    tensors = {f"{group}/{name}": tensor for group in _GROUPS for name, tensor in getattr(state, group).items()}
    tensors |= {"adam.mean": state.adam.mean, "adam.square": state.adam.square, "noise": state.noise}
    tensors["losses"] = torch.tensor(state.losses, dtype=torch.float64)
    if state.readout is not None:
        tensors |= {f"readout.{name}": torch.tensor(getattr(state.readout, name)) for name in ("weights", "bias")}
    return {name: tensor.detach().cpu().clone().contiguous() for name, tensor in tensors.items()}


def _read(path: Path) -> tuple[_Header, dict[str, Tensor]]:
    try:
        if path.stat().st_size > LARGEST_FILE_BYTES:
            raise OptimiseStateError(f"{path}: more than {LARGEST_FILE_BYTES} bytes, which no state has")
        with safe_open(path, framework="pt") as file:
            text = (file.metadata() or {}).get(_HEADER, "")
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no mapping
    except (OSError, SafetensorError) as error:
        raise OptimiseStateError(f"{path}: cannot be read as the state of an optimisation: {error}") from error
    try:
        header = _Header.model_validate_json(text)
    except ValidationError as error:
        raise OptimiseStateError(f"{path}: not the state of an optimisation ({FORMAT}, version 1): {error}") from error
    wanted = {"adam.mean", "adam.square", "noise", "losses"}
    wanted |= {"readout.weights", "readout.bias"} if header.readout is not None else set()
    found = {name for name in tensors if "/" not in name}
    if found != wanted:
        raise OptimiseStateError(f"{path}: is damaged: missing or unknown: {', '.join(sorted(found ^ wanted))}")
    return header, tensors


def _check_identity(path: Path, header: _Header, now: RunIdentity) -> None:
    plain = json.loads(json.dumps({"settings": dict(now.settings), "task": dict(now.task)}))
    different = differences(header.settings, plain["settings"]) + differences(header.task, plain["task"])
    different += differences({"seed": header.seed}, {"seed": now.seed})
    different += [f"range of {told}" for told in differences(header.conditions, now.conditions)]
    if different:
        raise OptimiseStateError(
            f"{path}: is of another run ({'; '.join(different)}); give what that run had, or remove the file to start anew"
        )


def _group(path: Path, tensors: Mapping[str, Tensor], group: str, like: Mapping[str, Tensor]) -> dict[str, Tensor]:
    found = {name.partition("/")[2]: tensor for name, tensor in tensors.items() if name.startswith(f"{group}/")}
    then = {name: f"{tensor.dtype} {tuple(tensor.shape)}" for name, tensor in found.items()}
    now = {name: f"{tensor.dtype} {tuple(tensor.shape)}" for name, tensor in like.items()}
    different = differences(then, now)
    if different:
        raise OptimiseStateError(f"{path}: is of another network: {'; '.join(different[:5])}")
    return found


def _of_type(path: Path, tensors: Mapping[str, Tensor], name: str, dtype: torch.dtype, n_axes: int) -> Tensor:
    tensor = tensors[name]
    if tensor.dtype != dtype or tensor.ndim != n_axes:
        raise OptimiseStateError(
            f"{path}: {name} is {tensor.dtype} {tuple(tensor.shape)}, not {dtype} of {n_axes} axes"
        )
    return tensor


def _validations_of(path: Path, header: _Header, n_losses: int, metric: Metric) -> tuple[tuple[int, Score], ...]:
    found = header.validations
    if found[0].iteration != 0 or found[-1].iteration != n_losses:
        raise OptimiseStateError(f"{path}: is damaged: its validations do not fit its {n_losses} losses")
    return tuple((one.iteration, Score(metric, one.value, one.accuracy, one.details)) for one in found)


def _readout_of(path: Path, header: _Header, tensors: Mapping[str, Tensor]) -> Readout | None:
    if header.readout is None:
        return None
    weights = _of_type(path, tensors, "readout.weights", torch.float64, 2).numpy()
    bias = _of_type(path, tensors, "readout.bias", torch.float64, 1).numpy()
    try:
        return Readout(header.readout.kind, weights, bias, header.readout.regularisation)
    except ReadoutError as error:
        raise OptimiseStateError(f"{path}: {error}") from error
