"""Plans of the classifications."""

from __future__ import annotations

from collections.abc import Sequence

from labctl.campaigns.plans.task_plan import TaskPlan, shared_layers
from twins.network.architecture import Architecture, InitialScales
from twins.network.optimise_settings import OptimiserSettings
from twins.network.tasks import DelayedParity, SineSquare, SpokenDigits


def delayed_parity_plan(devices: Sequence[str], *, dt_s: float, task: DelayedParity | None = None) -> TaskPlan:
    """Parity of three successive bits, the newest two steps ago, on 6 + 6 nodes; no input taps, three samples a bit."""
    task = task or DelayedParity(order=3, delay=2)
    return TaskPlan(
        task=task,
        architecture=Architecture(
            layers=shared_layers(devices, 6),
            samples_per_step=3,
            sample_offsets=(0, 1, 2),
            dt_s=dt_s,
            input_taps=(0,),
            coupling_delays=(0, 1),
            washout=task.washout,
        ),
        scales=InitialScales(),
        settings=OptimiserSettings(
            n_iterations=200,
            n_trials=96,
            n_steps=10,
            learning_rate=0.04,
            n_validation_trials=200,
            n_readout_trials=400,
        ),
        n_steps=10,
        n_training_trials=600,
        n_heldout_trials=600,
        n_reservoir_trials=200,
    )


def sine_square_plan(devices: Sequence[str], *, dt_s: float, task: SineSquare | None = None) -> TaskPlan:
    """Sine or square on 6 + 6 nodes, four of six on the first device; no input taps, coupling delays 0..3."""
    task = task or SineSquare()
    return TaskPlan(
        task=task,
        architecture=Architecture(
            layers=shared_layers(devices, 6, n_first=4),
            samples_per_step=3,
            sample_offsets=(0, 1, 2),
            dt_s=dt_s,
            input_taps=(0,),
            coupling_delays=(0, 1, 2, 3),
            washout=task.washout,
        ),
        scales=InitialScales(),
        settings=OptimiserSettings(n_iterations=200, n_trials=48, n_steps=35, learning_rate=0.03),
        n_steps=67,
        n_training_trials=40,
        n_heldout_trials=60,
    )


def spoken_digits_plan(devices: Sequence[str], *, dt_s: float, task: SpokenDigits | None = None) -> TaskPlan:
    """Spoken digits on 6 + 6 nodes, four of six on the first device; no input taps, coupling delays 0, 4, 8
    and 12: most of a word."""
    task = task or SpokenDigits()
    return TaskPlan(
        task=task,
        architecture=Architecture(
            layers=shared_layers(devices, 6, n_first=4),
            samples_per_step=3,
            sample_offsets=(0, 1, 2),
            dt_s=dt_s,
            input_taps=(0,),
            coupling_delays=(0, 4, 8, 12),
            n_inputs=task.n_inputs,
            washout=task.washout,
        ),
        scales=InitialScales(),
        settings=OptimiserSettings(
            n_iterations=150,
            n_trials=64,
            n_steps=task.longest,
            learning_rate=0.03,
            n_validation_trials=80,
            n_readout_trials=150,
            n_readout_draws=3,
        ),
        n_steps=task.longest,
        n_training_trials=200,
        n_heldout_trials=300,
        n_reservoir_trials=60,
        n_starts=8,
    )
