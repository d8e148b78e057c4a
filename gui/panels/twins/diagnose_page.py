"""Diagnose: what noise, memory and drift the ticked recordings show, and which twin they call for, in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from PySide6.QtWidgets import QGroupBox, QHBoxLayout, QLabel, QVBoxLayout, QWidget

from gui.bridge import Ended
from gui.desk import Desk
from gui.panels.twins.jobs import diagnose_job, trouble_of
from gui.panels.twins.page import Page, scrolled, seed_field, whole_of
from gui.panels.twins.shelf import Shelf
from gui.panels.widgets import words
from gui.work import Work
from labctl.job import Job

EMPTY = (
    "Press Diagnose: it looks at the recordings ticked under Learn, and says what noise, memory and drift they show, and "
    "which twin they call for. It takes some seconds. Fit does it by itself; this is to look before."
)


class DiagnosePage(Page):
    """A button, and what was found."""

    def __init__(self, desk: Desk, shelf: Shelf) -> None:
        super().__init__(desk, shelf)
        self.seed = seed_field()
        self.controls = self.control(
            text="Diagnose", tip="Look at the recordings ticked under Learn (Ctrl+Return)", keys="Ctrl+Return"
        )
        self.controls.started.connect(self._follow)
        self.found, self.called_for = words(), words()
        self.found.setAccessibleName("What the recordings show")
        self.called_for.setAccessibleName("Which twin they call for")
        row = QHBoxLayout()
        row.addWidget(QLabel("Seed"))
        row.addWidget(self.seed)
        row.addStretch(1)
        self.seed.setMaximumWidth(140)
        column = QVBoxLayout(self)
        column.addLayout(row)
        column.addWidget(self.controls)
        column.addWidget(scrolled(self._texts()), 1)
        self.clear()
        shelf.recordings.ticked.connect(self._check)
        self._check()

    def make(self) -> Job:
        """The diagnosis of what is ticked."""
        training = self.shelf.recordings.learned_from
        name = training[0].device or training[0].path.stem if training else ""
        folder = self.desk.new_folder(f"diagnose-{name}")
        return diagnose_job(name, training, seed=whole_of(self.seed, "Seed"), folder=folder)

    def clear(self) -> None:
        """Nothing was diagnosed yet."""
        self.found.setText(EMPTY)
        self.called_for.setText("")
        self._boxes[1].setVisible(False)

    def show_found(self, outcome: Mapping[str, Any]) -> None:
        """What `diagnosis_of` returned."""
        recommended = outcome["recommendation"]
        mark = ["SIMULATED recordings"] if outcome["simulated"] else []
        self.found.setText("\n\n".join([*mark, *(f"• {line}" for line in outcome["lines"])]))
        phases, ensemble = recommended.get("phases", ()), recommended.get("ensemble", 1)
        lines = [f"Training: {' then '.join(phases)}; ensemble of {ensemble} where drives are to be chosen"]
        lines += [f"• {reason}" for reason in recommended.get("reasons", ())]
        self.called_for.setText("\n\n".join(lines))
        self._boxes[1].setVisible(True)

    def _follow(self, work: Work) -> None:
        work.ended.connect(self._ended)

    def _ended(self, ended: Ended) -> None:
        if ended.error is None and isinstance(ended.result, Mapping):
            self.show_found(ended.result)

    def _check(self) -> None:
        self.controls.block(trouble_of(self.shelf.recordings.learned_from))

    def _texts(self) -> QWidget:
        whole = QWidget()
        column = QVBoxLayout(whole)
        column.setContentsMargins(0, 0, 0, 0)
        self._boxes = []
        for title, text in (("What the recordings show", self.found), ("Which twin they call for", self.called_for)):
            box = QGroupBox(title)
            inner = QVBoxLayout(box)
            inner.addWidget(text)
            column.addWidget(box)
            self._boxes.append(box)
        column.addStretch(1)
        return whole
