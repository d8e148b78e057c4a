"""An optimisation that was interrupted, and lies in its folder to be gone on with."""

from __future__ import annotations

from pathlib import Path

from labctl.errors import UsageError

STATE = "unfinished.json"
"""In a network's folder, while the optimiser is at it: how far it is."""


def unfinished(folder: Path, *, resume: bool) -> Path:
    """The file in which the optimiser keeps how far it is; raises UsageError if one is there and nobody said to resume."""
    state = folder / STATE
    if state.exists() and not resume:
        raise UsageError(
            f"{state}: an interrupted run lies there; go on with --resume, or remove it and begin anew, or "
            "choose another --out"
        )
    return state
