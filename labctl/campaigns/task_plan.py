"""What a network is optimised for, and how: a task, an architecture and the sizes of everything.

The figures of the plans below were chosen on evidence (README, decisions). Importing this module loads torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from labctl.errors import CampaignError
from twins.network.initialise import Architecture, InitialScales
from twins.network.optimise import OptimiserSettings
from twins.network.tasks import DelayedParity, Narma10, Task, TaskData

PLAN_NAMES = ("narma10", "delayed_parity")


@dataclass(frozen=True, slots=True)
class TaskPlan:
    """A task with the network meant for it and the examples it is judged on.

    n_training_trials, n_heldout_trials of n_steps each: played on the device, to fit the rivals' read-outs and to score.
    n_repeats: how often the device plays the held-out examples. n_reservoir_draws: random networks that the reservoir is
    the best of, each judged on n_reservoir_trials examples. n_starts: random wirings of which the optimiser starts from
    the best.
    """

    task: Task
    architecture: Architecture
    scales: InitialScales
    settings: OptimiserSettings
    n_steps: int
    n_training_trials: int
    n_heldout_trials: int
    n_repeats: int = 3
    n_reservoir_draws: int = 40
    n_reservoir_trials: int = 48
    n_starts: int = 16

    @property
    def reachable_taps(self) -> tuple[int, ...]:
        """How far back the network's own taps and delays reach, step by step: what a linear rival is given as well."""
        delays = {0, *self.architecture.coupling_delays}
        return tuple(sorted({tap + delay for tap in self.architecture.input_taps for delay in delays}))

    @property
    def n_nodes(self) -> int:
        """Nodes of all layers together."""
        return sum(len(layer) for layer in self.architecture.layers)

    @property
    def devices(self) -> tuple[str, ...]:
        """The devices of the network, each once."""
        return tuple(dict.fromkeys(device for layer in self.architecture.layers for device in layer))

    def with_budget(self, seconds: float | None) -> TaskPlan:
        """The same with a limit on the optimiser's wall time, if there is one."""
        return replace(self, settings=replace(self.settings, budget_seconds=seconds))

    def examples(self, *, seed: int) -> tuple[TaskData, TaskData]:
        """(training, held out): the examples that the device plays. The same seed gives the same examples."""
        streams = np.random.SeedSequence(seed).spawn(2)
        training = self.task.sample(self.n_training_trials, self.n_steps, np.random.default_rng(streams[0]))
        heldout = self.task.sample(self.n_heldout_trials, self.n_steps, np.random.default_rng(streams[1]))
        return training, heldout


def plan_for(name: str, devices: Sequence[str], *, dt_s: float) -> TaskPlan:
    """The plan of this name for nodes on `devices` (the first plays most), sampled every dt_s.

    Raises CampaignError for a name that is not in PLAN_NAMES.
    """
    match name:
        case "narma10":
            return narma10_plan(devices, dt_s=dt_s)
        case "delayed_parity":
            return delayed_parity_plan(devices, dt_s=dt_s)
    raise CampaignError(f"task {name!r} is unknown; there are {', '.join(PLAN_NAMES)}")


def narma10_plan(devices: Sequence[str], *, dt_s: float) -> TaskPlan:
    """NARMA-10 on 6 + 6 nodes, four of six on the first device; input taps 0..9, three samples a step."""
    return TaskPlan(
        task=Narma10(washout=20),
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


def delayed_parity_plan(devices: Sequence[str], *, dt_s: float) -> TaskPlan:
    """Parity of three successive bits, the newest two steps ago, on 6 + 6 nodes; no input taps, three samples a bit."""
    task = DelayedParity(order=3, delay=2)
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


def shared_layers(
    devices: Sequence[str], n_nodes: int, *, n_first: int = 1, n_layers: int = 2
) -> tuple[tuple[str, ...], ...]:
    """`n_layers` layers of `n_nodes` nodes, dealt to the devices in turn; at least `n_first` of them to the first device."""
    if not devices:
        raise CampaignError("a network needs at least one device")
    dealt = [devices[node % len(devices)] for node in range(n_nodes)]
    for node in reversed(range(n_nodes)):
        if dealt.count(devices[0]) >= n_first:
            break
        dealt[node] = devices[0]
    return tuple(tuple(dealt) for _ in range(n_layers))
