"""Set one output: what it may be, how long it will take, progress of the ramp, and a way to stop it."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtWidgets import (
    QComboBox,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QMenu,
    QProgressBar,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from gui.controller import State
from gui.desk import Desk
from gui.panels.widgets import button, named, words
from gui.widgets.number_field import NumberField
from labctl.bench import Bench
from labctl.calls import BENCH, Call, call, perform
from labctl.errors import MadeSafe, RampStopped, UsageError
from labctl.job import Job
from labctl.station import Channel

LOOK_MS = 50
SCRIPT_TIP = "Show setting and holding this as a Python script; right click: its safe value, all outputs safe"
SHORT_S = 0.05
"""A ramp that takes less is called immediate."""


class SetBox(QWidget):
    """One output at a time; a value that may not be is told at the field, and nothing is sent."""

    asked = Signal(str, object)
    """An output and what it shall be, None where it was left on the way."""
    moved = Signal(str, float)
    """An output and where it stands."""

    def __init__(self, desk: Desk, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._desk = desk
        self._running: str = ""
        self._levels: dict[str, float] = {}
        self._outcome = ""
        self.channel_box = QComboBox()
        self.channel_box.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        named(self.channel_box, "Output to set", "Which output; a click on its row in the table chooses it as well")
        self.field = NumberField("Value to set", "The new level, in the channel's unit. Enter sets it")
        self.told = words("told")
        self.told.setAccessibleName("What setting this value means")
        self.set_button = button("&Set", "", self.set_now, name="Set the output")
        self.stop_button = button("S&top ramp", "", self.stop_ramp)
        self.safe_button = button("To safe &value", "", self.to_safe)
        self.script_button = button("Script …", SCRIPT_TIP, self._show_script, name="Show setting as a script")
        self.progress = QProgressBar()
        self.progress.setRange(0, 1000)
        named(self.progress, "Progress of the ramp", "How far the output is on its way")
        self.scripts = QMenu(self)
        self.scripts.addAction("Set and hold this output", self._show_script)
        self.scripts.addAction(
            "Bring it to its safe value", lambda: self._script(self.script_of_safe, "To the safe value")
        )
        self.scripts.addAction(
            "All outputs safe", lambda: self._script(lambda: [call("bench.make_safe")], "All outputs safe")
        )
        self.script_button.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.script_button.customContextMenuRequested.connect(
            lambda where: self.scripts.popup(self.script_button.mapToGlobal(where))
        )
        self._lay_out()
        self._look = QTimer(self, interval=LOOK_MS)
        self._look.timeout.connect(self._show_ramp)
        self.channel_box.currentIndexChanged.connect(lambda _: self._show_channel())
        self.field.changed.connect(self._show_told)
        self.field.edit.returnPressed.connect(self.set_now)
        self.show_bench(None)

    def _lay_out(self) -> None:
        form = QFormLayout()
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.ExpandingFieldsGrow)
        form.addRow("Output", self.channel_box)
        form.addRow("Value", self.field)
        row = QHBoxLayout()
        for one in (self.set_button, self.stop_button, self.safe_button, self.script_button):
            row.addWidget(one)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(QLabel("<b>Set an output</b>"))
        column.addLayout(form)
        column.addWidget(self.told)
        column.addLayout(row)
        column.addWidget(self.progress)

    @property
    def channel(self) -> Channel | None:
        """The chosen output."""
        bench = self._desk.controller.bench
        name = self.channel_box.currentData()
        return bench.station.channels.get(name) if bench is not None and name else None

    def show_bench(self, bench: Bench | None) -> None:
        """Offer the outputs of a bench that can be set: those with a ramp."""
        self._levels.clear()
        self.channel_box.clear()
        for name, channel in (bench.station.channels if bench else {}).items():
            if channel.is_output and channel.ramp_per_s is not None:
                self.channel_box.addItem(f"{name} ({channel.unit})", name)
        self._show_channel()

    def show_values(self, values: dict[str, float]) -> None:
        """Where the outputs stand."""
        self._levels.update(values)
        if not self._running:
            self._show_told()

    def show_state(self, state: State) -> None:
        """The bench is free, or not; a ramp ends where something else takes the bench over."""
        if state is not State.READY and self._running:
            self.stop_ramp()
        self._show_told()

    def choose(self, name: str) -> None:
        """Choose an output."""
        index = self.channel_box.findData(name)
        if index >= 0:
            self.channel_box.setCurrentIndex(index)

    def wanted(self) -> Call | None:
        """What Set would do."""
        channel, value = self.channel, self.field.value
        return None if channel is None or value is None else call("bench.set", channel.name, value)

    def job(self) -> Job:
        """The same for a script, where the output is held until somebody stops it: here it stays on as long as the station
        is open. Raises UsageError for what is missing."""
        wanted = self.wanted()
        if wanted is None or self.channel is None:
            raise UsageError(self.field.trouble or self._why_not() or "choose an output and a value")
        name, value = wanted.arguments
        made = call("labctl.campaigns.hold_outputs:hold_outputs", BENCH, {name: value})
        bench = self._desk.controller.bench
        station = None if bench is None else bench.station.path
        return Job(
            f"Hold {name} at {value:g} {self.channel.unit}", made, self._desk.new_folder(f"hold-{name}"), station
        )

    def script_of_safe(self) -> list[Call]:
        """Bringing this output to its safe value. Raises UsageError."""
        if self.channel is None:
            raise UsageError(self._why_not() or "choose an output")
        return [call("bench.set_safe", self.channel.name)]

    def set_now(self) -> None:
        """Set the output, ramped; refused values stay where they are."""
        wanted = self.wanted()
        if self._why_not() or wanted is None or self.channel is None:
            self._show_told()
            return
        self.asked.emit(self.channel.name, self.field.value)
        self._do(wanted, self.channel, done=lambda _: None)

    def stop_ramp(self) -> None:
        """Hold the output where it is."""
        bench = self._desk.controller.bench
        if bench is not None and self._running:
            name = self._running
            self._desk.call(lambda: bench.stop_ramp(name), done=lambda _: None, name=f"stop the ramp of {name}")

    def to_safe(self) -> None:
        """Bring this output to its safe value."""
        channel = self.channel
        if channel is None or self._desk.controller.state is not State.READY:
            return
        self.asked.emit(channel.name, channel.safe.value if channel.safe else None)
        self._do(call("bench.set_safe", channel.name), channel, done=lambda level: self.moved.emit(channel.name, level))

    def _do(self, wanted: Call, channel: Channel, *, done: Callable[[float], None]) -> None:
        bench, name = self._desk.controller.bench, channel.name
        if bench is None:
            return
        self._running, self._outcome = name, ""
        self._look.start()
        self._show_told()

        def ended(level: float | None) -> None:
            self._running = ""
            self._look.stop()
            if level is not None:
                self._levels[name] = level
                self.moved.emit(name, level)
            self._show_told()

        def well(result: tuple[object, float]) -> None:
            ended(result[1])
            done(result[1])
            self._desk.controller.set_by_hand.emit(f"{name} {result[1]:g} {channel.unit}")
            self._desk.note(f"{name} set: {result[1]:g} {channel.unit} read back")

        def badly(error: BaseException) -> None:
            ended(None)
            self.asked.emit(name, None)
            if isinstance(error, RampStopped | MadeSafe):
                self._outcome = str(error)
                self._desk.note(str(error))
            else:
                self._outcome = f"✖ {error}"
                self._desk.trouble(error, doing=f"Setting {name}")
            self._show_told()

        self._desk.call(
            lambda: (perform(wanted, bench=bench), bench.get(name)), done=well, failed=badly, name=f"set {name}"
        )

    def _show_channel(self) -> None:
        channel, self._outcome = self.channel, ""
        if channel is not None:
            self.field.set_limits(*channel.limits, unit=channel.unit)
            self.field.set_value(self._levels.get(channel.name, channel.rest))
        self._show_told()

    def _why_not(self) -> str:
        state = self._desk.controller.state
        if state is not State.READY:
            running = state in (State.RUNNING, State.STOPPING)
            return (
                "A campaign is running: outputs can be set when it has ended" if running else f"Not now: {state.value}"
            )
        if self.channel is None:
            return "This station has no output that can be set: one with a ramp"
        if self._running:
            return f"{self._running} is on its way; stop its ramp first"
        return ""

    def _show_told(self) -> None:
        why, channel, bench = self._why_not(), self.channel, self._desk.controller.bench
        trouble = "" if channel is None else self.field.trouble
        safe = channel.safe if channel else None
        self._enable(self.set_button, why or trouble, "Set the output to this value, at its ramp (Enter in the field)")
        self._enable(
            self.stop_button,
            "" if self._running else "Nothing is on its way",
            "Hold the output where it is; it stays on at that level",
        )
        to_safe = (
            f"Bring this output alone to its safe value{f', {safe.value:g} {channel.unit}' if safe and channel else ''}"
        )
        self._enable(self.safe_button, why, to_safe)
        self._enable(self.script_button, "" if self.wanted() else trouble or why, SCRIPT_TIP)
        self.progress.setVisible(bool(self._running))
        if self._running:
            return
        if channel is None or bench is None:
            self.told.setText(why)
        elif trouble:
            self.told.setText(f"✖ {trouble}. Nothing is sent")
        else:
            self.told.setText("\n".join(line for line in (self._way(channel), why, self._outcome) if line))

    def _way(self, channel: Channel) -> str:
        low, high = channel.limits
        limits = f"Limits {low:g} … {high:g} {channel.unit}"
        value, level = self.field.value, self._levels.get(channel.name)
        if value is None or level is None:
            return limits
        if value == level:
            return f"{limits} · it is there already: no change"
        duration_s = abs(value - level) / channel.ramp_per_s if channel.ramp_per_s else 0.0
        takes = "at once" if duration_s < SHORT_S else f"in {duration_s:.2g} s"
        return f"{limits} · from {level:.4g} to {value:.4g} {channel.unit} {takes}"

    def _show_ramp(self) -> None:
        bench = self._desk.controller.bench
        ramp = bench.ramp_under_way(self._running) if bench is not None and self._running else None
        if ramp is None:
            self.progress.setRange(0, 0)
            self.progress.setFormat("")
            return
        self.progress.setRange(0, 1000)
        self.progress.setValue(round(1000 * ramp.fraction))
        self.progress.setFormat(f"{ramp.level:+.4g} {ramp.unit}, {ramp.seconds_left:.1f} s left")
        self.told.setText(f"{ramp.channel} on its way from {ramp.start:.4g} to {ramp.target:.4g} {ramp.unit}")
        self.moved.emit(ramp.channel, ramp.level)

    def _show_script(self) -> None:
        self._script(self.job)

    def _script(self, make: Callable[[], Job | list[Call]], title: str = "") -> None:
        try:
            self._desk.show_script(make(), title=title)
        except UsageError as error:
            self._desk.trouble(error, doing="Script …")

    def _enable(self, one: QWidget, why_not: str, tip: str) -> None:
        one.setEnabled(not why_not)
        one.setToolTip(why_not or tip)
