"""A task of which only examples are left: enough to measure a network on them, not to draw others."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from twins.network.tasks import Metric, TaskData, TaskError


@dataclass(frozen=True, slots=True)
class RecordedTask:
    """What a stored network knows of its task, whose class is not at hand."""

    name: str
    metric: Metric
    n_inputs: int
    n_outputs: int
    washout: int

    def sample(self, n_trials: int, n_steps: int, rng: np.random.Generator) -> TaskData:  # noqa: ARG002 - as of any Task
        """Raises TaskError: examples are drawn by the class of the task, which was not given."""
        raise TaskError(
            f"only the stored examples of task {self.name!r} are at hand; name the file of its class to draw more"
        )
