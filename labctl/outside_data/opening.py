"""Which format a file has, by its first bytes, and what it holds."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

from labctl.outside_data.data_file import DataFile
from labctl.outside_data.errors import OutsideDataError

_HDF5 = b"\x89HDF\r\n\x1a\n"
_HDF5_OFFSETS = (0, 512, 1024, 2048)  # .mat 7.3 writes a header of its own in front
_PICKLE = (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")


def open_data_file(path: str | Path) -> DataFile:
    """Look at a file, without reading more than its names. Raises OutsideDataError."""
    path = Path(path)
    if not path.is_file():
        raise OutsideDataError(f"{path}: no such file")
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return replace(_open(path), sha256=digest)


def is_hdf5(path: Path) -> bool:
    """Whether the file is HDF5, with or without another header in front."""
    with path.open("rb") as file:
        for offset in _HDF5_OFFSETS:
            file.seek(offset)
            if file.read(len(_HDF5)) == _HDF5:
                return True
    return False


def _open(path: Path) -> DataFile:
    if is_hdf5(path):
        from labctl.outside_data.hdf5_files import open_hdf5

        return open_hdf5(path)
    with path.open("rb") as file:
        start = file.read(128)
    if not start:
        raise OutsideDataError(f"{path} is empty")
    if start.startswith((b"MATLAB 5.0", b"CDF\x01", b"CDF\x02")):
        return _open_by_scipy(path, is_netcdf=start.startswith(b"CDF"))
    if start.startswith(b"CDF\x05"):
        raise OutsideDataError(f"{path} is netCDF with 64-bit data (CDF-5), which is not read; save it as netCDF 4")
    if start.startswith(b"\x93NUMPY") or start.startswith(b"PK\x03\x04"):
        raise OutsideDataError(f"{path} is a NumPy, Excel or zip file, which is not read; save it as CSV, HDF5 or .mat")
    if start.startswith(_PICKLE):
        raise OutsideDataError(f"{path} looks like a pickle, which is never read: it could run any program")
    if path.suffix.lower() == ".mat":
        raise OutsideDataError(f"{path} is no .mat file of version 5 or 7.3; save it with -v7 or -v7.3")
    from labctl.outside_data.text_files import open_text

    return open_text(path)


def _open_by_scipy(path: Path, *, is_netcdf: bool) -> DataFile:
    try:
        import scipy.io  # noqa: F401
    except ImportError as error:
        raise OutsideDataError(f"{path}: .mat and netCDF 3 need scipy: pip install 'labctl[twins]'") from error
    if is_netcdf:
        from labctl.outside_data.netcdf3_files import open_netcdf3

        return open_netcdf3(path)
    from labctl.outside_data.mat_files import open_mat

    return open_mat(path)
