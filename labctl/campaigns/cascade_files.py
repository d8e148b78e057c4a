"""The files of a cascade: what was asked for, so that only that is gone on with, and figures."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from labctl.errors import CampaignError

if TYPE_CHECKING:
    from labctl.campaigns.plans import TaskPlan


def same_as_before(path: Path, asked: Mapping[str, Any]) -> bool:
    """Whether a cascade was begun there. Raises CampaignError if something else was asked of it then."""
    if not path.exists():
        return False
    then, now = read_figures(path).get("asked", {}), json.loads(json.dumps(asked))
    other = sorted(name for name in {*then, *now} if then.get(name) != now.get(name))
    if other:
        raise CampaignError(
            f"{path}: a cascade of other {', '.join(other)} was begun there; give what that had, or choose another folder; "
            "nothing was played"
        )
    return True


def read_figures(path: Path) -> dict[str, Any]:
    """A file of a cascade. Raises CampaignError that says what is wrong."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CampaignError(f"{path}: cannot be read: {error}; choose another folder, or remove it") from error
    if not isinstance(found, dict):
        raise CampaignError(f"{path}: is none of the files of a cascade; choose another folder")
    return found


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
