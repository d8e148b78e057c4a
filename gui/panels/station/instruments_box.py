"""The instruments: who they are, how they are, and what can be done for one that is lost."""

from __future__ import annotations

from PySide6.QtWidgets import QHBoxLayout, QLabel, QVBoxLayout, QWidget

from gui.controller import State
from gui.desk import Desk
from gui.models.instruments import InstrumentRow, InstrumentsModel
from gui.panels.tables import table
from gui.panels.widgets import button, words
from labctl.bench import Bench
from labctl.bench.instrument_states import InstrumentStatus
from labctl.calls import Call, call

IDENTIFY_TIP = "Ask every instrument who it is (*IDN?); settings and outputs stay as they are"
RECONNECT_TIP = "Close the connection to the chosen instrument, open it again and read its outputs back; writes to none"

SCRIPT_TIP = "Show Identify, and Reconnect of the chosen instrument, as a Python script"


class InstrumentsBox(QWidget):
    """Asks in threads; what is unreachable tells so with what to do, and the others go on."""

    def __init__(self, desk: Desk, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._desk = desk
        self.model = InstrumentsModel(self)
        self.view = table(self.model, name="Instruments", stretch=2, widths={0: 92, 1: 116}, lines=2)
        self.advice = words("advice")
        self.advice.setAccessibleName("What is the matter with an instrument, and what to do")
        self.advice.hide()
        self.identify_button = button("&Identify", IDENTIFY_TIP, self.identify_all, name="Identify all instruments")
        self.reconnect_button = button("&Reconnect", RECONNECT_TIP, self._reconnect_chosen)
        self.script_button = button(
            "Script …", SCRIPT_TIP, self._show_script, name="Show asking the instruments as a script"
        )
        row = QHBoxLayout()
        row.addWidget(QLabel("<b>Instruments</b>"))
        row.addStretch(1)
        row.addWidget(self.identify_button)
        row.addWidget(self.reconnect_button)
        row.addWidget(self.script_button)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addLayout(row)
        column.addWidget(self.view, 1)
        column.addWidget(self.advice)
        self.view.selectionModel().selectionChanged.connect(lambda *_: self._show_buttons())
        self.model.dataChanged.connect(lambda *_: self._show_advice())
        self._asked: set[str] = set()
        self._show_buttons()

    def show_bench(self, bench: Bench | None) -> None:
        """Show the instruments of a bench, those that were not reached as well."""
        self._asked.clear()
        self.model.show_station(bench.station if bench else None, bench.identities if bench else {})
        self._show_buttons()
        self._show_advice()
        if bench is not None and not bench.complete:
            self.identify_all()

    def show_troubles(self, troubles: dict[str, str]) -> None:
        """What reading every channel came to; one that has just been lost is asked for the reason."""
        before = {row.name for row in self.model.rows if row.trouble}
        self.model.show_troubles(troubles)
        self._show_buttons()
        for name in troubles:
            if name not in before:
                self._ask(name, "identify")

    def show_state(self) -> None:
        """The bench is free, or not."""
        self._show_buttons()

    def identify_all(self) -> None:
        """Ask all of them, at the same time."""
        for row in self.model.rows:
            self._ask(row.name, "identify")

    def reconnect(self, name: str) -> None:
        """Get an instrument back."""
        self._ask(name, "reconnect")

    def _reconnect_chosen(self) -> None:
        chosen = self._chosen()
        if chosen is not None:
            self.reconnect(chosen.name)

    def _ask(self, name: str, how: str) -> None:
        bench = self._desk.controller.bench
        if bench is None or name in self._asked:
            return
        self._asked.add(name)
        if how == "reconnect":
            self.model.show_asking(name)
        wanted = call(f"bench.{how}", name)

        def done(status: InstrumentStatus) -> None:
            self._asked.discard(name)
            if self._desk.controller.bench is not bench:
                return
            self.model.show_status(status)
            self._show_buttons()
            if how == "reconnect":
                self._desk.note(f"{name}: {status.state}{': ' + status.reason if status.reason else ''}")

        def failed(error: BaseException) -> None:
            self._asked.discard(name)
            self.model.show_asking(name, asking=False)
            self._desk.trouble(error, doing=f"{how.capitalize()} {name}")

        self._desk.call(lambda: _perform(wanted, bench), done=done, failed=failed, name=f"{how} {name}")

    def calls(self) -> list[Call]:
        """What Identify does, and for the chosen instrument, or the lost one, Reconnect."""
        chosen = self._chosen()
        again = [] if chosen is None else [call("bench.reconnect", chosen.name)]
        return [*(call("bench.identify", row.name) for row in self.model.rows), *again]

    def _show_script(self) -> None:
        self._desk.show_script(self.calls(), title="Ask the instruments")

    def _chosen(self) -> InstrumentRow | None:
        """The chosen row; without a choice the one that is lost, if there is one."""
        rows = self.view.selectionModel().selectedRows()
        if rows:
            chosen: InstrumentRow = self.model.rows[rows[0].row()]
            return chosen
        lost = [row for row in self.model.rows if row.trouble]
        return lost[0] if lost else None

    def _show_buttons(self) -> None:
        state = self._desk.controller.state
        why = "" if state is State.READY else f"Not now: {state.value}"
        chosen = self._chosen()
        self.identify_button.setEnabled(not why)
        self.identify_button.setToolTip(why or IDENTIFY_TIP)
        lacking = why or ("" if chosen else "Choose an instrument in the table first")
        self.reconnect_button.setEnabled(not lacking)
        no_bench = "" if self.model.rows else "No station is open"
        self.script_button.setEnabled(not no_bench)
        self.script_button.setToolTip(no_bench or SCRIPT_TIP)
        self.reconnect_button.setToolTip(lacking or f"{RECONNECT_TIP}: {chosen.name if chosen else ''}")

    def _show_advice(self) -> None:
        lost = [row for row in self.model.rows if row.trouble]
        self.advice.setText(
            "\n".join(f"{row.state_text.split()[0]} {row.name}: {row.advice or row.trouble}" for row in lost)
        )
        self.advice.setToolTip("\n\n".join(f"{row.name}: {row.trouble}" for row in lost))
        self.advice.setVisible(bool(lost))


def _perform(wanted: object, bench: Bench) -> InstrumentStatus:
    from labctl.calls import perform

    status: InstrumentStatus = perform(wanted, bench=bench)
    return status
