"""fit_nca: train an automaton on image sequences, as a generator of events."""

from __future__ import annotations

import math
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field

import numpy as np
import torch

from twins.errors import AutomatonDiverged, FramesInvalid
from twins.nca.automaton import Automaton
from twins.nca.frames import Frames
from twins.nca.model import NcaModel
from twins.nca.scaling import Scaling
from twins.nca.training.events import FittedNca, NcaEpoch, NcaEvent
from twins.nca.training.held_out import Divided, divided
from twins.nca.training.interpolated import Interpolated
from twins.nca.training.judging import BACKWARD_WORK, Judge, Judged, Kept
from twins.nca.training.pool import KeptStates, lasting
from twins.nca.training.settings import NcaFitSettings
from twins.nca.training.transitions import Transitions, checked_size
from twins.nca.training.update import Done, Updater

_ADVICE = (
    "the updates were no longer finite: try a smaller learning_rate, gradients='normalised', a larger state_weight, "
    "injection of more true frames, or an automaton with bounds='clip'"
)

_FEWEST_EPOCHS = 50
"""With max_seconds: an epoch that would take more than one part in so many of them is cut short."""


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

    The best has free runs that are stable, that then keep their pattern beyond the data, and that have the least error on
    validation frames, other sequences of the same kind; without, on trials or on an end of the sequence that are held out.
    Of a single sequence stability is judged from its first frame. With cyclic=True the runs go through several cycles. The
    automaton keeps the best weights so far whenever the generator is closed early. scaling: of the observed channels; by
    default the range of the training values, one for all channels where they have one unit, else one for each.
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
        self.data = divided(self._prepared(frames), judged, settings.validation_share, self.rng, cyclic=settings.cyclic)
        trained = self.data.trained
        conditions = trained.condition_values
        self.model = NcaModel(
            automaton, scaling or _scaling(trained), settings.steps_per_frame, trained.dt_s, trained.names, trained.units,
            trained.time_unit, trained.condition_names, _ranges(conditions),
        )  # fmt: skip
        self.model.check(trained)
        self.model.check(self.data.judged)
        self.judge = Judge(self.model, self.data, settings, seed)
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
        self.best: Kept | None = None
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
            seconds, progress, None if judged is None else judged.kept,
        )  # fmt: skip

    def _pass(self, horizon: int, parts: int, rate: float) -> _Tally:
        """All minibatches of an epoch, or as many as its share of the time allows."""
        tally, n_steps = _Tally(), self.settings.steps_per_frame // parts
        ends, cells = self._epoch_ends(), math.prod(self.data.trained.size)
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
            self.judge.trained(BACKWARD_WORK * len(numbers) * horizon * n_steps * cells)
            self.in_a_row = 0 if done.taken else self.in_a_row + 1
            if self.in_a_row >= self.settings.most_skipped:
                self.stopped = "diverged"
                break
            if time.monotonic() >= ends:
                break
        return tally

    def _epoch_ends(self) -> float:
        """When an epoch must end at the latest, so that schedule, events and max_seconds hold where passes are long."""
        limit = self.settings.max_seconds
        if limit is None:
            return math.inf
        return min(time.monotonic() + limit / _FEWEST_EPOCHS, self.began + limit)

    def _judge(self, progress: float, loss: float) -> Judged | None:
        """Run freely, where it is time to, and keep what is best; what came before the warm-up's end counts no longer."""
        if self.stopped == "diverged" or not self.judge.due(self.n_epochs, progress):
            return None
        judged = self.judge.judge(self.n_epochs, progress)
        weights = {name: value.detach().clone() for name, value in self.automaton.state_dict().items()}
        now = Kept(weights, judged, self.n_epochs, loss)
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
        copies, (rows, columns) = self.settings.replicas, trained.size
        shape = (copies * trained.n_trials, trained.n_frames, spec.n_channels)
        checked_size(*shape, spec.n_observed, trained.size)
        states = self.automaton.out_weight.detach().new_zeros(*shape, rows, columns)
        for number in range(trained.n_frames):
            states[:, number] = self.model.start(trained, number).repeat(copies, 1, 1, 1)
        conditions = self.model.conditions(trained)
        return Transitions(
            states, spec.n_observed, cyclic=self.settings.cyclic,
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
            self.model, self.seed, best.judged.score, best.judged.stable, best.judged.run, best.train_loss, best.epoch,
            self.n_epochs, time.monotonic() - self.began, self.stopped, _ADVICE if self.stopped == "diverged" else "",
            self.data.validated_on, self.data.held_out, self.n_skipped, self.n_replaced, best.judged.kept, best.judged.whole,
        )  # fmt: skip


def _scaling(frames: Frames) -> Scaling:
    return Scaling.of(frames, per="global" if len(set(frames.units)) == 1 else "channel")


def _ranges(conditions: np.ndarray) -> Scaling:
    """The range of each condition over the training trials; one that never changes gets a range of 1."""
    lows, highs = conditions.min(axis=0).astype(float), conditions.max(axis=0).astype(float)
    return Scaling(tuple(lows.tolist()), tuple(np.where(highs > lows, highs, lows + 1.0).tolist()))
