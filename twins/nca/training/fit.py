"""fit_nca: train an automaton on image sequences, as a generator of events."""

from __future__ import annotations

import math
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from twins.errors import AutomatonDiverged, FramesInvalid
from twins.nca.automaton import Automaton
from twins.nca.frames import Frames
from twins.nca.free_run import FreeRun, free_run
from twins.nca.model import NcaModel
from twins.nca.scaling import Scaling
from twins.nca.training.events import FittedNca, NcaEpoch, NcaEvent
from twins.nca.training.held_out import Divided, divided
from twins.nca.training.interpolated import Interpolated
from twins.nca.training.pool import KeptStates, lasting
from twins.nca.training.settings import NcaFitSettings
from twins.nca.training.transitions import Transitions
from twins.nca.training.update import Done, Updater

_ADVICE = (
    "the updates were no longer finite: try a smaller learning_rate, gradients='normalised', a larger state_weight, "
    "injection of more true frames, or an automaton with bounds='clip'"
)


def fit_nca(
    automaton: Automaton,
    frames: Frames,
    validation: Frames | None = None,
    *,
    seed: int,
    settings: NcaFitSettings | None = None,
    scaling: Scaling | None = None,
) -> Generator[NcaEvent, None, FittedNca]:
    """Train `automaton` on the frames; yields an ``NcaEpoch`` after each epoch, returns the fit with the best weights in it.

    The best has stable free runs with the least error on validation frames, other sequences of the same kind; without, on
    trials or on an end of the sequence that are held out. The automaton keeps the best weights so far whenever the
    generator is closed early. scaling: of the observed channels; by default the range of the training values, one for all
    channels where they have one unit, else one for each.
    Raises FramesInvalid, AutomatonInvalid, AutomatonDiverged (if nothing was ever finite).
    """
    training = _Training(automaton, frames, validation, seed, settings or NcaFitSettings(), scaling)
    try:
        yield from training.run()
    finally:
        training.keep_best()
    return training.result()


def model_for(
    automaton: Automaton,
    frames: Frames,
    validation: Frames | None = None,
    *,
    seed: int,
    settings: NcaFitSettings | None = None,
    scaling: Scaling | None = None,
) -> NcaModel:
    """The model around `automaton` that ``fit_nca`` makes of these arguments: to use, or save, one that is being trained."""
    return _Training(automaton, frames, validation, seed, settings or NcaFitSettings(), scaling).model


def divided_for(
    automaton: Automaton,
    frames: Frames,
    validation: Frames | None = None,
    *,
    seed: int,
    settings: NcaFitSettings | None = None,
) -> Divided:
    """What ``fit_nca`` with these arguments learns from and is judged on, as it is prepared."""
    return _Training(automaton, frames, validation, seed, settings or NcaFitSettings(), None).data


@dataclass(frozen=True, slots=True, eq=False)
class _Kept:
    """Weights, how they did, and in which epoch."""

    weights: dict[str, Tensor]
    judged: FreeRun
    epoch: int
    train_loss: float

    def beats(self, other: _Kept | None) -> bool:
        """Stable ones before all others, then by the error of their free runs."""
        mine = (not self.judged.stable, self.judged.score)
        return other is None or mine < (not other.judged.stable, other.judged.score)


@dataclass(slots=True)
class _Tally:
    """What an epoch came to."""

    losses: list[float] = field(default_factory=list)
    overshoots: list[float] = field(default_factory=list)
    n_skipped: int = 0
    n_replaced: int = 0

    def add(self, done: Done) -> None:
        self.n_replaced += int((~done.good).sum())
        self.n_skipped += not done.taken
        if math.isfinite(done.loss):
            self.losses.append(done.loss)
            self.overshoots.append(done.overshoot)

    @property
    def loss(self) -> float:
        return float(np.mean(self.losses)) if self.losses else math.inf

    @property
    def overshoot(self) -> float:
        return float(np.mean(self.overshoots)) if self.overshoots else math.inf


