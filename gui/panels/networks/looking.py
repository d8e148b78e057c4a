"""What applying a network would change, read from the bench before a person is asked. Reading drives nothing."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from PySide6.QtCore import QObject, Signal

from gui.desk import Desk
from gui.panels.networks.boxes import while_there
from gui.panels.networks.jobs import performed_apart, proposal_call
from gui.work import Work
from labctl.apply_table import ApplyTable, apply_table
from labctl.clearance import shortcomings
from labctl.proposal import Proposal

VOID = "The bench was used since this was read: read again what would change"


@dataclass(frozen=True, slots=True)
class Looked:
    """For which network it was read, what would change, what its gates lack, and which network that is to the letter."""

    network: Path
    table: ApplyTable
    faults: tuple[str, ...]
    rivals: bool
    fingerprint: str


class Looking(QObject):
    """`changed` follows whatever happens. `looked` is None until it was read, and once it holds no more: after any other work
    on the bench, another station, another network."""

    changed = Signal()

    def __init__(self, desk: Desk, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._desk = desk
        self.looked: Looked | None = None
        self.reading = False
        self.void = ""
        self._asked = 0
        desk.controller.opened.connect(lambda _: self.forget())
        desk.controller.station_closed.connect(self.forget)
        desk.work_started.connect(self._other_work)
        desk.controller.set_by_hand.connect(lambda _: self._make_void())

    def forget(self, why: str = "") -> None:
        """What was read holds no more."""
        self._asked += 1
        self.looked, self.reading, self.void = None, False, why
        self.changed.emit()

    def read(self, folder: Path, *, rivals: bool) -> None:
        """Read every output back, and compare; nothing while no bench is open."""
        bench = self._desk.controller.bench
        if bench is None:
            return
        self.forget()
        self.reading, number = True, self._asked
        read = performed_apart(proposal_call(folder))
        self.changed.emit()

        def work() -> Looked:
            proposal: Proposal = read()
            faults = [one for name in proposal.devices for one in shortcomings(name, proposal.gates.get(name, {}))]
            table = apply_table(bench, proposal, rivals=rivals)
            return Looked(folder, table, tuple(faults), rivals, proposal.fingerprint)

        self._desk.call(
            work,
            done=while_there(self, lambda looked: self._have_looked(looked, number)),
            failed=while_there(self, lambda error: self._not_looked(error, number)),
            name="Reading what would change",
        )

    def _have_looked(self, looked: Looked, number: int) -> None:
        if number == self._asked:
            self.reading, self.looked = False, looked
            self.changed.emit()

    def _not_looked(self, error: BaseException, number: int) -> None:
        if number == self._asked:
            self.reading = False
            self.changed.emit()
        self._desk.trouble(error, doing="Reading what would change")

    def _other_work(self, work: Work) -> None:
        if work.job.needs_bench:
            self._make_void()

    def _make_void(self) -> None:
        if self.looked is not None or self.reading:
            self.forget(VOID)
