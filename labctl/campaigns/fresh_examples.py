"""Examples that are none of those that something is judged by."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from labctl.errors import CampaignError

if TYPE_CHECKING:
    from twins.network.tasks import Task, TaskData

MOST_DRAWS = 20
"""Until enough of them differ from those to avoid."""


def fresh_examples(task: Task, n_trials: int, n_steps: int, rng: np.random.Generator, *, avoid: TaskData) -> TaskData:
    """n_trials examples whose inputs are none of those to avoid: in a task with few different inputs, some come again.

    Raises CampaignError if nearly all inputs that the task draws are to be avoided.
    """
    known = {one.tobytes() for one in avoid.inputs}
    chosen: list[TaskData] = []
    for _ in range(MOST_DRAWS):
        data = task.sample(n_trials, n_steps, rng)
        new = [number for number, one in enumerate(data.inputs) if one.tobytes() not in known]
        chosen += [data.take(slice(number, number + 1)) for number in new[: n_trials - len(chosen)]]
        if len(chosen) == n_trials:
            inputs, targets, scored = (
                np.concatenate([getattr(one, name) for one in chosen]) for name in ("inputs", "targets", "scored")
            )
            return replace(avoid, inputs=inputs, targets=targets, scored=scored, details=None)
    raise CampaignError(
        f"{task.name} has hardly any inputs beside the {len(known)} that are judged: {len(chosen)} of {n_trials} were found; "
        "judge on fewer (n_judged_trials), or make the examples longer"
    )
