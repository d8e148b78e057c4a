"""The log on disk: what was seen in the window stays in `labctl-gui.log` of the runs folder. No Qt here.

Two files of at most `LARGEST_BYTES` each: under a source that never rests the older lines go, the newest stay.
"""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Iterable
from pathlib import Path

from gui.models.log import Line, text_of

NAME = "labctl-gui.log"
LARGEST_BYTES = 4 * 2**20
MOST_WAITING = 20_000


class LogFile:
    """Keeps lines until `write` is called, which may be in any thread.

    The runs folder is not made for notes alone: they wait until a run makes it, or until there is an error worth keeping.
    """

    def __init__(self, folder: Path) -> None:
        self._lock = threading.Lock()
        self._waiting: deque[Line] = deque(maxlen=MOST_WAITING)
        self._folder = folder

    @property
    def path(self) -> Path:
        """Where the log goes."""
        return self._folder / NAME

    def use_folder(self, folder: Path) -> None:
        """Go on in another runs folder."""
        self._folder = folder

    def take(self, lines: Iterable[Line]) -> None:
        """Keep lines for the next `write`."""
        with self._lock:
            self._waiting.extend(lines)

    def due(self) -> bool:
        """Whether `write` would write something."""
        with self._lock:
            return bool(self._waiting) and (
                self._folder.is_dir() or any(line.level == "ERROR" for line in self._waiting)
            )

    def write(self) -> None:
        """Append what waits; raises OSError where that is impossible, and the lines that waited are lost then."""
        with self._lock:
            lines = list(self._waiting)
            self._waiting.clear()
        if not lines:
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        if self.path.exists() and self.path.stat().st_size > LARGEST_BYTES:
            self.path.replace(self.path.with_suffix(".log.1"))
        with self.path.open("a", encoding="utf-8") as file:
            file.write(text_of(lines) + "\n")

    def write_if_possible(self) -> None:
        """As `write`, when the window closes: there is nobody left to be told of a full disk."""
        if self.due():
            with contextlib.suppress(OSError):
                self.write()
