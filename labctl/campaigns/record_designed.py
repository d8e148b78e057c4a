"""Record a device's response to a design: what `labctl record` and the window do."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from labctl.bench import Bench
from labctl.campaign import Campaign
from labctl.campaigns.record import MAX_PLAY_S, record
from labctl.design_options import Design
from labctl.designed import described, excitations_of
from labctl.network_bench import apply_conditions

TITLES = {"training": "Characterise {}", "heldout": "Held-out repeats of {}"}


def record_designed(
    bench: Bench,
    device: str,
    design: Design,
    *,
    folder: Path,
    seed: int = 0,
    conditions: Mapping[str, float] | None = None,
    name: str = "",
    max_play_s: float = MAX_PLAY_S,
) -> Campaign[list[Path]]:
    """Set the conditions, play the design to the device and record; returns the files, `NAME-PART.h5` in `folder`.

    name: the device's, if none is given. max_play_s: the longest play, which a pause waits for. All parts of the design are
    checked before the first is played. Raises ExcitationError, OutOfLimits or TooFast before anything is sent, and what the
    bench raises.
    """
    parts = excitations_of(bench.station, device, design, seed=seed)
    for excitation in parts.values():
        bench.check(excitation)
    apply_conditions(bench, conditions or {})
    paths = []
    for part, excitation in parts.items():
        path = part_path(folder, name or device, part)
        key = f"characterise/{device}/{part}" if part in TITLES else f"record/{device}"
        title = TITLES.get(part, "Record {}").format(device)
        recording = yield from record(
            bench,
            excitation,
            path=path,
            key=key,
            title=title,
            seed=seed,
            provenance={"asked": described(design)},
            max_play_s=max_play_s,
        )
        paths.append(recording.path or path)
    return paths


def part_path(folder: Path, name: str, part: str) -> Path:
    """Where a part of a design is recorded to."""
    return folder / f"{name}-{part}.h5"
