"""netCDF of version 3, by scipy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labctl.outside_data.data_file import LARGEST_FILE_BYTES, ColumnInfo, DataFile, check_array_size
from labctl.outside_data.errors import OutsideDataError
from labctl.outside_data.mat_files import DAMAGED
from labctl.outside_data.packed import unpack


def open_netcdf3(path: Path) -> DataFile:
    """A netCDF 3 file. Raises OutsideDataError."""
    if path.stat().st_size > LARGEST_FILE_BYTES:
        raise OutsideDataError(f"{path} has {path.stat().st_size} bytes; netCDF 3 is read up to {LARGEST_FILE_BYTES}")
    columns, arrays = _read_all(path)
    return DataFile(
        path=path,
        format="netcdf 3",
        columns=columns,
        read=lambda names: _some(arrays, names, path),
        read_labels=lambda name: _some(arrays, [name], path)[name],
    )


def _read_all(path: Path) -> tuple[dict[str, ColumnInfo], dict[str, NDArray[Any]]]:
    from scipy.io import netcdf_file

    columns, arrays = {}, {}
    try:
        with netcdf_file(str(path), "r", mmap=False) as file:
            for name, variable in file.variables.items():
                values = np.array(variable[...]) if variable.shape else np.array(variable.getValue())
                arrays[name] = unpack(values.astype(values.dtype.newbyteorder("=")), variable._attributes)
                unit = variable._attributes.get("units", b"")
                refused = "holds text" if values.dtype.kind == "S" else ""
                columns[name] = ColumnInfo(
                    name, unit.decode(errors="replace").strip() if isinstance(unit, bytes) else "",
                    tuple(values.shape), tuple(variable.dimensions), refused,
                )  # fmt: skip
    except DAMAGED as error:
        raise OutsideDataError(f"{path} is a damaged netCDF file: {error}") from error
    return columns, arrays


def _some(arrays: Mapping[str, NDArray[Any]], names: Sequence[str], path: Path) -> Mapping[str, NDArray[Any]]:
    for name in names:
        check_array_size(arrays[name].shape, f"{path.name}: {name}")
    return {name: arrays[name] for name in names}
