"""The third page: target, automaton and difference side by side while it runs, to be painted on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QComboBox, QHBoxLayout, QLabel, QSplitter, QVBoxLayout, QWidget

from gui.desk import Desk
from gui.panels.nca.colours import Scale, about_zero, scale_of
from gui.panels.nca.data_form import DataForm
from gui.panels.nca.field_view import FieldView
from gui.panels.nca.hidden_strip import HiddenStrip, largest, own_scale
from gui.panels.nca.live_holder import LiveHolder
from gui.panels.nca.metrics_plot import MetricsPlot
from gui.panels.nca.run_controls import RunControls
from gui.panels.nca.scrolled import scrolled
from gui.panels.widgets import button, named, words
from gui.theme import Theme
from gui.widgets.path_choice import PathChoice
from labctl.calls import FOLDER, Call, call, perform
from labctl.errors import LabctlError, UsageError
from labctl.job import Job
from labctl.nca_actions import Done, as_plain
from labctl.nca_live import LiveAutomaton
from labctl.nca_live_frames import LiveFacts, LiveFrame, Pictures

_FADING = 0.97
"""How fast the scale of the difference shrinks, a picture."""
_LEAST = 1e-6
STEPS = 100
"""Of a script, before anything has run."""


class RunTab(QWidget):
    """`ran(path)`: an automaton is held now."""

    ran = Signal(object)

    def __init__(self, desk: Desk, source: DataForm) -> None:
        super().__init__()
        self._desk, self._source = desk, source
        self._facts: LiveFacts | None = None
        self._frame: LiveFrame | None = None
        self._most = _LEAST
        self._fresh = False
        self._rested = False
        self.holder = LiveHolder(desk, self)
        self.model = PathChoice("Automaton", "File of an automaton (.json)", kinds="Automata (*.json)")
        self.open = button(
            "Run it", "Begin at the source of the first page (Ctrl+Return)", self.begin, keys="Ctrl+Return"
        )
        self.script = button(
            "Script …",
            "Show all that was done to it as a Python script",
            self.show_script,
            name="Show script of the run",
        )
        self.channel = QComboBox()
        named(self.channel, "Channel", "Which of the observed channels is shown, and painted on by value")
        self.told = words()
        theme = desk.theme
        self.target = FieldView("Target", "The data, or the equation run beside it; turned as the automaton is", theme)
        self.field = FieldView(
            "Automaton (paint here)",
            "Paint with the mouse, or with arrows and the space bar, while it runs",
            theme,
            paintable=True,
        )
        self.other = FieldView("Difference", "Automaton less target, about zero; or a hidden channel", theme)
        self.hidden = HiddenStrip(theme)
        self.metrics = MetricsPlot(theme)
        self.controls = RunControls()
        self._lay_out()
        self._connect()

    def begin(self) -> None:
        """Run the chosen automaton from the source."""
        try:
            source = perform(self._live_source())
        except LabctlError as error:
            self._say(f"✗ {error}")
            return
        self._say("starting: the automaton's process loads …")
        self.controls.block("The automaton is starting")
        self.holder.start(source)

    def show_automaton(self, path: Path) -> None:
        """Run this one; where it runs already, take its newer weights."""
        live = self.holder.live
        if live is not None and self.holder.source is not None and self.holder.source.model == path:
            self.holder.tell(lambda live: live.reload())
            self.controls.start()
            return
        if not self.holder.starting or self.model.path != path:
            self.model.set_path(path)
            self.begin()

    def show_script(self) -> None:
        """Everything that was done so far, to be done again."""
        live = self.holder.live
        if live is None or self._frame is None:
            self._script((), STEPS)
            return
        steps = self._frame.total_steps
        self._desk.call(
            lambda: live.done(timeout_s=10.0), done=lambda done: self._script(done, steps), name="asking what was done"
        )

    def use_theme(self, theme: Theme) -> None:
        """Draw in these colours."""
        for view in (self.target, self.field, self.other, self.hidden, self.metrics):
            view.use_theme(theme)

    def rest(self) -> None:
        """Nobody looks."""
        self._rested = self._frame is not None and self._frame.doing == "playing"
        self.holder.watch(False)
        self.holder.tell(lambda live: live.pause())

    def wake(self) -> None:
        """Somebody looks again."""
        self.holder.watch(True)
        if self._rested and self.holder.live is not None:
            self.controls.start()
        self._rested = False

    def _live_source(self) -> Call:
        if self.model.path is None:
            raise UsageError("choose the file of an automaton, or train one on the second page")
        return call("labctl.nca_live_frames:LiveSource", model=self.model.path, data=self._source.data())

    def job(self, done: Sequence[Done] = (), n_steps: int = 0) -> Job:
        """Running it, and doing again what was `done`; as many steps as it has taken by now. Raises UsageError."""
        source = self._live_source()
        assert self.model.path is not None
        name = self.model.path.stem
        taken = n_steps or (self._frame.total_steps if self._frame is not None else STEPS)
        made = call(
            "labctl.campaigns.play_nca:play_nca", source, n_steps=max(1, taken), actions=as_plain(done), folder=FOLDER
        )
        return Job(f"Play {name}", made, self._desk.new_folder(f"play-{name}"))

    def _script(self, done: Sequence[Done], n_steps: int) -> None:
        try:
            job = self.job(done, n_steps)
        except LabctlError as error:
            self._say(f"✗ {error}")
            return
        self._desk.show_script(job)

    def _lay_out(self) -> None:
        top = QHBoxLayout()
        for widget in (QLabel("Automaton"), self.model, self.open, self.script, QLabel("Channel"), self.channel):
            top.addWidget(widget, 1 if widget is self.model else 0)
        pictures = QSplitter(Qt.Orientation.Horizontal)
        for view in (self.target, self.field, self.other):
            pictures.addWidget(view)
        pictures.setSizes([260, 260, 260])
        below = QSplitter(Qt.Orientation.Horizontal)
        below.addWidget(self.hidden)
        below.addWidget(self.metrics)
        below.setSizes([400, 400])
        right = QSplitter(Qt.Orientation.Vertical)
        right.addWidget(pictures)
        right.addWidget(below)
        right.setStretchFactor(0, 3)
        right.setSizes([360, 170])
        split = QSplitter(Qt.Orientation.Horizontal)
        split.addWidget(scrolled(self.controls))
        split.addWidget(right)
        split.setStretchFactor(1, 1)
        split.setSizes([300, 820])
        column = QVBoxLayout(self)
        column.addLayout(top)
        column.addWidget(self.told)
        column.addWidget(split, 1)

    def _connect(self) -> None:
        self.holder.began.connect(self._began)
        self.holder.frame.connect(self._take)
        self.holder.refused.connect(lambda text: self._say(f"✗ {text}"))
        self.holder.lost.connect(self._lost)
        self.controls.told.connect(self.holder.tell)
        self.controls.again.connect(self.holder.again)
        self.controls.troubled.connect(lambda text: self._say(f"✗ {text}"))
        self.controls.brush_changed.connect(self.field.set_brush)
        self.field.stroke.connect(lambda y, x: self.controls.stroke(y, x, channel=max(0, self.channel.currentIndex())))
        self.channel.currentIndexChanged.connect(lambda _: self._restart_scale())
        self.hidden.chosen.connect(self._enlarge)
        self._desk.bridge.tick.connect(self._draw)

    def _began(self, facts: LiveFacts) -> None:
        self._facts = facts
        self._most = _LEAST
        self.channel.blockSignals(True)
        self.channel.clear()
        self.channel.addItems(facts.names)
        self.channel.setCurrentIndex(len(facts.names) - 1)
        self.channel.blockSignals(False)
        self.hidden.begin(facts.n_hidden)
        self.metrics.begin(facts)
        self.controls.begin(facts)
        self.controls.offer(facts.seed[-1])
        target = (
            "the equation runs beside it" if facts.beside else f"the data have the frames 0 to {facts.n_frames - 1}"
        )
        told = (
            f"{facts.name}: {target}; a frame is {facts.steps_per_frame} steps. What an automaton shows is SIMULATED."
        )
        self._say("\n".join([told, *facts.told[:2]]))
        self.controls.start()
        assert self.holder.source is not None
        self.ran.emit(self.holder.source.model)

    def _lost(self, words: str) -> None:
        self._say(f"✗ {words}")
        self.controls.is_lost()

    def _take(self, frame: LiveFrame) -> None:
        self._frame, self._fresh = frame, True
        for one in frame.passed:
            self.metrics.take(one)
        whole = frame.frame == int(frame.frame)  # in between it is not trained to be like the target
        self.metrics.take(frame.metrics if whole else replace(frame.metrics, error=float("nan")))

    def _draw(self) -> None:
        """Once a tick, the newest picture only."""
        frame, facts = self._frame, self._facts
        if not self._fresh or frame is None or facts is None or not self.isVisible():
            return
        self._fresh = False
        place = max(0, self.channel.currentIndex())
        scale, unit = scale_of(facts.lows, facts.highs, place), facts.units[place]
        ours = frame.automaton[..., place]
        theirs = None if frame.target is None else frame.target[..., place]
        at = f"frame {frame.frame:.4g}"
        self.field.set_title(
            f"Automaton, {at}" + {"ran away": ": RAN AWAY", "paused": " (paused)"}.get(frame.doing, "")
        )
        self.target.set_title(f"Target, {at}" if theirs is not None else "Target")
        self.field.show_field(ours, scale, unit=unit)
        self.target.show_field(theirs, scale, unit=unit, empty=self._no_target(frame, facts))
        self._draw_other(frame, ours, theirs, unit)
        self.hidden.show_hidden(frame.hidden)
        self.metrics.refresh()
        self.controls.follow(frame)

    def _draw_other(self, frame: LiveFrame, ours: Pictures, theirs: Pictures | None, unit: str) -> None:
        if frame.large is not None and frame.enlarged is not None:
            self.other.set_title(f"Hidden channel {frame.enlarged + 1}")
            self.other.show_field(frame.large, own_scale(frame.large))
            return
        self.other.set_title("Difference: automaton less target")
        if theirs is None:
            self.other.show_field(None, Scale(-1.0, 1.0, "signed"), empty="no target, no difference")
            return
        less = ours - theirs
        self._most = max(largest(less), _FADING * self._most, _LEAST)
        self.other.show_field(less, about_zero(_round_up(self._most)), unit=unit)

    def _no_target(self, frame: LiveFrame, facts: LiveFacts) -> str:
        if frame.automaton.shape[:2] != facts.size:
            return "the data have another size"
        return f"free run: the data end at frame {facts.n_frames - 1}"

    def _restart_scale(self) -> None:
        """Another channel is shown."""
        self._most = _LEAST
        if self._facts is not None and self.channel.currentIndex() >= 0:
            self.controls.offer(self._facts.seed[self.channel.currentIndex()])
        self._fresh = self._frame is not None
        self._draw()

    def _enlarge(self, number: int | None) -> None:
        self.holder.tell(lambda live: _enlarged(live, number))

    def _say(self, text: str) -> None:
        self.told.setText(text)


def _enlarged(live: LiveAutomaton, number: int | None) -> None:
    live.enlarge(number)


def _round_up(value: float) -> float:
    """To 1, 2 or 5 of its power of ten: a scale that changes rarely."""
    power = 10.0 ** np.floor(np.log10(value))
    return float(next(step * power for step in (1.0, 2.0, 5.0, 10.0) if step * power >= value * (1 - 1e-9)))