class _Training:
    def __init__(
        self, automaton: Automaton, frames: Frames, validation: Frames | None, seed: int, settings: NcaFitSettings,
        scaling: Scaling | None,
    ) -> None:  # fmt: skip
        self.automaton, self.settings, self.seed = automaton, settings, seed
        self.rng, self.draws = np.random.default_rng(seed), torch.Generator().manual_seed(seed)
        judged = None if validation is None else self._prepared(validation)
        self.data = divided(self._prepared(frames), judged, settings.validation_share, self.rng)
        trained = self.data.trained
        conditions = trained.condition_values
        self.model = NcaModel(
            automaton, scaling or _scaling(trained), settings.steps_per_frame, trained.dt_s, trained.names, trained.units,
            trained.time_unit, trained.condition_names, _ranges(conditions),
        )  # fmt: skip
        self.model.check(trained)
        self.model.check(self.data.judged)
        self.transitions = self._transitions()
        self.transitions.n_starts(max(stage.horizon for stage in settings.plan))
        if settings.injection == "first" and settings.propagate and self.transitions.n_sequences == 1:
            raise FramesInvalid(
                "injection='first' keeps the first sequence true, and there is only one: pass replicas=2 or more, or "
                "a share such as injection=0.25"
            )
        pool = settings.pool
        self.kept = None if pool is None else KeptStates(pool, self.transitions, automaton.spec)
        self.between = Interpolated(self.transitions)
        self.updater = Updater(automaton, settings, self.draws)
        self.best: _Kept | None = None
        self.stage, self.counting, self.stopped = 0, False, "epochs"
        self.n_epochs = self.n_skipped = self.n_replaced = self.in_a_row = 0
        self.last_loss = math.inf
        self.began = time.monotonic()

    def run(self) -> Iterator[NcaEvent]:
        progress = 0.0
        while progress < 1.0 and self.stopped != "diverged":
            event = self._epoch(progress)
            progress = event.progress
            yield event
        if self.stopped == "epochs" and self.n_epochs < self.settings.n_epochs:
            self.stopped = "max_seconds"

    def _epoch(self, progress: float) -> NcaEpoch:
        settings = self.settings
        number, share = settings.stage_at(progress)
        stage, rate = settings.plan[number], settings.rate(number, share)
        if number != self.stage:
            self.stage = number
            self.updater.forget()
        parts = stage.parts if self.between.usable else 1
        tally = self._pass(stage.horizon, parts, rate)
        propagated = parts == 1 and settings.propagate and tally.loss <= settings.largest_jump * self.last_loss
        if parts == 1:
            self.transitions.end_epoch(propagate=propagated, injection=settings.injection, generator=self.draws)
            if self.kept is not None:
                self.kept.end_epoch(progress, generator=self.draws)
            self.last_loss = tally.loss
        self.n_epochs += 1
        self.n_skipped, self.n_replaced = self.n_skipped + tally.n_skipped, self.n_replaced + tally.n_replaced
        seconds = time.monotonic() - self.began
        limit = settings.max_seconds
        progress = min(1.0, max(self.n_epochs / settings.n_epochs, seconds / limit if limit else 0.0))
        judged = self._judge(progress, tally.loss)
        return NcaEpoch(
            self.n_epochs, stage.horizon, parts, tally.loss, tally.overshoot,
            None if judged is None else judged.score, None if judged is None else judged.stable, rate,
            self.best is not None and self.best.epoch == self.n_epochs, propagated, tally.n_skipped, tally.n_replaced,
            seconds, progress,
        )  # fmt: skip

    def _pass(self, horizon: int, parts: int, rate: float) -> _Tally:
        """All minibatches of an epoch."""
        tally, n_steps = _Tally(), self.settings.steps_per_frame // parts
        for numbers in self._minibatches(horizon, parts):
            if parts > 1:
                done = self.updater.step(self.between.draw(len(numbers), parts, rng=self.rng), rate, n_steps)
            else:
                drawn = self.transitions.draw(numbers, horizon)
                done = self.updater.step(drawn, rate, n_steps)
                self.transitions.hand_in(drawn, done.outputs, done.good)
                if self.kept is not None:
                    self.kept.hand_in(drawn, done.outputs, done.losses, done.good)
            tally.add(done)
            self.in_a_row = 0 if done.taken else self.in_a_row + 1
            if self.in_a_row >= self.settings.most_skipped:
                self.stopped = "diverged"
                break
        return tally

    def _judge(self, progress: float, loss: float) -> FreeRun | None:
        """Run freely, where it is time to, and keep what is best; what came before the warm-up's end counts no longer."""
        due = self.n_epochs % self.settings.validate_every == 0 or progress >= 1.0
        if not due or self.stopped == "diverged":
            return None
        n_frames = round(self.settings.beyond * (self.data.judged.n_frames - 1))
        draws = torch.Generator().manual_seed(self.seed + 1)  # the same cells fire every time
        judged = free_run(self.model, self.data.judged, n_frames=max(1, n_frames), generator=draws)
        weights = {name: value.detach().clone() for name, value in self.automaton.state_dict().items()}
        now = _Kept(weights, judged, self.n_epochs, loss)
        counts = progress >= self.settings.warm_up
        if now.beats(self.best) or (counts and not self.counting):
            self.best = now
        self.counting = self.counting or counts
        return judged

    def _minibatches(self, horizon: int, parts: int) -> Iterator[np.ndarray]:
        """Shuffled passes through the epoch's transitions, one for each part; the rest of a pass is a smaller minibatch."""
        numbers = np.arange(self.transitions.n_sequences * self.transitions.n_starts(horizon))
        if self.kept is not None and parts == 1:
            numbers = self.kept.numbers(horizon, rng=self.rng)
        n = len(numbers)
        size = min(self.settings.batch, n)
        n_wanted = parts * (self.settings.batches_per_epoch or -(-n // size))
        n_given = 0
        while n_given < n_wanted:
            order = self.rng.permutation(numbers)
            for start in range(0, n, size):
                yield order[start : start + size]
                n_given += 1
                if n_given == n_wanted:
                    return

    def _prepared(self, frames: Frames) -> Frames:
        augmentation = self.settings.augmentation
        used = frames.span(0, frames.n_frames, self.settings.stride)
        used = used if self.settings.pool is None else lasting(used)
        return used if augmentation is None else augmentation.padded(used)

    def _transitions(self) -> Transitions:
        trained, spec = self.data.trained, self.automaton.spec
        states = torch.stack([self.model.start(trained, number) for number in range(trained.n_frames)], dim=1)
        conditions = self.model.conditions(trained)
        copies = self.settings.replicas
        return Transitions(
            states.repeat(copies, 1, 1, 1, 1), spec.n_observed, cyclic=self.settings.cyclic,
            conditions=None if conditions is None else conditions.repeat(copies, 1),
        )  # fmt: skip

    def keep_best(self) -> None:
        """The best weights into the automaton."""
        if self.best is not None:
            self.automaton.load_state_dict(self.best.weights)

    def result(self) -> FittedNca:
        best = self.best
        lost = self.stopped == "diverged" and best is not None and not math.isfinite(best.judged.score)
        if best is None or lost:
            raise AutomatonDiverged(f"after {self.n_epochs} epochs there is nothing to keep: {_ADVICE}")
        return FittedNca(
            self.model, self.seed, best.judged.score, best.judged.stable, best.judged, best.train_loss, best.epoch,
            self.n_epochs, time.monotonic() - self.began, self.stopped, _ADVICE if self.stopped == "diverged" else "",
            self.data.validated_on, self.data.held_out, self.n_skipped, self.n_replaced,
        )  # fmt: skip


def _scaling(frames: Frames) -> Scaling:
    return Scaling.of(frames, per="global" if len(set(frames.units)) == 1 else "channel")


def _ranges(conditions: np.ndarray) -> Scaling:
    """The range of each condition over the training trials; one that never changes gets a range of 1."""
    lows, highs = conditions.min(axis=0).astype(float), conditions.max(axis=0).astype(float)
    return Scaling(tuple(lows.tolist()), tuple(np.where(highs > lows, highs, lows + 1.0).tolist()))
