"""How an automaton is trained on image sequences: plain data, checked when made."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal, get_args

from twins.errors import AutomatonInvalid
from twins.nca.losses import Loss, loss_named
from twins.nca.training.augmentation import Augmentation
from twins.nca.training.damage import Damage
from twins.nca.training.pool import Pool

Schedule = Literal["constant", "cosine", "exponential"]
Target = Literal["full", "differential"]
Gradients = Literal["normalised", "plain"]
SCHEDULES: tuple[Schedule, ...] = get_args(Schedule)
TARGETS: tuple[Target, ...] = get_args(Target)
GRADIENTS: tuple[Gradients, ...] = get_args(Gradients)
_LAST_RATE = 0.01
"""Of the learning rate, at the end of a falling schedule."""
_MOST_PARTS, _WARM_RATE = 8, 2.0
"""Of a frame, and of the learning rate, in the first lesson."""


@dataclass(frozen=True, slots=True)
class Stage:
    """A part of a training. The schedule of the learning rate begins anew with each.

    horizon: through how many frames gradients go back: 1 is one transition at a time. parts: above 1, transitions of such a
    part of a frame are learned, from frames interpolated where a sequence is smooth in time (else whole transitions; see
    twins.nca.training.interpolated); an epoch has so many times more minibatches. learning_rate: another than the
    settings'.

    Raises AutomatonInvalid.
    """

    epochs: int
    horizon: int = 1
    parts: int = 1
    learning_rate: float | None = None

    def __post_init__(self) -> None:
        if self.epochs < 1 or not 1 <= self.horizon <= 1000:
            raise AutomatonInvalid(
                f"a stage needs epochs >= 1 and a horizon in 1..1000 frames, not {self.epochs} and {self.horizon}"
            )
        if self.parts < 1 or (self.parts > 1 and self.horizon > 1):
            raise AutomatonInvalid(f"parts must be at least 1, and 1 where the horizon is longer, not {self.parts}")
        if self.learning_rate is not None and not 0.0 < self.learning_rate < math.inf:
            raise AutomatonInvalid(f"the learning_rate of a stage must be positive, not {self.learning_rate!r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class NcaFitSettings:
    """The defaults suit PDEs and recordings; of Richardson et al. 2024 (doi 10.1371/journal.pcbi.1011589) see
    ``settings_2024``.

    steps_per_frame: steps of the automaton from one frame to the next. stride: only every so many frames are used.
    epochs: passes through all transitions. warm_start: the share of them that is spent on parts of frames first, at twice
    the learning rate; it is left out where the sequence is not smooth in time. Not by default: on Gray-Scott the same
    time spent on whole frames gave the smaller error. stages: replaces both. batch:
    transitions in a minibatch. batches_per_epoch: an epoch is that many minibatches instead of a whole pass.
    max_seconds: stop after this time; schedule and stages then go by the time too, so that numbers depend on the machine. An
    epoch that would take more than a fiftieth of it ends early.
    learning_rate, schedule: constant, or falling to a hundredth by a cosine or exponentially. gradients: "normalised": each
    tensor over its own norm. update_share: of the minibatches that move the weights.
    propagate: what the automaton made of a frame is the next frame's input, hidden channels included. injection: who gets
    the true frame instead, hidden channels at zero: "first" (the first sequence, always) or a share of all, drawn anew each
    epoch. largest_jump: outputs of an epoch whose loss is more than so many times the last one's are not handed on.
    cyclic: after the last frame comes the first: the frames are one whole cycle. replicas: copies of every trial.
    loss, loss_options: see twins.nca.losses. target: "full" frames, or "differential": how much they changed.
    state_weight: of the overshoot beyond [0, 1], mean over steps, sum over cells. weight_l1: of the sum of all |weight|.
    augmentation, damage: what is done to inputs. pool: states at the last frame live on. checkpoint_every: see Automaton.unroll.
    warm_up: share of the training before which nothing counts as best. validate_every: epochs from one free
    run to the next; None: 10, or a tenth of the training if that is less, but rarer where free runs would take more than
    about a tenth of the training's work. beyond: free runs for the choice of the best go on to so many times the length of
    the data (the whole sequence, also where only its end is held out), and must stay stable; of a cycle so many whole ones,
    at least three. validation_share: of the
    trials, or of a single trial's frames, that are held out where no validation frames are given.
    largest_state: beyond it a state has run away. most_skipped: updates in a row that may fail before the fit ends.

    Raises AutomatonInvalid, which says what is allowed.
    """

    steps_per_frame: int = 32
    stride: int = 1
    epochs: int = 200
    warm_start: float = 0.0
    stages: tuple[Stage, ...] = ()
    batch: int = 4
    batches_per_epoch: int | None = None
    max_seconds: float | None = None
    learning_rate: float = 2e-3
    schedule: Schedule = "cosine"
    gradients: Gradients = "normalised"
    update_share: float = 1.0
    propagate: bool = True
    injection: float | Literal["first"] = 0.25
    largest_jump: float = math.inf
    cyclic: bool = False
    replicas: int = 1
    loss: str = "euclidean"
    loss_options: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    target: Target = "full"
    state_weight: float = 0.01
    weight_l1: float = 0.0
    augmentation: Augmentation | None = None
    damage: Damage | None = None
    pool: Pool | None = None
    checkpoint_every: int | None = None
    warm_up: float = 0.05
    validate_every: int | None = None
    beyond: float = 2.0
    validation_share: float = 0.15
    largest_state: float = 100.0
    most_skipped: int = 20

    def __post_init__(self) -> None:
        object.__setattr__(self, "stages", tuple(self.stages))
        object.__setattr__(self, "loss_options", MappingProxyType(dict(self.loss_options)))
        self.make_loss()
        for name, allowed in (("schedule", SCHEDULES), ("target", TARGETS), ("gradients", GRADIENTS)):
            if getattr(self, name) not in allowed:
                raise AutomatonInvalid(f"{name} must be one of {', '.join(allowed)}, not {getattr(self, name)!r}")
        for name in ("steps_per_frame", "stride", "epochs", "batch", "replicas", "most_skipped"):
            _check(name, getattr(self, name), "a whole number of at least 1", _is_count)
        for stage in self.stages:
            _check(
                "parts of a stage", stage.parts, f"divisors of steps_per_frame = {self.steps_per_frame}", self._divides
            )
        for name in ("batches_per_epoch", "checkpoint_every", "validate_every"):
            _check(
                name, getattr(self, name), "None or a whole number of at least 1", lambda v: v is None or _is_count(v)
            )
        for name in ("learning_rate", "largest_state"):
            _check(name, getattr(self, name), "a positive number", lambda v: 0.0 < v < math.inf)
        for name in ("state_weight", "weight_l1"):
            _check(name, getattr(self, name), "a number of at least 0", lambda v: 0.0 <= v < math.inf)
        for name in ("validation_share", "update_share"):
            _check(name, getattr(self, name), "above 0 and at most 1", lambda v: 0.0 < v <= 1.0)
        for name in ("warm_up", "warm_start"):
            _check(name, getattr(self, name), "from 0 to below 1", lambda v: 0.0 <= v < 1.0)
        _check("beyond", self.beyond, "from 1 to 1000", lambda v: 1.0 <= v <= 1000.0)
        _check("largest_jump", self.largest_jump, "above 1", lambda v: v > 1.0)
        _check("max_seconds", self.max_seconds, "None or a positive number", lambda v: v is None or 0.0 < v < math.inf)
        _check(
            "injection", self.injection, '"first" or a share from 0 to 1',
            lambda v: v == "first" if isinstance(v, str) else 0.0 <= v <= 1.0,
        )  # fmt: skip

    @property
    def plan(self) -> tuple[Stage, ...]:
        """The stages, or those that epochs and warm_start stand for."""
        if self.stages:
            return self.stages
        parts = max(n for n in range(1, _MOST_PARTS + 1) if self.steps_per_frame % n == 0)
        n_first = round(self.warm_start * self.epochs) if parts > 1 else 0
        if n_first == 0:
            return (Stage(self.epochs),)
        first = Stage(n_first, parts=parts, learning_rate=_WARM_RATE * self.learning_rate)
        return first, Stage(self.epochs - n_first)

    @property
    def n_epochs(self) -> int:
        """Of all stages."""
        return sum(stage.epochs for stage in self.plan)

    def make_loss(self) -> Loss:
        """The loss by its name and options."""
        return loss_named(self.loss, **self.loss_options)

    def _divides(self, parts: int) -> bool:
        return self.steps_per_frame % parts == 0

    def stage_at(self, progress: float) -> tuple[int, float]:
        """Which stage it is when this share of the training is done, and the share of that stage that is done."""
        done = progress * self.n_epochs + 1e-9
        for number, stage in enumerate(self.plan):
            if done < stage.epochs:
                return number, done / stage.epochs
            done -= stage.epochs
        return len(self.plan) - 1, 1.0

    def rate(self, stage: int, share: float) -> float:
        """The learning rate when this share of the stage is done."""
        highest = self.plan[stage].learning_rate or self.learning_rate
        if self.schedule == "cosine":
            return highest * (_LAST_RATE + (1 - _LAST_RATE) * 0.5 * (1 + math.cos(math.pi * share)))
        return highest * (_LAST_RATE**share if self.schedule == "exponential" else 1.0)


def settings_2024(**changes: Any) -> NcaFitSettings:
    """As published for PDEs: 4000 epochs in minibatches of 64, constant 1e-3, true frames for the first sequence."""
    options: dict[str, Any] = {"epochs": 4000, "batch": 64, "learning_rate": 1e-3, "schedule": "constant"}
    options |= {"injection": "first", "beyond": 1.0}
    return NcaFitSettings(**{**options, **changes})


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _check(name: str, value: Any, allowed: str, fits: Any) -> None:
    try:
        good = bool(fits(value))
    except TypeError:
        good = False
    if not good:
        raise AutomatonInvalid(f"{name} must be {allowed}, not {value!r}")
