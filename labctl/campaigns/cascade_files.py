"""The files of a cascade: what was asked for, so that only that is gone on with, and figures."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from labctl.errors import CampaignError

if TYPE_CHECKING:
    from labctl.bench import Bench
    from labctl.campaigns.plans import TaskPlan

LARGEST_FILE_BYTES = 64 * 2**20


class LayerFigures(BaseModel):
    """What figures.json says of a trained layer: TrainedLayer without its wiring."""

    model_config = ConfigDict(extra="forbid", strict=True)

    before: float
    promised: float
    n_passes: Annotated[int, Field(ge=0)]
    seconds: Annotated[float, Field(ge=0)]
    learning_curve: tuple[float, ...]


def read_layer_figures(path: Path) -> LayerFigures:
    """The figures of a layer that was trained before. Raises CampaignError that says what is wrong."""
    try:
        return LayerFigures.model_validate_json(_read(path))
    except ValidationError as error:
        raise CampaignError(f"{path}: is damaged: {error}; choose another folder") from error


def same_as_before(path: Path, asked: Mapping[str, Any]) -> bool:
    """Whether a cascade was begun there. Raises CampaignError if something else was asked of it then."""
    if not path.exists():
        return False
    then, now = _asked_before(path), json.loads(json.dumps(asked))
    other = sorted(name for name in {*then, *now} if then.get(name) != now.get(name))
    if other:
        told = ", ".join(_told(name, then, now) for name in other)
        raise CampaignError(
            f"{path}: a cascade of other {told} was begun there; give what that had, or choose another folder; "
            "nothing was played"
        )
    return True


def instruments_of(bench: Bench, devices: Sequence[str]) -> dict[str, str]:
    """By channel of these devices, what serves it: maker, model and serial number (its firmware may have been updated in
    between), and the terminal. Layers that were measured through others may have been of another sample."""
    found = {}
    for device in (bench.station.devices[name] for name in devices):
        for name in (*device.drive, *device.response):
            channel = bench.station.channels[name]
            identity = bench.identities[channel.instrument]
            found[name] = f"{identity.maker}, {identity.model}, {identity.serial}, terminal {channel.terminal}"
    return found


def _told(name: str, then: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """What is other; of the instruments which."""
    before, after = then.get(name), now.get(name)
    if name != "instruments" or not isinstance(before, dict) or not isinstance(after, dict):
        return name
    keys = sorted(key for key in {*before, *after} if before.get(key) != after.get(key))
    return f"{name} ({'; '.join(f'{key}: {before.get(key)} then, {after.get(key)} now' for key in keys)})"


def _asked_before(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(_read(path))
    except (ValueError, RecursionError) as error:
        raise CampaignError(f"{path}: cannot be read: {error}; choose another folder, or remove it") from error
    then = found.get("asked") if isinstance(found, dict) else None
    if not isinstance(then, dict):
        raise CampaignError(f"{path}: is none of the files of a cascade; choose another folder")
    return then


def _read(path: Path) -> bytes:
    try:
        if path.stat().st_size > LARGEST_FILE_BYTES:
            raise CampaignError(f"{path}: {path.stat().st_size} bytes are too many (at most {LARGEST_FILE_BYTES})")
        return path.read_bytes()
    except OSError as error:
        raise CampaignError(f"{path}: cannot be read: {error}; choose another folder, or remove it") from error


def told_plan(plan: TaskPlan) -> dict[str, Any]:
    """The plan as plain data; of a task that only its maker knows, what the Task protocol says."""
    from labctl.campaigns.plan_file import plan_model
    from twins.network.tasks import TaskError

    try:
        return plan_model(plan).model_dump(mode="json")
    except TaskError:
        rest = {one.name: repr(getattr(plan, one.name)) for one in fields(plan) if one.name != "task"}
        names = ("name", "metric", "n_inputs", "n_outputs", "washout")
        return {"task": {name: getattr(plan.task, name) for name in names}, **rest}


def numbers_of(twin: Any) -> Iterator[NDArray[Any]]:
    """All numbers of a twin, or of the members of an ensemble."""
    for member in getattr(twin, "members", (twin,)):
        for _, tensor in sorted(member.state_dict().items()):
            yield tensor.detach().cpu().numpy()


def digest_of(arrays: Iterable[NDArray[Any]]) -> str:
    """SHA-256 of the values of arrays."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
