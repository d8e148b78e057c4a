"""A first look at a recording: few trials, few points, read from the file without loading the rest."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from labctl.errors import RecordingError
from labctl.few_points import extremes

MOST_TRIALS = 3
MOST_POINTS = 1000


@dataclass(frozen=True, slots=True)
class Curve:
    """One channel of one trial: `time_s` and `values` (point,), as pairs of minimum and maximum where there were more."""

    channel: str
    unit: str
    trial: int
    time_s: NDArray[np.float64]
    values: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Preview:
    """The first measured trials of a recording; `frame` (y, x) is the last frame of a film's first trial instead."""

    drive: tuple[Curve, ...] = ()
    response: tuple[Curve, ...] = ()
    frame: NDArray[np.float64] | None = None
    words: str = ""


def preview(path: Path, *, most_trials: int = MOST_TRIALS, most_points: int = MOST_POINTS) -> Preview:
    """Look at a recording or a film. Raises RecordingError for anything else."""
    import h5py

    from labctl import frame_layout, hdf5_layout

    try:
        with h5py.File(path, "r", locking=False) as file:
            form = file.attrs.get("format")
            if form == frame_layout.FORMAT:
                return _film(file)
            if form != hdf5_layout.FORMAT:
                raise RecordingError(f"{path} is no recording of labctl")
            valid = file["valid_samples"][...]
            trials = np.flatnonzero(valid)[:most_trials]
            time_s = file["time"][...]
            drive, response = (
                tuple(
                    curve
                    for trial in trials
                    for curve in _curves(file, role, int(trial), int(valid[trial]), time_s, most_points)
                )
                for role in ("drive", "response")
            )
            words = (
                f"trials {', '.join(str(trial + 1) for trial in trials)} of {len(valid)}"
                if len(trials)
                else "no samples"
            )
            return Preview(drive, response, words=words)
    except (OSError, KeyError, ValueError, TypeError) as error:
        raise RecordingError(f"{path} cannot be shown: {error}") from error


def _curves(
    file: object, role: str, trial: int, count: int, time_s: NDArray[np.float64], most_points: int
) -> list[Curve]:
    from labctl import hdf5_layout

    samples = file[role][trial, :count]  # type: ignore[index] # an h5py.File
    names, units = (hdf5_layout.texts(file, f"{role}_{what}") for what in ("channel", "units"))
    positions, values = extremes(np.ascontiguousarray(samples.T), most_points)
    return [
        Curve(name, unit, trial, time_s[positions], values[number])
        for number, (name, unit) in enumerate(zip(names, units, strict=True))
    ]


def _film(file: object) -> Preview:
    counts = file["counts"]  # type: ignore[index] # an h5py.File
    taken = np.flatnonzero(file["status"][0] == 1)  # type: ignore[index]
    if not len(taken):
        return Preview(words="no frame was taken")
    frame = np.asarray(counts[0, int(taken[-1]), :, :, 0], dtype=np.float64)
    return Preview(
        frame=frame, words=f"trial 1 of {counts.shape[0]}, frame {taken[-1] + 1} of {counts.shape[1]}, in counts"
    )
