"""The station's instruments, who answers there, and whether they still do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject

from gui.models.rows import Column, RowsModel
from labctl.station import Station

if TYPE_CHECKING:
    from labctl.bench.instrument_states import InstrumentStatus

SIGNS = {"SIMULATED": "◆", "connected": "●", "unreachable": "✖", "another one": "⚠", "not asked": "○", "asking …": "…"}
_STATE_HINT = "● connected, ◆ SIMULATED, ✖ unreachable, ⚠ another instrument than expected answers, ○ not asked yet"


@dataclass(slots=True)
class InstrumentRow:
    """An instrument of the station file; `identity` is what it answered, `trouble` why it does not, `advice` what to do."""

    name: str
    driver: str
    address: str
    identity: str = ""
    simulated: bool = False
    trouble: str = ""
    advice: str = ""
    other: bool = False
    asking: bool = False

    @property
    def who(self) -> str:
        """Maker, model and serial number; address and driver: two lines."""
        maker, model, serial, *_ = (*self.identity.split(","), "", "", "")
        named = f"{maker.strip()} {model.strip()}".strip()
        said = f"{named}, serial {serial.strip() or '–'}" if named else "has not said who it is"
        return f"{said}\n{self.address}, {self.driver}"

    @property
    def state(self) -> str:
        """In a word or two."""
        if self.asking:
            return "asking …"
        if self.trouble:
            return "another one" if self.other else "unreachable"
        if not self.identity:
            return "not asked"
        return "SIMULATED" if self.simulated else "connected"

    @property
    def state_text(self) -> str:
        """The state with its sign."""
        return f"{SIGNS[self.state]} {self.state}"


class InstrumentsModel(RowsModel):
    """One row an instrument, of two lines."""

    def __init__(self, parent: QObject | None = None) -> None:
        self.bad_colour = ""
        columns = (
            Column("Instrument", "Its name in the station file", lambda row: row.name, hint=_hint),
            Column("State", _STATE_HINT, lambda row: row.state_text, hint=_hint, colour=self._colour),
            Column("Identity; address and driver", "What it answered to *IDN?, and where", _who, hint=_hint),
        )
        super().__init__(columns, parent)

    def show_station(self, station: Station | None, identities: Mapping[str, object]) -> None:
        """Show the instruments of a station with the identities that they gave."""
        tables = station.instruments if station else {}
        rows = []
        for name, table in tables.items():
            identity = identities.get(name)
            simulated = bool(getattr(identity, "simulated", False)) or (
                identity is not None and table.simulated is True
            )
            text = "" if identity is None else str(identity)
            rows.append(InstrumentRow(name, table.driver, table.address, text, simulated))
        self.reset(rows)

    def show_status(self, status: InstrumentStatus) -> None:
        """Show what asking one instrument came to."""
        for number, row in enumerate(self.rows):
            if row.name == status.name:
                row.asking = False
                row.identity = status.identity or row.identity
                row.simulated = status.state == "simulated" or (row.simulated and not status.ok)
                row.trouble, row.advice = ("", "") if status.ok else (status.reason or status.state, status.advice)
                row.other = status.state == "other"
                self.changed([number])

    def show_asking(self, name: str, *, asking: bool = True) -> None:
        """Mark an instrument as being asked."""
        for number, row in enumerate(self.rows):
            if row.name == name and row.asking is not asking:
                row.asking = asking
                self.changed([number])

    def show_troubles(self, troubles: Mapping[str, str]) -> None:
        """Mark exactly these instruments as unreachable, and say why."""
        changed = []
        for number, row in enumerate(self.rows):
            trouble = troubles.get(row.name, "")
            if bool(trouble) != bool(row.trouble):
                row.trouble, row.advice, row.other = trouble, "", False
                changed.append(number)
        self.changed(changed)

    def row_of(self, name: str) -> InstrumentRow | None:
        """The row of an instrument."""
        found: InstrumentRow | None = next((row for row in self.rows if row.name == name), None)
        return found

    def _colour(self, row: InstrumentRow) -> str | None:
        return self.bad_colour if row.trouble and self.bad_colour else None


def _who(row: InstrumentRow) -> str:
    return row.who


def _hint(row: InstrumentRow) -> str:
    lines = [f"{row.name}: {row.identity or 'has not said who it is'}", f"{row.address}, driver {row.driver}"]
    return "\n".join([*lines, *(one for one in (row.trouble, row.advice) if one)])
