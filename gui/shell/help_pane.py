"""The help beside the panel: short texts first, longer ones behind links; nothing of it is fetched from elsewhere."""

from __future__ import annotations

from PySide6.QtCore import Qt, QUrl
from PySide6.QtGui import QDesktopServices
from PySide6.QtWidgets import QHBoxLayout, QLabel, QTextBrowser, QVBoxLayout, QWidget

from gui.panels.widgets import button, named
from gui.shell.help_texts import KEYS, docs_folder


class HelpPane(QWidget):
    """Shows Markdown; links to texts that come with labctl open here, others in the browser."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.text = QTextBrowser()
        self.text.setOpenLinks(False)
        self.text.anchorClicked.connect(self._follow)
        named(self.text, "Help", "Help for the panel that is shown")
        self._before: list[str] = []
        self._shown = ""
        self._back = button("‹ Back", "Back to the text before", self._go_back)
        close = button("Close", "Hide the help (F1)", self.hide, name="Close the help")
        row = QHBoxLayout()
        row.addWidget(QLabel("<b>Help</b>"), 1)
        row.addWidget(self._back)
        row.addWidget(close)
        column = QVBoxLayout(self)
        column.setContentsMargins(4, 2, 4, 2)
        column.addLayout(row)
        column.addWidget(self.text, 1)
        self.hide()

    def tell(self, markdown: str) -> None:
        """Show a text, and forget where the reader came from."""
        self._before = []
        self._put(markdown)
        self.show()

    def _put(self, markdown: str) -> None:
        self._shown = markdown
        self.text.setMarkdown(markdown)
        self.text.verticalScrollBar().setValue(0)
        self._back.setEnabled(bool(self._before))
        self._back.setToolTip("Back to the text before" if self._before else "There is no text before this one")

    def _follow(self, link: QUrl) -> None:
        path = docs_folder() / link.path()
        if link.toString() == "keys":
            self._open(KEYS)
        elif link.isRelative() and path.suffix == ".md" and path.is_file():
            self._open(path.read_text(encoding="utf-8"))
        elif link.scheme() in ("http", "https"):
            QDesktopServices.openUrl(link)
        elif link.hasFragment():
            self.text.scrollToAnchor(link.fragment(QUrl.ComponentFormattingOption.FullyDecoded))

    def _open(self, markdown: str) -> None:
        self._before.append(self._shown)
        self._put(markdown)

    def _go_back(self) -> None:
        if self._before:
            self._put(self._before.pop())

    def keyPressEvent(self, event: object) -> None:
        """Backspace goes back."""
        if event.key() == Qt.Key.Key_Backspace:  # type: ignore[attr-defined]
            self._go_back()
        else:
            super().keyPressEvent(event)  # type: ignore[arg-type]
