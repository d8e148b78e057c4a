"""The devices with their twins: those of the runs folder are found, the best of each is taken until a person chooses."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QGroupBox, QVBoxLayout, QWidget

from gui.desk import Desk
from gui.panels.networks.boxes import allow, row, while_there
from gui.panels.networks.document import NetworkDocument
from gui.panels.networks.tables import DevicesModel, card_path
from gui.panels.tables import table
from gui.panels.widgets import button
from gui.widgets.file_dialogs import ask_for_file
from labctl.chosen_twins import best_twins, device_of_twin, doubts
from labctl.errors import UsageError
from labctl.network_editing import set_twin
from labctl.twin_cards import TwinCard, twins_below

USUAL_TIP = "Replace the layers by the network that is usual for the task, on the devices with twins"


class DevicesBox(QGroupBox):
    """`looked`: what twins there are is known now. `usual_asked`: a person wants the usual network."""

    looked = Signal()
    usual_asked = Signal()

    def __init__(self, desk: Desk, document: NetworkDocument, parent: QWidget | None = None) -> None:
        super().__init__("2  Devices and twins", parent)
        self._desk, self._document = desk, document
        self._cards: dict[Path, TwinCard] = {}
        self.model = DevicesModel(self)
        self.view = table(self.model, name="Devices and their twins", stretch=1, widths={0: 78, 2: 52})
        self.add_twin = button("Add twin …", "Choose the file of a device's twin", self._choose_twin)
        self.usual = button("Usual network", USUAL_TIP, self.usual_asked.emit)
        column = QVBoxLayout(self)
        column.setContentsMargins(6, 6, 6, 6)
        column.addWidget(self.view, 1)
        column.addLayout(row(self.add_twin, self.usual))
        document.changed.connect(self.refresh)
        desk.controller.opened.connect(lambda _: self.refresh())
        self.refresh()

    @property
    def devices(self) -> tuple[str, ...]:
        """That nodes can be on."""
        return tuple(one.device for one in self.model.rows)

    @property
    def doubts(self) -> list[str]:
        """Why what is optimised on the chosen twins will not be applied unasked."""
        cards = {one.device: one.card for one in self.model.rows if one.card is not None}
        return doubts(self._document.draft.devices, cards)

    @property
    def chosen(self) -> str:
        """The device of the chosen row, or of the first; there must be one."""
        return self.devices[max(self.view.currentIndex().row(), 0)]

    def refresh(self) -> None:
        """Show the devices of the network, of the twins and of the station."""
        draft, bench = self._document.draft, self._desk.controller.bench
        station = () if bench is None else tuple(name for name, one in bench.station.devices.items() if one.drive)
        self.model.show_devices(draft, self._cards, station)
        allow(self.usual, USUAL_TIP, "" if draft.twins else "Add a twin first")

    def look(self, extra: Sequence[Path] = (), *, choose: bool = True) -> None:
        """Read what twins the runs folder has, and these files; the best of each device is taken where none is chosen."""
        folder, known = self._desk.runs_folder, tuple(self._cards.values())
        wanted = [*extra, *self._document.draft.twins.values()]
        self._desk.call(
            lambda: twins_below(folder, extra=wanted, known=known),
            done=while_there(
                self,
                lambda cards: self._found(cards, [card_path(one.absolute()) for one in extra], choose=choose),
            ),
            name="Looking for twins",
        )

    def _found(self, cards: list[TwinCard], asked: list[Path], *, choose: bool) -> None:
        self._cards = {card.path: card for card in cards}
        bench = self._desk.controller.bench
        station = None if bench is None else bench.station
        best = best_twins(cards, station, asked=asked)
        first = choose and not self._document.draft.twins
        taken = best if first else {name: card for name, card in best.items() if card.path in asked}
        for card in (one for one in cards if one.path in asked and not device_of_twin(one, station)):
            self._desk.trouble(
                UsageError(card.problem or f"{card.path}: says nothing of a device"), doing="Adding a twin"
            )
        draft = self._document.draft
        for name, card in taken.items():
            draft = set_twin(draft, name, card.path.with_suffix(""))
        if draft != self._document.draft:
            if self._document.empty:
                self._document.show(draft)  # found, not done by anybody: nothing to undo
            else:
                self._document.edit("choose twins", lambda _: draft)
        self.refresh()
        self.looked.emit()

    def _choose_twin(self) -> None:
        ask_for_file(self, "Twin", self._desk.runs_folder, "Twins (*.json)", lambda path: self.look([path]))
