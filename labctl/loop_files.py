"""What of the closed loop lies in a folder of runs: recordings, twins, networks, deployments, newest first."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from labctl.files_below import files_below

TWIN_FORMAT = '"labctl.device_twin"'
HEAD_BYTES = 200
"""A twin's file says within its first bytes what it is."""


@dataclass(frozen=True, slots=True)
class LoopFiles:
    """The files of each stage of the loop, newest first.

    recordings: *.h5 that characterise a device; twins: their JSON files; networks: folders with network.json;
    deployments: deployment.json, outcome.json and the like, and folders of what was measured with a network.
    """

    recordings: tuple[Path, ...] = ()
    twins: tuple[Path, ...] = ()
    networks: tuple[Path, ...] = ()
    deployments: tuple[Path, ...] = ()


def loop_files(folder: Path) -> LoopFiles:
    """Look through a folder of runs; one that does not exist holds nothing."""
    found: dict[str, list[tuple[float, Path]]] = {"recordings": [], "twins": [], "networks": [], "deployments": []}
    for path in files_below(folder, ".h5", ".json"):
        kind = _kind(path)
        if kind:
            shown = path.parent if kind in ("networks", "deployments") and path.suffix == ".h5" else path
            shown = path.parent if path.name == "network.json" else shown
            try:
                found[kind].append((path.stat().st_mtime, shown))
            except OSError:  # it went away while we looked
                continue
    return LoopFiles(**{kind: _newest_first(items) for kind, items in found.items()})


def _newest_first(items: list[tuple[float, Path]]) -> tuple[Path, ...]:
    return tuple(dict.fromkeys(path for _, path in sorted(items, reverse=True)))


def _kind(path: Path) -> str:
    if path.suffix == ".h5":
        return "deployments" if path.parent.name.startswith("measured") else "recordings"
    if path.name == "deployment.json":
        return "deployments"
    if path.name == "network.json":
        return "networks"
    return "twins" if _is_twin(path) else ""


def _is_twin(path: Path) -> bool:
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            return TWIN_FORMAT in file.read(HEAD_BYTES)
    except OSError:
        return False
