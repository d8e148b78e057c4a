"""A file of columns or arrays, whatever its format: what it holds, and how to get it."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labctl.outside_data.errors import OutsideDataError

LARGEST_ARRAY = 1 << 27
"""Values of one array; a gibibyte as float64."""
LARGEST_FILE_BYTES = 1 << 30
"""Of .mat and netCDF 3 files, which are read as a whole."""
LARGEST_TEXT_BYTES = 1 << 29
"""Of text, which takes some four times as much memory while it is read."""

_LISTED = 40

Samples = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class ColumnInfo:
    """What is known of a column before it is read.

    shape: of the array, (row,) in a table. axes: names of its axes where the file gives them, such as ("trial",
    "time"). refused: why it cannot be used (text, complex numbers), or empty.
    """

    name: str
    unit: str = ""
    shape: tuple[int, ...] = ()
    axes: tuple[str, ...] = ()
    refused: str = ""


@dataclass(frozen=True, slots=True)
class DataFile:
    """A file that was opened and looked at.

    read: column names -> raw arrays (numbers as they lie in the file, with missing values as NaN).
    read_labels: one column -> an array whose equal values mark what belongs together, numbers or texts.
    treatments: what was done to the file on reading, as plain data.
    """

    path: Path
    format: str
    columns: Mapping[str, ColumnInfo]
    read: Callable[[Sequence[str]], Mapping[str, NDArray[Any]]]
    read_labels: Callable[[str], NDArray[Any]]
    is_table: bool = False
    sha256: str = ""
    treatments: tuple[Mapping[str, Any], ...] = field(default=())

    def column(self, name: str) -> ColumnInfo:
        """The column of this name. Raises OutsideDataError that lists those there are."""
        found = self.columns.get(name)
        if found is None:
            raise OutsideDataError(f"{self.path.name} has no column {name!r}{self._nearest(name)}; {self.there_are()}")
        return found

    def numbers(self, names: Sequence[str]) -> dict[str, Samples]:
        """Columns as real numbers, in their own shapes. Raises OutsideDataError for text, complex numbers and so on."""
        for name in names:
            if reason := self.column(name).refused:
                raise OutsideDataError(f"{self.path.name}: {name} {reason}")
        arrays = self.read(list(dict.fromkeys(names)))
        return {name: real_numbers(array, f"{self.path.name}: {name}") for name, array in arrays.items()}

    def _nearest(self, name: str) -> str:
        by_lower = {other.lower(): other for other in self.columns}
        near = difflib.get_close_matches(name.lower(), by_lower, n=1, cutoff=0.5)
        return f" (did you mean {by_lower[near[0]]!r}?)" if near else ""

    def there_are(self) -> str:
        """The columns there are, in words."""
        names = [f"{name} {info.shape}" if not self.is_table else name for name, info in self.columns.items()]
        more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
        return f"it has {', '.join(names[:_LISTED]) or 'none'}{more}"


def real_numbers(array: NDArray[Any], what: str) -> Samples:
    """float64 of numbers that are exactly that. Raises OutsideDataError for anything else."""
    kind = array.dtype.kind
    if kind == "c":
        raise OutsideDataError(
            f"{what} holds complex numbers; a channel is real: give real and imaginary part as two channels"
        )
    if kind in "iu":
        if array.size and max(abs(int(array.min())), abs(int(array.max()))) > 1 << 53:
            raise OutsideDataError(f"{what} holds integers beyond 2^53, which float64 cannot tell apart; scale them")
    elif kind != "f":
        reason = "true and false" if kind == "b" else f"no numbers ({array.dtype})"
        raise OutsideDataError(f"{what} holds {reason}; drive, response and time must be real numbers")
    return np.asarray(array, dtype=np.float64)


def check_array_size(shape: Sequence[int], what: str) -> None:
    """Raise OutsideDataError for an array too large to be read."""
    size = 1
    for length in shape:
        size *= int(length)
    if size > LARGEST_ARRAY:
        raise OutsideDataError(
            f"{what} has the shape {tuple(shape)}: {size} values, and at most {LARGEST_ARRAY} are read; write a part of "
            "it to a file of its own"
        )
