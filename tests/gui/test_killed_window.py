"""A window that is killed, and one whose instruments hang: outputs end off, as asked over sockets of the tests' own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from pytestqt.qtbot import QtBot

sys.path.insert(0, str(Path(__file__).parent))

from test_safe_anywhere import is_on

from gui.controller import State
from gui.main_window import MainWindow
from labctl.simulation import SimulatedBench

WAIT_MS = 60_000
VICTIM = """
import sys
from pathlib import Path
from PySide6.QtWidgets import QApplication
from gui.main_window import MainWindow
application = QApplication([])
window = MainWindow(runs_folder=Path(sys.argv[2]), guarded=True)
window.show()
def drive():
    def done(_):
        print("on", flush=True)
    window.desk.call(lambda: window.controller.bench.set("leaky_drive", 1.0), done=done)
window.controller.guarded.connect(drive)
window.controller.open_station(Path(sys.argv[1]))
application.exec()
"""


def test_a_window_that_is_killed_leaves_its_outputs_off(
    qtbot: QtBot, own_simulation: SimulatedBench, tmp_path: Path
) -> None:
    station = own_simulation.write_station(tmp_path / "station.toml")
    runs = tmp_path / "runs"
    window = subprocess.Popen(
        [sys.executable, "-c", VICTIM, str(station), str(runs)], stdout=subprocess.PIPE, text=True
    )
    assert window.stdout is not None
    assert window.stdout.readline() == "on\n"
    assert is_on(own_simulation)
    window.send_signal(signal.SIGKILL)
    window.wait()
    window.stdout.close()
    qtbot.waitUntil(lambda: not is_on(own_simulation), timeout=WAIT_MS)
    qtbot.waitUntil(lambda: bool(list(runs.glob("*_guardian_*.txt"))), timeout=WAIT_MS)
    (report,) = runs.glob("*_guardian_*.txt")
    qtbot.waitUntil(lambda: "leaky_drive: safe" in report.read_text(), timeout=WAIT_MS)


def test_outputs_whose_instrument_hung_are_made_safe_once_it_answers_again(
    qtbot: QtBot, opened: Callable[..., MainWindow], own_station: Path, own_simulation: SimulatedBench
) -> None:
    window = opened(own_station)
    assert window.controller.bench is not None
    window.controller.bench.set("leaky_drive", 1.0)
    assert is_on(own_simulation)
    os.kill(own_simulation.pid, signal.SIGSTOP)
    try:
        window.safe_button.click()
        qtbot.waitUntil(lambda: "no end yet: " in window.log.text(), timeout=WAIT_MS)
        qtbot.waitUntil(lambda: window.controller.state is State.READY, timeout=WAIT_MS)
        told = window.top_bar.state.whole()
        assert told.startswith("⚠ OUTPUTS NOT ALL KNOWN TO BE SAFE: leaky_drive") and "as soon as they answer" in told
    finally:
        os.kill(own_simulation.pid, signal.SIGCONT)
    qtbot.waitUntil(lambda: not is_on(own_simulation), timeout=WAIT_MS)
    qtbot.waitUntil(lambda: "all outputs safe, read back: " in window.top_bar.state.whole(), timeout=WAIT_MS)


MAIN = """
import sys
from pathlib import Path
import gui.app, gui.main_window, gui.shell.parting
gui.shell.parting.LONGEST_MS = 1500
class Window(gui.main_window.MainWindow):
    def __init__(self, **options):
        super().__init__(**options)
        self.controller.guarded.connect(self.drive)
    def drive(self):
        done = lambda _: print("on", flush=True)
        self.desk.call(lambda: self.controller.bench.set("leaky_drive", 1.0), done=done)
gui.app.MainWindow = Window
sys.exit(gui.app.main(station=Path(sys.argv[1]), simulated=None, runs_folder=Path(sys.argv[2]), theme=None))
"""


def test_one_signal_ends_a_window_whose_instruments_do_not_answer_and_the_guardian_goes_on(
    qtbot: QtBot, own_simulation: SimulatedBench, tmp_path: Path
) -> None:
    station = own_simulation.write_station(tmp_path / "station.toml")
    runs = tmp_path / "runs"
    with (tmp_path / "said").open("w") as said:
        window = subprocess.Popen(
            [sys.executable, "-c", MAIN, str(station), str(runs)], stdout=subprocess.PIPE, stderr=said, text=True
        )
    assert window.stdout is not None
    assert window.stdout.readline() == "on\n"
    os.kill(own_simulation.pid, signal.SIGSTOP)
    try:
        window.send_signal(signal.SIGTERM)
        assert window.wait(WAIT_MS / 1000) == 1
        window.stdout.close()
        told = (tmp_path / "said").read_text()
        assert "OUTPUTS NOT KNOWN TO BE SAFE" in told and "leaky_drive" in told
    finally:
        os.kill(own_simulation.pid, signal.SIGCONT)
    qtbot.waitUntil(lambda: not is_on(own_simulation), timeout=WAIT_MS)
    qtbot.waitUntil(lambda: bool(list(runs.glob("*_guardian_*.txt"))), timeout=WAIT_MS)
