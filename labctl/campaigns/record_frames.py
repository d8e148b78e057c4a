"""Film a device: frames stream into a recording while whoever watches sees small previews of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labctl.acquired import AcquisitionTeller
from labctl.bench import Bench
from labctl.bench.film_plan import FilmRequest
from labctl.campaign import Campaign, Step
from labctl.events import FrameTaken, Progress, Reported, Waiting, Warned
from labctl.frame_recording import FrameBlock, FrameRecording
from labctl.pausing import PAUSE_NOTE

PREVIEW_PIXELS = 48
"""A preview has at most so many pixels a side."""


def record_frames(
    bench: Bench,
    request: FilmRequest,
    *,
    path: Path,
    key: str = "",
    title: str = "",
    provenance: Mapping[str, Any] | None = None,
) -> Campaign[FrameRecording]:
    """Film what is asked for into the file `path` and return the recording; see `Bench.film`.

    Yields every frame as it comes (`FrameTaken`, with a coarse preview) and the progress; it can be stopped between two
    frames and while it waits for one. Raises what the bench raises; the frames taken until then are in the file.
    """
    device, n_trials, n_frames = request.device, request.n_trials, request.n_frames
    step = Step(key or f"film/{device}", title or f"Film {device}")
    frames = bench.film_or_wait(request, store=path, label=step.key, provenance=provenance)
    names = tuple(bench.station.channels[bench.station.device(device).response[0]].image.planes)  # type: ignore[union-attr]
    yield step.started()
    before = bench.acquisition
    teller = AcquisitionTeller(step.key, lambda: None if bench.acquisition is before else bench.acquisition)
    total = n_trials * n_frames
    try:
        while True:
            try:
                block = next(frames)
            except StopIteration as finished:
                recording: FrameRecording = finished.value
                break
            yield from teller.events()
            if block is None:
                yield Waiting(step.key)
                continue
            yield _event(step.key, block, names, n_frames)
            yield Progress(step.key, block.trial * n_frames + block.index + 1, total, f"trial {block.trial}")
    finally:
        frames.close()
    yield from teller.events(last=True)
    for note in recording.notes:
        if not note.startswith(PAUSE_NOTE):
            yield Warned(step.key, note)
    device_s = float(recording.valid_frames.sum()) * recording.interval_s
    yield Reported(
        step.key, {"device_seconds": device_s, "trials": n_trials, "lost": len(recording.lost)}, (str(path),)
    )
    yield step.finished(f"{n_trials} trials of {n_frames} frames, {device_s:g} s of device time")
    return recording


def _event(key: str, block: FrameBlock, names: tuple[str, ...], n_frames: int) -> FrameTaken:
    return FrameTaken(
        key, block.trial, block.index, n_frames, block.time_s, names, preview_of(block.counts, len(names)),
        block.counts is None, block.saturated,
    )  # fmt: skip


def preview_of(counts: NDArray[np.uint16] | None, n_channels: int) -> NDArray[np.float64]:
    """(y, x, channel) of at most PREVIEW_PIXELS a side: every k-th pixel, in counts; empty for a lost frame."""
    if counts is None:
        return np.zeros((0, 0, n_channels))
    every = -(-max(counts.shape[:2]) // PREVIEW_PIXELS)
    return counts[::every, ::every].astype(np.float64)
