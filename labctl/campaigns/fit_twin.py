"""Fit a twin to a device's recordings, judge it on held-out inputs, and say with which right it can be trusted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from labctl.campaign import Campaign, Step
from labctl.campaigns.choose_twin import choose_twin
from labctl.campaigns.finish_twin import FittedTwin, TwinOrigin, finish_twin
from labctl.campaigns.fit_settings import FitSettings
from labctl.campaigns.stopped_fit import save_stopped
from labctl.campaigns.train_twin import TrainingBudget, UnderWay, train_chosen
from labctl.errors import RecordingError
from labctl.events import Warned
from labctl.recording import Recording, check_alike
from labctl.trained_inputs import TrainedInputs
from labctl.twin_data import TwinData
from labctl.unseen_inputs import unseen

__all__ = ["FitSettings", "FittedTwin", "fit_twin"]


def fit_twin(
    device: str,
    training: Sequence[Recording],
    heldout: Recording | Sequence[Recording] | None,
    *,
    seed: int,
    settings: FitSettings | None = None,
    folder: Path,
) -> Campaign[FittedTwin]:
    """Fit a twin to `training` and judge it on `heldout`, or on inputs of `training` that are kept from the fit.

    Saves `<device>.safetensors` and `.json`, with gates, calibration and the diagnosis that it follows from, and
    `<device>.report.html`, in `folder`. Conditions that differ between recordings become inputs of the twin.

    Stopped while it trains or judges, it saves the best twin until then, without gates; one of this name that is there
    already stays.

    Inputs of `heldout` that are trained on as well, by themselves or in other repeats, are left out, with a warning.

    Raises RecordingError for recordings that do not belong together, or if what is left cannot be judged on; and
    twins.TwinError.
    """
    settings = settings or FitSettings()
    held = [heldout] if isinstance(heldout, Recording) else list(heldout or [])
    check_alike([*training, *held])
    parts = parts_of(training, held, fraction=settings.held_out_fraction, seed=seed)
    data, judged, how = parts.data, parts.judged, parts.how
    key = f"twin/{device}"
    for warning in parts.warnings:
        yield Warned(key, warning)
    chosen = yield from choose_twin(device, data, settings=settings, seed=seed)
    step = Step(key, f"Fit the twin of {device}")
    yield step.started()
    budget = TrainingBudget(seconds=settings.max_seconds)
    origin = TwinOrigin(
        device, data, judged, how, chosen, settings, seed, trained_on=parts.trained_on, withheld=parts.withheld
    )
    under_way = UnderWay()
    try:
        chosen, trained = yield from train_chosen(
            key, chosen, data, settings, seed=seed, budget=budget, under_way=under_way
        )
        origin = replace(origin, chosen=chosen)
        fitted, told = yield from finish_twin(key, trained, origin, folder=folder)
    except (GeneratorExit, KeyboardInterrupt):
        save_stopped(under_way, origin, folder=folder)
        raise
    yield step.finished(told)
    return fitted


@dataclass(frozen=True, slots=True)
class Parts:
    """What to fit to, what to judge on (`how` in words), and whether that holds inputs that are trained on.

    withheld: why no judgement on these data can clear the twin; empty if one can.
    """

    data: TwinData
    judged: TwinData
    how: str
    trained_on: TrainedInputs
    warnings: tuple[str, ...] = ()
    withheld: str = ""


def parts_of(
    training: Sequence[Recording], heldout: Sequence[Recording], *, fraction: float | None, seed: int
) -> Parts:
    """Divide the recordings. Raises RecordingError for those that do not belong together, or leave nothing to judge on."""
    data = TwinData.of(training)
    if not heldout:
        return _split(data, fraction, seed)
    TwinData.of([*training, *heldout])  # they belong together
    trained = TrainedInputs.of(data.traces)
    how = ", ".join(str(one.path or "a recording in memory") for one in heldout)
    judged, told = unseen(TwinData.of(heldout), trained, how)
    return Parts(data, judged, f"{how}; {told}" if told else how, trained, (f"{how}: {told}",) if told else ())


def _split(data: TwinData, fraction: float | None, seed: int) -> Parts:
    fitted, judged, how = data.split(fraction=fraction, seed=seed)
    trained = TrainedInputs.of(fitted.traces, whole=fitted.uncut)
    try:
        judged, told = unseen(judged, trained, "the part that was kept from the fit")
    except RecordingError as error:
        # A drive that comes again and again: a twin can be had, but there is nothing to clear it by.
        return Parts(fitted, judged, how, trained, (str(error),), withheld=str(error))
    return Parts(fitted, judged, f"{how}; {told}" if told else how, trained, (told,) if told else ())
