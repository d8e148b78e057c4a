"""Whether a file says that what it holds was measured on, or learned from, simulated devices."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

MARKS = ("simulated", "learned_on_simulated_devices")
LARGEST_BYTES = 64 * 2**20
"""A JSON file beyond this is no file of labctl's, and reading it would take too long."""


def marked_simulated(path: Path) -> bool:
    """Whether a recording, twin, network, deployment or run's folder says that it comes from simulated devices.

    False for a file that says nothing of it or cannot be read: who opens it to work with it is told what is wrong there.
    A folder is simulated as soon as one of the files directly in it is.
    """
    if path.is_dir():
        return any(marked_simulated(one) for one in sorted(path.iterdir()) if one.is_file())
    match path.suffix:
        case ".h5":
            return _recording_is_marked(path)
        case ".json" | ".safetensors":
            return _json_is_marked(path.with_suffix(".json"))
    return False


def any_marked_simulated(paths: Iterable[Path]) -> bool:
    """Whether one of these files or folders says so."""
    return any(marked_simulated(path) for path in paths)


def _recording_is_marked(path: Path) -> bool:
    import h5py

    try:
        with h5py.File(path, "r") as file:
            return bool(file.attrs.get("simulated", False))
    except OSError:
        return False


def _json_is_marked(path: Path) -> bool:
    try:
        if path.stat().st_size > LARGEST_BYTES:
            return False
        return _says_so(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return False


def _says_so(data: Any) -> bool:
    if isinstance(data, Mapping):
        return any(data.get(mark) is True for mark in MARKS) or any(_says_so(value) for value in data.values())
    return isinstance(data, list) and any(_says_so(value) for value in data)
