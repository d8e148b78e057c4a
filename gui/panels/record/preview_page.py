"""What will be played, drawn before it is: a trial against the channel's limits, its levels and its spectrum; and the verdict."""

from __future__ import annotations

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QComboBox, QHBoxLayout, QLabel, QSpinBox, QVBoxLayout, QWidget

from gui.numbers import counted, file_size
from gui.panels.widgets import named, words
from gui.plots.axes import EmptyWords, colour_axes, label_axis, quiet
from gui.plots.legend import LINE, show_legend
from gui.theme import Theme
from gui.widgets.job_controls import duration
from labctl.dry_run import FILMED, DryRun, Problem
from labctl.preview import DrivePreview, Preview

MOST_LINES = 6
"""Problems that are written out; the others are in the tooltip."""


def _counted(found: DryRun) -> str:
    return "frames" if any(part.way == FILMED for part in found.parts) else "samples a channel"


class PreviewPage(QWidget):
    """Draws a `Preview`; emits `asked(part, trial)` when another trial is to be shown."""

    asked = Signal()

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self._theme = theme
        self._shown: Preview | None = None
        self.verdict = words("verdict")
        self.verdict.setAccessibleName("Whether it would be refused")
        self.part, self.trial, self._count = QComboBox(), QSpinBox(), QLabel()
        named(self.part, "Recording", "Which of the recordings is shown")
        named(self.trial, "Trial", "Which trial is shown; the first is 0")
        self._graphics = pg.GraphicsLayoutWidget()
        named(self._graphics, "Preview of the drive", "Nothing of this has been played yet")
        self._trial_plot = self._graphics.addPlot(row=0, col=0, colspan=2)
        self._level_plot = self._graphics.addPlot(row=1, col=0)
        self._power_plot = self._graphics.addPlot(row=1, col=1)
        self._lay_out()
        self.part.currentIndexChanged.connect(lambda _: self.asked.emit())
        self.trial.valueChanged.connect(lambda _: self.asked.emit())
        self.use_theme(theme)

    def _lay_out(self) -> None:
        for plot in self._plots:
            quiet(plot, width=56)
        self._empty = EmptyWords(self._graphics, self._plots, "What will be played is drawn here")
        label_axis(self._trial_plot, "bottom", "time from where the drive begins; before it the preparation", "s")
        label_axis(self._level_plot, "left", "share", "%", prefix=False)
        label_axis(self._power_plot, "bottom", "frequency", "Hz")
        self._power_plot.setLogMode(x=True, y=False)
        label_axis(self._power_plot, "left", "power", "dB", prefix=False)
        self._graphics.ci.layout.setRowStretchFactor(0, 3)
        self._graphics.ci.layout.setRowStretchFactor(1, 2)
        row = QHBoxLayout()
        for one in (QLabel("Show"), self.part, QLabel("trial"), self.trial, self._count):
            row.addWidget(one)
        row.addStretch(1)
        column = QVBoxLayout(self)
        column.setContentsMargins(4, 4, 4, 4)
        self._chooser = QWidget()
        self._chooser.setLayout(row)
        row.setContentsMargins(0, 0, 0, 0)
        self.film = words("film")
        self.film.setAccessibleName("What will be filmed")
        self.film.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.film.hide()
        for widget, stretch in ((self._chooser, 0), (self._graphics, 1), (self.film, 1), (self.verdict, 0)):
            column.addWidget(widget, stretch)

    @property
    def _plots(self) -> tuple[pg.PlotItem, ...]:
        return (self._trial_plot, self._level_plot, self._power_plot)

    def show_preview(self, preview: Preview) -> None:
        """Draw it; where it would be refused, say why."""
        self._shown = preview
        self._show_film(preview.dry)
        for widget in (self.part, self.trial):
            widget.blockSignals(True)
        if [self.part.itemText(number) for number in range(self.part.count())] != list(preview.parts):
            self.part.clear()
            self.part.addItems(preview.parts)
        self.part.setCurrentText(preview.part)
        self.part.setVisible(len(preview.parts) > 1)
        self.trial.setRange(0, max(preview.n_trials - 1, 0))
        self.trial.setValue(preview.trial)
        for widget in (self.part, self.trial):
            widget.blockSignals(False)
        self._count.setText(f"of {preview.n_trials}" if preview.n_trials else "")
        if preview.left_out:
            self._say(f"… {preview.left_out}. Dry run looks at all of it", "good")
        else:
            self.show_dry_run(preview.dry)
        self._draw()

    def show_dry_run(self, found: DryRun) -> None:
        """The verdict alone."""
        if found.ok:
            files = " and ".join(part.path.name for part in found.parts)
            size = f"{file_size(found.file_bytes)} in {files}" if found.file_bytes else files
            self._say(
                f"✓ Within all limits: {counted(found.samples)} {_counted(found)}, about {duration(found.wall_s)} in real time, "
                f"{size}. Checked with {found.checked}.",
                "good",
            )
        else:
            self.refuse([problem.text for problem in found.problems])

    def _show_film(self, found: DryRun) -> None:
        """A film has no drive to be drawn: words in its place."""
        filmed = [part for part in found.parts if part.way == FILMED]
        for widget in (self._chooser, self._graphics):
            widget.setVisible(not filmed)
        self.film.setVisible(bool(filmed))
        if filmed:
            (part,) = filmed
            every_s = part.device_s / (part.n_trials * part.n_samples)
            self.film.setText(
                f"{part.n_trials} trials of {part.n_samples} frames, one every {every_s:g} s\n"
                f"{duration(part.device_s)} of device time, to {part.path.name}\n\n"
                "The picture is shown under Camera while it is filmed"
            )

    def refuse(self, reasons: list[str]) -> None:
        """Say why it would be refused."""
        left = len(reasons) - MOST_LINES
        lines = [f"✗ {reason}" for reason in reasons[:MOST_LINES]]
        self._say("\n".join([*lines, *([f"… and {left} more"] if left > 0 else [])]), "refused")
        self.verdict.setToolTip("\n".join(reasons))

    def use_theme(self, theme: Theme) -> None:
        """Draw in these colours."""
        self._theme = theme
        colour_axes(self._graphics, self._plots, theme)
        self._colour_verdict()
        self._draw()

    def _say(self, text: str, kind: str) -> None:
        self.verdict.setText(text)
        self.verdict.setToolTip("")
        self.verdict.setProperty("kind", kind)
        self._colour_verdict()

    def _colour_verdict(self) -> None:
        refused = self.verdict.property("kind") == "refused"
        self.verdict.setStyleSheet(f"color: {self._theme.bad if refused else self._theme.good};")

    def _draw(self) -> None:
        for plot in self._plots:
            plot.clear()
        preview = self._shown
        self._empty.show(preview is None or not preview.drives)
        if preview is None:
            return
        told = []
        for number, drive in enumerate(preview.drives):
            colour = self._theme.curves[number % len(self._theme.curves)]
            self._draw_drive(preview, drive, colour)
            told.append((LINE, drive.channel, colour))
        units = {drive.unit for drive in preview.drives}
        unit = units.pop() if len(units) == 1 else ""
        show_legend(self._trial_plot, told, self._theme)
        label_axis(self._trial_plot, "left", "drive", unit)
        label_axis(self._level_plot, "bottom", "drive", unit)
        for problem in preview.dry.problems:
            self._mark(preview, problem)
        for plot in self._plots:
            plot.autoRange()

    def _draw_drive(self, preview: Preview, drive: DrivePreview, colour: str) -> None:
        pen = pg.mkPen(colour, width=1)
        self._trial_plot.addItem(pg.PlotCurveItem(preview.time_s, drive.values, pen=pen, stepMode="right"))
        for limit in drive.limits:
            line = pg.InfiniteLine(limit, angle=0, pen=pg.mkPen(colour, width=1, style=Qt.PenStyle.DashLine))
            line.setToolTip(f"{drive.channel}: limit {limit:g} {drive.unit}")
            self._trial_plot.addItem(line)
        self._level_plot.addItem(pg.PlotDataItem(drive.level, 100.0 * drive.share, pen=pen, stepMode="right"))
        seen = drive.power > 1e-12 * max(float(drive.power.max(initial=0.0)), 1e-300)
        if seen.any():
            decibels = 10.0 * np.log10(drive.power[seen])
            self._power_plot.addItem(pg.PlotDataItem(drive.frequency_Hz[seen], decibels, pen=pen))

    def _mark(self, preview: Preview, problem: Problem) -> None:
        """A cross where the drive would be refused, if that is in the trial that is shown."""
        if (problem.part, problem.trial) != (preview.part, preview.trial) or problem.time_s is None:
            return
        drive = next((one for one in preview.drives if one.channel == problem.channel), None)
        if drive is None:
            return
        at = int(np.argmin(np.abs(preview.time_s - problem.time_s)))
        self._trial_plot.plot(
            [preview.time_s[at]], [drive.values[at]], symbol="x", symbolSize=12, symbolBrush=self._theme.bad,
            symbolPen=self._theme.bad, pen=None,
        )  # fmt: skip
