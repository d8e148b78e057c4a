"""The form of the Record panel: device, what is played to it, set-points held, seed and name."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from PySide6.QtCore import QEvent, Qt, Signal
from PySide6.QtWidgets import QComboBox, QFormLayout, QGroupBox, QLineEdit, QScrollArea, QVBoxLayout, QWidget

from gui.panels.record.design_form import DesignForm
from gui.panels.record.wanted import Wanted
from gui.panels.widgets import named, words
from gui.widgets.number_field import NumberField
from gui.widgets.settings_form import SettingsForm
from labctl.bench.film_plan import LARGEST_SEED, FilmRequest
from labctl.design_options import DESIGNS
from labctl.errors import UsageError
from labctl.station import Channel, Device, Station

FILM_DEFAULTS = {"n_trials": 4, "n_frames": 60}
FILM_LABELS = {"n_trials": "Trials", "n_frames": "Frames a trial", "interval_s": "Interval", "light": "Light"}
FILM_TOLD = {
    "n_trials": "How often the device is started and filmed",
    "n_frames": "Frames of a trial",
    "interval_s": "Time from frame to frame; empty: as the station says",
    "start": "How each trial begins, as the station knows it",
    "light": "Off: frames without light, for a dark reference",
}
SHORTEST_CHOICE = 14
"""Letters of a choice that are seen at the least; the whole of it stands in its list."""
GO_ON = "none: go on with what is there"


class Choices(QScrollArea):
    """Emits `changed` with every change; `wanted()` is what is asked for."""

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._station: Station | None = None
        self.device, self.design = QComboBox(), QComboBox()
        for box in (self.device, self.design):
            box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
            box.setMinimumContentsLength(SHORTEST_CHOICE)
        named(self.device, "Device", "What is recorded")
        named(self.design, "Excitation", "What is played to the device")
        for kind in DESIGNS.values():
            self.design.addItem(kind.title, kind)
            self.design.setItemData(self.design.count() - 1, " ".join((kind.__doc__ or "").split()), 3)
        self.about = words("dim")
        self.options: SettingsForm | None = None
        self.conditions: dict[str, NumberField] = {}
        self.seed = NumberField("Seed", "Random choices are drawn from it: the same seed, the same drive", whole=True,
                                low=0, high=LARGEST_SEED, value=1)  # fmt: skip
        self.name = QLineEdit()
        self.name.setPlaceholderText("the device's")
        named(self.name, "Name", "What the files are called; empty: as the device")
        self._lay_out()
        self.device.currentIndexChanged.connect(lambda _: self._show_device())
        self.design.currentIndexChanged.connect(lambda _: self._show_design())
        self.seed.changed.connect(self.changed)
        self.name.textChanged.connect(lambda _: self.changed.emit())

    def _lay_out(self) -> None:
        top = QFormLayout()
        self._top = top
        top.addRow("Device", self.device)
        top.addRow(self.about)
        top.addRow("Excitation", self.design)
        self._options_box = QVBoxLayout()
        self._held = QGroupBox("Held meanwhile")
        self._held.setToolTip("Set-points of the device while it is recorded; empty: they stay as they are")
        self._held_rows = QFormLayout(self._held)
        self._bottom = bottom = QFormLayout()
        bottom.addRow("Seed", self.seed)
        bottom.addRow("Name", self.name)
        self._inside = inside = QWidget()
        column = QVBoxLayout(inside)
        column.setContentsMargins(4, 4, 8, 4)
        column.addLayout(top)
        column.addLayout(self._options_box)
        column.addWidget(self._held)
        column.addLayout(bottom)
        column.addStretch(1)
        self.setWidget(inside)
        self.setWidgetResizable(True)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setFrameShape(QScrollArea.Shape.NoFrame)
        self.setAccessibleName("What is recorded")

    def show_station(self, station: Station | None) -> None:
        """Offer the devices of this station."""
        self._station = station
        chosen = self.device.currentText()
        self.device.blockSignals(True)
        self.device.clear()
        for name in () if station is None else station.devices:
            self.device.addItem(name)
        self.device.setCurrentIndex(max(self.device.findText(chosen), 0 if self.device.count() else -1))
        self.device.blockSignals(False)
        self._show_device()

    @property
    def station(self) -> Station | None:
        """Whose devices are offered."""
        return self._station

    @property
    def filmed(self) -> bool:
        """Whether the device that is chosen is seen by a camera."""
        device = self._chosen
        return device is not None and self._station is not None and self._station.image_of(device) is not None

    def wanted(self) -> Wanted:
        """What is asked for; raises UsageError, naming the field and what is allowed."""
        device = self._chosen
        if device is None or self.options is None:
            raise UsageError("no station is open: open one in the Station panel, or start the simulated bench there")
        for label, field in [("Seed", self.seed), *self.conditions.items()]:
            if field.trouble:
                raise UsageError(f"{label}: {field.trouble}")
        seed = int(self.seed.value or 0)
        held = {name: field.value for name, field in self.conditions.items() if field.value is not None}
        name = self.name.text().strip()
        if name and not all(letter.isalnum() or letter in "-_. " for letter in name):
            raise UsageError(f"Name: {name!r} is no part of a file's name; letters, digits, - and _ are")
        if self.filmed:
            request = FilmRequest(device=device.name, conditions=held or None, seed=seed, **self._film_values())
            return Wanted(device.name, None, request, seed, held, name)
        design = self.design.currentData()(**self.options.values())
        return Wanted(device.name, design, None, seed, held, name)

    @property
    def _chosen(self) -> Device | None:
        name = self.device.currentText()
        return None if self._station is None else self._station.devices.get(name)

    def _film_values(self) -> dict[str, Any]:
        assert self.options is not None  # there is a form where there is a device
        return {**FILM_DEFAULTS, **self.options.values()}

    def _show_device(self) -> None:
        device, station = self._chosen, self._station
        self.about.setText("" if device is None or station is None else about(device, station))
        self._top.setRowVisible(self.design, not self.filmed)
        while self._held_rows.rowCount():
            self._held_rows.removeRow(0)
        self.conditions = {}
        held = [] if device is None or station is None else [station.channels[name] for name in device.conditions]
        for channel in held:
            if channel.kind == "set":
                self.conditions[channel.name] = field = _condition(channel)
                field.changed.connect(self.changed)
                self._held_rows.addRow(channel.name, field)
        self._held.setVisible(bool(self.conditions))
        self._show_design()

    def _show_design(self) -> None:
        if self.options is not None:
            self._options_box.removeWidget(self.options)
            self.options.deleteLater()
        device, station = self._chosen, self._station
        self.options = None
        if device is not None and station is not None:
            self.options = self._film_form(device) if self.filmed else DesignForm(
                self.design.currentData(), unit=_unit(device, station)
            )  # fmt: skip
            self.options.changed.connect(self.changed)
            self._options_box.addWidget(self.options)
        self.design.setToolTip(str(self.design.currentData(3) or ""))
        self._line_up()
        self.changed.emit()

    def _line_up(self) -> None:
        """Fields of all parts of the form below one another, and Tab goes through them from top to bottom."""
        forms = [self._top, self._held_rows, self._bottom, *([] if self.options is None else [self.options.form])]
        rows = [form.itemAt(row, QFormLayout.ItemRole.LabelRole) for form in forms for row in range(form.rowCount())]
        labels = [widget for row in rows if row is not None and (widget := row.widget()) is not None]
        for label in labels:
            label.setMinimumWidth(0)
        widest = max(label.sizeHint().width() for label in labels)
        for label in labels:
            label.setMinimumWidth(widest)
        self._fit()
        options = [] if self.options is None else [field.widget for field in self.options.fields.values()]
        order = [self.device, self.design, *options, *self.conditions.values(), self.seed, self.name]
        for before, after in pairwise(order):
            QWidget.setTabOrder(before, after)

    def _fit(self) -> None:
        """As wide as the form at the least: it is scrolled up and down only."""
        self.setMinimumWidth(self._inside.minimumSizeHint().width() + self.verticalScrollBar().sizeHint().width())

    def changeEvent(self, event: QEvent) -> None:
        """Larger text wants more room."""
        super().changeEvent(event)
        if event.type() == QEvent.Type.FontChange and hasattr(self, "_bottom"):
            self._line_up()

    def _film_form(self, device: Device) -> SettingsForm:
        starts = (*device.starts, "")
        form = SettingsForm(
            FilmRequest,
            only=("n_trials", "n_frames", "interval_s", "start", "light"),
            labels=FILM_LABELS,
            told=FILM_TOLD,
            choices={"start": starts},
            units={"interval_s": "s"},
            limits={"n_trials": (1.0, 1e6), "n_frames": (1.0, 1e6), "interval_s": (1e-6, 1e6)},
        )
        form.show_values(FILM_DEFAULTS)
        box = form.fields["start"].widget
        assert isinstance(box, QComboBox)
        box.setItemText(box.count() - 1, GO_ON)
        return form


def about(device: Device, station: Station) -> str:
    """A device in one or two lines."""
    channels = [station.channels[name] for name in device.drive]
    driven = ", ".join(f"{one.name} ({one.limits[0]:g} … {one.limits[1]:g} {one.unit})" for one in channels)
    seen = ", ".join(device.response)
    if not driven:
        return f"filmed: {seen}, a frame every {device.dt_s:g} s"
    return f"drives {driven}; records {seen}; {device.sample_rate_Hz:g} samples a second"


def _unit(device: Device, station: Station) -> str:
    units = {station.channels[name].unit for name in device.drive}
    return units.pop() if len(units) == 1 else ""


def _condition(channel: Channel) -> NumberField:
    low, high = channel.limits
    field = NumberField(
        channel.name, f"{channel.name} is ramped there and held; empty: it stays as it is", unit=channel.unit, low=low,
        high=high, optional=True,
    )  # fmt: skip
    field.edit.setPlaceholderText("as it is")
    return field
