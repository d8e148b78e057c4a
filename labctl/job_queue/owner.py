"""Which process runs a queue's jobs, and whether it still lives: a locked file that the system lets go with the process."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from labctl.errors import QueueError

with contextlib.suppress(ImportError):
    import fcntl

HAVE_LOCKS = importlib.util.find_spec("fcntl") is not None
PREFIX = ".queue-"
"""Hidden files beside the queue, one a living owner, and one that is locked while the queue is changed."""
CHANGING = "change"


class Owner:
    """This process as one that runs jobs of the queue in `folder`, until `release` or its end, however it ends.

    Systems without flock (Windows) cannot tell whether another process lives: there only `name` itself counts as alive.
    """

    def __init__(self, folder: Path) -> None:
        self.name = f"{os.getpid()}-{secrets.token_hex(4)}"
        self._path = _place(folder) / f"{PREFIX}{self.name}.lock"
        self._file: TextIO | None = self._path.open("w", encoding="utf-8")
        if HAVE_LOCKS:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def release(self) -> None:
        """This process runs no jobs any more; a second time does nothing."""
        if self._file is not None:
            self._path.unlink(missing_ok=True)
            self._file.close()
            self._file = None


def living_owners(folder: Path) -> frozenset[str]:
    """The names of all owners that live; what dead ones left is cleared away."""
    alive = set()
    for path in folder.glob(f"{PREFIX}*-*.lock"):
        if not HAVE_LOCKS or _is_locked(path):
            alive.add(path.stem.removeprefix(PREFIX))
        else:
            path.unlink(missing_ok=True)
    return frozenset(alive)


@contextlib.contextmanager
def changing(folder: Path) -> Iterator[None]:
    """Keep every other process from changing the queue of this folder meanwhile."""
    with (_place(folder) / f"{PREFIX}{CHANGING}.lock").open("a", encoding="utf-8") as file:
        if HAVE_LOCKS:
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _is_locked(path: Path) -> bool:
    try:
        with path.open("r", encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False


def _place(folder: Path) -> Path:
    """The folder, made where it is missing."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise QueueError(f"{folder} cannot be made: {error.strerror}; choose another folder for runs") from error
    return folder
