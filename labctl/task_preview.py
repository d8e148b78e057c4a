"""An example of a task, as plain data: it can be sent to a process that has loaded no torch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class TaskPreview:
    """One example of a task and what its plan comes to. inputs (step, input), targets (step, output), scored (step,)."""

    task: str
    metric: str
    inputs: Array
    targets: Array
    scored: NDArray[np.bool_]
    n_iterations: int
    n_starts: int
    n_training_trials: int
    n_heldout_trials: int
    n_steps: int
