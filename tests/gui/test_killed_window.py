"""A window that is killed: its guardian makes the outputs safe, which the test asks for over sockets of its own."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

from pytestqt.qtbot import QtBot

sys.path.insert(0, str(Path(__file__).parent))

from test_safe_anywhere import is_on

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
