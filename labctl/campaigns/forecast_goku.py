"""Forecast measured traces beyond their end, from what was inferred of them, with bands."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

from labctl.background import in_background
from labctl.campaign import Campaign, Step
from labctl.campaigns.goku_settings import InferSettings
from labctl.campaigns.infer_goku import Inferred, infer_goku
from labctl.errors import CampaignError
from labctl.events import Reported, Warned
from labctl.goku_model import GokuModel
from labctl.goku_series import Measured
from labctl.goku_table import LEVEL
from labctl.json_file import json_text

if TYPE_CHECKING:
    import torch

    from twins.goku.inference.predictive import Predicted

N_DRAWS = 200
_MOST_DIVERGED = 0.01


@dataclass(frozen=True, slots=True, eq=False)
class Forecast:
    """inferred: what it follows from. predicted: the course of every trace, of which the first `n_seen` samples were measured;
    of traces that differ in length the forecast alone (n_seen = 0), each from its own end on."""

    inferred: Inferred
    predicted: Predicted
    about: dict[str, Any]

    def as_dict(self) -> dict[str, Any]:
        """Plain data: the forecast part, by trace."""
        ahead = self.predicted.part(self.predicted.n_seen, self.predicted.times_s.shape[1])
        mean, (low, high) = ahead.mean(), ahead.band(LEVEL)
        names = self.inferred.series.names
        return {
            **self.about,
            "level": LEVEL,
            "channels": list(names),
            "units": list(self.inferred.series.units),
            "traces": [
                {
                    "trace": row.trace,
                    "trusted": row.trusted,
                    "why": row.why,
                    "times_s": _listed(ahead.times_s[number]),
                    **{
                        what: {name: _listed(values[number, :, k]) for k, name in enumerate(names)}
                        for what, values in (("expected", mean), ("low", low), ("high", high))
                    },
                }
                for number, row in enumerate(self.inferred.rows)
            ],
        }


def forecast_goku(
    model: GokuModel,
    measured: Measured,
    *,
    n_samples: int,
    seed: int,
    settings: InferSettings | None = None,
    drive: Measured | None = None,
    hold_drive: bool = False,
    files: Sequence[Path] = (),
) -> Campaign[Forecast]:
    """Infer every trace and go on for n_samples beyond its own end, at its own median step.

    drive: traces whose drive channels are those of the samples to come, one for all traces or one each; hold_drive: the last
    value stays instead. files: written by their endings. Raises CampaignError, RecordingError, twins.TwinError.
    """
    import torch

    if n_samples < 1:
        raise CampaignError(f"a forecast has at least one sample, not {n_samples}")
    ahead = _drive(model, measured, n_samples, drive, hold=hold_drive)
    inferred = yield from infer_goku(model, measured, seed=seed, settings=settings)
    key = f"goku/forecast/{model.name}"
    step = Step(key, f"Forecast {n_samples} samples of {len(measured.traces)} traces")
    yield step.started()
    generator = torch.Generator().manual_seed(seed)
    predicted = yield from in_background(
        lambda: _predicted(inferred, n_samples, ahead, generator),
        key=key,
    )
    away = float(predicted.diverged.mean())
    if away > _MOST_DIVERGED:
        yield Warned(key, f"{100 * away:.3g} % of the draws ran away and count for nothing in the bands")
    forecast = Forecast(inferred, predicted, {**inferred.about, "n_samples": n_samples})
    for path in files:
        write_forecast(path, forecast)
    yield Reported(key, {"samples": n_samples, "diverged": away}, tuple(map(str, files)))
    yield step.finished()
    return forecast


def _predicted(inferred: Inferred, n_samples: int, drive: np.ndarray | None, generator: torch.Generator) -> Predicted:
    """Lots of traces of one length each: the series hold missing samples behind the ends of the shorter ones."""
    from twins.goku.inference.predictive import Predicted, predict_course

    model = inferred.model
    lengths = np.array([len(trace.times_s) for trace in inferred.measured.traces])
    order, parts = [], []
    for length in np.unique(lengths):
        lot = np.flatnonzero(lengths == length)
        order += lot.tolist()
        course = predict_course(
            model.system, model.observation(), inferred.series.select(lot).span(0, int(length)), inferred.posterior.select(lot),
            n_forecast=n_samples, drive=None if drive is None else drive[lot], n_draws=N_DRAWS, substeps=inferred.substeps,
            generator=generator,
        )  # fmt: skip
        parts.append(course)
    if len(parts) == 1:
        return parts[0]
    joined = Predicted.joined([part.part(part.n_seen, part.times_s.shape[1]) for part in parts])
    return joined.select(np.argsort(order))


def forecast_text(forecast: Forecast) -> str:
    """For a terminal: where each trace is expected to be at the end, with its band."""
    told = forecast.as_dict()
    lines = ["SIMULATED data"] if told["simulated"] else []
    for one in told["traces"]:
        ends = []
        for name, unit in zip(told["channels"], told["units"], strict=True):
            expected, low, high = (one[what][name][-1] for what in ("expected", "low", "high"))
            if expected is None:
                ends.append(f"{name}: every draw ran away")
            else:
                ends.append(f"{name} = {expected:.4g} [{low:.4g}, {high:.4g}] {unit}".rstrip())
        trust = "" if one["trusted"] else f" (NOT TO BE TRUSTED: {one['why']})"
        lines.append(f"{one['trace']}: at {one['times_s'][-1]:.6g} s {'; '.join(ends)}{trust}")
    return "\n".join([*lines, "with 90 % bands; --json or --out FILE.csv has every sample"]) + "\n"


def _drive(
    model: GokuModel, measured: Measured, n_samples: int, drive: Measured | None, *, hold: bool
) -> np.ndarray | None:
    """(trace, n_samples, drive) of the samples to come."""
    if not model.system.drives:
        if drive is not None or hold:
            raise CampaignError(f"{model.system.name} has no drive, so a forecast of it takes none")
        return None
    n_traces = len(measured.traces)
    own = measured.series(model.wired.channels, model.wired.drives).drive
    assert own is not None
    if hold:
        return np.repeat(own[:, -1:], n_samples, axis=1)
    if drive is None:
        names = ", ".join(model.wired.drives.values())
        raise CampaignError(
            f"{model.system.name} is driven: a forecast needs the drive of the samples to come ({names}), --drive-file FILE, or "
            "--hold-drive where its last value stays"
        )
    columns = [drive.drive_of(trace, list(model.wired.drives.values())) for trace in drive.traces]
    if len(columns) not in (1, n_traces):
        raise CampaignError(f"the drive file has {len(columns)} traces; it needs one for all, or {n_traces}")
    shortest = min(map(len, columns))
    if shortest < n_samples:
        raise CampaignError(f"the drive file has {shortest} samples; a forecast of {n_samples} needs as many")
    ahead = np.stack([column[:n_samples] for column in columns])
    return np.broadcast_to(ahead, (n_traces, *ahead.shape[1:])).copy()


def write_forecast(path: Path, forecast: Forecast) -> None:
    """Write JSON, CSV or HDF5 (which has all draws), by the ending; whole or not at all."""
    from twins.files import write_whole

    path.parent.mkdir(parents=True, exist_ok=True)
    match path.suffix:
        case ".json":
            payload = json_text(forecast.as_dict()).encode()
        case ".csv":
            payload = _csv(forecast).encode()
        case _:
            payload = _hdf5(forecast)
    write_whole(path, payload)


def _csv(forecast: Forecast) -> str:
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(("trace", "time_s", "channel", "unit", "expected", "low_90", "high_90", "trusted", "simulated"))
    told = forecast.as_dict()
    for one in told["traces"]:
        for name, unit in zip(told["channels"], told["units"], strict=True):
            for k, time_s in enumerate(one["times_s"]):
                figures = [
                    "" if one[what][name][k] is None else one[what][name][k] for what in ("expected", "low", "high")
                ]
                writer.writerow((one["trace"], time_s, name, unit, *figures, one["trusted"], told["simulated"]))
    return file.getvalue()


def _hdf5(forecast: Forecast) -> bytes:
    buffer = io.BytesIO()
    predicted = forecast.predicted
    with h5py.File(buffer, "w", libver="earliest") as file:
        file.attrs["format"] = "labctl.goku_forecast"
        file.attrs["simulated"] = bool(forecast.about["simulated"])
        file.attrs["about"] = json_text(forecast.about)
        file.attrs["n_seen"] = predicted.n_seen
        for name in ("signal", "measured"):  # (draw, trace, time, channel)
            file.create_dataset(name, data=getattr(predicted, name), compression="gzip", compression_opts=4)
        file["times_s"] = predicted.times_s
        text = h5py.string_dtype("utf-8")
        for name, values in (
            ("channel", forecast.inferred.series.names),
            ("unit", forecast.inferred.series.units),
            ("trace", [row.trace for row in forecast.inferred.rows]),
        ):
            file.create_dataset(name, data=np.array(list(values), dtype=object), dtype=text)
    return buffer.getvalue()


def _listed(values: np.ndarray) -> list[float | None]:
    return [float(f"{value:.9g}") if np.isfinite(value) else None for value in values]
