"""Twins as a table: the verdict of their gates in a symbol and a word, with a box for comparing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, Qt, Signal

from gui.models.rows import ROOT, Column, Index, RowsModel
from gui.panels.twins.recordings_model import when
from labctl.gate_rows import GateRow
from labctl.twin_cards import TwinCard

SYMBOLS = {"passed": "✓", "failed": "✗", "not judged": "?", "damaged": "✗"}
Role = Qt.ItemDataRole


def verdict(text: str) -> str:
    """With its symbol, so that nothing is told by colour alone."""
    return f"{SYMBOLS.get(text, '')} {text}"


class TwinsModel(RowsModel):
    """Rows are `TwinCard`s, the newest first; those ticked are compared. `ticked` says that the ticks changed."""

    ticked = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(
            (
                Column(
                    "Twin",
                    "Its name, of an ensemble with the number of its twins; tick two or more to compare them",
                    _name,
                    hint=_hint,
                ),
                Column("Gates", "Whether it may be trusted: its gates, on inputs it never saw", _verdict, hint=_words),
                Column("Device", "The device it is a twin of; ◌ marks simulated recordings", _device, hint=_hint),
                Column("When", "When it was fitted (UTC)", lambda card: when(card.made_utc), hint=_hint),
            ),
            parent,
        )
        self._ticked: set[Path] = set()

    def show_cards(self, cards: Sequence[TwinCard]) -> None:
        """Show these; ticks of those that are still there stay."""
        self._ticked &= {card.path for card in cards}
        self.reset(cards)
        self.ticked.emit()

    @property
    def compared(self) -> list[TwinCard]:
        """Those ticked, in the order shown."""
        return [card for card in self.rows if card.path in self._ticked]

    def row_of(self, path: Path) -> int:
        """The row of a twin; -1 where it is not here."""
        return next((number for number, card in enumerate(self.rows) if card.path == path), -1)

    def flags(self, index: Index) -> Qt.ItemFlag:
        """Twins can be ticked in the first column."""
        flags = super().flags(index)
        if index.isValid() and index.column() == 0 and not self.rows[index.row()].problem:
            flags |= Qt.ItemFlag.ItemIsUserCheckable
        return flags

    def data(self, index: Index, role: int = Role.DisplayRole) -> Any:
        """As every table, and the box."""
        if role == Role.CheckStateRole:
            card = self.rows[index.row()] if index.isValid() else None
            if card is None or index.column() or card.problem:
                return None
            return Qt.CheckState.Checked if card.path in self._ticked else Qt.CheckState.Unchecked
        return super().data(index, role)

    def setData(self, index: Index, value: Any, role: int = Role.EditRole) -> bool:
        """Tick or untick."""
        if role != Role.CheckStateRole or not index.isValid() or index.column():
            return False
        card = self.rows[index.row()]
        on = Qt.CheckState(value) == Qt.CheckState.Checked
        (self._ticked.add if on else self._ticked.discard)(card.path)
        self.dataChanged.emit(index, index)
        self.ticked.emit()
        return True

    def rowCount(self, parent: Index = ROOT) -> int:
        """Rows of the table."""
        return super().rowCount(parent)


def gates_model(parent: QObject | None = None) -> RowsModel:
    """Rows are `GateRow`s."""
    return RowsModel(
        (
            Column(
                "Passed", "✓ passed, ✗ failed, ? not judged: too little was held out", lambda row: verdict(row.verdict)
            ),
            Column("Gate", "What is asked of the twin", lambda row: row.title, hint=gate_in_words),
            Column(
                "Figure", "What it shows on inputs it never saw", lambda row: row.value, right=True, hint=gate_in_words
            ),
            Column(
                "Allowed", "What a trusted twin shows, chance allowed for", lambda row: row.allowed, hint=gate_in_words
            ),
            Column("What to do", "Where a gate is not passed", lambda row: row.remedy, hint=gate_in_words),
        ),
        parent,
    )


def _name(card: TwinCard) -> str:
    return f"{card.name}{f' (×{card.n_members})' if card.n_members > 1 else ''}"


def _verdict(card: TwinCard) -> str:
    return verdict(card.verdict)


def _device(card: TwinCard) -> str:
    return f"{card.device or ', '.join(card.responses)}{' ◌' if card.simulated else ''}"


def _words(card: TwinCard) -> str:
    return card.in_words


def _hint(card: TwinCard) -> str:
    mark = "SIMULATED recordings\n" if card.simulated else ""
    channels = f"{', '.join(card.drives)} → {', '.join(card.responses)}"
    return f"{card.path}\n{mark}{channels}\nfitted {card.made_utc[:19]} UTC\n{card.in_words}"


def gate_in_words(row: GateRow) -> str:
    """What it asks, what it shows, and what to do where it is not passed."""
    return "\n".join(filter(None, (f"{row.title} ({row.name}): {row.meaning}.", row.why, row.remedy)))
