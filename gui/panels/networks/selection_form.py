"""The form of what is chosen: a layer's name and nodes, or a connection's delays and density."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from PySide6.QtCore import Qt
from PySide6.QtWidgets import (
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QSpinBox,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from gui.panels.networks.document import NetworkDocument
from gui.panels.networks.graph_view import Picked, remove
from gui.panels.widgets import button, named, words
from gui.widgets.number_field import NumberField
from labctl.network_editing import (
    Connection,
    NetworkDraft,
    connections,
    delays_key,
    density_key,
    nodes_of,
    rename_layer,
    set_nodes,
    set_value,
    value_at,
)
from labctl.network_schema import INPUT

MOST_NODES = 1000


class SelectionForm(QWidget):
    """Shows what is chosen, and edits it: each field when it is left, or on Return."""

    def __init__(self, document: NetworkDocument, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._document = document
        self._picked = Picked()
        self._devices: tuple[str, ...] = ()
        self.stack = QStackedWidget()
        self.title = QLabel()
        self.title.setObjectName("headline")
        self.name = QLineEdit()
        named(self.name, "Name of the layer", "Letters, digits, _ and -")
        self.name.editingFinished.connect(self._rename)
        self.counts: dict[str, QSpinBox] = {}
        self._counts_form = QFormLayout()
        self.conditions: dict[str, QLineEdit] = {}
        self._conditions_form = QFormLayout()
        self.delays = QLineEdit()
        named(self.delays, "Steps ago", "Whole numbers of steps, such as 0, 2, 4; empty: as the task's plan has them")
        self.delays.editingFinished.connect(self._set_delays)
        self.density = NumberField(
            "Part of the weights", "Which part of the weights exists, drawn at random; the others stay 0",
            unit="%", low=0.1, high=100.0,
        )  # fmt: skip
        self.density.edit.editingFinished.connect(self._set_density)
        self.shared = words()
        self.remove = button("Remove", "Take it out of the network (Del in the drawing)", self._remove)
        self._lay_out()
        document.changed.connect(lambda: self.show_picked(self._picked))
        self.show_picked(Picked())

    def _lay_out(self) -> None:
        nothing = QWidget()
        column = QVBoxLayout(nothing)
        column.setContentsMargins(0, 0, 0, 0)
        self.hint = words("dim")
        column.addWidget(self.hint)
        column.addLayout(self._conditions_form)
        column.addStretch(1)
        layer = QWidget()
        form = QFormLayout(layer)
        form.setContentsMargins(0, 0, 0, 0)
        form.addRow("Name", self.name)
        form.addRow("Nodes on", QLabel(""))
        form.addRow(self._counts_form)
        edge = QWidget()
        form = QFormLayout(edge)
        form.setContentsMargins(0, 0, 0, 0)
        form.addRow("Steps ago", self.delays)
        form.addRow("Weights", self.density)
        form.addRow(self.shared)
        for page in (nothing, layer, edge):
            self.stack.addWidget(page)
        head = QHBoxLayout()
        head.addWidget(self.title, 1)
        head.addWidget(self.remove)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addLayout(head)
        column.addWidget(self.stack, 1)

    def show_devices(self, devices: tuple[str, ...]) -> None:
        """The devices that nodes can be on."""
        if devices != self._devices:
            self._devices = devices
            while self._counts_form.rowCount():
                self._counts_form.removeRow(0)
            self.counts = {}
            for device in devices:
                box = QSpinBox(maximum=MOST_NODES)
                named(
                    box,
                    f"Nodes on {device}",
                    f"How many nodes of this layer are on {device}; it plays one after another",
                )
                box.editingFinished.connect(self._set_counts)
                self.counts[device] = box
                self._counts_form.addRow(device, box)
        self.show_picked(self._picked)

    def show_conditions(self, channels: Mapping[str, str]) -> None:
        """The set-points that there are, with their units."""
        if tuple(channels) != tuple(self.conditions):
            while self._conditions_form.rowCount():
                self._conditions_form.removeRow(0)
            self.conditions = {}
            for name, unit in channels.items():
                field = QLineEdit()
                field.setPlaceholderText("as the twins were recorded")
                named(field, f"Set-point {name}", f"{unit and f'In {unit}. '}A number: held there. Low .. high: trained within. "
                                                  "Empty: as the twins were recorded")  # fmt: skip
                field.editingFinished.connect(lambda name=name: self._set_condition(name))
                self.conditions[name] = field
                self._conditions_form.addRow(f"{name}{unit and f' ({unit})'}", field)
        self.hint.setText("Choose a layer or a connection to edit it." + (" Set-points:" if channels else ""))
        for name, field in self.conditions.items():
            if not field.hasFocus():
                field.setText(condition_text(value_at(self._document.draft, ("conditions", name))))

    def _set_condition(self, name: str) -> None:
        text = self.conditions[name].text().strip()
        try:
            value = condition_of(text)
        except ValueError:
            self._document.refused.emit(f"{name}: {text!r} is neither a number nor low .. high")
            return
        if condition_text(value) != condition_text(value_at(self._document.draft, ("conditions", name))):
            self._document.edit(f"set-point {name}", lambda one: set_value(one, ("conditions", name), value))

    def show_picked(self, what: Picked) -> None:
        """Show this, or nothing where it is not there any more."""
        draft = self._document.draft
        connection = _connection(draft, what)
        self._picked = what if what.layer in draft.layers or connection is not None else Picked()
        self.remove.setEnabled(self._picked != Picked())
        self.remove.setToolTip("Take it out of the network (Del in the drawing)" if self._picked != Picked()
                               else "Nothing is chosen")  # fmt: skip
        if self._picked.layer:
            self.title.setText(f"Layer {what.layer}")
            self.stack.setCurrentIndex(1)
            self.name.setText(what.layer)
            counts = nodes_of(draft, what.layer)
            for device, box in self.counts.items():
                box.setValue(counts.get(device, 0))
        elif connection is not None:
            self.title.setText(f"{connection.source} → {connection.target}")
            self.stack.setCurrentIndex(2)
            self.delays.setText("" if connection.delays is None else ", ".join(map(str, connection.delays)))
            self.delays.setPlaceholderText("as the task's plan")
            self.density.set_value(100 * connection.density)
            kind = "the input" if connection.source == INPUT else "any layer"
            self.shared.setText(f"Both hold for all that {connection.target} hears of {kind}. All weights are trained.")
        else:
            self.title.setText("The whole network")
            self.stack.setCurrentIndex(0)

    def edit(self, what: Picked) -> None:
        """Show this, and put the cursor into its first field."""
        self.show_picked(what)
        first: QWidget = self.name if self._picked.layer else self.delays
        if self._picked.layer and self.counts:
            first = next(iter(self.counts.values()))
        first.setFocus(Qt.FocusReason.OtherFocusReason)

    def _rename(self) -> None:
        layer, to = self._picked.layer, self.name.text().strip()
        if not layer or to == layer:
            return
        self._picked = Picked(layer=to)
        if not self._document.edit(f"rename {layer}", lambda one: rename_layer(one, layer, to)):
            self.show_picked(Picked(layer=layer))

    def _set_counts(self) -> None:
        layer = self._picked.layer
        if not layer:
            return
        wanted = {device: box.value() for device, box in self.counts.items() if box.value()}
        before = nodes_of(self._document.draft, layer)
        others = {device: count for device, count in before.items() if device not in self.counts}
        if {**others, **wanted} == before:
            return
        if not self._document.edit(f"nodes of {layer}", lambda one: set_nodes(one, layer, {**others, **wanted})):
            self.show_picked(self._picked)

    def _set_delays(self) -> None:
        source, target = self._picked.source, self._picked.target
        if not target:
            return
        text = self.delays.text().strip()
        try:
            steps = [int(part) for part in text.replace(";", ",").split(",")] if text else None
        except ValueError:
            self._document.refused.emit(f"{text!r}: whole numbers of steps are needed, such as 0, 2, 4")
            return
        now = _connection(self._document.draft, self._picked)
        if now is not None and steps == (None if now.delays is None else list(now.delays)):
            return
        key = ("layers", target, delays_key(source))
        self._document.edit(f"delays of {target}", lambda one: set_value(one, key, steps))

    def _set_density(self) -> None:
        source, target, value = self._picked.source, self._picked.target, self.density.value
        now = _connection(self._document.draft, self._picked)
        if not target or value is None or now is None or value / 100 == now.density:
            return
        key = ("layers", target, density_key(source))
        self._document.edit(
            f"weights of {target}", lambda one: set_value(one, key, None if value == 100 else value / 100)
        )

    def _remove(self) -> None:
        remove(self._document, self._picked)


def _connection(draft: NetworkDraft, what: Picked) -> Connection | None:
    return next((one for one in connections(draft) if (one.source, one.target) == (what.source, what.target)), None)


def condition_of(text: str) -> float | dict[str, float] | None:
    """ "0.1": held there; "-0.1 .. 0.1": trained within; "": not said. Raises ValueError for anything else."""
    if not text:
        return None
    if ".." in text or "…" in text:
        low, _, high = text.replace("…", "..").partition("..")
        return {"low": float(low), "high": float(high)}
    return float(text)


def condition_text(value: Any) -> str:
    """The same the other way round."""
    if value is None:
        return ""
    if isinstance(value, Mapping):
        if "low" in value:
            return f"{value['low']:g} .. {value['high']:g}"
        return f"{value.get('value', 0):g}"
    return f"{value:g}"
