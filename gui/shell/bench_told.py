"""What is told of the bench outside the panels: title, top bar and log; what is known of its outputs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QObject

from gui.controller import State
from gui.panels.messages import read_back_text
from gui.shell.top_bar import WELCOME, WELCOME_TIP
from gui.trouble import Trouble
from labctl.bench import Bench
from labctl.safety import SafeReport

if TYPE_CHECKING:
    from gui.main_window import MainWindow

SAFE = "all outputs safe, read back"
SAFE_SO_FAR = (
    "what ran has not ended yet; it may write nothing more, and at its end all is read back again; read back now"
)
UNSAFE = "OUTPUTS NOT ALL KNOWN TO BE SAFE"
JOBS_WAIT = "JOBS WAIT: outputs not known to be safe"


class BenchTold(QObject):
    """Follows the controller of a window."""

    def __init__(self, window: MainWindow) -> None:
        super().__init__(window)
        self._window = window
        self._outputs = ""
        controller = window.controller
        controller.state_changed.connect(self._show_state)
        controller.opened.connect(self._show_bench)
        controller.station_closed.connect(self._show_no_bench)
        controller.set_by_hand.connect(self._show_set_by_hand)
        controller.made_safe.connect(self.show_safe)
        window.safe_again.slow.connect(self._show_slow)
        controller.nothing_to_make_safe.connect(self._show_nothing_to_make_safe)
        window.desk.queue.changed.connect(self._show)
        self._show_state(controller.state)

    def show_safe(self, report: SafeReport) -> None:
        """Show what was read back when the outputs were made safe."""
        if report.ok:
            values = ", ".join(f"{one.channel} {one.read_back:g} {one.unit}" for one in report.channels)
            lives = self._window.controller.bridge.running
            self._outputs = f"{SAFE_SO_FAR if lives else SAFE}: {values}"
            self._window.log.note(f"{self._outputs[0].upper()}{self._outputs[1:]}")
        else:
            again = "done again as soon as they answer" if self._window.safe_again.waiting else "press Esc to try again"
            self._outputs = f"⚠ {UNSAFE}: {', '.join(one.channel for one in report.channels if not one.ok)}; {again}"
            trouble = Trouble("Not all outputs are known to be safe", read_back_text(report), "")
            self._window.show_trouble(trouble)
        self._show()

    def _show_slow(self, told: str) -> None:
        self._outputs = f"⚠ {told}"
        self._show()

    def _show_state(self, state: State) -> None:
        self._outputs = "outputs in use" if state is State.RUNNING else self._outputs
        self._show()
        self._window.menus.allow_opening(state)

    def _show(self) -> None:
        waits = JOBS_WAIT if self._window.unsafe_notice.unsafe else ""
        bench = self._window.controller.bench
        missing = [] if bench is None else list(bench.not_connected)
        lacks = f"⚠ NOT CONNECTED: {', '.join(missing)}" if missing else ""
        state = self._window.controller.state.value
        told = [self._outputs, state] if UNSAFE in self._outputs else [state, self._outputs]  # never a plain "ready"
        parts = [*told, lacks, waits]
        self._window.top_bar.state.say("   ·   ".join(part for part in parts if part))

    def _show_bench(self, bench: Bench) -> None:
        window, station = self._window, bench.station
        marked = " [SIMULATED]" if bench.simulated else ""
        window.setWindowTitle(f"{station.name}{marked} – labctl")
        window.top_bar.show_station(station.name, str(station.path or ""), simulated=bench.simulated)
        self._outputs = "outputs as found, nothing was written yet"
        window.log.note(f"Opened {station.name}{marked}: {', '.join(bench.identities) or 'no instruments'}")
        if found := bench.driving:
            self._outputs = f"⚠ FOUND ON: {', '.join(found)}; nothing was written yet, Esc makes all safe"
            window.log.warn(f"Outputs were found on: {', '.join(found)}. Esc makes all outputs safe")
        for name, why in bench.not_connected.items():
            window.log.warn(f"Not connected: {why if why.startswith(name) else f'{name}: {why}'}")
        if station.path is not None and window.controller.simulation_pid is None:
            window.show_recent(window.kept.keep_recent("recent_stations", str(station.path)))

    def _show_set_by_hand(self, what: str) -> None:
        self._outputs = f"set by hand: {what}"
        self._show()

    def _show_nothing_to_make_safe(self) -> None:
        opening = self._window.controller.state is State.OPENING
        self._window.log.note(
            "All outputs will be made safe as soon as the station is open"
            if opening
            else "No station is open, so this window drives no output"
        )

    def _show_no_bench(self) -> None:
        self._window.setWindowTitle("labctl")
        self._window.top_bar.show_station(WELCOME, WELCOME_TIP, simulated=False)
        self._outputs = ""
        self._window.log.note("The station was closed; its outputs were made safe")
