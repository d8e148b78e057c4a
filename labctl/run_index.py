"""An index of the recordings below a directory, so that listing them needs not open them all.

It is a convenience: a missing, locked or damaged index loses nothing, since `rebuild` makes it from the files.
"""

from __future__ import annotations

import contextlib
import logging
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from pathlib import Path

import h5py

from labctl import frame_layout, hdf5_layout
from labctl.frame_recording import TAKEN

INDEX_NAME = "recordings.sqlite"
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RunEntry:
    """One recording in the index; `file` is relative to the directory of the index."""

    file: str
    started_utc: str
    simulated: bool
    complete: bool
    n_trials: int
    n_samples: int
    measured_samples: int
    dt_s: float
    drive_channels: str
    response_channels: str
    changed_ns: int
    size_bytes: int
    pixels: str = ""
    """Of recordings of frames: columns x rows. Their samples are frames, their drive channels the conditions held."""


class RunIndex:
    """SQLite index `recordings.sqlite` of all *.h5 recordings below a directory."""

    def __init__(self, directory: str | Path) -> None:
        self.directory = Path(directory)
        self.path = self.directory / INDEX_NAME

    def entries(self) -> list[RunEntry]:
        """All recordings, oldest first; files that are new, changed or gone since last time are brought up to date."""
        try:
            with self._database() as database:
                self._bring_up_to_date(database)
                return self._select(database)
        except sqlite3.DatabaseError as error:
            _log.warning("%s: %s; the index is rebuilt from the recordings", self.path, error)
            return self.rebuild()

    def rebuild(self) -> list[RunEntry]:
        """Throw the index away and make it again from the files."""
        try:
            self.path.unlink(missing_ok=True)
            with self._database() as database:
                self._bring_up_to_date(database)
                return self._select(database)
        except (sqlite3.Error, OSError) as error:
            _log.warning("%s cannot be written (%s); the recordings are listed without an index", self.path, error)
            found = (describe_file(path, self.directory) for path in self.directory.rglob("*.h5"))
            return sorted((entry for entry in found if entry is not None), key=lambda entry: entry.started_utc)

    @contextlib.contextmanager
    def _database(self) -> Iterator[sqlite3.Connection]:
        self.directory.mkdir(parents=True, exist_ok=True)
        database = sqlite3.connect(self.path, timeout=5.0)
        try:
            columns = ", ".join(f"{name.name}" for name in fields(RunEntry))
            database.execute(f"CREATE TABLE IF NOT EXISTS recordings ({columns}, PRIMARY KEY (file))")
            with database:
                yield database
        finally:
            database.close()

    def _select(self, database: sqlite3.Connection) -> list[RunEntry]:
        columns = ", ".join(item.name for item in fields(RunEntry))
        rows = database.execute(f"SELECT {columns} FROM recordings ORDER BY started_utc, file").fetchall()
        entries = [RunEntry(*row) for row in rows]
        return [replace(entry, simulated=bool(entry.simulated), complete=bool(entry.complete)) for entry in entries]

    def _bring_up_to_date(self, database: sqlite3.Connection) -> None:
        known = dict(database.execute("SELECT file, changed_ns FROM recordings").fetchall())
        present = {str(path.relative_to(self.directory)): path for path in self.directory.rglob("*.h5")}
        for gone in known.keys() - present.keys():
            database.execute("DELETE FROM recordings WHERE file = ?", (gone,))
        for name, path in present.items():
            if known.get(name) == path.stat().st_mtime_ns:
                continue
            entry = describe_file(path, self.directory)
            if entry is None:
                database.execute("DELETE FROM recordings WHERE file = ?", (name,))
                continue
            values = [getattr(entry, item.name) for item in fields(RunEntry)]
            marks = ", ".join("?" * len(values))
            database.execute(f"INSERT OR REPLACE INTO recordings VALUES ({marks})", values)


def describe_file(path: Path, directory: Path) -> RunEntry | None:
    """The index entry of one file; None if it is no recording of ours (foreign HDF5 files may lie beside ours)."""
    try:
        with h5py.File(path, "r", locking=False) as file:
            if file.attrs.get("format") == frame_layout.FORMAT:
                return _describe_frames(file, path, directory)
            if file.attrs.get("format") != hdf5_layout.FORMAT:
                return None
            status = path.stat()
            shape = file["response"].shape
            return RunEntry(
                file=str(path.relative_to(directory)),
                started_utc=str(file.attrs["started_utc"]),
                simulated=bool(file.attrs["simulated"]),
                complete=bool(file.attrs["complete"]),
                n_trials=int(shape[0]),
                n_samples=int(shape[1]),
                measured_samples=int(file["valid_samples"][...].sum()),
                dt_s=float(file.attrs["dt_s"]),
                drive_channels=", ".join(hdf5_layout.texts(file, "drive_channel")),
                response_channels=", ".join(hdf5_layout.texts(file, "response_channel")),
                changed_ns=status.st_mtime_ns,
                size_bytes=status.st_size,
            )
    except (OSError, KeyError, ValueError) as error:
        _log.warning("%s is left out of the index: %s", path, error)
        return None


def _describe_frames(file: h5py.File, path: Path, directory: Path) -> RunEntry:
    """The index entry of a recording of frames."""
    status, shape = path.stat(), file["counts"].shape
    return RunEntry(
        file=str(path.relative_to(directory)),
        started_utc=str(file.attrs["started_utc"]),
        simulated=bool(file.attrs["simulated"]),
        complete=bool(file.attrs["complete"]),
        n_trials=int(shape[0]),
        n_samples=int(shape[1]),
        measured_samples=int((file["status"][...] == TAKEN).sum()),
        dt_s=float(file.attrs["interval_s"]),
        drive_channels=", ".join(hdf5_layout.texts(file, "condition")),
        response_channels=", ".join(hdf5_layout.texts(file, "channel")),
        changed_ns=status.st_mtime_ns,
        size_bytes=status.st_size,
        pixels=f"{shape[3]} x {shape[2]}",
    )
