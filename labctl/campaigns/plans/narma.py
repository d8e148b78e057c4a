"""Plans of NARMA-10 and NARMA-30."""

from __future__ import annotations

from collections.abc import Sequence

from labctl.campaigns.plans.task_plan import TaskPlan, shared_layers
from twins.network.architecture import Architecture, InitialScales
from twins.network.optimise_settings import OptimiserSettings
from twins.network.tasks import Narma10, Narma30


def narma10_plan(devices: Sequence[str], *, dt_s: float, task: Narma10 | None = None) -> TaskPlan:
    """NARMA-10 on 6 + 6 nodes, four of six on the first device; input taps 0..9, three samples a step."""
    return TaskPlan(
        task=task or Narma10(washout=20),
        architecture=Architecture(
            layers=shared_layers(devices, 6, n_first=4),
            samples_per_step=3,
            sample_offsets=(0, 1, 2),
            dt_s=dt_s,
            input_taps=tuple(range(10)),
            coupling_delays=(0,),
            washout=20,
        ),
        scales=InitialScales(),
        settings=OptimiserSettings(n_iterations=220, n_trials=48, n_steps=44, learning_rate=0.04, n_readout_trials=100),
        n_steps=120,
        n_training_trials=40,  # the rivals' read-outs live on them
        n_heldout_trials=48,  # the score is heavy-tailed: rare large y decide it
    )


def narma30_plan(devices: Sequence[str], *, dt_s: float, task: Narma30 | None = None) -> TaskPlan:
    """NARMA-30 on 6 + 6 nodes, four of six on the first device; input taps 0..29, three samples a step."""
    task = task or Narma30()
    return TaskPlan(
        task=task,
        architecture=Architecture(
            layers=shared_layers(devices, 6, n_first=4),
            samples_per_step=3,
            sample_offsets=(0, 1, 2),
            dt_s=dt_s,
            input_taps=tuple(range(30)),
            coupling_delays=(0,),
            washout=task.washout,
        ),
        scales=InitialScales(),
        settings=OptimiserSettings(
            n_iterations=240, n_trials=64, n_steps=task.washout + 40, learning_rate=0.03, n_readout_trials=100
        ),
        n_steps=140,
        n_training_trials=40,
        n_heldout_trials=48,
    )
