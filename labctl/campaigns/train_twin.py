"""Train a twin as it was chosen, or an ensemble of them, with its learning curve as events."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from labctl.campaign import Campaign
from labctl.campaigns.choose_twin import ChosenTwin
from labctl.events import Figures, Progress
from labctl.twin_data import TwinData

if TYPE_CHECKING:
    from twins import DeviceTwin, FitResult


@dataclass(frozen=True, slots=True, eq=False)
class TrainedTwin:
    """A twin, how its training went, and the processor time that took (of this process, whatever else it did)."""

    twin: DeviceTwin
    result: FitResult
    cpu_seconds: float


def train_members(
    key: str, chosen: ChosenTwin, data: TwinData, *, seed: int, max_seconds: float | None
) -> Campaign[list[TrainedTwin]]:
    """The members of the ensemble one after another; the first is the twin, the others have other seeds."""
    from twins import DeviceTwin

    n = chosen.ensemble
    trained = []
    for member in range(n):
        began_s = time.process_time()
        twin = DeviceTwin(chosen.spec)
        share = None if max_seconds is None else max_seconds / n
        result = yield from train(
            key, twin, data, chosen, seed=seed + 1000 * member, max_seconds=share, done=member, total=n
        )
        trained.append(TrainedTwin(twin, result, time.process_time() - began_s))
    return trained


def train(
    key: str,
    twin: DeviceTwin,
    data: TwinData,
    chosen: ChosenTwin,
    *,
    seed: int,
    max_seconds: float | None,
    max_epochs: int | None = None,
    warm_start: bool = False,
    done: int = 0,
    total: int = 1,
) -> Campaign[FitResult]:
    """Train one twin in place, as number `done` of `total`; yields its learning curve and progress."""
    from twins import fit

    names = ["", *chosen.phases]
    options = {"max_epochs": max_epochs, "warm_start": warm_start, **chosen.fit_options}
    epochs = fit(twin, data.traces, seed=seed, phases=chosen.phases, max_seconds=max_seconds, **options)
    try:
        while True:
            try:
                epoch = next(epochs)
            except StopIteration as finished:
                result: FitResult = finished.value
                return result
            figures = {"train_loss": epoch.train_loss, "free_run_score": epoch.free_run_score}
            # A free run that diverges has no score, and JSON has no infinity.
            yield Figures(key, epoch.epoch, {name: one for name, one in figures.items() if math.isfinite(one)})
            phase = names.index(epoch.phase) - 1 if epoch.phase in chosen.phases else 0
            part = (phase + epoch.progress) / len(chosen.phases)
            note = f"{epoch.phase}, held-out free-run score {epoch.free_run_score:.4f}"
            yield Progress(key, done + part, total, note)
    finally:
        epochs.close()
