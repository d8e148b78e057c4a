"""HDF5 and its relatives: netCDF 4 and .mat of version 7.3. Nothing outside the file itself is ever opened."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from labctl.hdf5_space import HDF5_ERRORS
from labctl.outside_data.data_file import ColumnInfo, DataFile, check_array_size
from labctl.outside_data.errors import OutsideDataError
from labctl.outside_data.packed import unpack

_MOST_DATASETS = 10_000
_ELSEWHERE = "keeps its values in another file; copy them into this one"
_KINDS = {"O": "holds text or references", "S": "holds text", "U": "holds text", "V": "holds compound values"}
_MATLAB_NUMBERS = frozenset(
    {"double", "single", "logical", *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64))}
)


def open_hdf5(path: Path) -> DataFile:
    """An HDF5 file; its data sets are named by their paths. Raises OutsideDataError."""
    try:
        with h5py.File(path, "r", locking=False) as file:
            is_matlab = _starts_like_matlab(path)
            columns = {info.name: info for info in _columns(file, path, is_matlab)}
    except (*HDF5_ERRORS, TypeError, KeyError) as error:
        raise OutsideDataError(f"{path} is a damaged HDF5 file: {error}") from error
    return DataFile(
        path=path,
        format="mat 7.3" if is_matlab else "hdf5",
        columns=columns,
        read=lambda names: _read(path, names, is_matlab),
        read_labels=lambda name: _read_labels(path, name, is_matlab),
    )


def _starts_like_matlab(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(6) == b"MATLAB"


def _columns(file: h5py.File, path: Path, is_matlab: bool) -> list[ColumnInfo]:
    """All data sets that lie in the file itself: links to other files are not followed, not even looked at."""
    found: list[ColumnInfo] = []

    def visit(name: str, item: h5py.HLObject) -> None:
        if isinstance(item, h5py.Dataset) and not name.startswith("#"):
            if len(found) >= _MOST_DATASETS:
                raise OutsideDataError(f"{path} holds more than {_MOST_DATASETS} data sets")
            found.append(_info(name, item, is_matlab))

    file.visititems(visit)
    return found


def _info(name: str, data: h5py.Dataset, is_matlab: bool) -> ColumnInfo:
    shape = tuple(reversed(data.shape or ())) if is_matlab else tuple(data.shape or ())
    axes = () if is_matlab else _axes(data)
    return ColumnInfo(name, _text(data.attrs.get("units")), shape, axes, _refusal(data, is_matlab))


def _refusal(data: h5py.Dataset, is_matlab: bool) -> str:
    if _is_elsewhere(data):
        return _ELSEWHERE
    kind = data.dtype.kind
    if set(data.dtype.names or ()) in ({"r", "i"}, {"real", "imag"}):
        return "holds complex numbers; a channel is real: give real and imaginary part as two channels"
    if is_matlab and (class_ := _text(data.attrs.get("MATLAB_class"))) not in _MATLAB_NUMBERS:
        return f"is a MATLAB {class_ or 'object'}, not an array of numbers"
    if kind == "V" or kind in _KINDS:
        return f"{_KINDS[kind]}; drive, response and time must be real numbers"
    return "" if data.shape is not None else "is empty"


def _is_elsewhere(data: h5py.Dataset) -> bool:
    return bool(data.external or data.is_virtual)


def _axes(data: h5py.Dataset) -> tuple[str, ...]:
    """The names of netCDF dimensions, where every axis has one."""
    if data.is_scale and data.ndim == 1:
        return (data.name.rsplit("/", 1)[-1],)
    scales = [dimension[0].name if len(dimension) else "" for dimension in data.dims]
    return tuple(str(name).rsplit("/", 1)[-1] for name in scales) if all(scales) else ()


def _read(path: Path, names: Sequence[str], is_matlab: bool) -> Mapping[str, NDArray[Any]]:
    return {name: _one(path, name, is_matlab) for name in names}


def _one(path: Path, name: str, is_matlab: bool) -> NDArray[Any]:
    try:
        with h5py.File(path, "r", locking=False) as file:
            data = file[name]
            if _is_elsewhere(data):
                raise OutsideDataError(f"{path.name}: {name} {_ELSEWHERE}")
            check_array_size(data.shape, f"{path.name}: {name}")
            values = unpack(data[...], data.attrs)
    except (*HDF5_ERRORS, TypeError, KeyError) as error:
        raise OutsideDataError(f"{path.name}: {name} cannot be read: {error}") from error
    return np.ascontiguousarray(values.T) if is_matlab else values


def _read_labels(path: Path, name: str, is_matlab: bool) -> NDArray[Any]:
    values = _one(path, name, is_matlab)
    if values.dtype.kind == "O" and not all(isinstance(value, bytes | str) for value in values.flat):
        raise OutsideDataError(f"{path.name}: {name} holds neither numbers nor text")
    return values.astype(str) if values.dtype.kind in "OSU" else values


def _text(value: object) -> str:
    if isinstance(value, np.ndarray):
        value = value.flat[0] if value.size else ""
    if isinstance(value, bytes):
        return value.decode("utf-8", errors="replace")
    return "" if value is None or isinstance(value, h5py.Empty) else str(value)
