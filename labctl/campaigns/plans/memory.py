"""The plan of memory capacity."""

from __future__ import annotations

from collections.abc import Sequence

from labctl.campaigns.plans.task_plan import TaskPlan, shared_layers
from twins.network.architecture import Architecture, InitialScales
from twins.network.optimise_settings import OptimiserSettings
from twins.network.tasks import MemoryCapacity


def memory_capacity_plan(devices: Sequence[str], *, dt_s: float, task: MemoryCapacity | None = None) -> TaskPlan:
    """Memory of the last ten inputs in 6 + 6 nodes, four of six on the first device. No input taps, and coupling delays 0 and
    3: what lies between and beyond has to be held by the devices."""
    task = task or MemoryCapacity()
    return TaskPlan(
        task=task,
        architecture=Architecture(
            layers=shared_layers(devices, 6, n_first=4),
            samples_per_step=3,
            sample_offsets=(0, 1, 2),
            dt_s=dt_s,
            input_taps=(0,),
            coupling_delays=(0, 3),
            washout=task.washout,
        ),
        scales=InitialScales(),
        settings=OptimiserSettings(n_iterations=200, n_trials=48, n_steps=task.washout + 30, learning_rate=0.03),
        n_steps=task.washout + 60,
        n_training_trials=40,
        n_heldout_trials=40,
    )
