"""Where compiled kernels are kept between runs: $XDG_CACHE_HOME or ~/.cache, folder labctl.

What lies there is executed, so it must be the user's own: a folder or a library that belongs to somebody else, or that others
may write into, is refused. POSIX only.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

_OTHERS_MAY_WRITE = stat.S_IWGRP | stat.S_IWOTH


def library_folder() -> Path:
    """The folder, made (for the user alone) if it is not there. Raises PermissionError if it is not the user's alone,
    another OSError if it cannot be made, RuntimeError where there is no home folder."""
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "labctl"
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.mkdir(mode=0o700, exist_ok=True)
    _check(folder, folder.stat())
    return folder


def is_kept(library: Path) -> bool:
    """Whether this library lies in the folder. Raises PermissionError if it is there but not the user's alone."""
    try:
        found = library.lstat()
    except FileNotFoundError:
        return False
    _check(library, found)
    if not stat.S_ISREG(found.st_mode):
        raise PermissionError(f"{library} is no ordinary file, so it is not run; remove it")
    return True


def keep(made: Path, library: Path) -> None:
    """Move what was compiled to its place, for the user alone whatever the umask is; other processes see all of it."""
    made.chmod(0o700)
    made.replace(library)


def _check(path: Path, found: os.stat_result) -> None:
    if found.st_uid != os.geteuid():
        raise PermissionError(
            f"{path} belongs to user {found.st_uid}, so that it is not run; remove it, or move the cache"
        )
    if found.st_mode & _OTHERS_MAY_WRITE:
        raise PermissionError(f"others may write into {path}, so that it is not run; remove it (or: chmod go-w {path})")
