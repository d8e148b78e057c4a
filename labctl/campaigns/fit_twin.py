"""Fit a twin to a device's recordings, judge it on held-out inputs, and say with which right it can be trusted."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from labctl.background import in_background
from labctl.campaign import Campaign, Step
from labctl.campaigns.choose_twin import ChosenTwin, choose_twin, tamer
from labctl.campaigns.finish_twin import FittedTwin, TwinOrigin, finish_twin
from labctl.campaigns.fit_settings import FitSettings
from labctl.campaigns.train_twin import TrainedTwin, train_members
from labctl.events import Warned
from labctl.recording import Recording, check_alike
from labctl.twin_data import TwinData

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

    Raises RecordingError for recordings that do not belong together, and twins.TwinError.
    """
    settings = settings or FitSettings()
    held = [heldout] if isinstance(heldout, Recording) else list(heldout or [])
    check_alike([*training, *held])
    data, judged, how = parts_of(training, held, fraction=settings.held_out_fraction, seed=seed)
    chosen = yield from choose_twin(device, data, settings=settings, seed=seed)
    key = f"twin/{device}"
    step = Step(key, f"Fit the twin of {device}")
    yield step.started()
    trained = yield from train_members(key, chosen, data, seed=seed, max_seconds=settings.max_seconds)
    if (yield from runs_away(key, trained[0], data, chosen, settings=settings, seed=seed)):
        chosen = tamer(chosen)
        yield Warned(key, chosen.reasons[-1])
        trained = yield from train_members(key, chosen, data, seed=seed, max_seconds=settings.max_seconds)
    origin = TwinOrigin(device, data, judged, how, chosen, settings, seed)
    fitted, told = yield from finish_twin(key, trained, origin, folder=folder)
    yield step.finished(told)
    return fitted


def runs_away(
    key: str, trained: TrainedTwin, data: TwinData, chosen: ChosenTwin, *, settings: FitSettings, seed: int
) -> Campaign[bool]:
    """Whether a polynomial backbone that was chosen by the diagnosis, not asked for, makes free runs diverge."""
    if chosen.spec.backbone_order == 1 or "backbone_order" in settings.overrides():
        return False
    from labctl.judging import diverges

    found = yield from in_background(lambda: diverges(trained.twin, data.traces, seed=seed), key=key)
    return found


def parts_of(
    training: Sequence[Recording], heldout: Sequence[Recording], *, fraction: float, seed: int
) -> tuple[TwinData, TwinData, str]:
    """(to fit to, to judge on, how in words). Raises RecordingError for recordings that do not belong together."""
    data = TwinData.of(training)
    if not heldout:
        return data.split(fraction=fraction, seed=seed)
    TwinData.of([*training, *heldout])  # they belong together
    judged = TwinData.of(heldout)
    return data, judged, ", ".join(str(one.path or "a recording in memory") for one in heldout)
