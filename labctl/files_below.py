"""The files of some kinds below a folder, in a lasting order; a bound keeps a wrongly chosen folder from taking for ever."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

MOST_FILES = 20_000
"""Names looked at below a folder; what lies beyond is not found."""


def files_below(folder: Path, *endings: str, most: int = MOST_FILES) -> Iterator[Path]:
    """All files below `folder` whose names end so, folder by folder; names are counted whatever they end on."""
    seen = 0
    for root, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            seen += 1
            if seen > most:
                return
            if name.endswith(endings):
                yield Path(root) / name
