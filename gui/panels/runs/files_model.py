"""The files below the runs folder as a table, and the chain of one of them as a tree."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from PySide6.QtCore import QObject, Qt
from PySide6.QtGui import QStandardItem, QStandardItemModel

from gui.models.rows import Column, RowsModel
from gui.theme import Theme
from labctl.runs_export import told_simulated
from labctl.runs_file import KINDS, RunFile
from labctl.runs_provenance import Link

ENTRY_ROLE = int(Qt.ItemDataRole.UserRole) + 1
"""Role under which a link's file stands; None where it is not below the runs folder."""

MOST_LINKS = 60
"""Beneath one file; a network may have been measured in hundreds."""

SORTED_BY: tuple[Callable[[RunFile], Any], ...] = (
    lambda one: one.when_utc,
    lambda one: one.kind,
    lambda one: one.file.casefold(),
    lambda one: one.device.casefold(),
    told_simulated,
)
"""What each column is sorted by."""


class FilesModel(RowsModel):
    """One row a file."""

    def __init__(self, theme: Theme, parent: QObject | None = None) -> None:
        columns = (
            Column("When", "When it was begun (UTC)", lambda one: one.when_utc[:19].replace("T", "\n")),
            Column("Kind", "What it is", lambda one: one.kind, hint=lambda one: f"{one.kind}: {KINDS[one.kind]}"),
            Column(
                "File, and what came out",
                "Its name, and its outcome in one line",
                _name,
                hint=_hint,
                colour=self._colour,
            ),
            Column(
                "Device", "What it is of", lambda one: one.device.replace(", ", ",\n", 1), hint=lambda one: one.device
            ),
            Column("Data", "SIMULATED, or measured on devices", told_simulated),
        )
        super().__init__(columns, parent)
        self._theme = theme

    def use_theme(self, theme: Theme) -> None:
        """Colour what went wrong for this appearance."""
        self._theme = theme
        self.changed(range(len(self.rows)))

    def _colour(self, one: RunFile) -> str | None:
        bad = one.trouble or any(mark in one.outcome for mark in ("FAILED", "INTERRUPTED", "NOT"))
        return self._theme.bad if bad else None


def _name(one: RunFile) -> str:
    return f"{one.name}{f'   in {one.folder}' if one.folder else ''}\n{one.outcome}"


def _hint(one: RunFile) -> str:
    return f"{one.file}\n{one.outcome}\n{one.notes}".strip()


class ChainModel(QStandardItemModel):
    """What a file was made from, and what was made from it."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.show_chain((), ())

    def show_chain(self, made_from: Sequence[Link], used_by: Sequence[Link]) -> None:
        """Show these trees."""
        self.clear()
        self.setHorizontalHeaderLabels(["File", "How", "What came out"])
        for title, links in (("Made from", made_from), ("Used by", used_by)):
            top = _items(title, "" if links else "nothing that is known", "", None)
            _append(top[0], links)
            self.appendRow(top)


def _append(parent: QStandardItem, links: Sequence[Link]) -> None:
    for link in links[:MOST_LINKS]:
        outcome = link.entry.outcome if link.entry else "not below the runs folder"
        row = _items(link.told.rpartition("/")[2], link.role, outcome, link.entry, path=link.told)
        parent.appendRow(row)
        _append(row[0], link.beneath)
    if len(links) > MOST_LINKS:
        parent.appendRow(_items(f"… and {len(links) - MOST_LINKS} more", "", "", None))


def _items(name: str, role: str, outcome: str, entry: RunFile | None, *, path: str = "") -> list[QStandardItem]:
    items = [QStandardItem(text) for text in (name, role, outcome)]
    for item in items:
        item.setEditable(False)
        item.setToolTip(f"{path or name}\n{outcome}".strip())
        item.setData(entry, ENTRY_ROLE)
    return items
