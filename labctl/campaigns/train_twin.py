"""Train a twin as it was chosen, or an ensemble of them, with its learning curve as events."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from labctl.background import in_background
from labctl.campaign import Campaign
from labctl.campaigns.choose_twin import DIAGNOSED, ChosenTwin, can_be_plain, plainer, tamer
from labctl.campaigns.fit_settings import FitSettings
from labctl.events import Figures, Progress, Warned
from labctl.twin_data import TwinData

if TYPE_CHECKING:
    from twins import DeviceTwin, FitResult


MEMBERS_APART = 1000
"""Between the seeds of members."""
FIRST = 0.6
"""Of the budget, to the twin that is judged and used, where others are trained as well."""
LEAST_S = 0.2  # a training that comes last still takes a step


@dataclass(frozen=True, slots=True)
class TrainingBudget:
    """What may be spent: wall time of all trainings together, and epochs of each phase of each (None: as it needs)."""

    seconds: float | None = None
    epochs: int | None = None

    def purse(self) -> Callable[[float], TrainingBudget]:
        """From now on: a share of the seconds that are left, when asked."""
        began_s = time.perf_counter()

        def share(part: float) -> TrainingBudget:
            if self.seconds is None:
                return self
            left_s = self.seconds - (time.perf_counter() - began_s)
            return replace(self, seconds=max(part * left_s, LEAST_S))

        return share


@dataclass(frozen=True, slots=True, eq=False)
class TrainedTwin:
    """A twin, how its training went, and the processor time that took (of this process, whatever else it did)."""

    twin: DeviceTwin
    result: FitResult
    cpu_seconds: float


@dataclass(slots=True)
class Candidate:
    """A twin in training, and the checkpoint that it has kept so far; score: its free-run score, lower is better."""

    chosen: ChosenTwin
    twin: DeviceTwin
    score: float = math.inf
    phase: str = ""
    epoch: int = 0


@dataclass(slots=True)
class UnderWay:
    """All twins of a fit so far, so that whoever stops it can keep the best. A closed training leaves its twin at its kept
    checkpoint."""

    candidates: list[Candidate] = field(default_factory=list)

    def begin(self, chosen: ChosenTwin, twin: DeviceTwin) -> None:
        """Another twin is trained."""
        self.candidates.append(Candidate(chosen, twin))

    def keep(self, score: float, phase: str, epoch: int) -> None:
        """The last twin keeps a checkpoint."""
        last = self.candidates[-1]
        last.score, last.phase, last.epoch = score, phase, epoch

    def clear(self) -> None:
        """Forget them: none of them is good."""
        self.candidates.clear()

    @property
    def best(self) -> Candidate | None:
        """The one of the lowest score; None where none was judged yet."""
        judged = [one for one in self.candidates if math.isfinite(one.score)]
        return min(judged, key=lambda one: one.score, default=None)


def train_chosen(
    key: str,
    chosen: ChosenTwin,
    data: TwinData,
    settings: FitSettings,
    *,
    seed: int,
    budget: TrainingBudget,
    contest: bool = True,
    under_way: UnderWay | None = None,
) -> Campaign[tuple[ChosenTwin, list[TrainedTwin]]]:
    """Train what was chosen, and see that a choice by diagnosis is a good one before the ensemble is trained.

    A polynomial backbone that makes free runs diverge gives way to a linear one. With `contest` the plain twin is trained
    as well, and taken where it foresees the fit's own held-out inputs better; not where the diagnosis found what a plain
    twin cannot have (measurement noise, coloured noise, drift). The first twin has at least half of the budget, and
    whatever comes after it what is left. under_way: is told of every twin that is trained, for whoever stops early.
    """
    share = budget.purse()
    diagnosed = settings.choice == DIAGNOSED
    contest = contest and diagnosed and can_be_plain(chosen, settings)
    alone = chosen.ensemble == 1 and not contest
    first = yield from _first_member(
        key, chosen, data, seed=seed, budget=share(1.0 if alone else FIRST), under_way=under_way
    )
    if diagnosed and chosen.spec.backbone_order > 1 and "backbone_order" not in settings.overrides():
        from labctl.judging import diverges

        twin = first.twin
        away = yield from in_background(lambda: diverges(twin, data.traces, seed=seed), key=key)
        if away:
            chosen = tamer(chosen)
            yield Warned(key, chosen.reasons[-1])
            if under_way is not None:
                under_way.clear()  # what ran away is no twin to fall back on
            first = yield from _first_member(
                key, chosen, data, seed=seed, budget=share(1.0 if alone else FIRST), under_way=under_way
            )
    if contest:
        plain = plainer(chosen, data, settings)
        rival = yield from _first_member(
            f"{key}/plain", plain, data, seed=seed, budget=share(1.0 / chosen.ensemble), under_way=under_way
        )
        chosen, first = _better((chosen, first), (plain, rival))
    if chosen.ensemble == 1:
        return chosen, [first]
    others = yield from train_members(key, chosen, data, seed=seed, budget=share(1.0), start=1)
    return chosen, [first, *others]


def _first_member(
    key: str,
    chosen: ChosenTwin,
    data: TwinData,
    *,
    seed: int,
    budget: TrainingBudget,
    under_way: UnderWay | None,
) -> Campaign[TrainedTwin]:
    alone = replace(chosen, ensemble=1)
    [first] = yield from train_members(key, alone, data, seed=seed, budget=budget, under_way=under_way)
    return first


def _better(
    one: tuple[ChosenTwin, TrainedTwin], plain: tuple[ChosenTwin, TrainedTwin]
) -> tuple[ChosenTwin, TrainedTwin]:
    """By free-run score on the same held-out inputs: both fits drew them from the same seed."""
    ours, theirs = one[1].result.free_run_score, plain[1].result.free_run_score
    figures = f"its free-run score on the fit's held-out inputs is {theirs:.4g}, that of the diagnosed twin {ours:.4g}"
    if theirs < ours:
        reason = f"the plain twin was taken: {figures}"
        return replace(plain[0], reasons=(*one[0].reasons, reason)), plain[1]
    return replace(one[0], reasons=(*one[0].reasons, f"the plain twin was tried and left: {figures}")), one[1]


def train_members(
    key: str,
    chosen: ChosenTwin,
    data: TwinData,
    *,
    seed: int,
    budget: TrainingBudget,
    earlier: Sequence[TrainedTwin] = (),
    start: int = 0,
    under_way: UnderWay | None = None,
) -> Campaign[list[TrainedTwin]]:
    """The members of the ensemble one after another; the first is the twin, the others have other seeds.

    earlier: the same, trained on less data, to go on with. start: the first member to train. budget: of all of them.
    """
    from twins import DeviceTwin

    trained = []
    share = budget.purse()
    for member in range(start, chosen.ensemble):
        began_s = time.process_time()
        before_s = earlier[member].cpu_seconds if earlier else 0.0
        twin = earlier[member].twin if earlier else DeviceTwin(chosen.spec)
        own = share(1.0 / (chosen.ensemble - member))
        if under_way is not None:
            under_way.begin(chosen, twin)
        result = yield from _train(
            key, twin, data, chosen, own, seed=seed, member=member, warm=bool(earlier), under_way=under_way
        )
        trained.append(TrainedTwin(twin, result, before_s + time.process_time() - began_s))
    return trained


def _train(
    key: str,
    twin: DeviceTwin,
    data: TwinData,
    chosen: ChosenTwin,
    budget: TrainingBudget,
    *,
    seed: int,
    member: int,
    warm: bool,
    under_way: UnderWay | None,
) -> Campaign[FitResult]:
    """Train one twin in place; yields its learning curve and progress. "best_score": of the checkpoint kept so far."""
    from twins import fit

    names = ["", *chosen.phases]
    options = {"max_epochs": budget.epochs, "warm_start": warm, **chosen.fit_options}
    seed += MEMBERS_APART * member
    told_to = key if member == 0 else f"{key}/member{member}"  # every member has a learning curve of its own
    best = math.inf
    epochs = fit(twin, data.traces, seed=seed, phases=chosen.phases, max_seconds=budget.seconds, **options)
    try:
        while True:
            try:
                epoch = next(epochs)
            except StopIteration as finished:
                result: FitResult = finished.value
                return result
            if epoch.best:
                best = epoch.free_run_score
                if under_way is not None:
                    under_way.keep(best, epoch.phase, epoch.epoch)
            figures = {"train_loss": epoch.train_loss, "free_run_score": epoch.free_run_score, "best_score": best}
            # A free run that diverges has no score, and JSON has no infinity.
            yield Figures(told_to, epoch.epoch, {name: one for name, one in figures.items() if math.isfinite(one)})
            phase = names.index(epoch.phase) - 1 if epoch.phase in chosen.phases else 0
            part = (phase + epoch.progress) / len(chosen.phases)
            note = f"{epoch.phase}, held-out free-run score {epoch.free_run_score:.4f}"
            yield Progress(key, member + part, chosen.ensemble, note)
    finally:
        epochs.close()
