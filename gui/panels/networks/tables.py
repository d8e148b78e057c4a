"""The network as tables: what the drawing shows, for whoever works by keyboard or wants figures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from PySide6.QtCore import QObject

from gui.models.rows import Column, RowsModel
from labctl.apply_table import ApplyRow
from labctl.apply_words import proposed_text, ramp_text, verdict_text
from labctl.network_editing import Connection, NetworkDraft, connections, nodes_of
from labctl.network_schema import INPUT
from labctl.twin_cards import TwinCard


def delays_text(connection: Connection) -> str:
    """Steps ago; "as planned" where the task's plan says it."""
    return "as planned" if connection.delays is None else ", ".join(map(str, connection.delays))


class ConnectionsModel(RowsModel):
    """One row a connection."""

    def __init__(self, parent: QObject | None = None) -> None:
        columns = (
            Column("From", "Whom it hears: the input, or a layer", lambda one: one.source),
            Column("To", "The layer that hears", lambda one: one.target, hint=_hears),
            Column("Steps ago", "How many steps ago the values are that it hears", delays_text),
            Column("Weights", "Which part of the weights exists; they are all trained",
                   lambda one: f"{100 * one.density:.0f} %", right=True),
        )  # fmt: skip
        super().__init__(columns, parent)

    def show_draft(self, draft: NetworkDraft) -> None:
        """The connections of this draft."""
        self.reset(connections(draft))


def _hears(one: Connection) -> str:
    return f"{one.target} hears {one.source}{'; this makes the network recurrent' if one.loops else ''}"


class LayersModel(RowsModel):
    """One row a layer."""

    def __init__(self, parent: QObject | None = None) -> None:
        columns = (
            Column("Layer", "Layers are played in this order", lambda row: row[0]),
            Column("Nodes", "How many nodes are on which device; a device plays its nodes one after another",
                   lambda row: ", ".join(f"{count} × {device}" for device, count in row[1].items())),
        )  # fmt: skip
        super().__init__(columns, parent)

    def show_draft(self, draft: NetworkDraft) -> None:
        """The layers of this draft."""
        self.reset([(name, nodes_of(draft, name)) for name in draft.layers])


@dataclass(frozen=True, slots=True)
class DeviceRow:
    """A device that nodes can be on. twin: its file, None where none was chosen. card: what the file says."""

    device: str
    twin: Path | None
    card: TwinCard | None
    n_nodes: int

    @property
    def twin_text(self) -> str:
        """The twin in a few words."""
        if self.twin is None:
            return "no twin chosen"
        return f"{self.twin.stem} ({'not read' if self.card is None else self.card.verdict})"


class DevicesModel(RowsModel):
    """One row a device of the station or of a twin."""

    def __init__(self, parent: QObject | None = None) -> None:
        columns = (
            Column("Device", "Whose nodes can be in the network", lambda row: row.device),
            Column("Twin", "The model that the network is optimised on, and whether it passed its gates",
                   lambda row: row.twin_text, hint=_of_twin),
            Column("Nodes", "How many nodes are on it", lambda row: str(row.n_nodes), right=True),
        )  # fmt: skip
        super().__init__(columns, parent)

    def show_devices(
        self, draft: NetworkDraft, cards: Mapping[Path, TwinCard], station_devices: tuple[str, ...]
    ) -> None:
        """Those of the network, of the chosen twins and of the station."""
        counts: dict[str, int] = {}
        for layer in draft.layers:
            for device, count in nodes_of(draft, layer).items():
                counts[device] = counts.get(device, 0) + count
        names = dict.fromkeys((*draft.devices, *draft.twins, *station_devices))
        rows = []
        for name in names:
            twin = draft.twins.get(name)
            rows.append(
                DeviceRow(name, twin, None if twin is None else cards.get(card_path(twin)), counts.get(name, 0))
            )
        self.reset(rows)


def card_path(twin: Path) -> Path:
    """Under which path a twin's card is kept."""
    return twin if twin.suffix == ".json" else twin.with_name(f"{twin.name}.json")


def _of_twin(row: DeviceRow) -> str:
    if row.twin is None:
        return "Choose the twin of this device: Add twin …"
    return f"{row.twin}\n{row.card.in_words if row.card else ''}"


class ApplyModel(RowsModel):
    """One row an output that applying a network would change."""

    def __init__(self, parent: QObject | None = None) -> None:
        columns = (
            Column("Output", "The channel", lambda row: row.channel),
            Column("What", "A set-point is brought there and held; a drive is played within a range", lambda row: row.kind),
            Column("Now", "As read back from the instrument", _now, right=True),
            Column("Proposed", "What the network wants", lambda row: f"{proposed_text(row)} {row.unit}", right=True),
            Column("Limits", "What the station allows",
                   lambda row: f"{row.limits[0]:g} … {row.limits[1]:g} {row.unit}", right=True),
            Column("Ramp", "How long bringing it there takes", ramp_text, right=True),
            Column("Verdict", "Whether it may be applied", _verdict, hint=_why),
        )  # fmt: skip
        super().__init__(columns, parent)


def _now(row: ApplyRow) -> str:
    return "not known" if row.current is None else f"{row.current:.4g} {row.unit}"


def _verdict(row: ApplyRow) -> str:
    if not row.ok:
        return f"✗ {verdict_text(row)}"
    return "⚠ within limits, perhaps too fast" if row.warned else "✓ within limits"


def _why(row: ApplyRow) -> str:
    return row.refused or row.warned or f"{row.channel} stays within {row.limits[0]:g} … {row.limits[1]:g} {row.unit}"


def sources_for(draft: NetworkDraft) -> list[str]:
    """Whom a layer can hear."""
    return [INPUT, *draft.layers]
