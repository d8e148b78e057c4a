"""How a cascade is done, and what comes of it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

from labctl.errors import CampaignError

if TYPE_CHECKING:
    from labctl.campaigns.plans import TaskPlan
    from labctl.deployment import Measurement
    from twins.network.wiring import Wiring


@dataclass(frozen=True, slots=True)
class CascadeOptions:
    """readout_of: what the read-out is given while a layer is trained: the features of all layers so far, or of that layer
    alone; neither is better throughout (benchmarks/cascade.py). n_training_trials: measured examples that layers and
    read-outs learn from (None: as planned). n_validation_trials: measured besides, to choose the best weights by; the final
    read-out learns from them as well. n_repeats: how often the held-out examples are played (None: as planned).
    """

    readout_of: Literal["all", "own"] = "all"
    n_training_trials: int | None = None
    n_validation_trials: int = 24
    n_repeats: int | None = None

    def __post_init__(self) -> None:
        low = {name: value for name, value in asdict(self).items() if isinstance(value, int) and value < 1}
        if low or self.readout_of not in ("all", "own"):
            raise CampaignError(
                f"options of a cascade: {low or {'readout_of': self.readout_of}}; numbers are at least 1, and readout_of is "
                "'all' or 'own'"
            )


@dataclass(frozen=True, slots=True)
class CascadedLayer:
    """One layer. before, promised: on the twins behind the measured layers, on the validation examples, at the start and
    when trained. measured: the same examples as the device played them. heldout_measured: the held-out ones, by a read-out
    on all layers so far, fitted on measured examples. device_seconds: its plays."""

    before: float
    promised: float
    measured: float
    heldout_measured: float
    device_seconds: float
    n_passes: int
    train_seconds: float
    learning_curve: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class CascadedNetwork:
    """wiring: with its read-out, fitted on what was measured. initial: the random wiring that gave the ports and shapes.
    measurement: of the held-out examples."""

    plan: TaskPlan
    wiring: Wiring
    initial: Wiring
    measurement: Measurement
    layers: tuple[CascadedLayer, ...]
    seed: int
    examples_seed: int

    @property
    def device_seconds(self) -> float:
        """Of all plays, interrupted ones too."""
        return sum(layer.device_seconds for layer in self.layers)

    @property
    def learning_curve(self) -> tuple[float, ...]:
        """Training loss of every pass, one layer after the other."""
        return tuple(loss for layer in self.layers for loss in layer.learning_curve)

    def as_dict(self) -> dict[str, Any]:
        """Plain data."""
        layers = [asdict(layer) for layer in self.layers]
        for one in layers:
            one.pop("learning_curve")
        return {
            "measured": self.measurement.mean,
            "measured_std": self.measurement.std,
            "device_seconds": self.device_seconds,
            "layers": layers,
        }
