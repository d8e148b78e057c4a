"""The table of what applying a network would change, as text for a terminal."""

from __future__ import annotations

from collections.abc import Iterator

from labctl.apply_table import ApplyRow, ApplyTable

TITLES = ("output", "kind", "now", "proposed", "limits", "ramp", "")


def in_words(table: ApplyTable) -> Iterator[str]:
    """One line a row, columns aligned, then what is in the way."""
    cells = [TITLES, *(_cells(row) for row in table.rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(TITLES) - 1)]
    for line in cells:
        fixed = "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=False))
        yield f"{fixed}  {line[-1]}".rstrip()
    for row in table.rows:
        if row.warned:
            yield f"WARNING {row.channel}: {row.warned}"
    yield from (f"WARNING {note}" for note in table.notes)
    yield from (f"REFUSED {problem}" for problem in table.problems)


def proposed_text(row: ApplyRow) -> str:
    """One value, or from .. to, without the unit."""
    low, high = row.proposed
    return f"{low:.4g}" if low == high else f"{low:.4g} … {high:.4g}"


def verdict_text(row: ApplyRow) -> str:
    """In a word or a sentence."""
    return "within limits" if row.ok else f"REFUSED: {row.refused or 'outside its limits'}"


def ramp_text(row: ApplyRow) -> str:
    """How long bringing it there takes."""
    return "–" if row.ramp_s is None else f"{row.ramp_s:.2g} s"


def _cells(row: ApplyRow) -> tuple[str, ...]:
    now = "not known" if row.current is None else f"{row.current:.4g} {row.unit}"
    limits = f"{row.limits[0]:g} … {row.limits[1]:g} {row.unit}"
    return (row.channel, row.kind, now, f"{proposed_text(row)} {row.unit}", limits, ramp_text(row), verdict_text(row))
