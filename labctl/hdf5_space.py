"""Space on disk for an HDF5 file before HDF5 touches it, and leaving a file that HDF5 can no longer write.

HDF5 does not survive a full disk: closing a file fails when its buffers cannot be written, and when the objects of
that file are freed afterwards the process dies of a segmentation fault (h5py 3.16, HDF5 2.0, 3 of 3), before anyone can
make outputs safe. So the operating system is asked for the space first, without HDF5; and should writing fail all the
same, the file's descriptor is turned to the null device, where everything that HDF5 still holds goes without error.
"""

from __future__ import annotations

import ctypes
import errno
import functools
import os
import re
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from labctl import hdf5_layout
from labctl.recording import RecordingHeader

HDF5_ERRORS = (OSError, RuntimeError, ValueError)
"""What h5py raises when the disk is full, depending on where the library notices it."""

NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

SLACK_BYTES = 64 * 1024  # HDF5 rounds small allocations up; what it does not use it gives back at its first flush


def create_with_space(path: Path, header: RecordingHeader) -> h5py.File:
    """A new recording, opened for writing; see `create`."""
    return create(
        path,
        lay_out=lambda file: hdf5_layout.lay_out(file, header),
        fill=hdf5_layout.fill_samples,
        n_bytes=_sample_bytes(header),
    )


def create(
    path: Path, *, lay_out: Callable[[h5py.File], None], fill: Callable[[h5py.File], None], n_bytes: int
) -> h5py.File:
    """A new file, opened for writing, with everything laid out and all its bytes really there.

    All but the samples, n_bytes of them, is laid out by `lay_out` in memory and written as plain bytes; `fill` gives the
    samples their place, with what stands for "not measured". Raises FileExistsError when `path` exists, and
    OSError, RuntimeError or ValueError when there is no room; then no file is left.
    """
    _null_device()
    with path.open("xb") as plain:
        try:
            image = _image(path, lay_out)
            plain.write(image)
            plain.flush()
            os.posix_fallocate(plain.fileno(), 0, len(image) + n_bytes + SLACK_BYTES)
            os.fsync(plain.fileno())
        except BaseException:
            path.unlink(missing_ok=True)
            raise
    file = None
    try:
        # Without HDF5's own lock another process may read while we write; the layout never changes meanwhile.
        file = h5py.File(path, "r+", libver="earliest", locking=False)
        fill(file)
        file.flush()
    except BaseException:
        if file is not None:
            leave(file)
        path.unlink(missing_ok=True)
        raise
    return file


def leave(file: h5py.File, *datasets: h5py.Dataset) -> None:
    """Close a file that HDF5 can no longer write, without a further byte on disk and without an error.

    `datasets` are those of the file that the caller still holds.
    """
    try:
        os.dup2(_null_device(), file.id.get_vfd_handle(), inheritable=False)
        file.close()
    except HDF5_ERRORS:
        # Freeing an object of such a file is what kills the process, at exit too: a reference that is never given
        # back keeps it for as long as the process lives.
        for kept in (file, *datasets):
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(kept))
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(kept.id))


@functools.cache
def _null_device() -> int:
    """Opened before it is needed and for good: a process in trouble may have no descriptor left."""
    return os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)


def overwrite(path: Path, offset: int, data: bytes | NDArray[np.generic]) -> None:
    """Overwrite bytes of a file that HDF5 has left: needs no new space. Raises OSError."""
    with path.open("r+b", buffering=0) as plain:
        left = memoryview(data if isinstance(data, bytes) else data.tobytes())
        plain.seek(offset)
        while left:
            left = left[plain.write(left) or 0 :]


def reason(error: Exception) -> str:
    """Why HDF5 failed: the system's words where it says them."""
    number = getattr(error, "errno", None) or int((re.findall(r"errno = (\d+)", str(error)) or ["0"])[0])
    return os.strerror(number) if number else str(error).splitlines()[0]


def why_not_created(path: Path, header: RecordingHeader, error: Exception) -> str:
    """What to tell when `create_with_space` failed."""
    return why_no_file(path, _sample_bytes(header), error)


def why_no_file(path: Path, n_bytes: int, error: Exception) -> str:
    """What to tell when `create` failed."""
    if getattr(error, "errno", None) in NO_SPACE or isinstance(error, RuntimeError):
        return (
            f"{path}: no room for this recording of {n_bytes * 1e-6:.1f} MB ({reason(error)}); "
            "nothing was played. Free some space or record fewer trials"
        )
    return f"{path} cannot be created ({reason(error)}); nothing was played. Choose another place"


def _image(path: Path, lay_out: Callable[[h5py.File], None]) -> bytes:
    """The file without its samples, laid out in memory."""
    with h5py.File(path, "w", driver="core", backing_store=False, libver="earliest") as file:
        lay_out(file)
        file.flush()
        image: bytes = file.id.get_file_image()
    return image


def _sample_bytes(header: RecordingHeader) -> int:
    n_trials, n_samples = header.shape
    return n_trials * n_samples * 8 * (len(header.drive_names) + len(header.response_names))
