"""Data of other programs as they stand: missing samples stay missing, time stamps need not be even.

For equations that are solved between samples wherever these lie. Only the drive must be there at every sample.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from labctl.errors import UsageError
from labctl.outside_data.alignment import settle_alignment
from labctl.outside_data.checks import Rail, check_moving, settle_clipped
from labctl.outside_data.clock import check_order
from labctl.outside_data.column_map import ColumnMap
from labctl.outside_data.errors import OutsideDataError
from labctl.outside_data.missing import check_not_all_missing, fill
from labctl.outside_data.opening import open_data_file
from labctl.outside_data.reading import channel_records, chosen_rows
from labctl.outside_data.treatments import Treatments
from labctl.outside_data.trial import Record, Samples, Trial
from labctl.outside_data.trials import map_columns

GAP = 1.5
"""A step of more than this many median steps is a gap."""
_EVEN_SHARE = 0.9  # of the steps that are near the median: then the clock is even, and longer steps are dropouts
_NEAR = 0.1
_MOST_FILLED = 20.0  # times as many samples as were measured: beyond, two stretches are no longer one trace


@dataclass(frozen=True, slots=True, kw_only=True)
class LooseColumnMap(ColumnMap):
    """A ColumnMap that needs no drive: an equation can move by itself."""

    drive_needed: ClassVar[bool] = False


@dataclass(frozen=True, slots=True, eq=False)
class LooseData:
    """trials: with times (s), the response NaN where it is missing, the drive finite; `is_test` marks those kept from a fit.

    provenance: as of OutsideData.
    """

    trials: list[Trial]
    drive_names: tuple[str, ...]
    drive_units: tuple[str, ...]
    response_names: tuple[str, ...]
    response_units: tuple[str, ...]
    provenance: Mapping[str, Any]
    path: Path
    simulated: bool


def read_loose(
    path: str | Path,
    columns: ColumnMap,
    treatments: Treatments,
    *,
    dt_s: float | None = None,
    simulated: bool = False,
    moving: bool = True,
) -> LooseData:
    """Read a file of another program without making it even or whole.

    The times are the column of time stamps, or dt_s apart. Long steps get missing samples put into them, so that nothing
    is solved across a gap in one step; where there is a drive and the clock is else even, they are dropouts, and
    `treatments.gaps` says what to do. clipped = "drop" takes samples at a rail for missing.

    moving: a channel that never moves is an error. Raises OutsideDataError, UsageError.
    """
    if columns.time is not None and dt_s is not None:
        raise UsageError("time stamps are taken as they are: give --time, or --rate or --dt, not both")
    if treatments.resample:
        raise UsageError("uneven time stamps need no --resample here: they are taken as they are; leave it out")
    file = open_data_file(path)
    mapped = map_columns(file, columns)
    names = (*mapped.drive_names, *mapped.response_names)
    trials, infinite = _without_infinities(chosen_rows(mapped.trials, treatments))
    check_not_all_missing(trials, names)
    if max(map(len, trials), default=0) < 2:
        raise OutsideDataError(f"{file.path}: one sample; a trace needs at least two samples")
    if moving:
        check_moving([trial for trial in trials if not trial.is_test], mapped.drive_names, mapped.response_names)
    trials, clipping = _without_rails(trials, mapped.drive_names, mapped.response_names, treatments)
    timed = [_timed(trial, dt_s) for trial in trials]
    driven, filling = _with_whole_drive(timed, treatments)
    spaced, gaps = _spaced(driven, treatments)
    aligned, ahead, alignment = _aligned(spaced, mapped.response_names, treatments)
    step_s = float(np.median(np.concatenate([np.diff(_time(trial)) for trial in aligned])))
    records = [
        *(*file.treatments, *channel_records(mapped), *infinite, *clipping, *filling, *gaps, *_missing(aligned)),
        *alignment,
    ]
    provenance = {
        "path": str(file.path),
        "sha256": file.sha256,
        "format": file.format,
        "mapping": columns.as_dict(),
        "dt_s": step_s,
        "drive_ahead": ahead,
        "options": treatments.as_dict(),
        "treatments": records,
        "simulated": simulated,
    }
    channels = (mapped.drive_names, mapped.drive_units, mapped.response_names, mapped.response_units)
    return LooseData(aligned, *channels, provenance, file.path, simulated)


def _time(trial: Trial) -> Samples:
    assert trial.time_s is not None
    return trial.time_s


def _without_infinities(trials: Sequence[Trial]) -> tuple[list[Trial], list[Record]]:
    count = sum(int(np.isinf(trial.response).sum() + np.isinf(trial.drive).sum()) for trial in trials)
    if not count:
        return list(trials), []
    whole = [
        replace(trial, drive=_finite_or_nan(trial.drive), response=_finite_or_nan(trial.response)) for trial in trials
    ]
    return whole, [{"treatment": "infinities taken as missing", "values": count}]


def _finite_or_nan(samples: Samples) -> Samples:
    return np.where(np.isinf(samples), np.nan, samples)


def _without_rails(
    trials: Sequence[Trial], drive_names: Sequence[str], response_names: Sequence[str], treatments: Treatments
) -> tuple[list[Trial], list[Record]]:
    rails, records = settle_clipped(trials, drive_names, response_names, treatments)
    if not rails or treatments.clipped != "drop":
        return list(trials), records
    driving = [rail.name for rail in rails if rail.role == "drive"]
    if driving:
        raise OutsideDataError(
            f"the drive {driving[0]} stands at a rail, and an equation needs its drive at every sample: --clipped accept "
            "takes it as it is"
        )
    return [_rails_missing(trial, rails) for trial in trials], records


def _rails_missing(trial: Trial, rails: Sequence[Rail]) -> Trial:
    response = trial.response.copy()
    for rail in rails:
        response[response[:, rail.channel] == rail.value, rail.channel] = np.nan
    return replace(trial, response=response)


def _timed(trial: Trial, dt_s: float | None) -> Trial:
    if trial.time_s is not None:
        check_order(trial)
        return trial
    if dt_s is None:
        raise OutsideDataError(
            "nothing says how fast the data are sampled: give --rate (610.35Hz, 1kHz) or --dt (1.6ms), or name the column "
            "of time stamps with --time; they need not be even"
        )
    times = np.arange(trial.start, trial.start + len(trial), dtype=np.float64) * dt_s
    return replace(trial, time_s=times)


def _with_whole_drive(trials: Sequence[Trial], treatments: Treatments) -> tuple[list[Trial], list[Record]]:
    """Every trial with a drive that is finite everywhere."""
    missing = sum(int((~np.isfinite(trial.drive)).any(axis=1).sum()) for trial in trials)
    if not missing:
        return list(trials), []
    record: Record = {"treatment": f"gaps: {treatments.gaps}", "of": "the drive", "samples": missing}
    if treatments.gaps == "split":
        return [piece for trial in trials for piece in trial.keep(np.asarray(np.isfinite(trial.drive).all(axis=1)))], [
            record
        ]
    if treatments.gaps == "interpolate":
        return [replace(trial, drive=fill(trial.drive, trial, treatments.longest_gap)) for trial in trials], [record]
    raise OutsideDataError(
        f"the drive is missing at {missing} samples; the response may be, but an equation needs its drive throughout: "
        "--gaps split cuts the data there, --gaps interpolate:N fills up to N in a row"
    )


def _spaced(trials: Sequence[Trial], treatments: Treatments) -> tuple[list[Trial], list[Record]]:
    """Long steps cut, or filled with missing samples."""
    steps = np.concatenate([np.diff(_time(trial)) for trial in trials])
    if not len(steps):
        raise OutsideDataError("no stretch of two samples is left; an equation is fitted to a course in time")
    step_s = float(np.median(steps))
    long = steps > GAP * step_s
    if not long.any():
        return list(trials), []
    record: Record = {"treatment": f"gaps: {treatments.gaps}", "of": "the time stamps", "gaps": int(long.sum())}
    if treatments.gaps == "split":
        cut = [
            piece
            for trial in trials
            for piece in trial.pieces(np.flatnonzero(np.diff(_time(trial)) > GAP * step_s) + 1)
        ]
        return [piece for piece in cut if len(piece) > 1], [record]
    even = (np.abs(steps - step_s) <= _NEAR * step_s).mean() >= _EVEN_SHARE
    if trials[0].drive.shape[1] and even and treatments.gaps == "refuse":
        raise OutsideDataError(
            f"{int(long.sum())} steps of the time stamps are longer than {GAP:g} of the usual {step_s:.6g} s (up to "
            f"{steps.max():.6g} s), and nothing says what the drive was meanwhile: --gaps split cuts the data there, --gaps "
            "interpolate:N draws straight lines across up to N samples"
        )
    filled = [_filled(trial, step_s, treatments, dropouts=even) for trial in trials]
    before, after = sum(map(len, trials)), sum(map(len, filled))
    if after > _MOST_FILLED * before:
        raise OutsideDataError(
            f"the gaps in the time stamps are {after / before:.3g} times as long as what was measured (the longest "
            f"{steps.max():.6g} s at steps of {step_s:.6g} s); --gaps split cuts the data there"
        )
    record |= {"treatment": "gaps in the time stamps taken as missing samples", "samples": after - before}
    return filled, [record]


def _filled(trial: Trial, step_s: float, treatments: Treatments, *, dropouts: bool) -> Trial:
    """Missing samples put into long steps; the drive is held there, or a straight line across dropouts."""
    times = _time(trial)
    extra = np.maximum(np.round(np.diff(times) / step_s).astype(int) - 1, 0)
    extra[np.diff(times) <= GAP * step_s] = 0
    interpolate = dropouts and treatments.gaps == "interpolate" and trial.drive.shape[1] > 0
    if interpolate and extra.max(initial=0) > treatments.longest_gap:
        raise OutsideDataError(
            f"{trial.name}: a gap of {int(extra.max())} samples, and at most {treatments.longest_gap} may be filled; --gaps "
            "split cuts the data there"
        )
    index = np.repeat(np.arange(len(times)), np.append(extra, 0) + 1)
    inside = np.concatenate([np.arange(count + 1) for count in np.append(extra, 0)])
    widths = np.append(np.diff(times) / (extra + 1), 0.0)
    filled_times = times[index] + inside * widths[index]
    drive = trial.drive[index]
    if interpolate:
        drive = np.stack([np.interp(filled_times, times, column) for column in trial.drive.T], axis=1)
    response = np.where((inside == 0)[:, None], trial.response[index], np.nan)
    return replace(trial, drive=drive, response=response, time_s=filled_times)


def _aligned(
    trials: Sequence[Trial], response_names: Sequence[str], treatments: Treatments
) -> tuple[list[Trial], int, list[Record]]:
    """As for twins; data with gaps or an uneven clock cannot tell it, so there the drive stays as it is unless asked."""
    if not trials[0].drive.shape[1] or treatments.drive_ahead == 0:
        return list(trials), 0, []
    if treatments.drive_ahead == "auto":
        steps = np.concatenate([np.diff(_time(trial)) for trial in trials])
        uneven = bool((np.abs(steps - steps.mean()) > _NEAR * steps.mean()).any())
        if uneven or any(bool(np.isnan(trial.response).any()) for trial in trials):
            return list(trials), 0, []
    return settle_alignment(trials, response_names, treatments)


def _missing(trials: Sequence[Trial]) -> list[Record]:
    count = sum(int(np.isnan(trial.response).sum()) for trial in trials)
    total = sum(trial.response.size for trial in trials)
    return [{"treatment": "missing values left missing", "values": count, "of": total}] if count else []
