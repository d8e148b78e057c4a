"""Takes the pictures of the window in docs/screenshots: one real way through it on the simulated bench, by clicks.

    python scripts/screenshots.py docs/screenshots [--runs FOLDER] [--look-only] [--suffix _2x] [--size 1280x800]

Draws off screen unless DISPLAY or QT_QPA_PLATFORM says otherwise. The way through takes about six minutes on two cores.
--look-only takes pictures of the panels as they are with what lies in --runs already; `make screenshots` uses it for
twice the scale. Prints how long each part took.
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

from PySide6.QtCore import QEventLoop, QPoint, Qt, QTimer
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QAbstractButton, QApplication, QCheckBox, QTableView, QTabWidget, QWidget

from gui.app import SWITCH_INTERVAL_S
from gui.controller import State
from gui.main_window import MainWindow
from gui.panels.panel import Panel
from gui.panels.station.set_box import SetBox
from gui.theme import THEMES
from gui.work import Work, WorkState
from labctl.simulation import demo_station_template

LIMIT_S = 900.0
LOOKED = "I have looked at this table, and the bench may be driven like that"
PANELS = ("start", "station", "record", "twins", "networks", "goku", "nca", "runs")


def wait(until: Callable[[], object], *, what: str = "") -> None:
    """Run Qt's event loop until something is true."""
    loop, watch, began = QEventLoop(), QTimer(interval=10), time.monotonic()
    watch.timeout.connect(lambda: loop.quit() if until() or time.monotonic() - began > LIMIT_S else None)
    watch.start()
    loop.exec()
    if not until():
        raise TimeoutError(f"waited {LIMIT_S:g} s in vain for {what or 'something'}")


def settle(seconds: float = 0.5) -> None:
    """Let the window draw."""
    end = time.monotonic() + seconds
    wait(lambda: time.monotonic() >= end)


