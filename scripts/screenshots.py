"""Takes the pictures of the window in docs/screenshots: one real run of the closed loop on the simulated bench.

    python scripts/screenshots.py docs/screenshots

Draws off screen unless DISPLAY or QT_QPA_PLATFORM says otherwise. Takes as long as the loop takes.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

if "DISPLAY" not in os.environ:
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

from PySide6.QtCore import QEventLoop, QTimer
from PySide6.QtWidgets import QApplication

from gui.controller import State
from gui.main_window import DEFAULT_SIZE, MainWindow
from gui.theme import LIGHT
from labctl.simulation import demo_station_template

LIMIT_S = 1800.0


def wait(until: Callable[[], bool]) -> None:
    """Run Qt's event loop until something is true."""
    loop = QEventLoop()
    watch = QTimer()
    watch.setInterval(10)
    began = time.monotonic()
    watch.timeout.connect(lambda: loop.quit() if until() or time.monotonic() - began > LIMIT_S else None)
    watch.start()
    loop.exec()
    if not until():
        raise TimeoutError(f"waited {LIMIT_S:g} s in vain")


def settle(seconds: float = 0.4) -> None:
    """Let the window draw."""
    end = time.monotonic() + seconds
    wait(lambda: time.monotonic() >= end)


class Camera:
    """Saves pictures of a window, its scale as it is."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def take(self, window: MainWindow, name: str) -> None:
        """Save what the window shows as NAME.png."""
        settle()
        path = self.folder / f"{name}.png"
        if not window.grab().save(str(path)):
            raise OSError(f"{path} could not be written")
        sys.stdout.write(f"{path}\n")
        sys.stdout.flush()


def started(window: MainWindow, key: str) -> bool:
    """Whether a step whose key begins so is under way, or the campaign is over."""
    return window.controller.state is State.READY or any(step.key.startswith(key) for step in window.outcome.steps.rows)


def picture_the_loop(camera: Camera, folder: Path) -> None:
    """Recording, learning, results in light and dark, and the farewell."""
    window = MainWindow(runs_folder=folder / "labctl-runs", theme=LIGHT, farewell_ms=10**8)
    window.resize(*DEFAULT_SIZE)
    window.show()
    window.controller.open_simulated()
    wait(lambda: window.controller.state is State.READY)
    settle(1.5)
    camera.take(window, "opened")
    window.run_panel.run.click()
    wait(lambda: started(window, "twin/"))
    camera.take(window, "recording")
    wait(lambda: started(window, "optimise/"))
    window.plots.setCurrentWidget(window.learning_plot)
    settle(8.0)
    camera.take(window, "learning")
    wait(lambda: window.controller.state is State.READY)
    window.plots.setCurrentWidget(window.trace_plot)
    camera.take(window, "results")
    window.use_theme("dark")
    window.outcome.setCurrentIndex(0)
    camera.take(window, "dark")
    window.use_theme("light")
    window.close()
    wait(lambda: window.controller.state is State.PARTED)
    camera.take(window, "closing")
    window.leave()


def picture_an_error(camera: Camera, folder: Path) -> None:
    """A station file with a mistake in it."""
    station = folder / "station.toml"
    station.write_text(demo_station_template().replace("limits = [-2.0, 2.0]", "limits = [2.0, -2.0]", 1))
    window = MainWindow(runs_folder=folder / "labctl-runs", theme=LIGHT, farewell_ms=0)
    window.resize(*DEFAULT_SIZE)
    window.show()
    window.controller.open_station(station)
    wait(window.error_panel.isVisible)
    camera.take(window, "error")
    window.close()
    wait(lambda: window.controller.state is State.PARTED)


def main() -> int:
    """Take all pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where the PNG files go")
    options = parser.parse_args()
    application = QApplication(sys.argv[:1])
    camera = Camera(options.folder)
    with tempfile.TemporaryDirectory() as folder:
        picture_an_error(camera, Path(folder))
        picture_the_loop(camera, Path(folder))
    application.processEvents()
    return 0


if __name__ == "__main__":
    sys.exit(main())
