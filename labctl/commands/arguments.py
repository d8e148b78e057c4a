"""What several commands check of their arguments before anything is opened or played."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path

from labctl.errors import UsageError


def positive_integer(text: str) -> int:
    """An argparse type: 1, 2, 3 ..."""
    return _integer(text, lowest=1)


def seed(text: str) -> int:
    """An argparse type: 0, 1, 2 ..."""
    return _integer(text, lowest=0)


def positive_seconds(text: str) -> float:
    """An argparse type: a time greater than 0."""
    try:
        seconds = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds") from None
    if not 0.0 < seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is no time that can be waited for; give a number of seconds above 0")
    return seconds


def _integer(text: str, *, lowest: int) -> int:
    try:
        number = int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number") from None
    if number < lowest:
        raise argparse.ArgumentTypeError(f"{text} is too small: the smallest is {lowest}")
    return number


def check_folder(folder: Path) -> None:
    """Raises UsageError if `folder` cannot be made because it, or one above it, is a file."""
    for place in (folder, *folder.parents):
        if place.is_dir():
            return
        if place.exists():
            where = "is a file" if place == folder else f"cannot be made: {place} is a file"
            raise UsageError(f"--out {folder} {where}; give a folder")


def check_new(paths: Iterable[Path]) -> None:
    """Raises UsageError if one of the files or folders that are to be written exists already."""
    for path in paths:
        if path.exists():
            raise UsageError(
                f"{path} exists already, and nothing measured is ever overwritten; nothing was played. "
                "Give another --out, or move it away"
            )
