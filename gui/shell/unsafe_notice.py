"""Says, over every panel, that a bench was left unsafe so that its jobs wait; offers to make it safe and go on."""

from __future__ import annotations

from PySide6.QtWidgets import QFrame, QHBoxLayout, QWidget

from gui.controller import State
from gui.desk import Desk
from gui.panels.widgets import button, words
from labctl.job_queue.entry import bench_name, unsafe_in_words

GO_ON_TIP = "Bring every output to its safe value and read it back; if all are safe, the jobs that wait go on"
BY_HAND_TIP = "You have looked at the instruments yourself, or that bench is there no more: let the jobs go on"


class UnsafeNotice(QFrame):
    """Hidden while nothing is known against any bench."""

    def __init__(self, desk: Desk, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._desk = desk
        self.setObjectName("error")
        self.setAccessibleName("A bench was left unsafe")
        self.message = words("message")
        self.go_on_button = button("Make safe, go on", GO_ON_TIP, desk.controller.make_safe)
        self.by_hand_button = button("I checked: it is safe", BY_HAND_TIP, self._by_hand)
        row = QHBoxLayout(self)
        row.setContentsMargins(10, 6, 10, 6)
        row.addWidget(self.message, 1)
        row.addWidget(self.go_on_button)
        row.addWidget(self.by_hand_button)
        desk.queue.changed.connect(self._show)
        desk.controller.state_changed.connect(lambda _: self._show())
        self._show()

    @property
    def unsafe(self) -> dict[str, str]:
        """What is known, by station, of the bench that is open, or of any where none is."""
        known = dict(self._desk.queue.bench_unsafe)
        bench = self._desk.controller.bench
        if bench is None:
            return known
        return {name: why for name, why in known.items() if name in ("", bench_name(bench.station.path))}

    def _show(self) -> None:
        unsafe, controller = self.unsafe, self._desk.controller
        self.message.setText(
            f"⚠ The outputs may not be safe: {unsafe_in_words(unsafe)}. Jobs with that bench wait until all its outputs "
            "are safe, read back."
        )
        why_not = ""
        if controller.bench is None:
            why_not = "Open its station first (File menu, Ctrl+O)"
        elif controller.state is not State.READY:
            why_not = f"Not now: {controller.state.value}"
        self.go_on_button.setEnabled(not why_not)
        self.go_on_button.setToolTip(why_not or GO_ON_TIP)
        self.setVisible(bool(unsafe))

    def _by_hand(self) -> None:
        for station, why in self.unsafe.items():
            self._desk.note(f"A person says that the bench is safe: {why}")
            self._desk.queue.mark_bench(station, "")
