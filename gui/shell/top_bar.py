"""The bar that stands over every panel: station, SIMULATED, state, outputs, and the button that makes all outputs safe."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QEvent, Qt
from PySide6.QtWidgets import QHBoxLayout, QLabel, QSizePolicy, QVBoxLayout, QWidget

from gui.panels.widgets import button, named, plain

WELCOME = "No station open"
WELCOME_TIP = "Open one from the File menu (Ctrl+O), or the simulated bench (Ctrl+Shift+O)"
SAFE_TIP = """Stop what is running and bring every output to its safe value, read back.
Esc does the same from anywhere in the window; pressed by mistake it costs a run, never a device."""
BENCH_SIMULATED = "SIMULATED bench"
BENCH_TIP = "Every instrument and device on this bench is a simulation"
FILES_SIMULATED = "SIMULATED data"
FILES_TIP = "What is shown here was measured on simulated devices, or learned from such data:"


class ElidedLabel(QLabel):
    """A label of one line whose text ends in … where there is no room; the tooltip has all of it, then `tip`."""

    def __init__(self, name: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._whole, self._tip = "", ""
        self.setAccessibleName(name)
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)

    def say(self, text: str, tip: str = "") -> None:
        """Show a text."""
        self._whole, self._tip = text, tip
        self._fit()

    def whole(self) -> str:
        """The text without anything cut off."""
        return self._whole

    def resizeEvent(self, event: object) -> None:
        """Cut at another place."""
        super().resizeEvent(event)  # type: ignore[arg-type]
        self._fit()

    def changeEvent(self, event: QEvent) -> None:
        """As above, for another text size."""
        super().changeEvent(event)
        if event.type() == QEvent.Type.FontChange and hasattr(self, "_whole"):
            self._fit()

    def _fit(self) -> None:
        shown = self.fontMetrics().elidedText(self._whole, Qt.TextElideMode.ElideRight, max(self.width(), 40))
        self.setText(shown)
        self.setToolTip("\n".join(part for part in (self._whole, self._tip) if part))


class TopBar(QWidget):
    """Shown over every panel; never covered by anything."""

    def __init__(self, make_safe: Callable[[], object], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.station = ElidedLabel("Station")
        self.station.setObjectName("headline")
        self.state = ElidedLabel("State of the bench and its outputs")
        self.banner = plain()
        self.banner.setObjectName("banner")
        self.banner.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.safe_button = button("ALL OUTPUTS SAFE  (Esc)", SAFE_TIP, make_safe, name="All outputs safe")
        self.safe_button.setObjectName("safe")
        self._bench_simulated = False
        self._simulated_files: dict[str, str] = {}
        texts = QVBoxLayout()
        texts.setSpacing(0)
        texts.addWidget(self.station)
        texts.addWidget(self.state)
        row = QHBoxLayout(self)
        row.setContentsMargins(8, 4, 8, 4)
        row.setSpacing(12)
        row.addLayout(texts, 1)
        row.addWidget(self.banner)
        row.addWidget(self.safe_button)
        self.station.say(WELCOME, WELCOME_TIP)
        self._show_banner()

    def show_station(self, name: str, where: str, *, simulated: bool) -> None:
        """Show the opened station."""
        self.station.say(name, where)
        self._bench_simulated = simulated
        self._show_banner()

    def show_simulated_files(self, files: dict[str, str]) -> None:
        """Which panels (by title) show simulated data, and what that is; empty for none."""
        self._simulated_files = dict(files)
        self._show_banner()

    def _show_banner(self) -> None:
        texts, tips = [], []
        if self._bench_simulated:
            texts.append(BENCH_SIMULATED)
            tips.append(BENCH_TIP)
        if self._simulated_files:
            texts.append(FILES_SIMULATED if not texts else "and data")
            tips.append("\n".join([FILES_TIP, *(f"{panel}: {what}" for panel, what in self._simulated_files.items())]))
        self.banner.setText(" ".join(texts))
        named(self.banner, f"Simulated: {' '.join(texts)}", "\n".join(tips))
        self.banner.setVisible(bool(texts))
