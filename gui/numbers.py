"""Numbers as people read them, the same everywhere in the window."""

from __future__ import annotations

BYTES = 1000.0


def counted(number: int) -> str:
    """A count, its thousands apart by narrow spaces: 1\u202f234\u202f567."""
    return f"{number:,}".replace(",", "\u202f")


def file_size(n_bytes: float) -> str:
    """840 B, 4.42 kB, 1.55 MB, 2.1 GB."""
    for unit in ("B", "kB", "MB"):
        if round(n_bytes) < BYTES:
            return f"{n_bytes:.3g} {unit}"
        n_bytes /= BYTES
    return f"{n_bytes:.3g} GB"
