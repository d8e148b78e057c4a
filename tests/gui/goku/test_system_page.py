"""Step 1: an equation is chosen, its ranges are edited, or one is written."""

from collections.abc import Callable

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QLineEdit, QTableView
from pytestqt.qtbot import QtBot

from gui.panels.goku.panel import GokuPanel
from gui.panels.goku.quantities_model import FROM, KNOWN
from labctl.goku_writing import EXAMPLE

Click = Callable[..., None]
WAIT_MS = 60_000


def typed(qtbot: QtBot, click: Click, table: QTableView, row: str, column: int, text: str) -> None:
    """Double-click a cell, type, Return."""
    click(table, row, column, twice=True)
    editor = table.findChild(QLineEdit)
    assert editor is not None
    editor.selectAll()
    qtbot.keyClicks(editor, text)
    qtbot.keyClick(editor, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: not table.findChildren(QLineEdit), timeout=WAIT_MS)


def test_a_chosen_equation_is_shown_with_formulas_quantities_and_a_preview(
    qtbot: QtBot, panel: GokuPanel, click: Click
) -> None:
    click(panel.system.list, "van_der_pol")
    assert "d position/dt = velocity" in panel.system.formulas.text()
    names = [row.told.name for row in panel.system.quantities.rows]
    assert {"pumping", "angular_frequency", "position"} <= set(names)
    qtbot.waitUntil(
        lambda: panel.system._made is not None and panel.system._made.equation == "van_der_pol", timeout=WAIT_MS
    )
    assert panel.system.plot.plot.listDataItems()
    assert panel.system.trouble == ""


def test_a_range_and_a_known_value_are_taken_and_can_be_undone(qtbot: QtBot, panel: GokuPanel, click: Click) -> None:
    click(panel.system.list, "damped_pendulum")
    typed(qtbot, click, panel.system.table, "length", FROM, "1.5")
    typed(qtbot, click, panel.system.table, "damping", KNOWN, "0.1")
    assert panel.system.source().options == {"ranges": {"length": (1.5, 2.0)}, "held": {"damping": 0.1}}
    panel.desk.undo.undo()
    assert panel.system.source().options == {"ranges": {"length": (1.5, 2.0)}}


def test_an_empty_range_is_refused_with_the_reason(qtbot: QtBot, panel: GokuPanel, click: Click) -> None:
    click(panel.system.list, "damped_pendulum")
    typed(qtbot, click, panel.system.table, "length", FROM, "3")
    assert "range 3 to 2 is empty" in panel.system.line.text()
    typed(qtbot, click, panel.system.table, "length", FROM, "much")
    assert "no number" in panel.system.line.text()
    assert panel.system.source().options == {}


def test_an_option_changes_what_the_equation_has(qtbot: QtBot, panel: GokuPanel, click: Click) -> None:
    click(panel.system.list, "duffing")
    typed(qtbot, click, panel.system.table, "driven", KNOWN, "true")
    qtbot.waitUntil(lambda: panel.system.told is not None and len(panel.system.told.drives) == 1, timeout=WAIT_MS)
    assert panel.system.source().options == {"options": {"driven": True}}


def test_an_own_equation_is_checked_as_it_is_typed_and_its_mistake_is_marked(
    qtbot: QtBot, panel: GokuPanel, click: Click
) -> None:
    click(panel.system.own_button)
    editor = panel.system.editor
    qtbot.waitUntil(lambda: editor.told is not None and panel.system.trouble == "", timeout=WAIT_MS)
    assert panel.system.source().arguments == (EXAMPLE,)
    line = next(k for k, text in enumerate(EXAMPLE.splitlines()) if text.startswith("rate ="))
    cursor = editor.edit.textCursor()
    cursor.setPosition(editor.edit.document().findBlockByNumber(line).position() + len('rate = "'))
    editor.edit.setTextCursor(cursor)
    qtbot.keyClicks(editor.edit, "speed * ")
    qtbot.waitUntil(lambda: editor.problem is not None, timeout=WAIT_MS)
    assert f"line {line + 1}, column 9" in editor.state.text() and "'speed'" in editor.state.text()
    assert len(editor.edit.extraSelections()) == 1
    assert not panel.controls.start_button.isEnabled()
    assert "speed" in panel.controls.start_button.toolTip()
    editor.edit.moveCursor(editor.edit.textCursor().MoveOperation.Start)
    click(editor.go_button)
    assert editor.edit.textCursor().blockNumber() == line
    for _ in "speed * ":
        qtbot.keyClick(editor.edit, Qt.Key.Key_Delete)
    qtbot.waitUntil(lambda: editor.told is not None, timeout=WAIT_MS)
    assert not editor.edit.extraSelections()


def test_every_button_says_why_it_cannot_be_pressed(panel: GokuPanel) -> None:
    assert not panel.controls.start_button.isEnabled()
    assert "no traces yet" in panel.controls.start_button.toolTip()
    assert not panel.parameters.report_button.isEnabled()
    assert "fit first" in panel.parameters.report_button.toolTip()
