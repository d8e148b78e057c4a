"""The columns of a file of another program, for a form to choose from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from labctl.outside_data.opening import open_data_file


@dataclass(frozen=True, slots=True)
class FileColumns:
    """A file, and the names of the columns (or arrays) that hold numbers."""

    path: Path
    names: tuple[str, ...]

    @property
    def likely_drive(self) -> str:
        """The first column that is no time."""
        return next((name for name in self.names if name != self.likely_time), "")

    @property
    def likely_response(self) -> str:
        """The column after the likely drive."""
        others = [name for name in self.names if name not in (self.likely_time, self.likely_drive)]
        return next(iter(others), "")

    @property
    def likely_time(self) -> str:
        """A column that is named as time is; empty where there is none."""
        return next((name for name in self.names if name.lower() in ("t", "time", "time_s", "time (s)")), "")


def columns_of(path: Path) -> FileColumns:
    """Look at a file, without reading more than its names. Raises OutsideDataError."""
    file = open_data_file(path)
    return FileColumns(path, tuple(name for name, column in file.columns.items() if not column.refused))
