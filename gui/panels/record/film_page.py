"""The newest frame of a filmed device, each of its channels a picture."""

from __future__ import annotations

import numpy as np
import pyqtgraph as pg
from PySide6.QtWidgets import QVBoxLayout, QWidget

from gui.panels.widgets import plain
from gui.plots.axes import colour_axes, quiet
from gui.plots.legend import show_legend
from gui.theme import Theme
from labctl.events import FrameTaken

COLOURS = "viridis"


class FilmPage(QWidget):
    """Shows `FrameTaken` previews, coarse; the scale is that of the brightest and darkest counts seen in this recording."""

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self._theme = theme
        self._names: tuple[str, ...] = ()
        self._images: list[pg.ImageItem] = []
        self._plots: list[pg.PlotItem] = []
        self._reach: dict[int, tuple[float, float]] = {}
        self._graphics = pg.GraphicsLayoutWidget()
        self._graphics.setAccessibleName("Newest frame")
        self._graphics.setToolTip("Coarse; the recording has every pixel")
        self.line = plain("no frame yet")
        self.line.setAccessibleName("About the newest frame")
        column = QVBoxLayout(self)
        column.setContentsMargins(4, 4, 4, 4)
        column.addWidget(self._graphics, 1)
        column.addWidget(self.line)
        self.use_theme(theme)

    def clear(self) -> None:
        """Forget what was seen."""
        self._reach = {}
        self.line.setText("no frame yet")

    def show_frame(self, frame: FrameTaken) -> None:
        """Show this one."""
        if frame.names != self._names:
            self._rebuild(frame.names)
        where = (
            f"trial {frame.trial}, frame {frame.index + 1} of {frame.n_frames}, {frame.time_s:.4g} s after its start"
        )
        if frame.lost:
            self.line.setText(f"⚠ {where}: lost by the camera")
            return
        full = f"; ⚠ {frame.saturated} counts at full scale" if frame.saturated else ""
        spans = []
        for number, image in enumerate(self._images):
            counts = frame.preview[:, :, number]
            low, high = float(counts.min()), float(counts.max())
            seen = self._reach.get(number, (low, high))
            self._reach[number] = seen = (min(low, seen[0]), max(high, seen[1]))
            image.setImage(counts.astype(np.float32), autoLevels=False, levels=(seen[0], max(seen[1], seen[0] + 1.0)))
            spans.append(f"{self._names[number]} {low:.0f} … {high:.0f} counts")
        self.line.setText(f"{where}; {', '.join(spans)}{full}")

    def use_theme(self, theme: Theme) -> None:
        """Draw in these colours."""
        self._theme = theme
        colour_axes(self._graphics, self._plots, theme, grid=False)
        for plot, name in zip(self._plots, self._names, strict=True):
            show_legend(plot, [], theme, heading=name)

    def _rebuild(self, names: tuple[str, ...]) -> None:
        self._graphics.clear()
        self._names, self._images, self._plots, self._reach = names, [], [], {}
        for number, _ in enumerate(names):
            plot = self._graphics.addPlot(row=0, col=number)
            quiet(plot, width=None)
            plot.setAspectLocked(True)
            plot.invertY(True)
            plot.hideAxis("left")
            plot.hideAxis("bottom")
            image = pg.ImageItem(axisOrder="row-major")
            image.setColorMap(pg.colormap.get(COLOURS))
            plot.addItem(image)
            self._images.append(image)
            self._plots.append(plot)
        self.use_theme(self._theme)
