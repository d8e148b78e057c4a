"""Plans of the chaotic series."""

from __future__ import annotations

from collections.abc import Sequence

from labctl.campaigns.plans.task_plan import TaskPlan, shared_layers
from twins.network.architecture import Architecture, InitialScales
from twins.network.optimise_settings import OptimiserSettings
from twins.network.tasks import Lorenz, MackeyGlass


def mackey_glass_plan(devices: Sequence[str], *, dt_s: float, task: MackeyGlass | None = None) -> TaskPlan:
    """Mackey-Glass ten steps (30 of its time) ahead on 6 + 6 nodes; input taps 0..7, three samples a step."""
    task = task or MackeyGlass()
    return TaskPlan(
        task=task,
        architecture=Architecture(
            layers=shared_layers(devices, 6, n_first=4),
            samples_per_step=3,
            sample_offsets=(0, 1, 2),
            dt_s=dt_s,
            input_taps=tuple(range(8)),
            coupling_delays=(0,),
            washout=task.washout,
        ),
        scales=InitialScales(),
        settings=OptimiserSettings(
            n_iterations=220, n_trials=48, n_steps=task.washout + 24, learning_rate=0.04, n_readout_trials=100
        ),
        n_steps=100,
        n_training_trials=40,
        n_heldout_trials=48,
    )


def lorenz_plan(devices: Sequence[str], *, dt_s: float, task: Lorenz | None = None) -> TaskPlan:
    """Lorenz's x five steps (0.25 of its time) ahead on 6 + 6 nodes; input taps 0..4, three samples a step."""
    task = task or Lorenz()
    return TaskPlan(
        task=task,
        architecture=Architecture(
            layers=shared_layers(devices, 6, n_first=4),
            samples_per_step=3,
            sample_offsets=(0, 1, 2),
            dt_s=dt_s,
            input_taps=tuple(range(5)),
            coupling_delays=(0,),
            n_inputs=task.n_inputs,
            washout=task.washout,
        ),
        scales=InitialScales(),
        settings=OptimiserSettings(
            n_iterations=220, n_trials=48, n_steps=task.washout + 24, learning_rate=0.04, n_readout_trials=100
        ),
        n_steps=80,
        n_training_trials=40,
        n_heldout_trials=48,
    )
