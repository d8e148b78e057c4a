"""How a model of an equation is trained and how traces are inferred, as plain data."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from labctl.errors import CampaignError

TrainingChoice = Literal["simulated", "measured", "both"]
TRAININGS: tuple[TrainingChoice, ...] = ("simulated", "measured", "both")
PRESETS = ("goku_ui", "goku_ui_basic", "goku_2021", "goku_posterior")
SAMPLERS = ("chains", "emcee", "none")
INITIAL = ("range", "free")


@dataclass(frozen=True, slots=True, kw_only=True)
class GokuSettings:
    """training: on simulations of the equation (few traces suffice), on the measured traces (as published), or both.

    preset: of the network that measured traces train. noise_sd: (lowest, highest) standard deviation of the instrument's
    noise by channel, "" for all; channels that are not named take what their traces show. max_seconds: wall time of all
    training together. simulations: at most so many (None: as the time allows). n_judged: held-out traces that the model is
    judged on. held_out_fraction: of the traces, where measured ones train and none are given to judge on. share: traces that
    have their parameters in common. anyway: train even where the values are far from all that the equation gives.

    Raises CampaignError.
    """

    training: TrainingChoice = "simulated"
    preset: str = "goku_ui"
    noise_sd: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    max_seconds: float = 120.0
    simulations: int | None = None
    n_judged: int = 16
    held_out_fraction: float = 0.2
    share: str = "none"
    anyway: bool = False

    def __post_init__(self) -> None:
        if self.training not in TRAININGS:
            raise CampaignError(f"training is one of {', '.join(TRAININGS)}, not {self.training!r}")
        if self.preset not in PRESETS:
            raise CampaignError(f"there is no preset {self.preset!r}; there are {', '.join(PRESETS)}")
        if not 0.0 < self.max_seconds < math.inf:
            raise CampaignError(f"max_seconds must be positive, not {self.max_seconds:g}")
        if not 0.0 < self.held_out_fraction < 1.0:
            raise CampaignError(f"held_out_fraction is a share between 0 and 1, not {self.held_out_fraction:g}")
        for name, (low, high) in self.noise_sd.items():
            if not 0.0 < low < high < math.inf:
                raise CampaignError(
                    f"noise of {name or 'the channels'}: give 0 < lowest < highest, not {low:g}..{high:g}; for a level that "
                    "is known, a narrow range around it"
                )


@dataclass(frozen=True, slots=True, kw_only=True)
class InferSettings:
    """refine: every trace's own likelihood beginning at the network's guess. sampler: what draws the refined posterior where
    importance draws are not trusted: "chains" (ours), "none", or "emcee", the established one, which then draws for all
    traces. initial: "range": traces begin in the states' ranges; "free": anywhere. share: which traces have their
    parameters in common (labctl.goku_series.SHARING). n_draws: a trace, of the network; refined_draws: of the refinement,
    which climbs from n_starts points. n_sweeps: of chains, at most (None: as the refinement has it). max_seconds: wall time of
    the refinement (None: no limit); what is not done then comes back as far as it came, not trusted.

    Raises CampaignError.
    """

    refine: bool = True
    sampler: str = "chains"
    initial: str = "range"
    share: str = "none"
    n_draws: int = 1000
    refined_draws: int = 1200
    n_starts: int = 4
    n_sweeps: int | None = None
    max_seconds: float | None = None

    def __post_init__(self) -> None:
        if self.sampler not in SAMPLERS:
            raise CampaignError(f"there is no sampler {self.sampler!r}; there are {', '.join(SAMPLERS)}")
        if self.initial not in INITIAL:
            raise CampaignError(f"initial is one of {', '.join(INITIAL)}, not {self.initial!r}")
        if self.initial == "free" and not self.refine:
            raise CampaignError(
                "the network knows traces that begin in the states' ranges: initial='free' needs refinement"
            )
        if self.max_seconds is not None and not self.max_seconds > 0.0:
            raise CampaignError(f"max_seconds must be positive, or None for no limit, not {self.max_seconds:g}")
        if self.n_draws < 100:
            raise CampaignError(f"{self.n_draws} draws say nothing of the ends of an interval; give at least 100")
        if self.share != "none" and not self.refine:
            raise CampaignError("the network takes traces one by one: traces that share parameters need refinement")


JUDGING = InferSettings(sampler="none", refined_draws=300, n_starts=2, n_draws=300, max_seconds=60.0)
"""For the traces that a model is judged on: quick, and what chains would have to mend counts as not to be trusted."""
_JUDGING_SHARE, _JUDGING_LEAST_S = 0.5, 10.0


def judging_seconds(training_seconds: float) -> float:
    """Wall time that the refinement of judged traces has, beside the training's."""
    return max(_JUDGING_LEAST_S, _JUDGING_SHARE * training_seconds)
