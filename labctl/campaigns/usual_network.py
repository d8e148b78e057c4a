"""The network that `labctl network optimise --task` takes, as a draft to be looked at and changed, and what its task is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from labctl.campaigns.plans import TaskPlan, plan_for
from labctl.network_editing import NetworkDraft, new_draft
from labctl.task_preview import TaskPreview

_ANY_DT_S = 1e-3
"""The usual network has a number of samples a step, whatever the time between samples is."""
MOST_SHOWN = 400
_NAMES = ("first", "second", "third")


def usual_network(task: str, devices: Sequence[str]) -> NetworkDraft:
    """The layers of the task's own plan on these devices (the first plays most), everything else left to the plan.

    A task FILE.py:ClassName is a task of the user's own, whose file is run. Raises CampaignError for an unknown task.
    """
    plan = plan_for(task, tuple(devices), dt_s=_ANY_DT_S)
    layers: dict[str, Mapping[str, int]] = {}
    for number, layer in enumerate(plan.architecture.plans):
        name = _NAMES[number] if number < len(_NAMES) else f"layer_{number + 1}"
        layers[name] = {device: layer.devices.count(device) for device in dict.fromkeys(layer.devices)}
    return new_draft(task, layers)


def preview_task(task: str, *, seed: int = 0) -> TaskPreview:
    """An example of a task: what goes in and what is to come out. Runs the file of FILE.py:ClassName."""
    plan: TaskPlan = plan_for(task, ("any",), dt_s=_ANY_DT_S)
    data = plan.task.sample(1, min(plan.n_steps, MOST_SHOWN), np.random.default_rng(seed))
    return TaskPreview(
        task=plan.task.name,
        metric=plan.task.metric,
        inputs=np.asarray(data.inputs[0], dtype=np.float64),
        targets=np.asarray(data.targets[0], dtype=np.float64),
        scored=np.asarray(data.scored[0]),
        n_iterations=plan.settings.n_iterations,
        n_starts=plan.n_starts,
        n_training_trials=plan.n_training_trials,
        n_heldout_trials=plan.n_heldout_trials,
        n_steps=plan.n_steps,
    )


def usual_and_preview(task: str, devices: Sequence[str]) -> tuple[NetworkDraft | None, TaskPreview]:
    """Both at once; no network without devices."""
    return (usual_network(task, devices) if devices else None), preview_task(task)
