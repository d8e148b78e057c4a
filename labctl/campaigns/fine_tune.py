"""Go on optimising a wiring on twins that have changed, and say what they promise of it. Made for worker processes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from labctl.campaign import Campaign, Step

if TYPE_CHECKING:
    from labctl.campaigns.plans import TaskPlan
    from twins.network.judging import Promise
    from twins.network.tasks import TaskData
    from twins.network.wiring import Wiring


@dataclass(frozen=True, slots=True)
class TunedWiring:
    """A wiring as it came out, with its read-out, and the score of its validation on the twins before and after."""

    wiring: Wiring
    validation_before: float
    validation: float


@dataclass(frozen=True, slots=True)
class FineTuning:
    """How far to go on: shares of the plan's own learning rate and number of iterations; the rest is as in the plan."""

    learning_rate: float = 0.3
    iterations: float = 0.5

    def of(self, plan: TaskPlan) -> TaskPlan:
        """The plan with gentler settings."""
        settings = plan.settings
        gentle = replace(
            settings,
            learning_rate=self.learning_rate * settings.learning_rate,
            n_iterations=max(1, round(self.iterations * settings.n_iterations)),
        )
        return replace(plan, settings=gentle)


def fine_tune(
    wiring: Wiring,
    twins: Mapping[str, Path],
    plan: TaskPlan,
    *,
    seed: int,
    key: str,
) -> Campaign[TunedWiring]:
    """Optimise `wiring` from where it is, with those conditions that the plan trains, on the twins in these files, as the
    plan's settings say.

    Of the parameters that were met on the way those with the best validation on the twins are kept; the read-out is
    fitted anew, on their noise.
    """
    from labctl.campaigns.told import of_training, told
    from twins import load_any_twin
    from twins.network.network import PhysicalNetwork
    from twins.network.optimise import optimise

    step = Step(key, f"Fine-tune {plan.task.name} on the refitted twins")
    yield step.started()
    loaded = {device: load_any_twin(path) for device, path in twins.items()}
    network = PhysicalNetwork(wiring, loaded, conditions=plan.trained_conditions)
    course = optimise(network, plan.task, seed=seed, settings=plan.settings)
    result = yield from told(course, of_training(key, plan.settings.budget_seconds))
    before, after = result.initial_validation.value, result.validation.value
    yield step.finished(f"{plan.task.metric} {before:.4f} -> {after:.4f} on the twins")
    return TunedWiring(result.wiring, before, after)


def promise_of(
    wiring: Wiring,
    twins: Mapping[str, Path],
    plan: TaskPlan,
    examples: TaskData,
    *,
    n_draws: int,
    seed: int,
    key: str,
) -> Campaign[Promise]:
    """What the twins in these files promise of a wiring with its own read-out on these examples, over noise draws."""
    from labctl.campaigns.told import of_passes, told
    from twins import load_any_twin
    from twins.network.judging import promise, torch_generator

    step = Step(key, f"What the twins promise of {plan.task.name}")
    yield step.started()
    loaded = {device: load_any_twin(path) for device, path in twins.items()}
    passes = promise(
        wiring,
        loaded,
        plan.task.metric,
        examples,
        generator=torch_generator(np.random.SeedSequence(seed)),
        n_draws=n_draws,
    )
    promised = yield from told(passes, of_passes(key))
    yield step.finished(f"{plan.task.metric} {promised.mean:.4f} ± {promised.std:.4f} over {n_draws} noise draws")
    return promised
