"""Run in a process of its own with QT_SCALE_FACTOR: says the scale, then every text that is cut off in any panel."""

from __future__ import annotations

import sys
from pathlib import Path

from PySide6.QtWidgets import QApplication
from shell_checks import cut_off, outside

from gui.main_window import MainWindow
from gui.theme import LIGHT


def main(folder: Path) -> None:
    """Print what is found."""
    application = QApplication([])
    window = MainWindow(runs_folder=folder, theme=LIGHT, farewell_ms=0)
    window.resize(1280, 800)
    window.show()
    print(f"scale {window.devicePixelRatioF()}")
    for entry in window.entries:
        window.show_panel(entry.key)
        application.processEvents()
        page = window.stack.currentWidget()
        for text in (*cut_off(page), *outside(page)):
            print(f"{entry.title}: {text}")
    for text in (*cut_off(window.top_bar), *outside(window.top_bar)):
        print(f"top bar: {text}")
    window.closed.connect(application.quit)
    window.close()
    application.exec()


if __name__ == "__main__":  # panels start processes, which import this file
    main(Path(sys.argv[1]))
