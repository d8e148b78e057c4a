"""What is asked of training a network on the bench, and what came of it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from labctl.deployment import Measurement
from labctl.errors import CampaignError

if TYPE_CHECKING:
    from twins.network.wiring import Wiring


@dataclass(frozen=True, slots=True)
class PhysicsAwareSettings:
    """How to train on the bench.

    n_iterations: at most; fewer where the budget is spent before. n_trials, n_steps: examples of an iteration; few and long
    ones, since the preparation and the washout of each cost device time (None: as long as the plan's examples).
    learning_rate: of Adam, falls to 0 as a cosine (None: 0.3 of the plan's).
    n_validations: how often the network is measured on one set of held-out examples, evenly spaced from the start to the
    end (1: at the end alone): n_judged_trials, n_repeats times each, with a read-out fitted to the bench's answers to
    n_readout_trials others, of the plan's own length. The best of these is kept, so that with a validation of the start
    training cannot do harm. Their device time is set aside before training begins.
    """

    n_iterations: int = 200
    n_trials: int = 8
    n_steps: int | None = None
    learning_rate: float | None = None
    n_validations: int = 2
    n_readout_trials: int = 32
    n_judged_trials: int = 16
    n_repeats: int = 2

    def __post_init__(self) -> None:
        low = {name: value for name, value in asdict(self).items() if value is not None and not value > 0}
        if low:
            raise CampaignError(f"settings of physics-aware training must be greater than 0, not {low}")


@dataclass(frozen=True, slots=True)
class ValidatedOnBench:
    """The network after so many iterations, measured with a read-out fitted to what the bench answered."""

    iteration: int
    device_seconds: float
    measured: float
    repeat_spread: float


@dataclass(frozen=True, slots=True)
class TrainedOnBench:
    """What came of it. wiring, measurement: the best that was validated, with its read-out. losses: measured training loss
    of every iteration, on fresh examples each. ended: why."""

    wiring: Wiring
    measurement: Measurement
    validations: tuple[ValidatedOnBench, ...]
    losses: tuple[float, ...]
    device_seconds: float
    ended: str

    def as_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "ended": self.ended,
            "device_seconds": self.device_seconds,
            "n_iterations": len(self.losses),
            "losses": list(self.losses),
            "validations": [asdict(one) for one in self.validations],
            "measured": min(one.measured for one in self.validations),
        }
