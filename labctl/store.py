"""Recordings on disk: the writer that streams blocks, the reader, and the directory that keeps them.

libver="earliest" and a flush per block survive kill -9 (132 of 132 files opened in our measurement; with libver="latest"
none of 24). That is death of the process, not loss of power. HDF5 itself never sees a full disk: labctl.hdf5_space.
"""

from __future__ import annotations

import contextlib
import os
import re
import threading
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

import h5py
import numpy as np

from labctl import hdf5_layout, hdf5_space
from labctl.errors import RecordingError
from labctl.hdf5_space import HDF5_ERRORS, reason, why_not_created
from labctl.recording import Block, Recording, RecordingHeader
from labctl.run_index import RunIndex


class RecordingWriter:
    """Writes one recording while it is measured: metadata at once, then blocks, each flushed, then the complete flag.

    Raises RecordingError, chained, when the disk is full or the file cannot be written. What was flushed before stays
    readable. Blocks of one trial must come in order.
    """

    def __init__(self, path: str | Path, header: RecordingHeader) -> None:
        self.path = Path(path)
        self.header = header
        self._lock = threading.Lock()
        self._filled = np.zeros(header.shape[0], dtype=np.int64)
        self._notes: list[str] = []
        _make_directory(self.path.parent)
        try:
            self._file = hdf5_space.create_with_space(self.path, header)
        except FileExistsError as error:
            raise RecordingError(f"{self.path} exists already; a recording is never overwritten") from error
        except HDF5_ERRORS as error:
            raise RecordingError(why_not_created(self.path, header, error)) from error
        self._state: Literal["open", "broken", "closed"] = "open"
        self._drive, self._response = self._file["drive"], self._file["response"]
        self._valid_samples = self._file["valid_samples"]
        # Where counts and remark lie, to write them without HDF5 when it no longer can.
        self._counts_at = self._valid_samples.id.get_offset()
        self._remark_at = {name: self._file[name].id.get_offset() for name in ("notes", "ended")}

    @property
    def written_samples(self) -> int:
        """Samples handed to the file so far, over all trials."""
        return int(self._filled.sum())

    def append(self, block: Block) -> None:
        """Write one block and flush it."""
        self.append_many((block,))

    def append_many(self, blocks: Sequence[Block]) -> None:
        """Write blocks and flush once."""
        with self._lock:
            if self._state != "open":
                raise RecordingError(f"{self.path} is closed already; nothing more can be written to it")
            for block in blocks:
                self._check(block)
            touched = sorted({block.trial for block in blocks})
            before = self._filled[touched]
            try:
                self._write(blocks)
                self._file.flush()
            except HDF5_ERRORS as error:
                self._filled[touched] = before  # only what was flushed counts
                self._leave()
                raise RecordingError(
                    f"{self.path} cannot be written any more ({reason(error)}); "
                    f"{self.written_samples} samples written before stay readable"
                ) from error

    def note(self, text: str) -> None:
        """Remember a remark; it is written when the recording is finished."""
        self._notes.append(text)

    def finish(self, *, complete: bool, ended: str, lost: int | None = None, late: int | None = None) -> None:
        """Write the last remarks and the complete flag, and close the file. `ended` says why it ended.

        lost, late: samples, None where that is not known.
        """
        with self._lock:
            state, self._state = self._state, "closed"
            try:
                if state == "open":
                    self._finish(complete, ended, {"lost_samples": lost, "late_samples": late})
                elif state == "broken":  # the caller was told; only how it ended is missing
                    self._finish_without_hdf5(ended)
            except HDF5_ERRORS as error:
                raise RecordingError(
                    f"{self.path}: the end of the recording could not be written ({reason(error)}); "
                    f"{self.written_samples} samples written before stay readable"
                ) from error

    def _finish(self, complete: bool, ended: str, counts: Mapping[str, int | None]) -> None:
        try:
            for name, count in counts.items():
                self._file.attrs.modify(name, np.int64(hdf5_layout.NOT_KNOWN if count is None else count))
            hdf5_layout.write_remark(self._file, "notes", "\n".join(self._notes))
            hdf5_layout.write_remark(self._file, "ended", ended)
            self._file.flush()
            self._file.attrs.modify("complete", np.int8(complete))
            self._file.flush()
            self._file.close()
        except HDF5_ERRORS:
            self._leave()
            raise

    def _leave(self) -> None:
        """Take the counts back to what was flushed, and let go of the file; `finish` writes them once more."""
        self._state = "broken"
        with contextlib.suppress(OSError):  # the disk may be gone altogether: `finish` says so
            os.pwrite(self._file.id.get_vfd_handle(), self._filled.tobytes(), self._counts_at)
        hdf5_space.leave(self._file, self._drive, self._response, self._valid_samples)

    def _finish_without_hdf5(self, ended: str) -> None:
        hdf5_space.overwrite(self.path, self._counts_at, self._filled)
        for name, text in (("notes", "\n".join(self._notes)), ("ended", ended)):
            hdf5_space.overwrite(self.path, self._remark_at[name], hdf5_layout.remark_bytes(text))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        whole = bool((self._filled == self.header.shape[1]).all())
        self.finish(complete=error is None and whole, ended="as planned" if error is None else f"{error!r}")

    def _check(self, block: Block) -> None:
        n_trials, n_samples = self.header.shape
        if not 0 <= block.trial < n_trials:
            raise RecordingError(f"{self.path}: block of trial {block.trial}; there are {n_trials} trials")
        wanted = (len(block), len(self.header.drive_names)), (len(block), len(self.header.response_names))
        if (block.drive.shape, block.response.shape) != wanted:
            raise RecordingError(
                f"{self.path}: block with drive {block.drive.shape} and response {block.response.shape}, not {wanted}"
            )
        if block.start + len(block) > n_samples:
            raise RecordingError(
                f"{self.path}: block of {len(block)} samples from {block.start}; a trial has {n_samples} samples"
            )

    def _write(self, blocks: Sequence[Block]) -> None:
        touched: set[int] = set()
        for first, last in _runs_of_whole_trials(blocks, self.header.shape[1]):
            group = blocks[first:last]
            trial = group[0].trial
            if len(group) == 1:
                start, stop = group[0].start, group[0].start + len(group[0])
                if start != self._filled[trial]:
                    raise RecordingError(
                        f"{self.path}: trial {trial} continues at {start}, not at {self._filled[trial]}"
                    )
                self._drive[trial, start:stop] = group[0].drive
                self._response[trial, start:stop] = group[0].response
                self._filled[trial] = stop
            else:
                self._drive[trial : trial + len(group)] = np.stack([block.drive for block in group])
                self._response[trial : trial + len(group)] = np.stack([block.response for block in group])
                self._filled[trial : trial + len(group)] = self.header.shape[1]
            touched.update(range(trial, trial + len(group)))
        if touched:
            low, high = min(touched), max(touched) + 1
            self._valid_samples[low:high] = self._filled[low:high]


