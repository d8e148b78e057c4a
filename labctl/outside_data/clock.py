"""Time stamps: one sampling time for all trials, and what to do where they are not even."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np

from labctl.outside_data.errors import OutsideDataError
from labctl.outside_data.resampling import resample
from labctl.outside_data.treatments import Treatments
from labctl.outside_data.trial import Clock, Record, Samples, Trial

EVEN = 0.02
"""Time stamps may miss an even grid by this fraction of the sampling time, beside what rounding does to them."""
_RATE_AGREES = 1e-3  # a given rate and the time stamps may differ by this, relatively
_GAP = 1.5  # a step of more than this many sampling times is a gap
_COARSEST = 0.5  # of the sampling time: stamps that were rounded to coarser places than this may hide gaps
_NEAR = 1e-4  # of the last place: how near stamps come to it in binary
_OFF_GRID = 0.1  # a gap that misses a whole number of sampling times by more cannot be filled


def settle_clock(trials: Sequence[Trial], dt_s: float | None, treatments: Treatments) -> Clock:
    """Put trials onto one even grid. dt_s: given by the user, else taken from the time stamps.

    Gaps become samples of NaN (gaps="interpolate") or cut the trial (gaps="split"). Raises OutsideDataError.
    """
    if all(trial.time_s is None for trial in trials):
        if dt_s is None:
            raise OutsideDataError(
                "nothing says how fast the data are sampled: give --rate (610.35Hz, 1kHz) or --dt (1.6ms), or name the "
                "column of time stamps with --time"
            )
        if treatments.resample:
            raise OutsideDataError("without time stamps (--time) the data count as even; there is nothing to resample")
        return Clock(dt_s, list(trials), [])
    for trial in trials:
        check_order(trial)
    if treatments.resample:
        return resample(trials, dt_s, treatments)
    found_s = _sampling_time_s(trials)
    if dt_s is not None:
        _check_rate(trials, dt_s, found_s)
    step_s = dt_s or found_s
    records: list[Record] = [] if dt_s is None else [
        {"treatment": "rate given", "dt_s": dt_s, "dt_s_of_time_stamps": found_s, "time_stamps": "only show gaps"}
    ]  # fmt: skip
    rounding = _resolution_s(trials) / step_s
    rounding = rounding if rounding <= _COARSEST else 0.0
    off_grid = _steps(trials) / step_s
    if dt_s is None and (np.abs(off_grid - np.round(off_grid)) > _OFF_GRID + rounding).mean() > _OFF_GRID:
        raise OutsideDataError(_uneven(trials, found_s))
    whole, gaps = _without_gaps(trials, step_s, treatments)
    jitter = max(_jitter(piece, found_s) for pieces in whole for piece in pieces)
    records.append({"treatment": "time stamps", "dt_s": found_s, "largest_deviation_dt": round(jitter, 6)})
    if jitter > EVEN + 0.5 * rounding and dt_s is None:
        raise OutsideDataError(_uneven(trials, found_s))
    if treatments.gaps == "interpolate":
        whole = [[_joined(pieces, step_s, treatments.longest_gap)] for pieces in whole]
    settled = [replace(piece, time_s=None) for pieces in whole for piece in pieces]
    return Clock(step_s, settled, records + gaps)


def check_order(trial: Trial) -> None:
    """Raise OutsideDataError unless the time stamps of a trial are there and rise."""
    time_s = trial.time_s
    if time_s is None or len(time_s) < 2:
        raise OutsideDataError(f"{trial.name} has fewer than two samples with time stamps")
    bad = np.flatnonzero(~np.isfinite(time_s))
    if len(bad):
        raise OutsideDataError(f"{trial.name}: {len(bad)} time stamps are missing, the first of sample {bad[0]}")
    steps = np.diff(time_s)
    for wrong, what in ((steps == 0, "stand twice"), (steps < 0, "go backwards")):
        if wrong.any():
            at = int(np.flatnonzero(wrong)[0])
            raise OutsideDataError(
                f"{trial.name}: {int(wrong.sum())} time stamps {what}, the first at sample {trial.start + at + 1} "
                f"({time_s[at]:.9g} s, then {time_s[at + 1]:.9g} s); if the time starts anew with every trial, name the "
                "column that tells them apart with --trial; if even stamps were only rounded, give --rate instead of --time"
            )


def _steps(trials: Sequence[Trial]) -> Samples:
    return np.concatenate([np.diff(trial.time_s) for trial in trials if trial.time_s is not None])


def _sampling_time_s(trials: Sequence[Trial]) -> float:
    """The slope of time stamps over sample numbers between gaps, without the last digits, which are rounding."""
    steps = _steps(trials)
    longest_s = _GAP * float(np.median(steps))
    over, under = 0.0, 0.0
    for trial in trials:
        assert trial.time_s is not None
        for piece in trial.pieces(np.flatnonzero(np.diff(trial.time_s) > longest_s) + 1):
            assert piece.time_s is not None
            number = np.arange(len(piece)) - 0.5 * (len(piece) - 1)
            over += float(number @ (piece.time_s - piece.time_s[0]))
            under += float(number @ number)
    return float(f"{over / under:.12g}")


def _resolution_s(trials: Sequence[Trial]) -> float:
    """To which decimal place the time stamps were rounded (s); 0 where none is seen."""
    stamps = np.concatenate([trial.time_s for trial in trials if trial.time_s is not None])
    for place in range(10):
        scaled = stamps * 10.0**place
        if np.abs(scaled - np.round(scaled)).max() < _NEAR:
            return float(10.0**-place)
    return 0.0


def _check_rate(trials: Sequence[Trial], dt_s: float, found_s: float) -> None:
    n_steps = max(len(trial) for trial in trials) - 1
    if abs(found_s / dt_s - 1.0) > _RATE_AGREES + 1.0 / n_steps:
        raise OutsideDataError(
            f"the rate given is {1 / dt_s:.6g} Hz, but the time stamps say {1 / found_s:.6g} Hz; leave one out, or name "
            "the unit of time (--time COLUMN:ms)"
        )


def _jitter(piece: Trial, dt_s: float) -> float:
    """The largest deviation of time stamps from the best even grid of this step, in steps."""
    assert piece.time_s is not None
    away = piece.time_s - np.arange(len(piece)) * dt_s
    return float(np.abs(away - 0.5 * (away.max() + away.min())).max() / dt_s)


def _uneven(trials: Sequence[Trial], dt_s: float) -> str:
    steps = _steps(trials)
    jitter = max(_jitter(trial, float(np.diff(trial.time_s).mean())) for trial in trials if trial.time_s is not None)
    return (
        f"the data are not sampled evenly: steps of {steps.min():.6g} to {steps.max():.6g} s around {dt_s:.6g} s "
        f"(standard deviation {100 * steps.std() / dt_s:.2g} % of a step), and time stamps miss an even grid by up to "
        f"{100 * jitter:.3g} % of a step; {100 * EVEN:g} % is allowed. If the device's clock is even and only the stamps "
        "are not, give its --rate; otherwise --resample puts the data onto a grid by linear interpolation, which is "
        "recorded with the twin"
    )


def _without_gaps(
    trials: Sequence[Trial], dt_s: float, treatments: Treatments
) -> tuple[list[list[Trial]], list[Record]]:
    """The pieces of every trial between gaps in its time stamps. Raises OutsideDataError where gaps are refused."""
    pieces: list[list[Trial]] = []
    n_gaps, missing, first = 0, 0, ""
    for trial in trials:
        assert trial.time_s is not None
        steps = np.diff(trial.time_s)
        before = np.flatnonzero(steps > _GAP * dt_s)
        pieces.append(trial.pieces(before + 1))
        if len(before):
            first = first or f"{trial.name}, {steps[before[0]]:.6g} s after sample {trial.start + before[0]}"
            n_gaps += len(before)
            missing += int((np.round(steps[before] / dt_s) - 1).sum())
    if not n_gaps:
        return pieces, []
    if treatments.gaps == "refuse":
        raise OutsideDataError(
            f"the time stamps have {n_gaps} gaps, {missing} samples of {dt_s:.6g} s altogether, the first in {first}; "
            "--gaps split cuts the data there, --gaps interpolate:N fills gaps of up to N samples"
        )
    return pieces, [{"treatment": f"gaps: {treatments.gaps}", "of": "time stamps", "gaps": n_gaps, "samples": missing}]


def _joined(pieces: Sequence[Trial], dt_s: float, longest_gap: int) -> Trial:
    """Pieces of one trial joined again with samples of NaN between them. Raises OutsideDataError for too long gaps."""
    joined = pieces[0]
    drive, response = [joined.drive], [joined.response]
    for first, second in pairwise(pieces):
        assert first.time_s is not None and second.time_s is not None
        steps = float(second.time_s[0] - first.time_s[-1]) / dt_s
        where = f"{first.name}, after sample {first.start + len(first) - 1}"
        if round(steps) - 1 > longest_gap:
            raise OutsideDataError(
                f"{where}: a gap of {round(steps) - 1} samples is longer than the {longest_gap} that may be filled; cut "
                "the data there (--gaps split) or allow more"
            )
        if abs(steps - round(steps)) > _OFF_GRID:
            raise OutsideDataError(
                f"{where}: a gap of {steps:.3f} sampling times is no whole number of samples, so it cannot be filled on "
                "the grid; --gaps split, or --resample"
            )
        for side, piece in ((drive, second.drive), (response, second.response)):
            side += [np.full((round(steps) - 1, piece.shape[1]), np.nan), piece]
    return replace(joined, drive=np.concatenate(drive), response=np.concatenate(response), time_s=None)
