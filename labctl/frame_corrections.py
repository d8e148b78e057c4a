"""From counts to images for the twins: black level, flat field, drift of the lamp. Only what was asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from labctl.errors import RecordingError
from labctl.frame_recording import LOST, TAKEN, FrameRecording
from labctl.image_light import (
    Reference,
    binned,
    check_dark,
    check_fits,
    flat_gain,
    mean_gain,
    monitor_gain,
    reference_of,
)

if TYPE_CHECKING:
    from twins.nca import Frames

DRIFTS = ("none", "monitor", "mean")


def corrected(
    recording: FrameRecording,
    *,
    dark: FrameRecording | None,
    flat: FrameRecording | None,
    drift: str,
    binning: int,
    trials: str,
    conditions: str,
) -> Frames:
    """See FrameRecording.frames."""
    header = recording.header
    if not header.light:
        raise RecordingError(f"{_name(recording)} holds dark frames: a reference, nothing to learn from")
    if drift not in DRIFTS:
        raise RecordingError(f"drift must be one of {', '.join(DRIFTS)}, not {drift!r}")
    chosen = _chosen(recording, trials)
    shape = (*header.shape[2:], len(header.names))
    black, gain = _references(recording, dark, flat, shape)
    trial_by_trial = [_trial(recording, int(trial), black, gain, drift, binning) for trial in chosen]
    from twins.nca import Frames

    held = _held(recording, chosen, conditions)
    return Frames(
        values=np.stack(trial_by_trial),
        dt_s=header.interval_s,
        names=header.names,
        units=("1",) * len(header.names),
        pixel=header.pixel * binning,
        pixel_unit=header.pixel_unit,
        condition_names=tuple(header.condition_names[place] for place in held),
        conditions=recording.conditions[np.ix_(chosen, np.array(held, dtype=np.int64))],
        simulated=header.simulated,
    )


def _trial(
    recording: FrameRecording,
    trial: int,
    black: NDArray[np.float64] | float,
    gain: NDArray[np.float64] | float,
    drift: str,
    binning: int,
) -> NDArray[np.float32]:
    """(time, y, x, channel); one trial after another, so that no more than the result is in memory."""
    values: NDArray[np.float64] = (_shares(recording, recording.counts[trial : trial + 1]) - black) / gain
    there = np.ones(values.shape[:2], dtype=np.bool_)
    if drift == "monitor":
        values /= monitor_gain(recording.light[trial : trial + 1], there, _name(recording))
    elif drift == "mean":
        values /= mean_gain(values, there, _name(recording))
    return binned(values[0], binning, _name(recording)).astype(np.float32)


def _shares(recording: FrameRecording, counts: NDArray[np.uint16]) -> NDArray[np.float64]:
    """Counts above the black level as shares of full scale."""
    header = recording.header
    shares: NDArray[np.float64] = (counts.astype(np.float64) - header.black_level) / (
        header.full_scale - header.black_level
    )
    return shares


def _references(
    recording: FrameRecording, dark: FrameRecording | None, flat: FrameRecording | None, shape: tuple[int, ...]
) -> tuple[NDArray[np.float64] | float, NDArray[np.float64] | float]:
    """What is taken off, and by what is divided: (y, x, channel), or one number for all."""
    still = None if dark is None else _reference(recording, dark, shape)
    if still is not None:
        check_dark(still)
    gain = 1.0 if flat is None else flat_gain(_reference(recording, flat, shape), still)
    return (0.0 if still is None else still.mean), gain


def _reference(recording: FrameRecording, reference: FrameRecording, shape: tuple[int, ...]) -> Reference:
    """The mean frame of a reference, which must be of the same pixels."""
    if reference.names != recording.names:
        raise RecordingError(f"{_name(reference)} is of {reference.names}, {_name(recording)} of {recording.names}")
    taken = _shares(recording, reference.counts[reference.status == TAKEN])
    found = reference_of(
        taken, lit=reference.header.light, saturated=int(reference.saturated.sum()), name=_name(reference)
    )
    check_fits(found, shape, _name(recording))
    return found


def _name(recording: FrameRecording) -> str:
    return str(recording.path or "this recording")


def _held(recording: FrameRecording, chosen: NDArray[np.int64], wanted: str) -> list[int]:
    """Places of the conditions that the frames get."""
    if wanted not in ("varied", "all", "none"):
        raise RecordingError(f"conditions must be 'varied', 'all' or 'none', not {wanted!r}")
    values = recording.conditions[chosen]
    every = range(values.shape[1])
    return [place for place in every if wanted == "all" or (wanted == "varied" and np.ptp(values[:, place]) > 0)]


def _chosen(recording: FrameRecording, trials: str) -> NDArray[np.int64]:
    whole = recording.whole_trials
    if trials not in ("all", "whole"):
        raise RecordingError(f"trials must be 'all' or 'whole', not {trials!r}")
    if trials == "all" and whole.size < recording.n_trials:
        lost = int((recording.status == LOST).sum())
        raise RecordingError(
            f"{_name(recording)}: {recording.n_trials - whole.size} of {recording.n_trials} trials are not whole ({lost} frames "
            "lost, the rest not taken); trials = 'whole' leaves them out"
        )
    if whole.size == 0:
        raise RecordingError(f"{_name(recording)}: no trial is whole; nothing to learn from")
    return whole
