"""How a text file of columns is laid out: separator, header, units, comments, decimal comma."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from labctl.outside_data.errors import OutsideDataError
from labctl.outside_data.quantities import TIME_UNITS, name_and_unit
from labctl.units import UNITS

MISSING = frozenset({"", "nan", "na", "n/a", "null", "none", "-", "--", "#n/a", "nat"})
"""Cells, in lower case, that mean: nothing was measured."""
COMMENTS = ("#", "%", "//")
_LOOKED_AT = 60  # lines
_UNITS = {*UNITS, *TIME_UNITS, "µV", "µA", "a.u."}


@dataclass(frozen=True, slots=True)
class TextLayout:
    """names and units by column; `first_line` is the first line of data, counted from 0.

    trailing: lines end with a separator that no cell follows. notes: what was guessed, in words.
    """

    separator: str
    trailing: bool
    decimal_comma: bool
    names: tuple[str, ...]
    units: tuple[str, ...]
    first_line: int
    notes: tuple[str, ...] = ()


def find_layout(lines: Sequence[str], what: str) -> TextLayout:
    """The layout from the first lines of a file. Raises OutsideDataError."""
    kept = [(number, line) for number, line in enumerate(lines[:_LOOKED_AT]) if is_data(line)]
    if not kept:
        raise OutsideDataError(f"{what} holds no data")
    texts = [line for _, line in kept]
    separator = _separator(texts)
    trailing = _is_trailing(texts, separator)
    rows = list(zip((number for number, _ in kept), cells_of(texts, separator, trailing), strict=True))
    width = len(rows[-1][1])
    decimal_comma = separator != "," and _has_decimal_commas([row for _, row in rows])
    first = _first_of_data([row for _, row in rows], width, decimal_comma)
    if first is None:
        raise OutsideDataError(f"{what} holds no data: no line of numbers among the first {len(rows)} lines")
    above = [row for _, row in rows[:first] if len(row) == width]
    notes: list[str] = []
    units: list[str] = []
    if len(above) > 1 and _are_units(above[-1]):
        units = [cell.strip("[]() ") for cell in above.pop()]
        notes.append("the line below the header holds units")
    header = above[-1] if above else _commented_header(lines, rows[first][0], separator, width)
    if not above:
        notes.append("no header; " + ("names from the comment before" if header else "columns are numbered from 1"))
    preamble = first - bool(above) - bool(units)
    if preamble:
        notes.append(f"{preamble} lines above the header are not of the table")
    if decimal_comma:
        notes.append("decimal commas")
    pairs = [name_and_unit(cell) for cell in header or [""] * width]
    return TextLayout(
        separator,
        trailing,
        decimal_comma,
        names=_distinct([name for name, _ in pairs]),
        units=tuple(units or [unit for _, unit in pairs]),
        first_line=rows[first][0],
        notes=tuple(notes),
    )


def is_data(line: str) -> bool:
    """Neither empty nor a comment."""
    text = line.lstrip()
    return bool(text) and not text.startswith(COMMENTS)


def cells_of(lines: Iterable[str], separator: str, trailing: bool) -> Iterator[list[str]]:
    """The cells of each line, stripped, without quotes and without the empty one that a trailing separator makes."""
    blank = " " if separator == " " else "\r\n"
    for row in csv.reader((line.strip(blank) for line in lines), delimiter=separator, skipinitialspace=True):
        cells = [cell.strip() for cell in row]
        if trailing and cells[-1:] == [""]:
            cells.pop()
        yield cells


def number_of(cell: str, decimal_comma: bool) -> float:
    """A cell as a number, NaN where it is missing. Raises ValueError for text."""
    try:
        return float(cell)
    except ValueError:
        if cell.lower() in MISSING:
            return math.nan
        if decimal_comma and "." not in cell:
            return float(cell.replace(",", "."))
        raise


def is_number(cell: str, decimal_comma: bool) -> bool:
    """Whether a cell is a number that was measured."""
    try:
        return not math.isnan(number_of(cell, decimal_comma))
    except ValueError:
        return False


def _separator(lines: Sequence[str]) -> str:
    """The separator that most lines agree upon; a tab or a semicolon goes before a comma, which may be decimal."""
    later = lines[len(lines) // 2 :]
    for separator in ("\t", ";", ","):
        if all(separator in line for line in later):
            return separator
    return " " if all(" " in line.strip() for line in later) else ","


def _is_trailing(lines: Sequence[str], separator: str) -> bool:
    """Whether lines end with a separator that no column belongs to."""
    first, later = lines[0].rstrip(), [line.rstrip("\r\n ") for line in lines[len(lines) // 2 :]]
    if separator == " " or not all(line.endswith(separator) for line in later):
        return False
    # A header that does not end so, and has as many separators, names a last column that is empty so far.
    return first.endswith(separator) or first.count(separator) < later[0].count(separator)


def _first_of_data(rows: Sequence[Sequence[str]], width: int, decimal_comma: bool) -> int | None:
    """The first row with numbers, or nothing, wherever the last rows have numbers."""
    numeric = [
        column
        for column in range(width)
        if any(len(row) == width and is_number(row[column], decimal_comma) for row in rows[-5:])
    ]
    for number, row in enumerate(rows):
        if number and len(row) == width and any(row) and all(cell.lower() in MISSING for cell in row):
            return number  # a header says something
        if len(row) == width and numeric:
            cells = [row[column] for column in numeric]
            measured = [is_number(cell, decimal_comma) for cell in cells]
            if any(measured) and all(ok or cell.lower() in MISSING for ok, cell in zip(measured, cells, strict=True)):
                return number
    return None


def _has_decimal_commas(rows: Sequence[Sequence[str]]) -> bool:
    cells = [cell for row in rows for cell in row]
    return any(re.fullmatch(r"[-+]?\d*,\d+(?:[eE][-+]?\d+)?", cell) for cell in cells) and not any(
        re.fullmatch(r"[-+]?\d*\.\d+", cell) for cell in cells
    )


def _commented_header(lines: Sequence[str], before: int, separator: str, width: int) -> list[str]:
    """The names in the comment just before the data, as numpy.savetxt writes them; empty if it holds none."""
    text = next((line for line in reversed(lines[:before]) if line.strip()), "").strip()
    if not text.startswith(COMMENTS):
        return []
    cells = next(cells_of([text.lstrip("#%/ ")], separator, False), [])
    return cells if len(cells) == width and not any(is_number(cell, False) for cell in cells) else []


def _are_units(row: Sequence[str]) -> bool:
    """Whether most cells are units that are known."""
    known = [cell.strip("[]() ") in _UNITS for cell in row if cell]
    return 2 * sum(known) > len(known)


def _distinct(names: Sequence[str]) -> tuple[str, ...]:
    """Columns without a name are called by their number, and so are those of the same name, as in V1#1 and V1#2."""
    return tuple(
        str(number) if not name else f"{name}#{number}" if list(names).count(name) > 1 else name
        for number, name in enumerate(names, start=1)
    )
