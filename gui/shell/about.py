"""About: what this is, under which licence, and the versions that a report of a fault should name."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

from PySide6.QtCore import Qt, qVersion
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QDialog, QHBoxLayout, QVBoxLayout, QWidget

from gui.panels.widgets import button, words

PACKAGES = (
    "labctl",
    "PySide6-Essentials",
    "pyqtgraph",
    "numpy",
    "h5py",
    "scipy",
    "torch",
    "torchsde",
    "PyVISA",
    "PyMeasure",
)
LICENCE = "MIT licence: free to use, change and pass on, without warranty; the text is in the file LICENSE."


def versions() -> dict[str, str]:
    """Versions by name; of packages from their metadata, so that none is imported."""
    known = {"Python": platform.python_version(), "Qt": qVersion(), "System": platform.platform()}
    return {name: _version(name) for name in PACKAGES} | known


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


class About(QDialog):
    """A window that does not hold up the other one."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("About labctl")
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setModal(False)
        headline, licence, self.text = words("headline"), words(), words()
        headline.setText("labctl: record a device, fit a twin, optimise a network of twins, apply it to the device")
        licence.setText(LICENCE)
        self.text.setText("\n".join(f"{name}: {number}" for name, number in versions().items()))
        self.text.setAccessibleName("Versions")
        row = QHBoxLayout()
        row.addStretch(1)
        row.addWidget(button("Copy", "Copy the versions, for the report of a fault", self._copy))
        row.addWidget(button("Close", "Close this", self.close))
        column = QVBoxLayout(self)
        column.setContentsMargins(16, 16, 16, 12)
        column.setSpacing(12)
        for widget in (headline, licence, self.text):
            column.addWidget(widget)
        column.addLayout(row)

    def _copy(self) -> None:
        QGuiApplication.clipboard().setText(self.text.text())
