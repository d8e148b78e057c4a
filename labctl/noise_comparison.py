"""What knowing the noise is worth: one task, networks optimised on models that know more or less of it, one device.

Plain data with its own arithmetic; labctl.campaigns.compare_noise makes it, labctl.noise_report shows it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from labctl.errors import CampaignError

KNOWLEDGES: Mapping[str, str] = {
    "sde": "the twin as it is: noise that depends on state and drive",
    "constant_noise": "the twin's drift with Gaussian noise of one size, the likeliest",
    "ode": "the twin's drift without noise",
    "readout_only": "the best of many random networks; only its read-out is fitted, on the twin as it is",
}
"""What a network's optimiser knew of the device's noise, in words."""
FURTHER = "a further model, given beside the twin"


@dataclass(frozen=True, slots=True)
class KnowledgeOutcome:
    """One network: what was promised by the model it was optimised on, and what the device did.

    Scores are on the same held-out examples, lower is better. promised: mean and standard deviation over draws of the
    model's noise; foreseen: of the same wiring and read-out on the twin that knows the noise. measured: with the wiring's
    own read-out; refitted: with one of the same ridge fitted on measured training data; means over `repeats` plays of
    everything, their standard deviation beside them. cpu_seconds: of the optimisation or search.
    """

    knowledge: str
    regularisation: float
    promised: float
    promised_std: float
    foreseen: float
    measured: float
    repeat_spread: float
    refitted: float
    refitted_spread: float
    repeats: int
    cpu_seconds: float

    @property
    def gap(self) -> float:
        """Measured less promised: how wrong the model was about its own network."""
        return self.measured - self.promised


@dataclass(frozen=True, slots=True)
class NoiseComparison:
    """All networks of one comparison. linear_same_taps, linear_20_taps: linear models of the input alone.

    heldout_steps: scored steps of the held-out examples; the score's chance over examples falls with their number, and
    is the same for all networks here. clearance: by which right they were applied, as plain data.
    """

    task: str
    metric: str
    simulated: bool
    seed: int
    heldout_steps: int
    linear_same_taps: float
    linear_20_taps: float
    outcomes: tuple[KnowledgeOutcome, ...]
    clearance: Mapping[str, Any]

    @property
    def regularisations(self) -> tuple[float, ...]:
        """Strengths of the ridge, weakest first."""
        return tuple(sorted({one.regularisation for one in self.outcomes}))

    def of(self, knowledge: str, regularisation: float) -> KnowledgeOutcome:
        """One network's outcome. Raises CampaignError if there is none."""
        for one in self.outcomes:
            if (one.knowledge, one.regularisation) == (knowledge, regularisation):
                return one
        known = ", ".join(f"{one.knowledge} at {one.regularisation:g}" for one in self.outcomes)
        raise CampaignError(f"no network knows {knowledge!r} at ridge {regularisation:g}; there are {known}")

    def as_dict(self) -> dict[str, Any]:
        """Plain data, with the gaps."""
        outcomes = [{**asdict(one), "gap": one.gap} for one in self.outcomes]
        return {**asdict(self), "clearance": dict(self.clearance), "outcomes": outcomes}
