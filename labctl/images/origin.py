"""Where images came from, as plain data: path, size, SHA-256."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any


def origin_of(path: str | Path) -> dict[str, Any]:
    """Of a file its SHA-256; of a folder that of the names and contents of all files in it, in the order of their names."""
    path = Path(path)
    if path.is_file():
        with path.open("rb") as file:
            return {"path": str(path), "sha256": hashlib.file_digest(file, "sha256").hexdigest()}
    digest = hashlib.sha256()
    files = sorted(one for one in path.rglob("*") if one.is_file())
    for one in files:
        digest.update(f"{one.relative_to(path)}\0".encode())
        with one.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return {"path": str(path), "files": len(files), "sha256": digest.hexdigest()}
