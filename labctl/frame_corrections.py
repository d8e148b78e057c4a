"""From counts to images for the twins: black level, flat field, drift of the lamp. Only what was asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from labctl.errors import RecordingError
from labctl.frame_recording import LOST, TAKEN, FrameRecording

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
    chosen = _chosen(recording, trials)
    black = _black(recording, dark)
    span = header.full_scale - header.black_level  # the gain is that of the camera, whatever the dark reference says
    values = (recording.counts[chosen] - black) / span
    if flat is not None:
        values /= _flat_field(recording, flat, black)
    values = _without_drift(values, recording, chosen, drift)
    from twins.nca import Frames

    held = _held(recording, chosen, conditions)
    return Frames(
        values=binned(values, binning).astype(np.float32),
        dt_s=header.interval_s,
        names=header.names,
        units=("1",) * len(header.names),
        pixel=header.pixel * binning,
        pixel_unit=header.pixel_unit,
        condition_names=tuple(header.condition_names[place] for place in held),
        conditions=recording.conditions[np.ix_(chosen, np.array(held, dtype=np.int64))],
        simulated=header.simulated,
    )


def binned(values: NDArray[np.float64], binning: int) -> NDArray[np.float64]:
    """Means of `binning` pixels a side of (…, y, x, channel); RecordingError if the image is no multiple of it."""
    *before, rows, columns, channels = values.shape
    if binning < 1 or rows % binning or columns % binning:
        raise RecordingError(f"images of {columns} x {rows} pixels cannot be binned by {binning}")
    blocks = values.reshape(*before, rows // binning, binning, columns // binning, binning, channels)
    mean: NDArray[np.float64] = blocks.mean(axis=(-4, -2))
    return mean


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


def _black(recording: FrameRecording, dark: FrameRecording | None) -> NDArray[np.float64]:
    """(y, x, channel), or one number for all."""
    if dark is None:
        return np.array(recording.header.black_level)
    if dark.header.light:
        raise RecordingError(f"{_name(dark)} was recorded with light: it is no dark reference")
    return _mean(recording, dark)


def _flat_field(recording: FrameRecording, flat: FrameRecording, black: NDArray[np.float64]) -> NDArray[np.float64]:
    """(y, x, channel), 1 on average over each channel."""
    if not flat.header.light:
        raise RecordingError(f"{_name(flat)} was recorded without light: it is no flat field")
    above = _mean(recording, flat) - black
    if (above <= 0).any():
        raise RecordingError(f"{_name(flat)}: {int((above <= 0).sum())} pixels saw no light; it is no flat field")
    if flat.saturated.any():
        raise RecordingError(f"{_name(flat)} has saturated pixels: it is no flat field; expose it for less time")
    relative: NDArray[np.float64] = above / above.mean(axis=(0, 1), keepdims=True)
    return relative


def _mean(recording: FrameRecording, reference: FrameRecording) -> NDArray[np.float64]:
    """The mean frame of a reference, which must be of the same pixels."""
    if reference.header.shape[2:] != recording.header.shape[2:] or reference.names != recording.names:
        raise RecordingError(
            f"{_name(reference)} has images of {reference.header.shape[2:]} pixels of {reference.names}, "
            f"{_name(recording)} of {recording.header.shape[2:]} of {recording.names}"
        )
    taken = reference.counts[reference.status == TAKEN]
    if not len(taken):
        raise RecordingError(f"{_name(reference)} holds no frame")
    mean: NDArray[np.float64] = taken.mean(axis=0, dtype=np.float64)
    return mean


def _without_drift(
    values: NDArray[np.float64], recording: FrameRecording, chosen: NDArray[np.int64], drift: str
) -> NDArray[np.float64]:
    if drift not in DRIFTS:
        raise RecordingError(f"drift must be one of {', '.join(DRIFTS)}, not {drift!r}")
    if drift == "monitor":
        light = recording.light[chosen]
        if not (np.isfinite(light) & (light > 0)).all():
            raise RecordingError(
                f"{_name(recording)}: the lamp monitor was not read at every frame; take drift = 'mean'"
            )
        return values / light[:, :, None, None, None]
    if drift == "mean":
        means = values.mean(axis=(2, 3), keepdims=True)
        if (means <= 0).any():
            raise RecordingError(f"{_name(recording)}: a frame's mean is not above black; drift = 'mean' cannot work")
        steady: NDArray[np.float64] = values * (means.mean(axis=1, keepdims=True) / means)
        return steady
    return values
