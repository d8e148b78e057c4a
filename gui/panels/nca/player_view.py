"""A sequence played, scrubbed, looped: frames are read when they are shown, in a thread, and never wait in line."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QCheckBox, QComboBox, QHBoxLayout, QLabel, QSlider, QVBoxLayout, QWidget

from gui.desk import Desk
from gui.panels.nca.colours import scale_of
from gui.panels.nca.field_view import FieldView
from gui.panels.widgets import button, named, words
from gui.theme import Theme
from gui.widgets.number_field import NumberField
from labctl.images.player import Player, open_player

COLOUR = "in colour"
_FPS = 10


class PlayerView(QWidget):
    """Shows a film; `open` takes its path."""

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self._desk = desk
        self.film: Player | None = None
        self._asked = 0
        self._reading = False
        self._wanted: tuple[int, int] | None = None
        self._picture: NDArray[np.float32] | None = None
        self._since = 0.0
        self.field = FieldView(
            "Sequence", "The frame that is shown; values beyond the bar have its end's colour", desk.theme
        )
        self.told = words()
        self.play = button("Play", "Play the sequence (again: hold it)", self._toggle)
        self.play.setCheckable(True)
        self.slider = QSlider(Qt.Orientation.Horizontal)
        named(self.slider, "Frame", "Which frame is shown; arrows go one by one")
        self.place = QLabel("–")
        named(self.place, "Place in the sequence", "Frame, and time where the file says it")
        self.speed = NumberField(
            "Speed of the player", "Frames shown in a second", unit="frames/s", low=0.1, high=30, value=_FPS
        )
        self.speed.setMaximumWidth(140)
        self.loop = QCheckBox("Loop")
        named(self.loop, "Loop", "Begin again at the end")
        self.loop.setChecked(True)
        self.channel, self.sequence = QComboBox(), QComboBox()
        named(self.channel, "Channel of the sequence", "Which channel is shown")
        named(self.sequence, "Sequence number", "Which sequence of the file is shown")
        self._lay_out()
        self.slider.valueChanged.connect(lambda _: self._ask())
        self.channel.currentIndexChanged.connect(lambda _: self._draw())
        self.sequence.currentIndexChanged.connect(lambda _: self._begin_sequence())
        desk.bridge.tick.connect(self._tick)
        self._enable()
        self._draw()

    def open(self, path: Path) -> None:
        """Look at another file."""
        self._asked += 1
        number = self._asked
        self.told.setText(f"opening {path.name} …")
        self._desk.call(
            lambda: open_player(path),
            done=lambda film: self._opened(number, film),
            failed=lambda error: self._not_opened(number, error),
            name="opening the sequence",
        )

    def use_theme(self, theme: Theme) -> None:
        """Draw in these colours."""
        self.field.use_theme(theme)

    def rest(self) -> None:
        """Nobody looks: hold it."""
        self.play.setChecked(False)
        self._toggle()

    def _lay_out(self) -> None:
        row = QHBoxLayout()
        for widget in (self.play, self.slider, self.place):
            row.addWidget(widget, 1 if widget is self.slider else 0)
        more = QHBoxLayout()
        for one in (QLabel("Channel"), self.channel, QLabel("Sequence"), self.sequence, self.speed, self.loop):
            more.addWidget(one)
        more.addStretch(1)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.told)
        column.addWidget(self.field, 1)
        column.addLayout(row)
        column.addLayout(more)

    def _opened(self, number: int, film: Player) -> None:
        if number != self._asked:
            return
        self.film = film
        self.told.setText(_facts(film))
        for box, items in (
            (self.sequence, [str(one + 1) for one in range(film.n_sequences)]),
            (self.channel, [*film.names, *([COLOUR] if film.names[:3] == ("red", "green", "blue") else [])]),
        ):
            box.blockSignals(True)
            box.clear()
            box.addItems(items)
            box.blockSignals(False)
        if COLOUR in film.names or self.channel.findText(COLOUR) >= 0:
            self.channel.setCurrentText(COLOUR)
        self._begin_sequence()
        self._enable()

    def _not_opened(self, number: int, error: BaseException) -> None:
        if number == self._asked:
            self.film, self._picture = None, None
            self.told.setText(f"✗ {error}")
            self._draw()
            self._enable()

    def _begin_sequence(self) -> None:
        if self.film is None or self.sequence.currentIndex() < 0:
            return
        self.slider.setRange(0, self.film.n_frames[self.sequence.currentIndex()] - 1)
        self.slider.setValue(0)
        self._ask()

    def _enable(self) -> None:
        there = self.film is not None
        for widget in (self.play, self.slider, self.channel, self.sequence):
            widget.setEnabled(there)
        self.play.setToolTip("Play the sequence (again: hold it)" if there else "There is no sequence yet")

    def _toggle(self) -> None:
        self.play.setText("Hold" if self.play.isChecked() else "Play")
        self._since = time.monotonic()

    def _tick(self) -> None:
        """Go on to the frame that is due."""
        if not self.play.isChecked() or self.film is None or not self.isVisible():
            return
        steps = int((time.monotonic() - self._since) * (self.speed.value or _FPS))
        if steps < 1:
            return
        self._since = time.monotonic()
        due, last = self.slider.value() + steps, self.slider.maximum()
        if due > last and not self.loop.isChecked():
            self.play.setChecked(False)
            self._toggle()
        self.slider.setValue(due % (last + 1) if self.loop.isChecked() else min(due, last))

    def _ask(self) -> None:
        if self.film is None:
            return
        self._wanted = (self.sequence.currentIndex(), self.slider.value())
        if not self._reading:
            self._read()

    def _read(self) -> None:
        film, wanted = self.film, self._wanted
        if film is None or wanted is None:
            return
        self._reading, self._wanted = True, None
        self._desk.call(
            lambda: film.picture(sequence=wanted[0], frame=wanted[1]),
            done=lambda picture: self._have_read(film, wanted[1], picture),
            failed=self._not_read,
            name="reading a frame",
        )

    def _have_read(self, film: Player, frame: int, picture: NDArray[np.float32]) -> None:
        self._reading = False
        if film is self.film:
            self._picture = picture
            unit = film.time_unit if film.time_unit != "1" else ""
            at = "" if film.dt is None else f", time {frame * film.dt:.4g} {unit}".rstrip()
            self.place.setText(f"frame {frame} of 0 … {self.slider.maximum()}{at}")
            self._draw()
        if self._wanted is not None:
            self._read()

    def _not_read(self, error: BaseException) -> None:
        self._reading = False
        self.play.setChecked(False)
        self._toggle()
        self.told.setText(f"✗ {error}")

    def _draw(self) -> None:
        film, picture, place = self.film, self._picture, self.channel.currentIndex()
        if film is None or picture is None or place < 0:
            self.field.show_field(None, scale_of((0.0,), (1.0,), 0), empty="Choose a file, or simulate an equation")
            return
        if self.channel.currentText() == COLOUR:
            self.field.show_field(picture[..., :3], scale_of(film.lows[:3], film.highs[:3], None))
            return
        place = min(place, picture.shape[2] - 1)
        self.field.show_field(picture[..., place], scale_of(film.lows, film.highs, place), unit=film.units[place])


def _facts(film: Player) -> str:
    rows, columns = film.size
    known = "SIMULATED. " if film.simulated else ""
    sequences = f"{film.n_sequences} sequence{'s' * (film.n_sequences > 1)}"
    told = f"{known}{film.path.name}: {sequences} of {film.n_frames[0]} frames, {rows} × {columns}, {', '.join(film.names)}"
    return "\n".join([told, *film.told[:3]])
