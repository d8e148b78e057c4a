"""What is looked for in the browser: words, kind, device, dates, simulated or not."""

from __future__ import annotations

import re

from PySide6.QtCore import QTimer, Signal
from PySide6.QtWidgets import QComboBox, QHBoxLayout, QLineEdit, QWidget

from gui.desk import Desk
from gui.panels.widgets import button, named
from labctl.runs_file import KINDS
from labctl.runs_search import Wanted

TYPING_MS = 200
DAY = re.compile(r"\d{4}(-\d\d(-\d\d)?)?")


class Filters(QWidget):
    """One row of fields; `changed` a moment after somebody has typed."""

    changed = Signal()

    def __init__(self, desk: Desk, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.search = QLineEdit()
        self.search.setPlaceholderText("Search: words in name, outcome, notes …  (Ctrl+F)")
        self.search.setClearButtonEnabled(True)
        named(self.search, "Search runs", "All these words must occur: name, folder, device, outcome, notes (Ctrl+F)")
        self.kind = QComboBox()
        self.kind.addItem("all kinds", "")
        for kind, meaning in KINDS.items():
            self.kind.addItem(kind, kind)
            self.kind.setItemData(self.kind.count() - 1, meaning, 3)  # its tooltip
        named(self.kind, "Kind", "Only files of this kind")
        self.data = QComboBox()
        for text, value in (("all data", None), ("measured", False), ("SIMULATED", True)):
            self.data.addItem(text, value)
        named(self.data, "Data", "Measured on devices, or simulated; files that do not say are in neither")
        self.device = self._line("device", "Device", "Only files of devices whose name holds this", 110)
        self.since = self._line(
            "from day", "From day", "From this day on, as 2026-01-31 (UTC); 2026-01 for a month's first", 100
        )
        self.until = self._line("to day", "To day", "Up to this day, as 2026-01-31 (UTC)", 100)
        self.clear_button = button("Clear", "Show everything", self.clear, name="Clear the filters")
        self._typing = QTimer(self, interval=TYPING_MS, singleShot=True)
        self._typing.timeout.connect(self.changed)
        for line in (self.search, self.device, self.since, self.until):
            line.textChanged.connect(lambda _: self._typing.start())
        for box in (self.kind, self.data):
            box.currentIndexChanged.connect(lambda _: self.changed.emit())
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.search, 1)
        for one in (self.kind, self.data, self.device, self.since, self.until, self.clear_button):
            row.addWidget(one)
        desk.remember(self.kind, "runs/kind")

    @property
    def wanted(self) -> Wanted:
        """What is looked for; days that are no days are left out."""
        return Wanted(
            words=self.search.text(),
            kinds=frozenset({self.kind.currentData()} - {""}),
            device=self.device.text().strip(),
            since=_day(self.since.text()),
            until=_day(self.until.text(), last=True),
            simulated=self.data.currentData(),
        )

    def clear(self) -> None:
        """Look for everything."""
        for line in (self.search, self.device, self.since, self.until):
            line.clear()
        for box in (self.kind, self.data):
            box.setCurrentIndex(0)
        self._typing.stop()
        self.changed.emit()

    @staticmethod
    def _line(text: str, name: str, tip: str, width: int) -> QLineEdit:
        line = QLineEdit()
        line.setPlaceholderText(text)
        line.setMaximumWidth(width)
        named(line, name, tip)
        return line


def _day(text: str, *, last: bool = False) -> str:
    """A day, or the bound that a part of one gives; "" for what is none."""
    text = text.strip()
    if not DAY.fullmatch(text):
        return ""
    return f"{text}-99" if last and len(text) < 10 else text
