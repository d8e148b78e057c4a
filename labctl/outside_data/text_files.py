"""Columns of numbers as text: CSV, TSV, semicolons, blanks."""

from __future__ import annotations

import csv
from array import array
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labctl.outside_data.data_file import LARGEST_ARRAY, LARGEST_TEXT_BYTES, ColumnInfo, DataFile
from labctl.outside_data.errors import OutsideDataError
from labctl.outside_data.text_layout import TextLayout, cells_of, find_layout, is_data, number_of


def open_text(path: Path) -> DataFile:
    """A text file of columns. Raises OutsideDataError."""
    if path.stat().st_size > LARGEST_TEXT_BYTES:
        raise OutsideDataError(
            f"{path} has {path.stat().st_size} bytes; text is read up to {LARGEST_TEXT_BYTES}: convert it to HDF5"
        )
    lines = _lines(path)
    layout = find_layout(lines, str(path))
    columns = {name: ColumnInfo(name, unit) for name, unit in zip(layout.names, layout.units, strict=True)}
    notes = ({"treatment": "layout of the text", "notes": list(layout.notes)},) if layout.notes else ()
    return DataFile(
        path=path,
        format="text",
        columns=columns,
        read=lambda names: _numbers(path, lines, layout, names),
        read_labels=lambda name: _labels(path, lines, layout, name),
        is_table=True,
        treatments=notes,
    )


def _lines(path: Path) -> list[str]:
    data = path.read_bytes()
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        encoding = "utf-16"
    elif b"\0" in data[:4096]:
        raise OutsideDataError(
            f"{path} is neither text nor HDF5, netCDF or .mat of version 5 or 7.3; save it as one of these"
        )
    else:
        encoding = "utf-8-sig"
    try:
        return data.decode(encoding).splitlines()
    except UnicodeDecodeError:
        return data.decode("latin-1").splitlines()  # every byte is a character there; only headers can suffer


def _rows(path: Path, lines: Sequence[str], layout: TextLayout) -> Iterator[tuple[int, list[str]]]:
    """(line number from 1, cells) of every line of data. Raises OutsideDataError for a line of other length."""
    numbers = [number for number in range(layout.first_line, len(lines)) if is_data(lines[number])]
    if len(numbers) > LARGEST_ARRAY:
        raise OutsideDataError(f"{path} has {len(numbers)} lines; at most {LARGEST_ARRAY} are read")
    width = len(layout.names)
    cells = cells_of((lines[number] for number in numbers), layout.separator, layout.trailing)
    try:
        for number, row in zip(numbers, cells, strict=True):
            if len(row) != width:
                raise OutsideDataError(
                    f"{path}, line {number + 1}: {len(row)} cells where there are {width} columns "
                    f"({', '.join(layout.names[:8])}); the file may be cut off there"
                )
            yield number + 1, row
    except (csv.Error, ValueError) as error:  # a quoted cell that runs over lines makes fewer rows than lines
        raise OutsideDataError(f"{path} cannot be read as columns: {error}") from error


def _numbers(
    path: Path, lines: Sequence[str], layout: TextLayout, names: Sequence[str]
) -> Mapping[str, NDArray[np.float64]]:
    places = [layout.names.index(name) for name in names]
    columns = [array("d") for _ in names]
    pairs = list(zip(places, columns, strict=True))
    for number, row in _rows(path, lines, layout):
        for place, column in pairs:
            cell = row[place]
            try:
                column.append(number_of(cell, layout.decimal_comma))
            except ValueError:
                raise OutsideDataError(
                    f"{path}, line {number}: {layout.names[place]} is {cell[:40]!r}, which is no number"
                ) from None
    return {name: np.array(column, dtype=np.float64) for name, column in zip(names, columns, strict=True)}


def _labels(path: Path, lines: Sequence[str], layout: TextLayout, name: str) -> NDArray[Any]:
    place = layout.names.index(name)
    return np.array([row[place] for _, row in _rows(path, lines, layout)])
