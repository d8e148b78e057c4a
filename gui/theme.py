"""Colours and palettes, light and dark. Data colours are Okabe and Ito's, which colour-blind readers can tell apart.

Nothing is told by colour alone: every coloured state also says its name.
"""

from __future__ import annotations

from dataclasses import dataclass

from PySide6.QtCore import Qt
from PySide6.QtGui import QColor, QGuiApplication, QPalette
from PySide6.QtWidgets import QApplication

ORANGE, SKY, GREEN, YELLOW, BLUE, VERMILLION, PURPLE = (
    "#E69F00",
    "#56B4E9",
    "#009E73",
    "#F0E442",
    "#0072B2",
    "#D55E00",
    "#CC79A7",
)

SAFE = "#B34700"
"""Vermillion, as dark as white words on it want (WCAG: 5.5 to 1)."""


@dataclass(frozen=True, slots=True)
class Theme:
    """The colours of one appearance; `curves` are used in turn for the channels of a plot."""

    name: str
    window: str
    base: str
    alternate: str
    text: str
    dim: str
    button: str
    border: str
    highlight: str
    good: str
    bad: str
    curves: tuple[str, ...]

    def palette(self) -> QPalette:
        """The palette for Qt's Fusion style."""
        palette = QPalette()
        role = QPalette.ColorRole
        for roles, colour in (
            ((role.Window,), self.window),
            ((role.Base, role.ToolTipBase), self.base),
            ((role.AlternateBase,), self.alternate),
            ((role.Button,), self.button),
            ((role.WindowText, role.Text, role.ButtonText, role.ToolTipText), self.text),
            ((role.PlaceholderText,), self.dim),
            ((role.Highlight,), self.highlight),
            ((role.HighlightedText,), "#FFFFFF"),
            ((role.Link,), self.good),
        ):
            for one in roles:
                palette.setColor(one, QColor(colour))
        for one in (role.WindowText, role.Text, role.ButtonText):
            palette.setColor(QPalette.ColorGroup.Disabled, one, QColor(self.dim))
        return palette


LIGHT = Theme(
    name="light",
    window="#F3F4F6",
    base="#FFFFFF",
    alternate="#F7F8FA",
    text="#1A1C1F",
    dim="#5A6067",
    button="#E6E8EB",
    border="#C4C8CE",
    highlight=BLUE,
    good="#00694D",
    bad="#A84300",
    curves=(BLUE, VERMILLION, GREEN, PURPLE),
)
DARK = Theme(
    name="dark",
    window="#202327",
    base="#16181B",
    alternate="#1B1E22",
    text="#E8EAED",
    dim="#B5BCC4",
    button="#30353B",
    border="#454B53",
    highlight=BLUE,
    good="#35C79B",
    bad="#FFA76B",
    curves=(SKY, ORANGE, "#2CC295", PURPLE),
)
THEMES = {theme.name: theme for theme in (LIGHT, DARK)}


def system_theme() -> Theme:
    """Dark where the desktop asks for it, else light."""
    return DARK if QGuiApplication.styleHints().colorScheme() == Qt.ColorScheme.Dark else LIGHT


def apply_theme(application: QApplication, theme: Theme) -> None:
    """Give the whole application this appearance; nothing is done where it has it."""
    sheet = _style_sheet(theme, points=application.font().pointSizeF())
    if application.styleSheet() == sheet:
        return
    # A sheet in the place of none takes Qt a sixth of the time of a sheet in the place of another (6.11, 3800 widgets:
    # 0.3 s against 1.2 s of processor time).
    application.setStyleSheet("")
    if application.style().name() != "fusion":
        application.setStyle("Fusion")
    application.setPalette(theme.palette())
    application.setStyleSheet(sheet)


def _style_sheet(theme: Theme, *, points: float) -> str:
    return f"""
    QHeaderView::section {{ background: {theme.button}; color: {theme.text}; border: none;
                            border-right: 1px solid {theme.border}; padding: 3px 6px; }}
    QTableView {{ border: 1px solid {theme.border}; gridline-color: {theme.border}; }}
    QTableView::item {{ padding: 0px 4px; }}
    QToolTip {{ background: {theme.base}; color: {theme.text}; border: 1px solid {theme.border}; padding: 4px; }}
    QLabel#banner {{ background: {YELLOW}; color: #000000; font-weight: bold; padding: 5px; }}
    QFrame#error {{ background: {theme.base}; border: 2px solid {VERMILLION}; border-radius: 4px; }}
    QFrame#farewell {{ background: {theme.base}; border: 2px solid {theme.good}; border-radius: 4px; }}
    QLabel#headline {{ font-weight: bold; }}
    QLabel#trouble, QLabel#advice {{ color: {theme.bad}; }}
    QLineEdit[bad="true"], QPlainTextEdit[bad="true"] {{ border: 2px solid {theme.bad}; border-radius: 3px; }}
    QCheckBox::indicator:unchecked, QTableView::indicator:unchecked {{ background: {theme.base};
                            border: 1px solid {theme.dim}; border-radius: 2px; width: 12px; height: 12px; }}
    QLabel#title {{ font-weight: bold; font-size: {round(1.5 * points)}pt; }}
    QLabel#dim {{ color: {theme.dim}; }}
    QLabel#mark {{ font-weight: bold; font-size: {round(1.3 * points)}pt; color: {theme.good}; }}
    QListView#navigation {{ background: {theme.window}; border: none; border-right: 1px solid {theme.border};
                            outline: 0; padding: 2px; }}
    QListView#navigation::item {{ padding: 7px 6px; border-radius: 4px; color: {theme.text}; }}
    QListView#navigation::item:hover {{ background: {theme.button}; }}
    QListView#navigation::item:selected {{ background: {theme.highlight}; color: #FFFFFF; }}
    QPushButton#main {{ background: {theme.highlight}; color: #FFFFFF; font-weight: bold; border-radius: 4px;
                        border: 1px solid {theme.highlight}; padding: 4px 14px; }}
    QPushButton#main:hover, QPushButton#main:focus {{ border-color: {theme.text}; }}
    QPushButton#main:disabled {{ background: {theme.button}; color: {theme.dim}; border-color: {theme.border}; }}
    QPushButton#safe {{ background: {SAFE}; color: #FFFFFF; font-weight: bold; font-size: {round(1.15 * points)}pt;
                        border: 2px solid {SAFE}; border-radius: 6px; padding: 5px 18px; }}
    QPushButton#safe:hover, QPushButton#safe:focus {{ border-color: {theme.text}; }}
    QPushButton#safe:pressed {{ background: #8F3800; }}
    """
