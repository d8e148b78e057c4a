""".mat files of version 5, by scipy: arrays of numbers, at the top or in structs. Objects are refused."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labctl.outside_data.data_file import LARGEST_FILE_BYTES, ColumnInfo, DataFile, check_array_size
from labctl.outside_data.errors import OutsideDataError

DAMAGED = (
    ValueError, TypeError, KeyError, IndexError, AttributeError, EOFError, OSError, MemoryError, OverflowError,
    AssertionError, NotImplementedError, struct.error, zlib.error,
)  # fmt: skip
"""What scipy raises for files that are not what they say."""
_COMPRESSED = 15
_HEADER_BYTES = 128
_NUMBERS = frozenset(
    {"double", "single", "logical", *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64))}
)
_DEEPEST = 4  # structs in structs


def open_mat(path: Path) -> DataFile:
    """A .mat file of version 5. Raises OutsideDataError."""
    from scipy.io import whosmat
    from scipy.io.matlab import MatReadError

    if path.stat().st_size > LARGEST_FILE_BYTES:
        raise OutsideDataError(f"{path} has {path.stat().st_size} bytes; .mat is read up to {LARGEST_FILE_BYTES}")
    _check_unpacked_size(path)
    columns: dict[str, ColumnInfo] = {}
    try:
        for name, shape, kind in whosmat(str(path)):
            if kind == "struct" and shape == (1, 1):
                columns.update(_fields(path, name))
            else:
                refused = "" if kind in _NUMBERS else f"is a MATLAB {kind}, not an array of numbers"
                columns[name] = ColumnInfo(name, shape=tuple(shape), refused=refused)
    except (*DAMAGED, MatReadError) as error:
        raise OutsideDataError(f"{path} is a damaged .mat file: {error}") from error
    return DataFile(
        path=path,
        format="mat 5",
        columns=columns,
        read=lambda names: _read(path, names),
        read_labels=lambda name: np.asarray(_read(path, [name])[name]),
    )


def _check_unpacked_size(path: Path) -> None:
    """A small file may unpack to any size: count before anything is believed."""
    total = 0
    with path.open("rb") as file:
        header = file.read(_HEADER_BYTES)
        if not header.startswith(b"MATLAB 5.0"):
            raise OutsideDataError(f"{path} is no .mat file of version 5")
        order = "<" if header[126:128] == b"IM" else ">"
        while len(tag := file.read(8)) == 8:
            kind, n_bytes = struct.unpack(f"{order}II", tag)
            if kind != _COMPRESSED:
                file.seek(n_bytes, 1)
                continue
            total += sum(_unpacked(file.read(n_bytes), path))
            if total > LARGEST_FILE_BYTES:
                raise OutsideDataError(f"{path} unpacks to more than {LARGEST_FILE_BYTES} bytes; it is not read")


def _unpacked(packed: bytes, path: Path) -> Iterator[int]:
    """Bytes in each piece that unpacks; ends where they are too many anyway."""
    unpacker, total = zlib.decompressobj(), 0
    try:
        while packed and not unpacker.eof and total <= LARGEST_FILE_BYTES:
            piece = len(unpacker.decompress(packed, 1 << 24))
            total, packed = total + piece, unpacker.unconsumed_tail
            yield piece
    except zlib.error as error:
        raise OutsideDataError(f"{path} is a damaged .mat file: {error}") from error


def _read(path: Path, names: Sequence[str]) -> Mapping[str, NDArray[Any]]:
    found = {}
    for name in names:
        value = _variable(path, name.split("/", 1)[0])
        for part in name.split("/")[1:]:
            value = value[part][0, 0]
        if not isinstance(value, np.ndarray):
            raise OutsideDataError(f"{path.name}: {name} is not an array of numbers")
        check_array_size(value.shape, f"{path.name}: {name}")
        found[name] = value
    return found


def _variable(path: Path, name: str) -> Any:
    from scipy.io import loadmat
    from scipy.io.matlab import MatReadError

    try:
        return loadmat(str(path), variable_names=[name], struct_as_record=True, squeeze_me=False)[name]
    except (*DAMAGED, MatReadError) as error:
        raise OutsideDataError(f"{path}: {name} cannot be read: {error}") from error


def _fields(path: Path, name: str) -> dict[str, ColumnInfo]:
    """The arrays in a struct, named as in data/u."""
    return {info.name: info for info in _walk(_variable(path, name), name, 1)}


def _walk(value: Any, name: str, depth: int) -> Iterator[ColumnInfo]:
    if not isinstance(value, np.ndarray):
        yield ColumnInfo(name, refused="is a MATLAB object, not an array of numbers")
    elif type(value) is not np.ndarray:  # MatlabObject, MatlabOpaque, MatlabFunction
        yield ColumnInfo(name, shape=value.shape, refused=f"is a {type(value).__name__}, not an array of numbers")
    elif value.dtype.names and value.shape == (1, 1) and depth <= _DEEPEST:
        for part in value.dtype.names:
            yield from _walk(value[part][0, 0], f"{name}/{part}", depth + 1)
    else:
        refused = "" if value.dtype.kind in "iufbc" else "is no array of numbers"
        yield ColumnInfo(name, shape=value.shape, refused=refused)
