"""A first look at a recording: what was driven over what came back, few trials, few points; or a film's last frame."""

from __future__ import annotations

from collections.abc import Sequence

import pyqtgraph as pg
from PySide6.QtWidgets import QStackedWidget, QVBoxLayout, QWidget

from gui.panels.widgets import words
from gui.plots.axes import EmptyWords, colour_axes, label_axis, quiet
from gui.plots.legend import LINE, show_legend
from gui.theme import Theme
from labctl.runs_preview import Curve, Preview


class PreviewPlot(QWidget):
    """Two plots over one time, or a picture."""

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._preview = Preview()
        self.graphics = pg.GraphicsLayoutWidget()
        self.graphics.setAccessibleName("First trials of the recording")
        self.graphics.setToolTip("Drive above, response below; time in s, zero where the drive proper begins")
        self._plots = (self.graphics.addPlot(row=0, col=0), self.graphics.addPlot(row=1, col=0))
        self._plots[1].setXLink(self._plots[0])
        self._empty = EmptyWords(self.graphics, self._plots, "No samples to draw")
        for plot in self._plots:
            quiet(plot)
        self._plots[0].getAxis("bottom").setStyle(showValues=False)
        label_axis(self._plots[1], "bottom", "time", "s")
        self.picture = pg.GraphicsLayoutWidget()
        self.picture.setAccessibleName("A frame of the film")
        self._image = pg.ImageItem(axisOrder="row-major")
        self._box = self.picture.addPlot()
        quiet(self._box, width=None)
        self._box.invertY(True)
        self._box.setAspectLocked(True)
        self._box.addItem(self._image)
        self.told = words("hint")
        self._stack = QStackedWidget()
        self._stack.addWidget(self.graphics)
        self._stack.addWidget(self.picture)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.told)
        column.addWidget(self._stack, 1)
        self.use_theme(theme)

    @property
    def curves(self) -> int:
        """How many curves are shown."""
        return len(self._preview.drive) + len(self._preview.response)

    def show_preview(self, preview: Preview) -> None:
        """Show this one."""
        self._preview = preview
        self.told.setText(preview.words)
        self._empty.show(not (preview.drive or preview.response))
        self._stack.setCurrentWidget(self.graphics if preview.frame is None else self.picture)
        if preview.frame is not None:
            self._image.setImage(preview.frame)
        for plot, what, curves in zip(
            self._plots, ("drive", "response"), (preview.drive, preview.response), strict=True
        ):
            self._draw(plot, what, curves)

    def use_theme(self, theme: Theme) -> None:
        """Draw in these colours."""
        self._theme = theme
        colour_axes(self.graphics, self._plots, theme)
        colour_axes(self.picture, [self._box], theme, grid=False)
        self.show_preview(self._preview)

    def _draw(self, plot: pg.PlotItem, what: str, curves: Sequence[Curve]) -> None:
        plot.clear()
        names = list(dict.fromkeys(one.channel for one in curves))
        units = {one.unit for one in curves}
        label_axis(plot, "left", what, units.pop() if len(units) == 1 else "")
        colours = self._theme.curves
        for one in curves:
            colour = colours[names.index(one.channel) % len(colours)]
            plot.addItem(pg.PlotCurveItem(one.time_s, one.values, pen=pg.mkPen(colour, width=1)))
        show_legend(
            plot, [(LINE, name, colours[number % len(colours)]) for number, name in enumerate(names)], self._theme
        )
