"""Record, unless it was recorded before: what lets an interrupted campaign go on without playing anything twice."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from labctl.bench import Bench
from labctl.bench.plan import make_plan
from labctl.campaign import Campaign, Step
from labctl.campaigns.record import record
from labctl.errors import CampaignError, LabctlError, RecordingError
from labctl.excitation import Excitation
from labctl.recording import Recording
from labctl.station import Channel
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

    One that was interrupted is moved aside, and played anew. Raises CampaignError if what is there differs from what would
    be recorded now in drive, preparation, sampling time, channels or set-points held, or is of simulated devices where these
    are real ones (or the other way round).
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
    try:
        other = _differences(found, excitation, bench)
    except LabctlError as error:
        raise CampaignError(f"{path}: what is to be played now cannot be compared with it: {error}") from error
    if other:
        raise CampaignError(
            f"{path}: is of another {'; another '.join(other)} than what is to be played now; choose another folder"
        )


def _differences(found: Recording, excitation: Excitation, bench: Bench) -> list[str]:
    """In what a recording differs from what the bench would record now: drive with its preparation, channels, set-points."""
    mode = found.provenance.get("extra", {}).get("mode", "buffered")
    plan = make_plan(bench.station, excitation, mode="stepped" if mode == "stepped" else "buffered", prepare=True)
    now = {
        "sampling time": (found.dt_s, plan.dt_s),
        "set of drive channels": _units(found.drive_names, found.header.drive_units, plan.drive_channels),
        "set of response channels": _units(found.response_names, found.header.response_units, plan.response_channels),
        "repetition of inputs": (found.header.input_id.tolist(), excitation.input_id.tolist()),
    }
    other = [name for name, (then, wanted) in now.items() if then != wanted]
    if not other:
        order = [found.drive_names.index(channel.name) for channel in plan.drive_channels]
        drives = {"preparation": slice(None, plan.n_prepare), "drive": slice(plan.n_prepare, None)}
        same_length = (found.n_prepare, found.drive.shape) == (plan.n_prepare, plan.drive.shape)
        for name, part in drives.items():
            then, wanted = found.drive[:, part, order], plan.drive[:, part]
            if not (same_length and np.allclose(then, wanted, rtol=1e-6, atol=1e-9)):
                other.append(name)
    for name in dict.fromkeys(name for device in plan.devices for name in device.conditions):
        channel = bench.station.channels[name]
        if channel.is_output:  # what is only measured is never twice the same
            then_at, now_at = found.conditions.get(name), bench.get(name)
            if then_at is None or abs(then_at - now_at) > channel.tolerance:
                other.append(f"{name} ({then_at} {channel.unit} then, {now_at:g} now)")
    return other


def _units(
    names: tuple[str, ...], units: tuple[str, ...], channels: tuple[Channel, ...]
) -> tuple[dict[str, str], dict[str, str]]:
    return dict(zip(names, units, strict=True)), {channel.name: channel.unit for channel in channels}
