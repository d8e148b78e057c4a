"""What can be done to a running automaton: its clock, the brush, damage, turns, size."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import Signal
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFormLayout,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from gui.panels.widgets import button, named, relabel
from gui.widgets.number_field import NumberField
from labctl.nca_actions import DAMAGES, Erase, Paint
from labctl.nca_live import LiveAutomaton
from labctl.nca_live_frames import LiveFacts, LiveFrame

_FRAMES_PER_S = 4
SEED, VALUE, ERASE = "a seed", "a value", "erase"


class RunControls(QWidget):
    """`told(function)`: something for the running automaton to do. `brush_changed(radius)`; `again()`: begin it anew.
    `troubled(text)`: what stands in a field cannot be taken."""

    told = Signal(object)
    brush_changed = Signal(float)
    again = Signal()
    troubled = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self._playing = False
        self._facts: LiveFacts | None = None
        self._blocked = "There is no automaton yet: train one, or open its file"
        self._buttons: list[tuple[QPushButton, str]] = []
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 4, 0)
        column.addLayout(self._clock())
        column.addLayout(self._speed())
        column.addLayout(self._brush())
        column.addLayout(self._harm())
        self.restart = button(
            "Begin anew", "Start the automaton's process again", self.again.emit, name="Restart the automaton"
        )
        self.restart.hide()
        column.addWidget(self.restart)
        column.addStretch(1)
        for field in self.findChildren(QLineEdit):
            field.setMinimumWidth(3 * self.fontMetrics().averageCharWidth())
        self.block(self._blocked)

    def begin(self, facts: LiveFacts) -> None:
        """Another automaton."""
        self._facts = facts
        self.restart.hide()
        self.block("")
        self.speed.set_value(_FRAMES_PER_S * facts.steps_per_frame)
        self.jump_to.set_limits(0, facts.n_frames - 1)
        self.rows.set_value(facts.size[0])
        self.columns.set_value(facts.size[1])
        self.brush.set_value(max(1, min(facts.size) // 12))

    def offer(self, value: float) -> None:
        """A value that is worth painting in the channel that is shown."""
        self.value.set_value(float(f"{value:.4g}"))

    def block(self, why: str) -> None:
        """Why nothing can be done; "" where it can."""
        for made, tip in self._buttons:
            made.setEnabled(not why)
            made.setToolTip(why or tip)

    def is_lost(self) -> None:
        """Its process has ended."""
        self.block("The automaton does not run any more: begin it anew")
        self.restart.show()

    def follow(self, frame: LiveFrame) -> None:
        """Show what it does."""
        self._playing = frame.doing == "playing"
        relabel(self.play, "Pause" if self._playing else "Play")
        per_frame = self._facts.steps_per_frame if self._facts else 1
        self.reached.setText(f"reached {frame.steps_per_s:.3g} steps/s ({frame.steps_per_s / per_frame:.3g} frames/s)")

    def start(self) -> None:
        """Play at the speed that is chosen."""
        rate = 0.0 if self.fastest.isChecked() else self._number(self.speed)
        if rate is not None:
            self.told.emit(lambda live: live.play(steps_per_s=rate))

    def stroke(self, y: float, x: float, *, channel: int) -> None:
        """Paint or erase there."""
        radius, kind = self._number(self.brush), self.paint.currentText()
        if radius is None:
            return
        if kind == ERASE:
            self.told.emit(lambda live: live.do(Erase(y=y, x=x, radius=radius)))
        elif kind == SEED:
            self.told.emit(lambda live: live.do(Paint(y=y, x=x, radius=radius)))
        elif (value := self._number(self.value)) is not None and self._facts is not None:
            values = (value,) * len(self._facts.names)
            self.told.emit(lambda live: live.do(Paint(y=y, x=x, radius=radius, values=values, channel=channel)))

    def _number(self, field: NumberField) -> float | None:
        if field.trouble:
            self.troubled.emit(f"{field.edit.accessibleName()}: {field.trouble}")
        return field.value

    def _clock(self) -> QGridLayout:
        self.play = self._button("Play", "Let it run, or hold it (Ctrl+Space)", self._toggle, keys="Ctrl+Space")
        self.play.setObjectName("main")
        self.step = self._button("1 step", "One step of the automaton", lambda: self._say(lambda live: live.step(1)))
        self.one_frame = self._button("1 frame", "As many steps as from frame to frame", self._one_frame)
        self.reset = self._button(
            "Reset", "Begin anew at the first frame, upright", lambda: self._say(lambda live: live.reset())
        )
        self.jump = self._button("Jump to", "Begin anew at this frame of the data, hidden channels empty", self._jump)
        self.jump_to = NumberField("Frame to jump to", "Of the data", low=0, high=0, whole=True, value=0)
        grid = QGridLayout()
        for place, widget in enumerate((self.play, self.step, self.one_frame, self.reset, self.jump, self.jump_to)):
            grid.addWidget(widget, place // 3, place % 3)
            grid.setColumnStretch(place % 3, 1)
        return grid

    def _speed(self) -> QFormLayout:
        tip = "Steps of the automaton in a second, at most"
        self.speed = NumberField("Speed of the run", tip, unit="steps/s", low=0.1, high=1e6, value=64)
        self.speed.edit.editingFinished.connect(self._respeed)
        self.fastest = QCheckBox("as fast as it can")
        named(
            self.fastest,
            "As fast as it can",
            "As many steps a second as the computer does; pictures stay at 30 a second",
        )
        self.fastest.toggled.connect(lambda _: self._respeed())
        self.reached = QLabel("–")
        named(self.reached, "Speed reached", "Steps in a second, as reached")
        self.reached.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        form = QFormLayout()
        form.addRow("Speed", self.speed)
        form.addRow(self.fastest)
        form.addRow(self.reached)
        return form

    def _brush(self) -> QFormLayout:
        self.paint = QComboBox()
        self.paint.addItems([SEED, VALUE, ERASE])
        named(
            self.paint,
            "Paint",
            "What the mouse paints: what patterns start from, a value in the channel that is shown, or nothing",
        )
        self.value = NumberField("Value to paint", "In the channel that is shown, in its unit", value=1.0)
        self.brush = NumberField("Brush size", "Radius of the brush", unit="cells", low=0, high=256, value=3)
        self.brush.changed.connect(lambda: self.brush_changed.emit(self.brush.value or 0.0))
        self.paint.currentTextChanged.connect(lambda text: self.value.setEnabled(text == VALUE))
        self.value.setEnabled(False)
        form = QFormLayout()
        form.addRow("Mouse paints", self.paint)
        form.addRow("Value", self.value)
        form.addRow("Brush", self.brush)
        return form

    def _harm(self) -> QVBoxLayout:
        self.kind = QComboBox()
        self.kind.addItems(DAMAGES)
        named(
            self.kind,
            "Kind of damage",
            "What is wiped out: a disc, a rectangle, half of the field, or cells at random (noise)",
        )
        self.damage = self._button("Damage", "Wipe a part of the field, at a random place; does it heal?", self._damage)
        self.turn = self._button("Turn ↺", "Turn the whole field by 90°; an isotropic rule does not mind",
                                 lambda: self._say(lambda live: live.turn(90)))  # fmt: skip
        self.mirror = self._button(
            "Mirror", "Mirror the whole field left to right", lambda: self._say(lambda live: live.flip())
        )
        self.rows = NumberField("Rows", "Of the field", low=3, high=4096, whole=True, value=64)
        self.columns = NumberField("Columns", "Of the field", low=3, high=4096, whole=True, value=64)
        self.resize_button = self._button("Size", "Begin anew on a field of so many rows and columns", self._resize)
        first, turns, second = QHBoxLayout(), QHBoxLayout(), QHBoxLayout()
        harm: tuple[QWidget, ...] = (self.kind, self.damage, self.turn, self.mirror)
        size: tuple[QWidget, ...] = (self.resize_button, self.rows, QLabel("×"), self.columns)
        for widget in harm[:2]:
            first.addWidget(widget, 1)
        for widget in harm[2:]:
            turns.addWidget(widget, 1)
        for widget in size:
            second.addWidget(widget)
        rows = QVBoxLayout()
        for row in (first, turns, second):
            rows.addLayout(row)
        return rows

    def _button(self, text: str, tip: str, clicked: Callable[[], object], *, keys: str = "") -> QPushButton:
        made = button(text, tip, clicked, keys=keys)
        self._buttons.append((made, tip))
        return made

    def _say(self, what: Callable[[LiveAutomaton], object]) -> None:
        self.told.emit(what)

    def _toggle(self) -> None:
        if self._playing:
            self._say(lambda live: live.pause())
        else:
            self.start()

    def _respeed(self) -> None:
        if self._playing:
            self.start()

    def _one_frame(self) -> None:
        n_steps = self._facts.steps_per_frame if self._facts else 1
        self._say(lambda live: live.step(n_steps))

    def _jump(self) -> None:
        frame = self._number(self.jump_to)
        if frame is not None:
            self._say(lambda live: live.jump(int(frame)))

    def _damage(self) -> None:
        kind = self.kind.currentText()
        self._say(lambda live: live.damage(kind))

    def _resize(self) -> None:
        rows, columns = self._number(self.rows), self._number(self.columns)
        if rows is not None and columns is not None:
            self._say(lambda live: live.resize(int(rows), int(columns)))
