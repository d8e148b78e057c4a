"""The plan of a task that nobody has made a plan for: a user's own."""

from __future__ import annotations

from collections.abc import Sequence

from labctl.campaigns.plans.task_plan import TaskPlan, shared_layers
from twins.network.architecture import Architecture, InitialScales
from twins.network.optimise_settings import OptimiserSettings
from twins.network.tasks import Task


def general_plan(task: Task, devices: Sequence[str], *, dt_s: float) -> TaskPlan:
    """Any task on 6 + 6 nodes, four of six on the first device: input taps 0..3, coupling delays 0, 2 and 4, so that it
    reaches 15 steps back; trials of 30 scored steps in training and 60 on the device.

    A start: `dataclasses.replace(plan, …)` changes any of it.
    """
    return TaskPlan(
        task=task,
        architecture=Architecture(
            layers=shared_layers(devices, 6, n_first=4),
            samples_per_step=3,
            sample_offsets=(0, 1, 2),
            dt_s=dt_s,
            input_taps=(0, 1, 2, 3),
            coupling_delays=(0, 2, 4),
            n_inputs=task.n_inputs,
            washout=task.washout,
        ),
        scales=InitialScales(),
        settings=OptimiserSettings(n_iterations=200, n_trials=48, n_steps=task.washout + 30, learning_rate=0.03),
        n_steps=task.washout + 60,
        n_training_trials=40,
        n_heldout_trials=48,
    )
