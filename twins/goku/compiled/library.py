"""Kernels as shared libraries: compiled at first use, kept in the user's cache folder by what they were made of.

As twins.device.native: cc, gcc or clang; $XDG_CACHE_HOME or ~/.cache, folder labctl; LABCTL_NATIVE=0 switches it off.
"""

from __future__ import annotations

import _ctypes
import contextlib
import ctypes
import functools
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
import weakref
from pathlib import Path
from typing import Any

from twins.library_folder import is_kept, keep, library_folder

_FLAGS = (
    "-ftree-vectorize", "-fvect-cost-model=dynamic", "-march=native", "-ffp-contract=fast", "-fno-math-errno",
    "-fno-trapping-math", "-fopenmp-simd", "-shared", "-fPIC",
)  # fmt: skip
_LONG_TEXT = 200_000
"""Characters from which on the compiler is asked for less, -O1: 5 s in place of 15 for 30 coupled oscillators, for a kernel
that is up to a third slower. -O3 takes twice as long as -O2 and gives no faster kernel."""

_WITH_VECTOR_FUNCTIONS = (("-DVECTOR_FUNCTIONS", "-lmvec", "-lm"), ("-lm",))
"""First with the vector functions of a C library that has them, then without."""

_COMPILE_TIMEOUT_S = 120.0
_MOST_KEPT = 512
"""Libraries of equations on disk, some 50 kB each."""


class NoLibrary(Exception):  # noqa: N818 - it says what is missing
    """Why there is no compiled kernel; ends up in why_not, never at the user."""


def load(source: str) -> Any:
    """The library of this text, compiled if it is not in the cache. Raises NoLibrary."""
    compiler = _compiler()
    try:
        library = ctypes.CDLL(str(_compiled(compiler, source.encode())))
    except subprocess.CalledProcessError as error:
        raise NoLibrary(f"{error}: {error.stderr.decode(errors='replace').strip()[:500]}") from error
    # a cache that cannot be written, read or trusted, no home folder to keep one in
    except (OSError, RuntimeError, subprocess.SubprocessError) as error:
        raise NoLibrary(f"{type(error).__name__}: {error}") from error
    # its functions hold it: unloaded once nobody can call them any more
    weakref.finalize(library, _ctypes.dlclose, library._handle).atexit = False
    return library


def _compiler() -> str:
    if os.environ.get("LABCTL_NATIVE") == "0":
        raise NoLibrary("switched off by LABCTL_NATIVE=0")
    found = next((path for name in ("cc", "gcc", "clang") if (path := shutil.which(name))), None)
    if os.name != "posix" or found is None:
        raise NoLibrary("no C compiler (cc, gcc or clang) found")
    return found


def _compiled(compiler: str, source: bytes) -> Path:
    name = hashlib.sha256(b"\0".join((source, _made_by(compiler)))).hexdigest()[:32]
    folder = library_folder()
    target = folder / f"equation-{name}.so"
    if is_kept(target):
        with contextlib.suppress(OSError):  # a cache that can only be read
            os.utime(target)  # those used longest ago go first
        return target
    level = "-O2" if len(source) < _LONG_TEXT else "-O1"
    with tempfile.TemporaryDirectory(dir=folder) as partial:  # other processes see nothing half written
        text, made = Path(partial) / "equation.c", Path(partial) / target.name
        text.write_bytes(source)
        for number, linked in enumerate(_WITH_VECTOR_FUNCTIONS):
            command = [compiler, level, *_FLAGS, "-o", str(made), str(text), *linked]
            last = number + 1 == len(_WITH_VECTOR_FUNCTIONS)
            done = subprocess.run(command, capture_output=True, timeout=_COMPILE_TIMEOUT_S, check=last)
            if done.returncode == 0 and _loads(made):
                break
        keep(made, target)
    _make_room(folder)
    return target


def _make_room(folder: Path) -> None:
    """Remove the libraries used longest ago; who has one loaded keeps it."""
    used: list[tuple[float, Path]] = []
    for library in folder.glob("equation-*.so"):
        with contextlib.suppress(FileNotFoundError):  # another process makes room too
            used.append((library.stat().st_mtime, library))
    for _, library in sorted(used, reverse=True)[_MOST_KEPT:]:
        library.unlink(missing_ok=True)


def _loads(library: Path) -> bool:
    """Whether all that it calls is there."""
    try:
        ctypes.CDLL(str(library), mode=os.RTLD_NOW)
    except OSError:
        return False
    return True


@functools.cache
def _made_by(compiler: str) -> bytes:
    """What the same text may be compiled into something else by: compiler, options, processor."""
    asked = [compiler, "--version"]
    version = subprocess.run(asked, capture_output=True, timeout=_COMPILE_TIMEOUT_S, check=True).stdout
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    kinds = sorted({line for line in lines if line.startswith(("model name", "flags", "Features"))})
    parts = (*_FLAGS, *_WITH_VECTOR_FUNCTIONS[0], platform.machine(), platform.processor(), *kinds)
    return version + "\n".join(parts).encode()
