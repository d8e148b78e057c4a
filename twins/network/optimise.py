"""Optimise a physical network for a task: backpropagation through time, with fresh process noise in every pass.

Each iteration draws new examples and new noise, and of an ensemble a new member for every device; it solves the read-
out exactly without gradient, and backpropagates the task's loss with the read-out held fixed (variable projection, see
readout.py). Now and then the network is judged on fixed examples in fixed noise draws; the best parameters are kept.
The final read-out is fitted on many noise draws. Drives stay inside their ranges by the wiring's own squash, at every
iteration. With a state file a run that was stopped goes on as if it had not been.
"""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

from twins.network.descent import Descent, frozen_readout_loss
from twins.network.network import PhysicalNetwork
from twins.network.optimise_run import OptimiseRun
from twins.network.optimise_settings import (
    Iteration,
    OptimiseEvent,
    OptimiseResult,
    OptimiserSettings,
    Resumed,
    Validation,
)
from twins.network.optimise_state import OptimiseStateError
from twins.network.tasks import Task

__all__ = [
    "Descent",
    "Iteration",
    "OptimiseEvent",
    "OptimiseResult",
    "OptimiseStateError",
    "OptimiserSettings",
    "Resumed",
    "Validation",
    "frozen_readout_loss",
    "optimise",
]


def optimise(
    network: PhysicalNetwork,
    task: Task,
    *,
    seed: int,
    settings: OptimiserSettings | None = None,
    state: Path | None = None,
) -> Generator[OptimiseEvent, None, OptimiseResult]:
    """Optimise `network` in place for `task`: a generator of events that returns the result.

    At the end the network holds its best parameters. A pass whose features or gradient are not finite moves nothing, and is
    counted (Iteration.skipped); a validation of such features scores infinity.
    state: a file that every validation writes; if it is there already, the run goes on from it, and what follows is
    exactly what would have followed (a budget of seconds apart, which clocks decide). The file stays when the run is
    done. Raises OptimiseStateError for a file that is damaged or belongs to another run, NetworkDivergedError where passes are
    not finite for long, or no validation was.
    """
    run = OptimiseRun(network, task, seed=seed, settings=settings or OptimiserSettings(), state=state)
    yield from run.begin()
    yield from run.advance()
    return (yield from run.finish())
