"""The examples that a promise is about, on disk. What is read is not trusted before it is checked."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from twins.files import write_whole
from twins.network.tasks import TaskData, TaskError

NAME = "examples.safetensors"
LARGEST_FILE_BYTES = 512 * 2**20
_PARTS = ("training", "heldout")
_DTYPES = {"inputs": np.float64, "targets": np.float64, "scored": np.bool_}


def save_examples(folder: Path, training: TaskData, heldout: TaskData) -> None:
    """Write both into `folder`."""
    arrays = {
        f"{part}.{name}": np.ascontiguousarray(getattr(data, name))
        for part, data in zip(_PARTS, (training, heldout), strict=True)
        for name in _DTYPES
    }
    write_whole(folder / NAME, save(arrays))


def load_examples(folder: Path) -> tuple[TaskData, TaskData]:
    """(training, held out) as `save_examples` wrote them. Raises TaskError for a missing, foreign or damaged file."""
    path = folder / NAME
    if not path.is_file():
        raise TaskError(f"{path}: no such file; it holds the examples that the network was promised on")
    if path.stat().st_size > LARGEST_FILE_BYTES:
        raise TaskError(f"{path}: {path.stat().st_size} bytes are too many (at most {LARGEST_FILE_BYTES})")
    try:
        arrays = load_file(path)
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        raise TaskError(f"{path}: not a readable safetensors file: {error}") from error
    wanted = {f"{part}.{name}": dtype for part in _PARTS for name, dtype in _DTYPES.items()}
    if set(arrays) != set(wanted):
        raise TaskError(f"{path}: holds {', '.join(sorted(arrays))} instead of {', '.join(sorted(wanted))}")
    for name, dtype in wanted.items():
        if arrays[name].dtype != dtype:
            raise TaskError(f"{path}: {name} must be {np.dtype(dtype)}, not {arrays[name].dtype}")
        if not np.all(np.isfinite(arrays[name])):
            raise TaskError(f"{path}: {name} contains NaN or infinity")
    try:
        training, heldout = (
            TaskData(arrays[f"{part}.inputs"], arrays[f"{part}.targets"], arrays[f"{part}.scored"]) for part in _PARTS
        )
    except TaskError as error:
        raise TaskError(f"{path}: {error}") from error
    return training, heldout


def same_examples(first: tuple[TaskData, TaskData], second: tuple[TaskData, TaskData]) -> bool:
    """Whether both are the same numbers."""
    return all(
        np.array_equal(getattr(one, name), getattr(other, name))
        for one, other in zip(first, second, strict=True)
        for name in _DTYPES
    )
