"""Choose a campaign, its seed and its folder; run it, stop it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QComboBox, QFileDialog, QHBoxLayout, QLabel, QLineEdit, QSpinBox, QWidget

from gui.controller import State
from gui.offers import Offer
from gui.panels.widgets import button, named

LARGEST_SEED = 2**31 - 1


class RunPanel(QWidget):
    """One row; emits `run_asked(offer, folder, seed)` and `stop_asked()`."""

    run_asked = Signal(object, object, int)
    stop_asked = Signal()

    def __init__(self, *, runs_folder: Path, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._offers: Sequence[Offer] = ()
        self.campaign = QComboBox()
        self.campaign.setMinimumWidth(160)
        self.campaign.currentIndexChanged.connect(self._explain)
        self.seed = QSpinBox()
        self.seed.setRange(0, LARGEST_SEED)
        self.seed.setValue(1)
        self.seed.setMaximumWidth(90)
        self.folder = QLineEdit(str(runs_folder))
        named(self.campaign, "Campaign", "What to run")
        named(self.seed, "Seed", "Seed of all random choices")
        named(self.folder, "Folder for runs", "")
        self.folder.textChanged.connect(self._explain_folder)
        self._explain_folder(self.folder.text())
        choose = button("…", "Choose the folder for runs", self._choose_folder, name="Choose the folder for runs")
        choose.setMaximumWidth(32)
        self.run = button("Run", "Start the campaign (Ctrl+R)", self._ask, keys="Ctrl+R")
        stop_tip = "Stop before the next event, then make the outputs safe (Ctrl+.)"
        self.stop = button("Stop", stop_tip, self.stop_asked.emit, keys="Ctrl+.")
        row = QHBoxLayout(self)
        row.setContentsMargins(4, 4, 4, 0)
        for widget in (QLabel("Campaign"), self.campaign, QLabel("Seed"), self.seed, QLabel("Folder")):
            row.addWidget(widget)
        row.addWidget(self.folder, 1)
        for control in (choose, self.run, self.stop):
            row.addWidget(control)
        self.show_state(State.EMPTY)

    def show_offers(self, offers: Sequence[Offer]) -> None:
        """The campaigns to choose from."""
        self._offers = tuple(offers)
        self.campaign.clear()
        self.campaign.addItems([offer.title for offer in self._offers])

    def show_state(self, state: State) -> None:
        """Enable what makes sense now."""
        ready = state is State.READY and bool(self._offers)
        for widget in (self.run, self.campaign, self.seed, self.folder):
            widget.setEnabled(ready)
        self.stop.setEnabled(state is State.RUNNING)

    def _ask(self) -> None:
        offer = self._offers[self.campaign.currentIndex()]
        name = "".join(letter if letter.isalnum() else "-" for letter in offer.title.lower())
        folder = Path(self.folder.text()).expanduser() / f"{datetime.now():%Y-%m-%dT%H-%M-%S}-{name}"
        self.run_asked.emit(offer, folder, self.seed.value())

    def _explain(self, number: int) -> None:
        if 0 <= number < len(self._offers):
            self.campaign.setToolTip(self._offers[number].explanation)

    def _explain_folder(self, path: str) -> None:
        self.folder.setToolTip(f"Each run gets a folder of its own, named by its time, in\n{path}")

    def _choose_folder(self) -> None:
        chosen = QFileDialog.getExistingDirectory(self, "Folder for runs", self.folder.text())
        if chosen:
            self.folder.setText(chosen)
