"""Hyperparameters of single phases, for fit(…, phase_options={"adversarial": AdversarialOptions(…)})."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from twins.errors import TracesInvalid

GENERATOR_LOSSES = ("features", "wasserstein")
WINDOW_SCORES = ("energy", "pairs")
CHOICES = ("free_run", "repeats")
VIEWS = ("deviations", "windows")


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutOptions:
    """Phase "rollout": mean squared error of noiseless free runs from measured states.

    n_steps: samples of a run. n_windows: runs in a batch. n_iterations: optimiser steps, a batch each.
    learning_rate: of Adam, constant. Raises TracesInvalid.
    """

    n_steps: int = 10
    n_windows: int = 100
    n_iterations: int = 2000
    learning_rate: float = 1e-3

    def __post_init__(self) -> None:
        _check_positive(self, "n_steps", "n_windows", "n_iterations", "learning_rate")


@dataclass(frozen=True, slots=True, kw_only=True)
class AdversarialOptions:
    """Phase "adversarial": a Wasserstein GAN with gradient penalty over windows (output, drive).

    n_steps: samples of a window. n_windows: windows in a batch. n_iterations: steps of the generator, each after
    critic_steps of the critic; critic_warm_up: steps of the critic before the first. critic_hidden: its widths.
    critic_sees: "windows", output and drive, as in the reference; or "deviations", the output's from the run without
    noise, and that run, and the drive: noise much smaller than the signal is plain to see there.
    gradient_penalty: weight of (|gradient of the critic| - 1)².
    loss: what the generator descends: "features", squared differences of mean and standard deviation of the critic's
    last hidden layer between measured and sampled windows; or "wasserstein", minus the critic of sampled windows.
    unbiased: in "features", without what chance alone adds in a batch; the reference has it in, and so less noise.
    noise_rate, auxiliary_rate: learning rates of the diffusion net (and the critic), and of θ and W_a.
    drift_rate: fine-tunes the drift net as well, on the mean squared error of the same windows; None: drift stays.
    auxiliary_decay: θ of each auxiliary at the start, a sample; empty: as the twin has them.
    repeats_share: share of windows that come from trials whose input was repeated; None: by their number.
    choose_by: which checkpoints stay: "free_run", by CRPS on held-out inputs as in all phases; "repeats", by the
    reference's statistics over held-out repeats (see objectives.adversarial.repeat_statistics).
    judged_every: iterations between two judgements; None: 25 in all. patience: judgements without a better
    checkpoint after which the phase ends; None: never.

    Raises TracesInvalid.
    """

    n_steps: int = 10
    n_windows: int = 100
    n_iterations: int = 2000
    critic_steps: int = 5
    critic_warm_up: int = 50
    critic_hidden: tuple[int, ...] = (64, 64)
    critic_sees: str = "deviations"
    gradient_penalty: float = 10.0
    loss: str = "features"
    unbiased: bool = True
    noise_rate: float = 1e-3
    auxiliary_rate: float = 1e-3
    drift_rate: float | None = None
    auxiliary_decay: tuple[float, ...] = ()
    repeats_share: float | None = None
    choose_by: str = "free_run"
    judged_every: int | None = None
    patience: int | None = None

    def __post_init__(self) -> None:
        _check_positive(
            self, "n_steps", "n_windows", "n_iterations", "critic_steps", "gradient_penalty", "noise_rate",
            "auxiliary_rate",
        )  # fmt: skip
        for name in ("drift_rate", "judged_every", "patience"):
            if getattr(self, name) is not None:
                _check_positive(self, name)
        if self.n_windows < 2 or self.critic_warm_up < 0:
            raise TracesInvalid(
                "n_windows must be at least 2 (statistics over a batch) and critic_warm_up not negative, "
                f"not {self.n_windows}, {self.critic_warm_up}"
            )
        for name, allowed in (("loss", GENERATOR_LOSSES), ("critic_sees", VIEWS), ("choose_by", CHOICES)):
            if getattr(self, name) not in allowed:
                raise TracesInvalid(f"{name} must be one of {', '.join(allowed)}, not {getattr(self, name)!r}")
        if self.repeats_share is not None and not 0 <= self.repeats_share <= 1:
            raise TracesInvalid(f"repeats_share must lie in 0..1, not {self.repeats_share}")
        if (
            not self.critic_hidden
            or min(self.critic_hidden) < 1
            or any(not decay > 0 for decay in self.auxiliary_decay)
        ):
            raise TracesInvalid("critic_hidden needs at least one width, and auxiliary_decay must be positive")


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowOptions:
    """Phase "windows": free runs of n_steps samples from measured histories, n_windows in a batch, n_draws of each.

    score: "energy", CRPS of the values plus energy score of whole windows, or "pairs", finite-dimensional matching (see
    objectives.scores.adjacent_pairs_score). Raises TracesInvalid.
    """

    n_steps: int = 32
    n_windows: int = 64
    n_draws: int = 8
    score: str = "energy"

    def __post_init__(self) -> None:
        _check_positive(self, "n_steps", "n_windows")
        if self.n_draws < 2 or self.score not in WINDOW_SCORES:
            raise TracesInvalid(
                f"n_draws must be at least 2 and score one of {', '.join(WINDOW_SCORES)}, "
                f"not {self.n_draws} and {self.score!r}"
            )


OPTIONS: Mapping[str, type] = {
    "rollout": RolloutOptions,
    "adversarial": AdversarialOptions,
    "windows": WindowOptions,
}


def check_phase_options(phases: Sequence[str], phase_options: Mapping[str, object] | None) -> None:
    """Raise TracesInvalid unless each entry is for a phase that is asked for and of that phase's class."""
    for name, settings in (phase_options or {}).items():
        wanted = OPTIONS.get(name)
        if name not in phases or wanted is None:
            raise TracesInvalid(
                f"phase_options are given for {name!r}; the phases are {', '.join(phases)}, of which "
                f"{', '.join(phase for phase in phases if phase in OPTIONS) or 'none'} take some"
            )
        if not isinstance(settings, wanted):
            raise TracesInvalid(f"phase_options[{name!r}] must be {wanted.__name__}, not {type(settings).__name__}")


def _check_positive(options: object, *names: str) -> None:
    for name in names:
        if not getattr(options, name) > 0:
            raise TracesInvalid(f"{name} of {type(options).__name__} must be positive, not {getattr(options, name)}")
