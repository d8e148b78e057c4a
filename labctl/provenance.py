"""Where data comes from: versions, git state, host, station, identities, settings, seed, clocks, as plain data."""

from __future__ import annotations

import functools
import getpass
import platform
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import labctl

PACKAGES = ("labctl", "numpy", "h5py", "pydantic", "pyvisa", "pyvisa-py", "pyserial", "pymeasure", "torch")


def utc_now() -> str:
    """The present time as ISO-8601 in UTC, to the microsecond."""
    return datetime.now(UTC).isoformat(timespec="microseconds")


def collect_provenance(
    *,
    simulated: bool,
    station_path: Path | None = None,
    station_text: str = "",
    station_sha256: str = "",
    identities: Mapping[str, str] | None = None,
    settings: Mapping[str, Mapping[str, str]] | None = None,
    seed: int | None = None,
    argv: Sequence[str] | None = None,
    extra: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """All that is needed to say later how a file came about, as JSON data.

    `identities` and `settings` are by instrument name; `extra` is the caller's own (the excitation, the campaign).
    """
    return {
        "simulated": simulated,
        "started_utc": utc_now(),
        "monotonic_s": time.monotonic(),
        "argv": list(sys.argv if argv is None else argv),
        "seed": seed,
        "software": software_versions(),
        "git": git_state(),
        "host": host(),
        "station": {
            "path": None if station_path is None else str(station_path),
            "sha256": station_sha256,
            "text": station_text,
        },
        "identities": dict(identities or {}),
        "settings": {name: dict(values) for name, values in (settings or {}).items()},
        "extra": dict(extra or {}),
    }


@functools.cache
def _installed(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def software_versions() -> dict[str, str]:
    """Python's version and those of the packages that matter, as far as they are installed; where twins are loaded also
    by which kernel stacked ones ran, "compiled" or "torch" with the reason."""
    found = {package: _installed(package) for package in PACKAGES}
    kernel = sys.modules.get("twins.device.native")  # nothing loads torch for this
    if kernel is not None:
        found["twin kernel"] = kernel.in_words()
    return {"python": platform.python_version(), **{name: text for name, text in found.items() if text is not None}}


def host() -> dict[str, str]:
    """The machine and the user."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        user = ""
    return {"name": socket.gethostname(), "user": user, "platform": platform.platform(), "executable": sys.executable}


@functools.cache
def git_state() -> dict[str, Any] | None:
    """Commit and whether the working tree differs from it; None where labctl does not run from a git checkout."""
    directory = Path(labctl.__file__).resolve().parent
    commit = _git(directory, "rev-parse", "HEAD")
    if commit is None:
        return None
    changes = _git(directory, "status", "--porcelain", "--untracked-files=no")
    return {"commit": commit, "modified": None if changes is None else bool(changes)}


def _git(directory: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(directory), *arguments], capture_output=True, text=True, timeout=10.0, check=False
        )
    except (OSError, subprocess.TimeoutExpired):  # no git on this machine: the version still stands in `software`
        return None
    return done.stdout.strip() if done.returncode == 0 else None
