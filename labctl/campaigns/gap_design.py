"""What is asked of closing the gap between promise and measurement, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from labctl.campaigns.fine_tune import FineTuning
from labctl.campaigns.gap import GapRound
from labctl.clearance import Clearance, Gates
from labctl.deployment import Measurement
from labctl.errors import CampaignError

if TYPE_CHECKING:
    from labctl.campaigns.plans import TaskPlan
    from twins.network.wiring import Wiring

Ended = Literal["closed", "budget spent", "no better", "gates not passed"]
LEAST_TRAINING = 10
"""Examples of a round: every fifth is kept from the refit to choose by, and two are the least that tell of chance."""

LEAST_REPEATS = 3
"""The spread of fewer says next to nothing."""


@dataclass(frozen=True, slots=True)
class GapBudget:
    """What may be spent: device time (preparations included) and rounds. Device time is checked before each play."""

    device_seconds: float
    rounds: int = 6

    def __post_init__(self) -> None:
        if not self.device_seconds > 0 or self.rounds < 1:
            raise CampaignError(f"a budget needs device_seconds > 0 and at least one round, not {self}")


@dataclass(frozen=True, slots=True)
class GapSettings:
    """How to close the gap.

    n_training_trials, n_judged_trials: examples of a round (None: as the plan has them); the judged ones are played
    n_repeats times. spreads: see labctl.campaigns.gap. n_promise_draws: noise draws of a promise. patience: rounds in
    succession without a better score on the device after which it ends. refit_seconds, refit_epochs: of each fit of a twin.
    tuning: how far the wiring moves in a round.
    """

    n_training_trials: int | None = None
    n_judged_trials: int | None = None
    n_repeats: int = 5
    spreads: float = 1.0
    n_promise_draws: int = 48
    patience: int = 2
    refit_seconds: float | None = 60.0
    refit_epochs: int | None = None
    tuning: FineTuning = field(default_factory=FineTuning)

    def __post_init__(self) -> None:
        if self.n_repeats < LEAST_REPEATS or self.n_promise_draws < LEAST_REPEATS:
            raise CampaignError(
                f"spreads need at least {LEAST_REPEATS} repeats and noise draws, not {self.n_repeats} and "
                f"{self.n_promise_draws}"
            )
        if not self.spreads > 0 or self.patience < 1:
            raise CampaignError(f"spreads must be greater than 0 and patience at least 1, not {self}")
        if self.n_training_trials is not None and self.n_training_trials < LEAST_TRAINING:
            raise CampaignError(
                f"n_training_trials must be at least {LEAST_TRAINING}, some are kept from the refit; not {self.n_training_trials}"
            )

    def of(self, plan: TaskPlan) -> tuple[int, int]:
        """(training, judged) examples of a round."""
        training = plan.n_training_trials if self.n_training_trials is None else self.n_training_trials
        judged = plan.n_heldout_trials if self.n_judged_trials is None else self.n_judged_trials
        return max(training, LEAST_TRAINING), judged


@dataclass(frozen=True, slots=True)
class Recorded:
    """By device: recordings that its twin was fitted to before, and recordings on which it must pass its gates as well."""

    training: Mapping[str, Sequence[Path]] = field(default_factory=dict)
    heldout: Mapping[str, Sequence[Path]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ClosedGap:
    """What came of it. wiring, measurement, best_round: the best that was measured, which is how the bench is left.
    twins: files by device, as they were last used. gates: of these twins, whether they passed or not. clearance: under
    which was played last."""

    ended: Ended
    rounds: tuple[GapRound, ...]
    wiring: Wiring
    measurement: Measurement
    best_round: int
    twins: Mapping[str, Path]
    gates: Mapping[str, Gates]
    clearance: Clearance
    device_seconds: float

    def as_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "ended": self.ended,
            "closed": self.ended == "closed",
            "device_seconds": self.device_seconds,
            "best_round": self.best_round,
            "measured": self.measurement.mean,
            "repeat_spread": self.measurement.std,
            "gap": self.rounds[-1].gap.verdict,
            "rounds": [one.as_dict() for one in self.rounds],
            "twins": {device: str(path) for device, path in self.twins.items()},
            "gates": {device: dict(one) for device, one in self.gates.items()},
            "clearance": self.clearance.as_dict(),
        }
