"""Whether a file says that what it holds was measured on, or learned from, simulated devices."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from labctl.hdf5_space import HDF5_ERRORS

MARKS = ("simulated", "learned_on_simulated_devices")
LARGEST_BYTES = 64 * 2**20
"""A JSON file beyond this is no file of labctl's, and reading it would take too long."""


def marked_simulated(path: Path) -> bool | None:
    """Whether a recording, twin, network, deployment or run's folder says that it comes from simulated devices.

    None where that is not known: the file is gone, broken, or being replaced just now. False for a kind of file that never says
    it. A folder is simulated as soon as one of the files directly in it is, and not known where one of the others is not.
    """
    try:
        if path.is_dir():
            return _of_all(marked_simulated(one) for one in sorted(path.iterdir()) if one.is_file())
        match path.suffix:
            case ".h5":
                return _recording_is_marked(path)
            case ".json" | ".safetensors":
                return _json_is_marked(path.with_suffix(".json"))
    except HDF5_ERRORS:
        return None
    return False


def _of_all(marks: Iterable[bool | None]) -> bool | None:
    found = set(marks)
    return True if True in found else None if None in found else False


def _recording_is_marked(path: Path) -> bool:
    import h5py

    with h5py.File(path, "r", locking=False) as file:  # it may be recorded to just now; looking must not stop that
        return bool(file.attrs.get("simulated", False))


def _json_is_marked(path: Path) -> bool | None:
    if path.stat().st_size > LARGEST_BYTES:
        return None
    return _says_so(json.loads(path.read_text(encoding="utf-8")))


def _says_so(data: Any) -> bool:
    if isinstance(data, Mapping):
        return any(data.get(mark) is True for mark in MARKS) or any(_says_so(value) for value in data.values())
    return isinstance(data, list) and any(_says_so(value) for value in data)
