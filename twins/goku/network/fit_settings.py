"""How a GOKU network is trained, and what training says: plain data."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from twins.errors import GokuSpecInvalid
from twins.goku.network.schedule import PlateauCosine

if TYPE_CHECKING:
    from twins.goku.network.model import GokuNet
    from twins.goku.network.widening import Widened

_ANNEALED_TIME = 0.6


@dataclass(frozen=True, slots=True)
class GokuFitSettings:
    """The defaults are GOKU-UI's public experiment; ``settings_2021`` has the original's.

    schedule: the learning rate's (None: learning_rate always). An epoch here is batches_per_epoch batches, whatever the
    amount of data: the unit in which the schedule counts. max_seconds: stop after this time, with the best network.
    crop_samples: train on random crops of this length, drawn anew for every batch (None: whole traces).
    validation_fraction: of the traces, held out by group where no validation series are given.
    kl_annealing_epochs: over which the KL's share rises from 0 to 1. transition_sd: (first, last) of a spec with
    transition = "annealed", geometrically over transition_epochs, or over 0.6 of max_seconds where that is shorter.
    largest_gradient: of its norm; beyond it is scaled down.
    calibration_simulations: by which the widths of a "physical" posterior are set after the fit (0: they stay).

    Raises GokuSpecInvalid.
    """

    schedule: PlateauCosine | None = field(default_factory=PlateauCosine)
    learning_rate: float = 1e-3
    weight_decay: float = 1e-10
    batch: int = 64
    batches_per_epoch: int = 9
    max_epochs: int = 20_000
    max_seconds: float | None = None
    crop_samples: int | None = None
    validation_fraction: float = 0.15
    kl_annealing_epochs: int = 0
    transition_sd: tuple[float, float] = (0.3, 0.03)
    transition_epochs: int = 150
    largest_gradient: float = math.inf
    calibration_simulations: int = 512

    def __post_init__(self) -> None:
        if min(self.batch, self.batches_per_epoch, self.max_epochs) < 1 or self.weight_decay < 0:
            raise GokuSpecInvalid(
                "batch, batches_per_epoch and max_epochs must be at least 1, weight_decay not negative"
            )
        if not 0.0 < self.validation_fraction < 1.0 or not self.learning_rate > 0 or not self.largest_gradient > 0:
            raise GokuSpecInvalid(
                "validation_fraction must lie between 0 and 1, learning_rate and largest_gradient above 0"
            )
        if self.crop_samples is not None and self.crop_samples < 2:
            raise GokuSpecInvalid(f"a crop needs at least 2 samples, not {self.crop_samples}")
        if min(self.transition_sd) <= 0 or self.transition_epochs < 1 or self.kl_annealing_epochs < 0:
            raise GokuSpecInvalid(
                "transition_sd and transition_epochs must be positive, kl_annealing_epochs not negative"
            )

    def kl_share(self, epoch: int) -> float:
        """Of the KL in the loss of this epoch (counted from 0)."""
        return 1.0 if epoch >= self.kl_annealing_epochs else epoch / self.kl_annealing_epochs

    def annealed(self, epoch: int, seconds: float) -> float:
        """How far (0..1) the windows' deviation has come: by epochs, or by 0.6 of the time allowed where that is less."""
        spent = seconds / (_ANNEALED_TIME * self.max_seconds) if self.max_seconds else 0.0
        return min(1.0, max(epoch / self.transition_epochs, spent))

    def transition_at(self, annealed: float) -> float:
        """Deviation between windows, in scaled states."""
        first, last = self.transition_sd
        return float(first * (last / first) ** annealed)


def settings_2021(**changes: object) -> GokuFitSettings:
    """Linial et al.: Adam, 1e-3 always, no early stop; at most 400 passes there (goku_train.py)."""
    options: dict[str, object] = {"schedule": None, "learning_rate": 1e-3, "weight_decay": 0.0, "max_epochs": 400}
    return GokuFitSettings(**{**options, **changes})  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class GokuEpoch:
    """An epoch (of batches_per_epoch batches) is done; counted from 1.

    train_loss, reconstruction, continuity, kl: means over its batches. validation: the held-out score (reconstruction;
    the whole loss where the noise is learned), infinite if all diverged. best: this network is kept as the best so far.
    diverged: traces (indices into the series) whose solution ran away in this epoch and which were left out.
    n_skipped: batches that moved nothing, since no trace was left or the gradient was not finite. seconds: since the
    beginning. progress: 0..1, of the epochs or of the time allowed.
    """

    epoch: int
    train_loss: float
    reconstruction: float
    continuity: float
    kl: float
    validation: float
    learning_rate: float
    best: bool
    diverged: tuple[int, ...]
    n_skipped: int
    seconds: float
    progress: float


GokuEvent = GokuEpoch


@dataclass(frozen=True, slots=True)
class FittedGoku:
    """net: the same object that was handed over, with the best weights.

    stopped: "no gain", "max_epochs" or "max_seconds". validation: of the kept weights. held_out: indices of the traces
    held out of the series, empty where validation series were given. validated_on_training: there was only one group, so
    nothing could be held out. n_skipped and diverged: over the whole fit.
    widened: how the posterior's widths were set.
    """

    net: GokuNet
    seed: int
    validation: float
    best_epoch: int
    n_epochs: int
    seconds: float
    stopped: str
    held_out: tuple[int, ...]
    validated_on_training: bool
    diverged: tuple[int, ...]
    n_skipped: int
    widened: Widened | None = None
