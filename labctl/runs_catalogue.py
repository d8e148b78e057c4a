"""Everything of labctl's below a runs folder, described; what was described once is not read again until it changes.

    for entries in RunsCatalogue(folder).scan():   # what is known already at once, then what is new, in batches
        ...

The index, runs.sqlite in the runs folder, is a convenience: it can be thrown away at any time.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from labctl.runs_describe import SUFFIXES, describe
from labctl.runs_file import RunFile, run_file_from

INDEX_NAME = "runs.sqlite"
VERSION = 1
BATCH = 64
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Scanned:
    """How far a scan is: all that is known so far, newest first, and how many files are still to be read."""

    entries: tuple[RunFile, ...]
    remaining: int


class RunsCatalogue:
    """The described files below `folder`."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.path = self.folder / INDEX_NAME

    def entries(self, *, rebuild: bool = False) -> tuple[RunFile, ...]:
        """All files, newest first."""
        if rebuild:
            self.path.unlink(missing_ok=True)
        last: tuple[RunFile, ...] = ()
        for scanned in self.scan():
            last = scanned.entries
        return last

    def scan(self, *, stop: Callable[[], bool] = lambda: False) -> Iterator[Scanned]:
        """What is known of the files at once, then again after each batch of files that are new or changed."""
        known = self._known()
        found: dict[str, RunFile] = {}
        fresh: list[tuple[str, int, int]] = []
        for file, changed_ns, size in _files(self.folder):
            before = known.get(file)
            if before is not None and before[:2] == (changed_ns, size):
                if before[2] is not None:
                    found[file] = before[2]
            else:
                fresh.append((file, changed_ns, size))
        gone = known.keys() - {file for file, *_ in fresh} - found.keys()
        gone = {file for file in gone if known[file][2] is not None or not (self.folder / file).exists()}
        yield Scanned(_newest_first(found), len(fresh))
        self._forget(gone)
        for start in range(0, len(fresh), BATCH):
            if stop():
                return
            batch = [(one, describe(self.folder / one[0], self.folder)) for one in fresh[start : start + BATCH]]
            found.update({one[0]: described for one, described in batch if described is not None})
            self._keep(batch)
            yield Scanned(_newest_first(found), max(len(fresh) - start - BATCH, 0))

    def _known(self) -> dict[str, tuple[int, int, RunFile | None]]:
        """What the index has: time, size and description by file; None for a file that is none of labctl's."""
        try:
            with self._database() as database:
                rows = database.execute("SELECT file, changed_ns, size, described FROM files").fetchall()
            return {
                file: (changed, size, run_file_from(json.loads(text)) if text else None)
                for file, changed, size, text in rows
            }
        except (sqlite3.Error, ValueError, KeyError, TypeError, OSError) as error:
            _log.warning("%s: %s; the files are read anew", self.path, error)
            with contextlib.suppress(OSError):
                self.path.unlink(missing_ok=True)
            return {}

    def _keep(self, batch: list[tuple[tuple[str, int, int], RunFile | None]]) -> None:
        rows = [(*one, "" if described is None else json.dumps(described.as_dict())) for one, described in batch]
        self._write("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?)", rows)

    def _forget(self, files: set[str]) -> None:
        self._write("DELETE FROM files WHERE file = ?", [(file,) for file in files])

    def _write(self, command: str, rows: Sequence[tuple[object, ...]]) -> None:
        """Without an index (a folder that cannot be written) everything still works, and takes longer."""
        try:
            with self._database() as database:
                database.executemany(command, rows)
        except (sqlite3.Error, OSError) as error:
            _log.warning("%s cannot be written (%s); files are described without an index", self.path, error)

    @contextlib.contextmanager
    def _database(self) -> Iterator[sqlite3.Connection]:
        if not self.folder.is_dir():
            raise sqlite3.OperationalError(f"{self.folder} is no folder")
        database = sqlite3.connect(self.path, timeout=5.0)
        try:
            if database.execute("PRAGMA user_version").fetchone()[0] != VERSION:
                database.execute("DROP TABLE IF EXISTS files")
                database.execute(f"PRAGMA user_version = {VERSION}")
            database.execute(
                "CREATE TABLE IF NOT EXISTS files (file PRIMARY KEY, changed_ns INTEGER, size INTEGER, described TEXT)"
            )
            with database:
                yield database
        finally:
            database.close()


def _files(folder: Path) -> Iterator[tuple[str, int, int]]:
    """(file relative to the folder, time of change, size) of every file that may be one of ours."""
    stack = [str(folder)]
    prefix = len(str(folder)) + 1
    while stack:
        try:
            with os.scandir(stack.pop()) as inside:
                for one in inside:
                    if one.name.startswith("."):
                        continue
                    if one.is_dir(follow_symlinks=False):
                        stack.append(one.path)
                    elif one.name.endswith(SUFFIXES):
                        status = one.stat()
                        yield one.path[prefix:].replace(os.sep, "/"), status.st_mtime_ns, status.st_size
        except OSError:  # no leave to look into it, or gone meanwhile
            continue


def _newest_first(found: dict[str, RunFile]) -> tuple[RunFile, ...]:
    return tuple(sorted(found.values(), key=lambda one: (one.when_utc, one.file), reverse=True))
