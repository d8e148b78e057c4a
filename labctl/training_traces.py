"""The data that twins were fitted on, as their files name them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from twins import Traces


def training_traces(twins: Mapping[str, Path], given: Mapping[str, Sequence[Path]]) -> dict[str, list[Traces]]:
    """device -> traces of the recordings that its twin's file names, or of those that are given instead.

    Raises UsageError for a device without a twin, or where the recordings are not to be found as they were.
    """
    from labctl.errors import UsageError
    from labctl.recording import traces_of
    from labctl.store import open_recording

    strange = sorted(set(given) - set(twins))
    if strange:
        raise UsageError(f"--recording is given for {', '.join(strange)}; there are twins of {', '.join(twins)}")
    found: dict[str, list[Traces]] = {}
    for device, twin in twins.items():
        paths, faults = (list(given[device]), []) if device in given else _named_recordings(twin)
        faults += [f"{path}: no such file" for path in paths if not path.is_file()]
        if faults:
            raise UsageError(
                f"{device}: {'; '.join(faults)}. Say where the data are that its twin was fitted on: "
                f"--recording {device}=FILE"
            )
        found[device] = traces_of([open_recording(path) for path in paths])
    return found


def _named_recordings(twin: Path) -> tuple[list[Path], list[str]]:
    """What a twin's file says that it was fitted on, and what is wrong with that."""
    from labctl.twin_data import sha256_of
    from twins import read_provenance

    sources = [one for one in read_provenance(twin).get("extra", {}).get("recordings", ()) if one.get("path")]
    paths = [Path(one["path"]) for one in sources]
    changed = [
        f"{path} has changed since the twin was fitted"
        for path, one in zip(paths, sources, strict=True)
        if path.is_file() and one.get("sha256") not in (None, sha256_of(path))
    ]
    return paths, changed if paths else [f"{twin} names no recording"]
