"""Record, unless it was recorded before: what lets an interrupted campaign go on without playing anything twice."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from labctl.bench import Bench
from labctl.campaign import Campaign, Step
from labctl.campaigns.record import record
from labctl.errors import CampaignError, RecordingError
from labctl.excitation import Excitation
from labctl.recording import Recording
from labctl.store import open_recording

INTERRUPTED = "interrupted"
"""Folder, beside the recordings, of those that were not measured to their end: nothing measured is thrown away."""


def record_once(
    bench: Bench,
    excitation: Excitation,
    *,
    path: Path,
    key: str,
    title: str,
    seed: int | None = None,
    provenance: Mapping[str, Any] | None = None,
) -> Campaign[Recording]:
    """As `record`; a whole recording of this very excitation that is at `path` already is read instead of being played.

    One that was interrupted is moved aside, and played anew. Raises CampaignError if what is there is of another drive, or of
    simulated devices where these are real ones (or the other way round).
    """
    if path.exists():
        found = _whole(path)
        if found is not None:
            _check_same(found, excitation, bench, path)
            step = Step(key, title)
            yield step.started()
            yield step.finished(f"measured before, not played again: {path}")
            return found
        set_aside(path)
    return (yield from record(bench, excitation, path=path, key=key, title=title, seed=seed, provenance=provenance))


def set_aside(path: Path) -> Path:
    """Move an interrupted recording into a folder beside it; returns where it is then."""
    folder = path.parent / INTERRUPTED
    folder.mkdir(exist_ok=True)
    number = 1
    while (target := folder / f"{path.stem}-{number}{path.suffix}").exists():
        number += 1
    return path.rename(target)


def recorded_seconds(folder: Path) -> float:
    """Device time (s) of what was measured in a folder, interrupted recordings too; the instruments may have played a few
    samples more, to the end of a word of their memory."""
    found = [*sorted(folder.glob("*.h5")), *sorted((folder / INTERRUPTED).glob("*.h5"))]
    total = 0.0
    for path in found:
        try:
            total += open_recording(path).device_seconds
        except RecordingError:  # killed before its first sample
            continue
    return total


def _whole(path: Path) -> Recording | None:
    try:
        found = open_recording(path)
    except RecordingError:  # killed while it was being made
        return None
    return found if found.complete and found.whole_trials.size == found.n_trials else None


def _check_same(found: Recording, excitation: Excitation, bench: Bench, path: Path) -> None:
    if found.simulated != bench.simulated:
        kinds = {True: "simulated", False: "real"}
        raise CampaignError(
            f"{path}: was measured on {kinds[found.simulated]} devices, these are {kinds[bench.simulated]}; choose another folder"
        )
    drive, _ = found.scored()
    same = set(found.drive_names) == set(excitation.channels) and drive.shape == excitation.drive.shape
    if same:
        order = [found.drive_names.index(name) for name in excitation.channels]
        same = bool(np.allclose(drive[..., order], excitation.drive, rtol=1e-6, atol=1e-9))
    if not same:
        raise CampaignError(f"{path}: is of another drive than the one to be played now; choose another folder")
