"""What a network is optimised for, and how: a task, an architecture and the sizes of everything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from labctl.campaigns.device_options import DeviceOptions
from labctl.errors import CampaignError
from twins.network.architecture import Architecture, InitialScales
from twins.network.optimise_settings import OptimiserSettings
from twins.network.tasks import Task, TaskData


@dataclass(frozen=True, slots=True)
class TaskPlan:
    """A task with the network meant for it and the examples it is judged on.

    n_training_trials, n_heldout_trials of n_steps each: played on the device, to fit the rivals' read-outs and to score.
    n_repeats: how often the device plays the held-out examples. n_reservoir_draws: random networks that the reservoir is
    the best of, each judged on n_reservoir_trials examples. n_starts: random wirings of which the optimiser starts from
    the best n_trained_starts; those share its iterations, and the best of them goes on to the end. Raises CampaignError
    if the architecture has another number of inputs than the task.

    device_options: how each device may be driven (see labctl.campaigns.drive_ranges). trained_conditions: set-points that
    are optimised with the weights, each within its range.
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
    n_trained_starts: int = 1
    device_options: Mapping[str, DeviceOptions] = field(default_factory=dict)
    trained_conditions: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.architecture.n_inputs != self.task.n_inputs:
            raise CampaignError(
                f"{self.task.name} has {self.task.n_inputs} input(s) and the architecture {self.architecture.n_inputs}: "
                f"give Architecture(n_inputs={self.task.n_inputs})"
            )

    @property
    def reachable_taps(self) -> tuple[int, ...]:
        """How far back the network's own taps and delays reach, step by step: what a linear rival is given as well."""
        return self.architecture.reachable_taps()

    @property
    def n_nodes(self) -> int:
        """Nodes of all layers together."""
        return self.architecture.n_nodes

    @property
    def devices(self) -> tuple[str, ...]:
        """The devices of the network, each once."""
        return self.architecture.devices

    def with_budget(self, seconds: float | None) -> TaskPlan:
        """The same with a limit on the optimiser's wall time, if there is one."""
        return replace(self, settings=replace(self.settings, budget_seconds=seconds))

    def examples(self, *, seed: int) -> tuple[TaskData, TaskData]:
        """(training, held out): the examples that the device plays. The same seed gives the same examples."""
        streams = np.random.SeedSequence(seed).spawn(2)
        training = self.task.sample(self.n_training_trials, self.n_steps, np.random.default_rng(streams[0]))
        heldout = self.task.sample(self.n_heldout_trials, self.n_steps, np.random.default_rng(streams[1]))
        return training, heldout


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
