"""One file for every cell of a long benchmark, so that an interrupted run goes on where it stopped."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import measuring

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


def write_part(path: Path, measured: Mapping[str, Any], size: DataclassInstance) -> dict[str, Any]:
    """Keep one cell, as plain data beside the size it was measured with; the file is there as a whole or not at all."""
    document: dict[str, Any] = measuring.plain({**measured, "size": asdict(size)})
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(document, allow_nan=False) + "\n")
    partial.replace(path)
    return document


def read_part(path: Path, size: DataclassInstance) -> dict[str, Any] | None:
    """What an earlier run measured; None if it did not, or with another size."""
    found = measuring.read_results(path)
    return found if found.get("size") == measuring.plain(asdict(size)) else None
