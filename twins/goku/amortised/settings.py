"""What training an amortised posterior can be told, and what it says while it runs."""

from __future__ import annotations

import math
from dataclasses import dataclass

from twins.errors import EquationInvalid
from twins.goku.simulated.substeps import MOST_SUBSTEPS


@dataclass(frozen=True, slots=True, kw_only=True)
class AmortisedSettings:
    """How many simulations, how large a network.

    chunk: simulations made at once; chunks: how often fresh ones are made; passes: how often each chunk is gone through,
    every time with fresh observation noise, noise levels and gaps. batch: simulations a step.
    width, blocks: of the dense network after the features; components: of the mixture of Gaussians, which is what lets
    a posterior have several modes. learning_rate: the largest one; it rises during the first 5 % of the steps and falls
    as a cosine.
    substeps: solver steps a sample; None finds the fewest that the observation noise hides. method: of the solver.
    held_out, calibration: simulations that judge the network and calibrate its intervals; neither is trained on.
    patience: evaluations (one a pass) without gain after which training stops; the best network is kept.
    max_seconds: of all of it, calibration as well; fewer simulations are then made where they are dear, the schedule ends
    early, and the outcome depends on the machine. What cannot be done with less (see amortised_budget) is done all the same.
    """

    chunk: int = 8192
    chunks: int = 20
    passes: int = 3
    batch: int = 128
    width: int = 128
    blocks: int = 3
    components: int = 6
    learning_rate: float = 1.5e-3
    substeps: int | None = None
    method: str | None = None
    held_out: int = 1024
    calibration: int = 2048
    patience: int = 24
    max_seconds: float = math.inf

    def __post_init__(self) -> None:
        counts = ("chunk", "chunks", "passes", "batch", "width", "blocks", "components", "held_out", "patience")
        for name in counts:
            if getattr(self, name) < 1:
                raise EquationInvalid(f"amortised settings: {name} must be at least 1, not {getattr(self, name)}")
        if self.calibration < 200:
            raise EquationInvalid(
                f"amortised settings: calibration needs at least 200 simulations, not {self.calibration}; "
                "fewer say nothing about the ends of a 90 % interval"
            )
        if self.substeps is not None and not 1 <= self.substeps <= MOST_SUBSTEPS:
            raise EquationInvalid(f"amortised settings: substeps must be 1 to {MOST_SUBSTEPS}, not {self.substeps}")
        if not (self.learning_rate > 0.0 and self.max_seconds > 0.0):
            raise EquationInvalid("amortised settings: learning_rate and max_seconds must be positive")


@dataclass(frozen=True, slots=True)
class AmortisedPass:
    """A chunk of simulations was gone through once.

    train_loss, held_out_loss: nats a trace, negative log density of the true values in coordinates in which the prior
    is standard normal; the prior itself scores 1.42 a coordinate. progress: 0..1.
    """

    number: int
    train_loss: float
    held_out_loss: float
    n_simulations: int
    diverged_fraction: float
    seconds: float
    best: bool
    progress: float


@dataclass(frozen=True, slots=True)
class AmortisedCalibrated:
    """Training is done and the intervals are calibrated.

    coverage90_before, coverage90_after: by parameter, of the central 90 % interval on simulations that neither trained
    the network nor (after) calibrated it: each half is judged by the other half's correction.
    """

    names: tuple[str, ...]
    coverage90_before: tuple[float, ...]
    coverage90_after: tuple[float, ...]
    seconds: float


AmortisedEvent = AmortisedPass | AmortisedCalibrated
