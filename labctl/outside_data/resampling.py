"""Unevenly sampled data onto an even grid, by straight lines between samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from labctl.outside_data.errors import OutsideDataError
from labctl.outside_data.treatments import Treatments
from labctl.outside_data.trial import Clock, Record, Trial

_GAP = 5.0
"""A step of more than this many usual ones is a gap, not unevenness."""


def resample(trials: Sequence[Trial], dt_s: float | None, treatments: Treatments) -> Clock:
    """Every trial, or piece of one, on a grid from its own first sample; dt_s: of the grid, else the mean step.

    Samples of NaN count as not taken. Raises OutsideDataError for gaps that were not declared.
    """
    steps = np.concatenate([np.diff(trial.time_s) for trial in trials if trial.time_s is not None])
    usual = float(np.median(steps))
    mean_s = float(f"{steps[steps < _GAP * usual].mean():.12g}")
    step_s = dt_s or mean_s
    pieces = [piece for trial in trials for piece in _measured(trial, treatments)]
    longest_s = max(_GAP * usual, (treatments.longest_gap + 1.5) * mean_s if treatments.longest_gap else 0.0)
    cut = [part for piece in pieces for part in _cut(piece, longest_s, treatments)]
    done = [_onto_grid(piece, step_s) for piece in cut if len(piece) > 1]
    if not done:
        raise OutsideDataError("nothing is left to resample between the gaps")
    record: Record = {
        "treatment": "resampled",
        "by": "linear interpolation",
        "dt_s": step_s,
        "mean_step_s": mean_s,
        "shortest_step_s": float(steps.min()),
        "longest_step_s": float(steps.max()),
        "pieces": len(done),
        "gaps": treatments.gaps,
    }
    return Clock(step_s, done, [record])


def _measured(trial: Trial, treatments: Treatments) -> list[Trial]:
    """Without the samples of NaN."""
    bad = trial.unmeasured
    if not bad.any():
        return [trial]
    if treatments.gaps == "split":
        return trial.keep(~bad)
    assert trial.time_s is not None
    kept = replace(trial, drive=trial.drive[~bad], response=trial.response[~bad], time_s=trial.time_s[~bad])
    return [kept]


def _cut(piece: Trial, longest_s: float, treatments: Treatments) -> list[Trial]:
    assert piece.time_s is not None
    steps = np.diff(piece.time_s)
    before = np.flatnonzero(steps > longest_s)
    if len(before) and treatments.gaps != "split":
        raise OutsideDataError(
            f"{piece.name}: {len(before)} gaps of up to {steps.max():.6g} s, the first after sample "
            f"{piece.start + before[0]}, are too long to draw a straight line across (at most {longest_s:.6g} s); "
            "--gaps split cuts the data there"
        )
    return piece.pieces(before + 1)


def _onto_grid(piece: Trial, dt_s: float) -> Trial:
    assert piece.time_s is not None
    since = piece.time_s - piece.time_s[0]
    grid = np.arange(int(since[-1] / dt_s * (1 + 1e-12)) + 1) * dt_s
    drive, response = (
        np.stack([np.interp(grid, since, channel) for channel in side.T], axis=1)
        for side in (piece.drive, piece.response)
    )
    return replace(piece, drive=drive, response=response, time_s=None)
