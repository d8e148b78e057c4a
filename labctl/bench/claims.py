"""One owner at a time: an advisory lock for each instrument's address, so that two labctl processes do not meet there.

The lock is a file of the user's, named after the address as the station writes it; the system drops it when its process
ends, however that ends. It holds back labctl on this machine only. Systems without flock (Windows) have none.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import os
import sys
import tempfile
from pathlib import Path
from typing import TextIO

from labctl.errors import StationError

with contextlib.suppress(ImportError):
    import fcntl

HAVE_LOCKS = importlib.util.find_spec("fcntl") is not None
LONGEST_COMMAND = 200


class Claim:
    """A claimed address, until `release` or the end of the process."""

    def __init__(self, file: TextIO | None) -> None:
        self._file = file

    def release(self) -> None:
        """Let others use the address; a second time does nothing."""
        if self._file is not None:
            self._file.close()
            self._file = None


def claim(address: str) -> Claim:
    """Claim an address for this process; raises StationError that names the process which has it."""
    if not HAVE_LOCKS:
        return Claim(None)
    path = _lock_file(address)
    try:
        path.touch(mode=0o600)
        file = path.open("r+", encoding="utf-8")
    except OSError as error:
        raise StationError(f"the lock of {address} cannot be made: {path}: {error.strerror}") from error
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        owner = file.read().strip() or "another process"
        file.close()
        raise StationError(f"in use by {owner}") from error
    # What is written here is only told to others; a full disk must not keep the instruments from being made safe.
    with contextlib.suppress(OSError):
        file.truncate(0)
        file.write(f"process {os.getpid()} ({_command()})\n")
        file.flush()
    return Claim(file)


def _lock_file(address: str) -> Path:
    """The lock's path; raises StationError if its folder cannot be made."""
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    if runtime and os.access(runtime, os.W_OK):
        folder = Path(runtime) / "labctl"
    else:
        folder = Path(tempfile.gettempdir()) / f"labctl-{os.getuid() if hasattr(os, 'getuid') else 'user'}"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise StationError(f"{folder}: the folder for locks cannot be made: {error.strerror}") from error
    digest = hashlib.sha256(address.strip().upper().encode()).hexdigest()[:16]
    return folder / f"{digest}.lock"


def _command() -> str:
    """How this process was started, short."""
    name = Path(sys.argv[0] if sys.argv else "").name
    start = "labctl" if name in ("labctl", "cli.py") else name or "python"
    return " ".join([start, *sys.argv[1:]])[:LONGEST_COMMAND]
