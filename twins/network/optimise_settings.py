"""How to optimise a network, what an optimiser says while it runs, and what it returns."""

from __future__ import annotations

from dataclasses import dataclass, fields

from twins.network.judged import NoisePass, PenaltyTried
from twins.network.scores import Score
from twins.network.tasks import TaskError
from twins.network.wiring import Wiring

_MAY_BE_ZERO = ("penalty_outside",)


@dataclass(frozen=True, slots=True)
class OptimiserSettings:
    """How to optimise.

    n_iterations, n_trials, n_steps: passes, and the examples of each. learning_rate: of Adam; falls to 0 as a cosine.
    clip: largest gradient norm. regularisation: of the read-out while training. validate_every: iterations between
    validations. n_validation_trials, n_validation_draws: fixed examples (twice as many: one half fits the read-out)
    and noise draws. n_readout_trials, n_readout_draws: examples and noise draws of the final read-out.
    budget_seconds: the cosine is at its end by then, even if fewer iterations fit in; None: no limit.
    readout_regularisation: of the final read-out; None: chosen by cross-validation over trials.
    truncate_steps: gradients go back through so many steps at most. checkpoint_steps: activations are kept for so many
    steps only and computed again backward, with the same noise: less memory, exact gradients. None for both: all steps.
    penalty_outside: weight of the network's excursion, which is how far its responses leave the range that the twins
    were fitted on (see PhysicalNetwork.excursion); 0: no penalty.
    """

    n_iterations: int = 200
    n_trials: int = 64
    n_steps: int = 40
    learning_rate: float = 0.03
    clip: float = 1.0
    regularisation: float = 1e-3
    validate_every: int = 20
    n_validation_trials: int = 64
    n_validation_draws: int = 2
    n_readout_trials: int = 64
    n_readout_draws: int = 8
    budget_seconds: float | None = None
    readout_regularisation: float | None = None
    truncate_steps: int | None = None
    checkpoint_steps: int | None = None
    penalty_outside: float = 0.0

    def __post_init__(self) -> None:
        values = {one.name: getattr(self, one.name) for one in fields(self)}
        bad = {
            name: value
            for name, value in values.items()
            if not (value is None or value > 0 or (name in _MAY_BE_ZERO and value == 0))
        }
        if bad:
            raise TaskError(f"optimiser settings must be greater than 0, not {bad}")


@dataclass(frozen=True, slots=True)
class Iteration:
    """One optimisation step. loss: mean squared error over the targets' variance, or cross-entropy, without any penalty, NaN where
    features were not finite; seconds since the start. skipped: passes so far that moved nothing, not being finite. start:
    number of the start that moved, where several are trained."""

    iteration: int
    n_iterations: int
    loss: float
    learning_rate: float
    seconds: float
    skipped: int = 0
    start: int | None = None


@dataclass(frozen=True, slots=True)
class Validation:
    """The network was judged. best: it is the best so far, and kept. start: as of an Iteration."""

    iteration: int
    score: float
    accuracy: float | None
    best: bool
    seconds: float
    start: int | None = None


@dataclass(frozen=True, slots=True)
class Resumed:
    """The run goes on from its state file: so many iterations, and seconds, are behind it."""

    iteration: int
    n_iterations: int
    seconds: float


OptimiseEvent = Iteration | Validation | Resumed | NoisePass | PenaltyTried


@dataclass(frozen=True, slots=True)
class OptimiseResult:
    """wiring: the best found, with its read-out. initial: where it began, with a read-out fitted in the same way,
    or without one if its features are not finite. losses: of every iteration, those before a resumption too. n_skipped:
    how many of those passes moved nothing, not being finite."""

    wiring: Wiring
    initial: Wiring
    validation: Score
    initial_validation: Score
    n_iterations: int
    seconds: float
    losses: tuple[float, ...] = ()
    n_skipped: int = 0