def open_recording(path: str | Path) -> Recording:
    """Read a recording into memory, complete or not.

    Raises RecordingError that says what is wrong: no such file, truncated, no HDF5, no recording, unknown version.
    """
    path = Path(path)
    if not path.is_file():
        raise RecordingError(f"{path}: no such file")
    try:
        with _open_to_read(path) as file:
            return _read(file, path)
    except OSError as error:
        text = str(error)
        if "truncated file" in text:
            raise RecordingError(f"{path} is truncated: {path.stat().st_size} bytes are left of it ({text})") from error
        if "signature not found" in text:
            raise RecordingError(f"{path} is no HDF5 file") from error
        raise RecordingError(f"{path} cannot be read: {text}") from error
    except (KeyError, ValueError, TypeError, RuntimeError) as error:
        raise RecordingError(f"{path} is a damaged recording: {error}") from error


def _open_to_read(path: Path) -> h5py.File:
    """Without HDF5's lock, as the file may still be written; with it where this process has it open that way."""
    try:
        return h5py.File(path, "r", locking=False)
    except OSError as error:
        if "locking flag values don't match" not in str(error):
            raise
    return h5py.File(path, "r")


def _read(file: h5py.File, path: Path) -> Recording:
    if file.attrs.get("format") != hdf5_layout.FORMAT:
        raise RecordingError(
            f"{path} is an HDF5 file, but no labctl recording (it has no format = {hdf5_layout.FORMAT!r}); "
            f"it holds {', '.join(list(file)[:8]) or 'nothing'}"
        )
    version = int(file.attrs["format_version"])
    if version != hdf5_layout.FORMAT_VERSION:
        raise RecordingError(f"{path} has format version {version}; this labctl reads {hdf5_layout.FORMAT_VERSION}")
    missing = [name for name in hdf5_layout.expected_names() if name not in file]
    if missing:
        raise RecordingError(f"{path} is a damaged recording: {', '.join(missing)} missing")
    drive, response = file["drive"][...], file["response"][...]
    header = RecordingHeader(
        shape=(drive.shape[0], drive.shape[1]),
        dt_s=float(file.attrs["dt_s"]),
        drive_names=hdf5_layout.texts(file, "drive_channel"),
        drive_units=hdf5_layout.texts(file, "drive_units"),
        response_names=hdf5_layout.texts(file, "response_channel"),
        response_units=hdf5_layout.texts(file, "response_units"),
        n_prepare=int(file.attrs["n_prepare"]),
        input_id=file["input_id"][...],
        simulated=bool(file.attrs["simulated"]),
        started_utc=str(file.attrs["started_utc"]),
        conditions={name: float(str(value)) for name, value in hdf5_layout.mapping(file, "conditions").items()},
        provenance=hdf5_layout.mapping(file, "provenance"),
    )
    complete = bool(file.attrs["complete"])
    notes = hdf5_layout.remark(file, "notes").splitlines()
    if not complete:
        notes.append(hdf5_layout.remark(file, "ended"))
    return Recording(
        header, drive, response, file["valid_samples"][...], complete, path, tuple(notes),
        hdf5_layout.count(file, "lost_samples"), hdf5_layout.count(file, "late_samples"),
    )  # fmt: skip


