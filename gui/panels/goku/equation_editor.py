"""Write an equation as text: checked while it is typed, the mistake marked at its line."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QTimer, Signal
from PySide6.QtGui import QColor, QTextCursor, QTextFormat
from PySide6.QtWidgets import QHBoxLayout, QTextEdit, QVBoxLayout, QWidget

from gui.desk import Desk
from gui.panels.goku.asking import Asker
from gui.panels.goku.numbered_text import NumberedText
from gui.panels.widgets import button, named, words
from gui.theme import VERMILLION
from gui.widgets.file_dialogs import ask_for_file, ask_where_to_save
from labctl.calls import call
from labctl.goku_equation import read_equation_text
from labctl.goku_told import EquationTold
from labctl.goku_writing import EXAMPLE, Problem, Written

CHECK_MS = 250
KINDS = "Equations (*.toml);;All files (*)"


class EquationEditor(QWidget):
    """`checked` when the text was read: `told` is what it says, None where `problem` says why it is no equation yet."""

    checked = Signal()

    def __init__(self, desk: Desk, asker: Asker) -> None:
        super().__init__()
        self._desk, self._asker = desk, asker
        self.told: EquationTold | None = None
        self.problem: Problem | None = None
        self.checking = False
        self.edit = NumberedText()
        named(
            self.edit,
            "Equation as text",
            "TOML: states with units and ranges, parameters with ranges, a formula for each state's rate of change.\n"
            "Formulas are arithmetic and sin, cos, exp, … ; they are read, never run.",
        )
        self.state = words()
        self.state.setAccessibleName("What is wrong with the equation")
        self.go_button = button("Go to it", "Put the cursor where the mistake is", self.go_to_problem)
        self.go_button.setVisible(False)
        self.open_button = button("Open …", "Read an equation from a TOML file", self._open)
        self.save_button = button(
            "Save …", "Keep the text as a TOML file, for scripts and labctl goku fit --system", self._save
        )
        row = QHBoxLayout()
        row.addWidget(self.state, 1)
        for one in (self.go_button, self.open_button, self.save_button):
            row.addWidget(one)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.edit, 1)
        column.addLayout(row)
        self._timer = QTimer(self, singleShot=True, interval=CHECK_MS)
        self._timer.timeout.connect(self.check)
        self.edit.textChanged.connect(self._typed)

    @property
    def text(self) -> str:
        """What stands there."""
        return self.edit.toPlainText()

    def begin(self) -> None:
        """An example to change, where nothing was written yet."""
        if not self.text.strip():
            self.edit.setPlainText(EXAMPLE)

    def go_to_problem(self) -> None:
        """Put the cursor there."""
        if self.problem is None or not self.problem.line:
            return
        cursor = QTextCursor(self.edit.document().findBlockByNumber(self.problem.line - 1))
        cursor.movePosition(
            QTextCursor.MoveOperation.Right, QTextCursor.MoveMode.MoveAnchor, max(self.problem.column - 1, 0)
        )
        self.edit.setTextCursor(cursor)
        self.edit.setFocus()

    def _open(self) -> None:
        def read(path: Path) -> None:
            self._asker.read("Reading the equation", lambda: read_equation_text(path), self.edit.setPlainText)

        ask_for_file(self, "Equation", self._desk.runs_folder, KINDS, read)

    def _save(self) -> None:
        text = self.text

        def write(path: Path) -> None:
            self._desk.call(
                lambda: path.write_text(text, encoding="utf-8"), done=lambda _: None, name=f"Writing {path}"
            )

        ask_where_to_save(self, "Keep the equation", "equation.toml", KINDS, write)

    def check(self) -> None:
        """Read the text as it stands."""
        self.checking = True
        self._asker.ask("Checking the equation", call("labctl.goku_writing:check_written", self.text), self._read)

    def _typed(self) -> None:
        self.checking = True
        self._timer.start()

    def _read(self, written: Written) -> None:
        self.checking = False
        self.told, self.problem = written.told, written.problem
        self.state.setText(f"✗ {written.problem}" if written.problem else "✓ This is an equation.")
        self.go_button.setVisible(written.problem is not None and written.problem.line > 0)
        self._mark()
        self.checked.emit()

    def _mark(self) -> None:
        marks = []
        if self.problem is not None and self.problem.line:
            mark = QTextEdit.ExtraSelection()
            colour = QColor(VERMILLION)
            colour.setAlpha(70)
            mark.format.setBackground(colour)
            mark.format.setProperty(QTextFormat.Property.FullWidthSelection, True)
            mark.cursor = QTextCursor(self.edit.document().findBlockByNumber(self.problem.line - 1))
            marks.append(mark)
        self.edit.setExtraSelections(marks)