def click(widget: QWidget) -> None:
    """As with the mouse; raises where a person could not."""
    if not (widget.isVisible() and widget.isEnabled()):
        raise RuntimeError(f"{widget.accessibleName()!r} cannot be clicked: {widget.toolTip()}")
    place = QPoint(8, widget.height() // 2) if isinstance(widget, QCheckBox) else widget.rect().center()
    QTest.mouseClick(widget, Qt.MouseButton.LeftButton, pos=place)
    settle(0.1)


def pressable(panel: QWidget, text: str) -> QAbstractButton:
    """The visible button with this text."""
    found = [one for one in panel.findChildren(QAbstractButton) if one.text().replace("&", "") == text]
    seen = [one for one in found if one.isVisible()]
    if not seen:
        raise RuntimeError(f"no button {text!r} is seen")
    return seen[0]


def press(panel: QWidget, text: str) -> None:
    """Press the visible button with this text, as soon as it can be."""
    wait(lambda: pressable(panel, text).isEnabled(), what=f"the button {text!r}")
    click(pressable(panel, text))


def turn_to(tabs: QTabWidget, title: str) -> None:
    """Choose a tab by what stands on it."""
    for number in range(tabs.count()):
        if title in tabs.tabText(number).replace("&", ""):
            tabs.setCurrentIndex(number)
            return settle(0.3)
    raise RuntimeError(f"no tab {title!r}")


def choose_row(panel: QWidget, text: str) -> None:
    """Click the first row of the visible table in which this stands."""
    for view in panel.findChildren(QTableView):
        model = view.model()
        rows = [row for row in range(model.rowCount()) for column in range(model.columnCount())
                if text in str(model.index(row, column).data())]  # fmt: skip
        if view.isVisible() and rows:
            view.scrollTo(model.index(rows[0], 0))
            place = view.visualRect(model.index(rows[0], 1)).center()
            QTest.mouseClick(view.viewport(), Qt.MouseButton.LeftButton, pos=place)
            return
    raise RuntimeError(f"no row with {text!r} is seen")


class Camera:
    """Saves pictures of a window, and says how long it took from the last to this one."""

    def __init__(self, window: MainWindow, folder: Path, suffix: str) -> None:
        self.window, self.folder, self.suffix = window, folder, suffix
        self._since_s = time.monotonic()
        folder.mkdir(parents=True, exist_ok=True)

    def take(self, name: str) -> None:
        """Save what the window shows as NAME.png."""
        settle()
        path = self.folder / f"{name}{self.suffix}.png"
        if not self.window.grab().save(str(path)):
            raise OSError(f"{path} could not be written")
        now = time.monotonic()
        sys.stdout.write(f"{path} after {now - self._since_s:.1f} s\n")
        sys.stdout.flush()
        self._since_s = now

    def show(self, key: str) -> Panel:
        """Go to a panel by the list on the left."""
        panel = self.window.show_panel(key)
        if panel is None:
            raise RuntimeError(f"the panel {key!r} does not load")
        settle(0.3)
        return panel


def newest(window: MainWindow) -> Work:
    """The work that was started last."""
    return window.desk.works[-1]


def ended(work: Work) -> None:
    """Wait for its end, which must be a good one."""
    wait(lambda: work.over, what=work.job.title)
    if work.state is not WorkState.DONE:
        raise RuntimeError(f"{work.job.title}: {work.state.value}: {work.end}")


def walk_the_loop(camera: Camera) -> None:
    """From nothing to a deployed network."""
    window = camera.window
    start = camera.show("start")
    press(start, "Open it")
    wait(lambda: window.controller.state is State.READY)
    camera.take("start")
    station = camera.show("station")
    station.findChild(SetBox).field.set_value(0.5)
    press(station, "Set")
    settle(4.0)
    camera.take("station")
    turn_to(station.pages, "Edit")  # type: ignore[attr-defined]
    camera.take("station_edit")
    record = camera.show("record")
    settle(1.0)
    camera.take("record_preview")
    press(record, "Start")
    wait(lambda: newest(window).progress.done > 0)
    settle(2.0)
    camera.take("record")
    ended(newest(window))
    wait(lambda: window.controller.state is State.READY)
    press(record, "Diagnose / fit a twin")
    twins = camera.show("twins")
    settle(1.0)
    press(twins, "Fit")
    settle(20.0)
    camera.take("twins_fit")
    ended(newest(window))
    wait(lambda: "redictions" in newest(window).job.title, what="the predictions of the new twin")
    ended(newest(window))
    settle(1.0)
    camera.take("twins")


def walk_the_network(camera: Camera) -> None:
    """From a twin to promised beside measured."""
    window = camera.window
    press(camera.show("twins"), "Use in a network")
    networks = camera.show("networks")
    settle(3.0)
    camera.take("networks")
    press(networks, "Optimise →")
    press(networks, "Optimise")
    settle(20.0)
    camera.take("networks_optimise")
    ended(newest(window))
    camera.take("networks_promised")
    press(networks, "Apply to the bench …")
    press(networks, LOOKED)
    camera.take("networks_apply")
    press(networks, "Apply and measure")
    settle(5.0)
    camera.take("networks_measuring")
    ended(newest(window))
    wait(lambda: window.controller.state is State.READY)
    settle(1.0)
    camera.take("networks_measured")


def walk_the_others(camera: Camera) -> None:
    """GOKU, NCA, runs."""
    window = camera.window
    goku = camera.show("goku")
    press(goku, "Example")
    settle(3.0)
    camera.take("goku")
    press(goku, "Fit and infer")
    ended(newest(window))
    settle(3.0)
    camera.take("goku_results")
    nca = camera.show("nca")
    press(nca, "Train")
    settle(15.0)
    camera.take("nca_train")
    ended(newest(window))
    turn_to(nca.tabs, "Run")  # type: ignore[attr-defined]
    settle(6.0)
    camera.take("nca")
    runs = camera.show("runs")
    camera.take("runs_queue")
    turn_to(runs.pages, "Files")  # type: ignore[attr-defined]
    settle(2.0)
    choose_row(runs, "leaky-training")
    settle(2.0)
    camera.take("runs")


def look(camera: Camera, themes: tuple[str, ...]) -> None:
    """Every panel as it is."""
    for theme in themes:
        camera.window.use_theme(theme)
        for key in PANELS:
            camera.show(key)
            settle(2.0)
            camera.take(f"{key}_{theme}")


def picture_an_error(camera: Camera, folder: Path) -> None:
    """A station file with a mistake in it."""
    station = folder / "station.toml"
    station.write_text(demo_station_template().replace("limits = [-2.0, 2.0]", "limits = [2.0, -2.0]", 1))
    camera.window.controller.open_station(station)
    wait(camera.window.error_panel.isVisible)
    camera.take("error")
    camera.window.error_panel.hide()


def close(camera: Camera) -> None:
    """Outputs safe, read back, gone."""
    window = camera.window
    window.close()
    wait(lambda: window.controller.state is State.PARTED)
    camera.take("closing")
    window.leave()


def main() -> int:
    """Take all pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where the PNG files go")
    parser.add_argument("--runs", type=Path, help="the runs folder (default: one that is thrown away)")
    parser.add_argument("--look-only", action="store_true", help="no way through: the panels as they are")
    parser.add_argument("--suffix", default="", help="put behind each name")
    parser.add_argument("--size", default="1280x800", help="of the window, in logical pixels")
    options = parser.parse_args()
    application = QApplication(sys.argv[:1])
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    width, height = map(int, options.size.split("x"))
    with tempfile.TemporaryDirectory() as folder:
        window = MainWindow(
            runs_folder=options.runs or Path(folder) / "labctl-runs", theme=THEMES["light"], farewell_ms=10**8
        )
        window.resize(width, height)
        window.show()
        camera = Camera(window, options.folder, options.suffix)
        if options.look_only:
            window.controller.open_simulated()
            wait(lambda: window.controller.state is State.READY)
            look(camera, ("light", "dark"))
        else:
            picture_an_error(camera, Path(folder))
            walk_the_loop(camera)
            walk_the_network(camera)
            walk_the_others(camera)
            look(camera, ("dark",))
        close(camera)
    application.processEvents()
    return 0


if __name__ == "__main__":
    sys.exit(main())