def _runs_of_whole_trials(blocks: Sequence[Block], n_samples: int) -> list[tuple[int, int]]:
    """Consecutive blocks that are whole trials in order are written as one slab; every other block alone."""
    runs: list[tuple[int, int]] = []
    first = 0
    while first < len(blocks):
        last = first + 1
        if len(blocks[first]) == n_samples:
            while (
                last < len(blocks)
                and len(blocks[last]) == n_samples
                and blocks[last].trial == blocks[first].trial + last - first
            ):
                last += 1
        runs.append((first, last))
        first = last
    return runs


def _make_directory(directory: Path) -> None:
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:  # FileExistsError, NotADirectoryError, PermissionError, read-only disk
        raise RecordingError(
            f"{directory} cannot be a directory for recordings ({error.strerror}); choose another place"
        ) from error


class RecordingStore:
    """A directory of recordings with an index beside them (which can always be rebuilt from them)."""

    def __init__(self, directory: str | Path) -> None:
        self.directory = Path(directory)
        _make_directory(self.directory)
        self.index = RunIndex(self.directory)

    def create(self, header: RecordingHeader, *, label: str = "") -> RecordingWriter:
        """A writer for a new file, named by time and label."""
        return RecordingWriter(self.new_path(label), header)

    def new_path(self, label: str = "") -> Path:
        """A path in this directory that does not exist yet: 20260131T120000Z-label.h5, numbered where taken."""
        name = re.sub(r"[^A-Za-z0-9._-]+", "-", label).strip("-") or "recording"
        stem = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{name}"
        path = self.directory / f"{stem}.h5"
        number = 2
        while path.exists():
            path = self.directory / f"{stem}-{number}.h5"
            number += 1
        return path

    def paths(self) -> list[Path]:
        """All recordings of this directory, oldest name first."""
        return sorted(self.directory.glob("*.h5"))
