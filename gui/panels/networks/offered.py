"""What can be done with a network on the bench besides deploying it, and what a person may choose for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from gui.widgets.number_field import NumberField

HOME = "labctl.campaigns.network_on_bench"


@dataclass(frozen=True, slots=True)
class Option:
    """A number of a form: the argument's name, what it is called, what it means, and what it may be."""

    name: str
    title: str
    tip: str
    unit: str = ""
    low: float = 0.0
    high: float = 1e6
    whole: bool = False
    value: float | None = None

    @property
    def optional(self) -> bool:
        """Left out: as the plan has it."""
        return self.value is None

    def field(self) -> NumberField:
        """Its field."""
        made = NumberField(
            self.title, self.tip, unit=self.unit, low=self.low, high=self.high, whole=self.whole,
            optional=self.optional, value=self.value,
        )  # fmt: skip
        made.edit.setPlaceholderText("as planned" if self.optional else "")
        return made


@dataclass(frozen=True, slots=True)
class Offered:
    """A campaign of labctl: its function, what it does, whether it takes an optimised network or what is drawn, its form."""

    title: str
    function: str
    told: str
    optimised: bool
    options: tuple[Option, ...]
    flags: Mapping[str, tuple[str, str]] = field(default_factory=dict)


DEVICE_SECONDS = 600.0
"""Measuring the usual network of the demo bench with its comparisons took 342 s of device time."""
BUDGET = Option(
    "budget_s",
    "Device time",
    "How much device time may be spent, preparations included",
    "s",
    0.1,
    value=DEVICE_SECONDS,
)
EXAMPLES = Option("examples", "Training examples", "Played each time; empty: as planned", low=1, whole=True)
SECONDS = Option("seconds", "Time for each training", "Wall time; empty: as planned", "s", 0.5)
OFFERED = (
    Offered(
        "Close the gap", "close_gap_into",
        "Deploy, refit the twins on what the bench did, fine-tune, until promise and measurement agree within the device's "
        "own spread.",
        True,
        (BUDGET,
         Option("rounds", "Rounds", "At most so many deployments", low=1, whole=True, value=6),
         Option("repeats", "Repeats", "How often the judged examples are played", low=3, whole=True, value=5),
         Option("spreads", "Gap allowed", "In the device's own spreads", low=0.01, value=1.0), EXAMPLES),
        {"no_earlier": ("Refit on the plays alone", "Refit without the recordings that the twins were fitted to before")},
    ),
    Offered(
        "Train on the bench", "train_on_bench_into",
        "Physics-aware training: the bench answers, the twins tell the gradients.",
        True,
        (BUDGET,
         Option("iterations", "Iterations", "At most", low=1, whole=True, value=200), EXAMPLES,
         Option("learning_rate", "Learning rate", "Empty: 0.3 of the plan's", low=1e-6, high=10.0)),
    ),
    Offered(
        "Layer by layer (cascade)", "cascade_into",
        "Train the drawn network layer by layer, each behind what the bench answered in those before it.",
        False,
        (SECONDS, EXAMPLES,
         Option("validation", "Validation examples", "Measured besides, to choose weights by", low=1, whole=True, value=24),
         Option("repeats", "Repeats", "Of the held-out examples; empty: as planned", low=1, whole=True)),
    ),
    Offered(
        "Compare noise", "compare_noise_into",
        "Optimise the drawn network on the twins, on twins with constant noise, and without noise; measure all.",
        False,
        (SECONDS, Option("repeats", "Repeats", "How often everything is played; empty: as planned", low=1, whole=True)),
    ),
)  # fmt: skip
