"""Fit a twin to a device's recordings, judge it on held-out inputs, and say with which right it can be trusted."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from labctl.campaign import Campaign, Step
from labctl.campaigns.choose_twin import choose_twin
from labctl.campaigns.finish_twin import FittedTwin, TwinOrigin, finish_twin
from labctl.campaigns.fit_settings import FitSettings
from labctl.campaigns.train_twin import TrainingBudget, train_chosen
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
    budget = TrainingBudget(seconds=settings.max_seconds)
    chosen, trained = yield from train_chosen(key, chosen, data, settings, seed=seed, budget=budget)
    origin = TwinOrigin(device, data, judged, how, chosen, settings, seed)
    fitted, told = yield from finish_twin(key, trained, origin, folder=folder)
    yield step.finished(told)
    return fitted


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
