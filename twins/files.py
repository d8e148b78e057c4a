"""Files that appear whole or not at all, and are not read beyond a size: for everything the twins keep on disk."""

from __future__ import annotations

import contextlib
import os
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from twins.errors import CheckpointInvalid


def write_whole(path: Path, payload: bytes) -> None:
    """Write by way of a neighbour, so that nobody ever sees half a file."""
    partial = path.with_name(path.name + ".partial")
    try:
        with partial.open("wb") as file:
            file.write(payload)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            partial.unlink()
        raise


def read_whole(path: Path, largest: int) -> bytes:
    """The bytes of a file; raises CheckpointInvalid if it cannot be read or has more than `largest` bytes."""
    try:
        if path.stat().st_size > largest:
            raise CheckpointInvalid(f"{path} is larger than any twin ({largest} bytes)")
        return path.read_bytes()
    except OSError as error:
        raise CheckpointInvalid(f"{path} cannot be read: {error.strerror or error}") from error


def labctl_version() -> str:
    """The installed version, for the provenance."""
    try:
        return version("labctl")
    except PackageNotFoundError:
        return "unknown"
