"""Film a device into a folder: what `labctl record` of a filmed device and the window do."""

from __future__ import annotations

from pathlib import Path

from labctl.bench import Bench
from labctl.bench.film_plan import FilmRequest
from labctl.campaign import Campaign
from labctl.campaigns.record_frames import record_frames
from labctl.frame_recording import FrameRecording


def record_film(bench: Bench, request: FilmRequest, *, folder: Path, name: str = "") -> Campaign[FrameRecording]:
    """Film what is asked for into `film_path`; see `record_frames`. name: the device's, if none is given."""
    device = request.device
    path = film_path(folder, request, name)
    return (yield from record_frames(bench, request, path=path, key=f"record/{device}", title=f"Film {device}"))


def film_path(folder: Path, request: FilmRequest, name: str = "") -> Path:
    """NAME-frames.h5 in the folder, or NAME-dark.h5 without light."""
    return folder / f"{name or request.device}-{'frames' if request.light else 'dark'}.h5"
