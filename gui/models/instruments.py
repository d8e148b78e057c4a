"""The station's instruments, who answers there, and whether they still do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from PySide6.QtCore import QObject

from gui.models.rows import Column, RowsModel
from labctl.station import Station


@dataclass(slots=True)
class InstrumentRow:
    """An instrument of the station file; `identity` is what it answered, `trouble` why it does not."""

    name: str
    driver: str
    address: str
    identity: str = ""
    simulated: bool = False
    trouble: str = ""

    @property
    def who(self) -> str:
        """Maker and model, serial number, address: a line each."""
        maker, model, serial, *_ = (*self.identity.split(","), "", "", "")
        named = f"{maker.strip()} {model.strip()}".strip() or "has not said who it is"
        return f"{named}\nserial {serial.strip() or '–'}\n{self.address}"

    @property
    def state(self) -> str:
        """One word."""
        if self.trouble:
            return "unreachable"
        if not self.identity:
            return "not asked"
        return "SIMULATED" if self.simulated else "connected"


class InstrumentsModel(RowsModel):
    """One row an instrument, of three lines."""

    def __init__(self, parent: QObject | None = None) -> None:
        columns = (
            Column("Instrument", "Its name in the station file", lambda row: row.name, hint=_hint),
            Column("State", "SIMULATED, connected or unreachable", lambda row: row.state, hint=_hint),
            Column("Identity and address", "What it answered to *IDN?, and where", lambda row: row.who, hint=_hint),
        )
        super().__init__(columns, parent)

    def show_station(self, station: Station | None, identities: Mapping[str, object]) -> None:
        """Show the instruments of a station with the identities that they gave."""
        tables = station.instruments if station else {}
        rows = []
        for name, table in tables.items():
            identity = identities.get(name)
            simulated = bool(getattr(identity, "simulated", False))
            text = "" if identity is None else str(identity)
            rows.append(InstrumentRow(name, table.driver, table.address, text, simulated))
        self.reset(rows)

    def show_troubles(self, troubles: Mapping[str, str]) -> None:
        """Mark exactly these instruments as unreachable, and say why."""
        changed = []
        for number, row in enumerate(self.rows):
            trouble = troubles.get(row.name, "")
            if trouble != row.trouble:
                row.trouble = trouble
                changed.append(number)
        self.changed(changed)


def _hint(row: InstrumentRow) -> str:
    lines = [f"{row.name}: {row.identity or 'has not said who it is'}", f"{row.address}, driver {row.driver}"]
    return "\n".join([*lines, row.trouble] if row.trouble else lines)
