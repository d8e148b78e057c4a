"""From recording to twin to network to deployment, and back: as the files say of what they were made.

A file names what it was made from by its path then and by a mark (the instant a recording began, the digits of a twin's
gates, of a network's promise), so that a link holds when folders were moved.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from labctl.runs_file import DEPLOYMENT, JOB, JOURNAL, NETWORK, RECORDING, REPORT, Origin, RunFile

DEEPEST = 8


@dataclass(frozen=True, slots=True)
class Link:
    """A file in a chain; `entry` is None where it is named but not below the runs folder, then `told` names it."""

    role: str
    told: str
    entry: RunFile | None
    beneath: tuple[Link, ...] = ()


class Provenance:
    """The links between described files."""

    def __init__(self, entries: Iterable[RunFile]) -> None:
        self._entries = tuple(entries)
        self._by_mark: dict[str, list[RunFile]] = {}
        self._by_name: dict[str, list[RunFile]] = {}
        self._jobs: dict[str, list[RunFile]] = {}
        for one in self._entries:
            if one.kind == JOB:
                self._jobs.setdefault(one.folder, []).append(one)
            for mark in one.marks:
                self._by_mark.setdefault(mark, []).append(one)
            for name in (one.name, *one.files):
                self._by_name.setdefault(name, []).append(one)
            self._by_name.setdefault(one.folder.rpartition("/")[2], []).append(one)
        self._users: dict[str, list[tuple[str, RunFile]]] | None = None

    def made_from(self, entry: RunFile) -> tuple[Link, ...]:
        """What it was made from, and that from what, as a tree."""
        return tuple(self._up(entry, {entry.file}, DEEPEST))

    def used_by(self, entry: RunFile) -> tuple[Link, ...]:
        """What was made from it, and from that, as a tree."""
        return tuple(self._down(entry, {entry.file}, DEEPEST))

    def _up(self, entry: RunFile, seen: set[str], depth: int) -> Iterator[Link]:
        told: set[str] = set()
        for origin in self._origins(entry):
            found = self.find(origin, near=entry)
            name = found.file if found else origin.path
            if not name or name in seen or name in told:
                continue
            told.add(name)
            beneath = tuple(self._up(found, seen | {name}, depth - 1)) if found and depth else ()
            yield Link(origin.role, name, found, beneath)

    def _down(self, entry: RunFile, seen: set[str], depth: int) -> Iterator[Link]:
        for role, user in self._used().get(entry.file, ()):
            if user.file not in seen:
                beneath = tuple(self._down(user, seen | {user.file}, depth - 1)) if depth else ()
                yield Link(role, user.file, user, beneath)

    def _used(self) -> dict[str, list[tuple[str, RunFile]]]:
        if self._users is None:
            self._users = {}
            for one in self._entries:
                if one.kind in (JOB, JOURNAL, REPORT):
                    continue
                for origin in self._origins(one):
                    found = self.find(origin, near=one)
                    if found is not None and found.file != one.file:
                        users = self._users.setdefault(found.file, [])
                        if all(user is not one for _, user in users):
                            users.append((_turned(origin.role), one))
        return self._users

    def _origins(self, entry: RunFile) -> Iterator[Origin]:
        network = self._network_of(entry)
        if network is not None:  # which names the twins, too
            yield Origin("measured with the network", path=network.file)
        else:
            yield from entry.origins
        job = self.job_of(entry)
        if job is not None and entry.kind not in (JOB, RECORDING):
            yield from (Origin("read by its job", path=one.path) for one in job.origins)

    def _network_of(self, entry: RunFile) -> RunFile | None:
        """Of what was measured with a network: the network, or its deployment, that lies above it."""
        folder, inside, _ = entry.folder.partition("measured-")
        if entry.kind != RECORDING or not inside:
            return None
        above = folder.rstrip("/")
        named = [one for name in ("deployment.json", "network.json") for one in self._by_name.get(name, ())]
        return next((one for one in named if one.folder == above and one.kind in (NETWORK, DEPLOYMENT)), None)

    def job_of(self, entry: RunFile) -> RunFile | None:
        """The job that lies in its folder, or in the next one above that has one: the last one written before the file."""
        folder = entry.folder
        while True:
            jobs = self._jobs.get(folder, ())
            before = [one for one in jobs if one.changed_ns <= entry.changed_ns]
            if jobs:
                return max(before or jobs, key=lambda one: one.changed_ns)
            if not folder:
                return None
            folder = folder.rpartition("/")[0]

    def find(self, origin: Origin, *, near: RunFile) -> RunFile | None:
        """The file that an origin means: by its mark; else by the longest end of its path that one file alone has."""
        marked = self._by_mark.get(origin.mark, []) if origin.mark else []
        if marked:
            return _nearest(marked, origin.path, near)
        if not origin.path:
            return None
        parts = [part for part in origin.path.replace("\\", "/").split("/") if part not in ("", ".")]
        if not parts:
            return None
        candidates = [one for one in self._by_name.get(parts[-1], ()) if _common_end(one, parts) > 0]
        if not candidates:
            return None
        return _nearest(candidates, origin.path, near)


def _nearest(candidates: list[RunFile], path: str, near: RunFile) -> RunFile:
    """Of copies of one file the one whose path agrees most, then the one that lies nearest."""
    parts = path.replace("\\", "/").split("/")

    def closeness(one: RunFile) -> tuple[int, int, int]:
        preferred = int(one.kind in (NETWORK, DEPLOYMENT) or one.name == parts[-1])
        shared = sum(a == b for a, b in zip(one.folder.split("/"), near.folder.split("/"), strict=False))
        return _common_end(one, parts), preferred, shared

    return max(candidates, key=closeness)


def _common_end(one: RunFile, parts: list[str]) -> int:
    """How many parts at the end of a path agree with the file's (a folder stands for what lies in it)."""
    best = 0
    for own in (one.file.split("/"), one.folder.split("/"), *([*one.folder.split("/"), name] for name in one.files)):
        count = 0
        for a, b in zip(reversed(own), reversed(parts), strict=False):
            if a != b or not a:
                break
            count += 1
        best = max(best, count)
    return best


def _turned(role: str) -> str:
    """The role, said from the other end."""
    for begins, turned in _TURNED:
        if role.startswith(begins):
            return turned
    return "used by"


_TURNED = (
    ("trained on", "trained the twin"),
    ("judged on", "judged the twin"),
    ("learned from", "taught"),
    ("of the network", "deployed as"),
    ("of the twin", "part of"),
    ("played with", "played in"),
    ("measured with", "measured in"),
)
