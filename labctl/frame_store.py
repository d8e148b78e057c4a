"""Recordings of frames on disk: the writer that streams them, one flush a frame, and the reader."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Literal, Self, TypeVar

import h5py
import numpy as np
from numpy.typing import NDArray

from labctl import frame_layout, hdf5_layout, hdf5_space
from labctl.errors import RecordingError
from labctl.frame_recording import LOST, TAKEN, FrameBlock, FrameHeader, FrameRecording
from labctl.hdf5_space import HDF5_ERRORS, reason

Read = TypeVar("Read")


class FrameWriter:
    """Writes one recording of frames while it is measured: metadata at once, then frames, then the complete flag.

    A frame is flushed before its status says that it is there. Raises RecordingError, chained, when the disk is full or the
    file cannot be written; what was flushed before stays readable. Frames of one trial must come in order.
    """

    def __init__(self, path: str | Path, header: FrameHeader) -> None:
        self.path = Path(path)
        self.header = header
        self.written_frames = 0
        self._lock = threading.Lock()
        self._next = np.zeros(header.shape[0], dtype=np.int64)
        self._notes: list[str] = []
        n_bytes = frame_layout.count_bytes(header)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = hdf5_space.create(
                self.path,
                lay_out=lambda file: frame_layout.lay_out(file, header),
                fill=frame_layout.fill_counts,
                n_bytes=n_bytes,
            )
        except FileExistsError as error:
            raise RecordingError(f"{self.path} exists already; a recording is never overwritten") from error
        except HDF5_ERRORS as error:
            raise RecordingError(hdf5_space.why_no_file(self.path, n_bytes, error)) from error
        self._state: Literal["open", "broken", "closed"] = "open"
        names = ("counts", "status", "frame_time", "saturated", "light", "conditions")
        self._data: dict[str, h5py.Dataset] = {name: self._file[name] for name in names}
        self._remark_at = {name: self._file[name].id.get_offset() for name in ("notes", "ended")}

    def begin_trial(self, trial: int, conditions: NDArray[np.float64]) -> None:
        """The conditions (condition,) of a trial, as read back."""
        if conditions.size:
            self._do(lambda: self._put_conditions(trial, conditions))

    def append(self, block: FrameBlock) -> None:
        """Write one frame and flush it."""
        n_trials, n_frames, rows, columns = self.header.shape
        wanted = (rows, columns, len(self.header.names))
        if not (0 <= block.trial < n_trials and block.index == self._next[block.trial] < n_frames):
            raise RecordingError(f"{self.path}: frame {block.index} of trial {block.trial} is not the next one")
        if block.counts is not None and block.counts.shape != wanted:
            raise RecordingError(f"{self.path}: a frame of shape {block.counts.shape}, not {wanted}")
        self._do(lambda: self._put(block))
        self._next[block.trial] += 1
        self.written_frames += 1

    def note(self, text: str) -> None:
        """Remember a remark; it is written when the recording is finished."""
        self._notes.append(text)

    def finish(self, *, complete: bool, ended: str) -> None:
        """Write the last remarks and the complete flag, and close the file. `ended` says why it ended."""
        with self._lock:
            state, self._state = self._state, "closed"
            try:
                if state == "open":
                    self._finish(complete, ended)
                elif state == "broken":  # the caller was told; only how it ended is missing
                    for name, text in (("notes", "\n".join(self._notes)), ("ended", ended)):
                        hdf5_space.overwrite(self.path, self._remark_at[name], hdf5_layout.remark_bytes(text))
            except HDF5_ERRORS as error:
                raise RecordingError(
                    f"{self.path}: its end could not be written ({reason(error)}); {self._kept}"
                ) from error

    @property
    def _kept(self) -> str:
        return f"{self.written_frames} frames written before stay readable"

    def _do(self, write: Callable[[], None]) -> None:
        with self._lock:
            if self._state != "open":
                raise RecordingError(f"{self.path} is closed already; nothing more can be written to it")
            try:
                write()
            except HDF5_ERRORS as error:
                self._leave()
                raise RecordingError(
                    f"{self.path} cannot be written any more ({reason(error)}); {self._kept}"
                ) from error

    def _put_conditions(self, trial: int, conditions: NDArray[np.float64]) -> None:
        self._data["conditions"][trial] = conditions
        self._file.flush()

    def _put(self, block: FrameBlock) -> None:
        at = (block.trial, block.index)
        if block.counts is not None:
            self._data["counts"][at] = block.counts
        self._data["frame_time"][at] = block.time_s
        self._data["saturated"][at] = block.saturated
        self._data["light"][at] = block.light
        self._file.flush()
        self._data["status"][at] = LOST if block.counts is None else TAKEN
        self._file.flush()

    def _finish(self, complete: bool, ended: str) -> None:
        try:
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
        self._state = "broken"
        hdf5_space.leave(self._file, *self._data.values())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        whole = bool((self._next == self.header.shape[1]).all())
        self.finish(complete=error is None and whole, ended="as planned" if error is None else f"{error!r}")


def read_frames(path: str | Path) -> FrameRecording:
    """Read a recording of frames, complete or not; its counts are read from the file when they are looked at.

    Raises RecordingError that says what is wrong: no such file, truncated, no HDF5, no recording of frames, unknown version.
    """
    return _opened(Path(path), _read)


def stored_counts(path: str | Path) -> NDArray[np.uint16]:
    """The counts (trial, time, y, x, channel) of a recording, not in memory but in the file; read-only.

    Raises RecordingError as `read_frames` does.
    """
    return _opened(Path(path), _counts)


def _opened(path: Path, read: Callable[[h5py.File, Path], Read]) -> Read:
    if not path.is_file():
        raise RecordingError(f"{path}: no such file")
    try:
        with h5py.File(path, "r", locking=False) as file:
            return read(file, path)
    except OSError as error:
        if "signature not found" in str(error):
            raise RecordingError(f"{path} is no HDF5 file") from error
        raise RecordingError(f"{path} cannot be read: {error}") from error
    except (KeyError, ValueError, TypeError, RuntimeError) as error:
        raise RecordingError(f"{path} is a damaged recording of frames: {error}") from error


def _read(file: h5py.File, path: Path) -> FrameRecording:
    found = file.attrs.get("format")
    if found != frame_layout.FORMAT:
        what = f"a {found}" if found == hdf5_layout.FORMAT else "an HDF5 file"
        raise RecordingError(f"{path} is {what}, but no recording of frames (format = {frame_layout.FORMAT!r})")
    version = int(file.attrs["format_version"])
    if version != frame_layout.FORMAT_VERSION:
        raise RecordingError(f"{path} has format version {version}; this labctl reads {frame_layout.FORMAT_VERSION}")
    counts = _counts(file, path)
    complete = bool(file.attrs["complete"])
    notes = hdf5_layout.remark(file, "notes").splitlines()
    if not complete:
        notes.append(hdf5_layout.remark(file, "ended"))
    return FrameRecording(
        header=frame_layout.read_header(file),
        counts=counts,
        status=file["status"][...],
        time_s=file["frame_time"][...],
        saturated=file["saturated"][...],
        light=file["light"][...],
        conditions=file["conditions"][...],
        complete=complete,
        path=path,
        notes=tuple(notes),
    )


def _counts(file: h5py.File, path: Path) -> NDArray[np.uint16]:
    """The counts as they lie in the file, in one piece."""
    _check_sizes(file, path)
    data = file["counts"]
    offset = data.id.get_offset()
    if data.dtype != np.dtype("<u2") or data.ndim != 5 or offset is None:
        raise ValueError("its counts are not as labctl writes them: five axes of 16-bit integers, in one piece")
    return np.memmap(path, dtype="<u2", mode="r", offset=offset, shape=data.shape)


def _check_sizes(file: h5py.File, path: Path) -> None:
    """Raise ValueError for a data set that claims more bytes than the file has, before memory is taken for it."""
    n_bytes = path.stat().st_size
    for name in file:
        if not isinstance(file.get(name, getlink=True), h5py.HardLink):
            raise ValueError(f"{name} lies elsewhere")
        data = file[name]
        if isinstance(data, h5py.Dataset) and data.size is not None and data.size * data.dtype.itemsize > n_bytes:
            raise ValueError(f"{name} claims {data.size} values of {data.dtype.itemsize} bytes in a file of {n_bytes}")
