"""Bare pyqtgraph: a thread fills a ring, a 30 Hz timer gives the curves the last half second, downsampled to its peaks."""

from __future__ import annotations

import sys
import threading

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QApplication, QPushButton, QVBoxLayout, QWidget
from watching import SIZE, blocks_of, spin_for, tell, watch

KEPT = 1 << 19
SPAN_S = 0.5


class Ring:
    """The newest points of two channels."""

    def __init__(self) -> None:
        self.values = np.zeros((KEPT, 2), dtype=np.float32)
        self.total = 0
        self.lock = threading.Lock()

    def put(self, block: np.ndarray) -> None:
        with self.lock:
            places = np.arange(self.total, self.total + len(block)) % KEPT
            self.values[places] = block
            self.total += len(block)

    def newest(self, count: int) -> np.ndarray:
        with self.lock:
            count = min(count, self.total, KEPT)
            return self.values[np.arange(self.total - count, self.total) % KEPT]


def main() -> None:
    rate_per_s, seconds = float(sys.argv[1]), float(sys.argv[2])
    application = QApplication(sys.argv[:1])
    window, column = QWidget(), QVBoxLayout()
    window.setLayout(column)
    ring, stop, drawn = Ring(), threading.Event(), [0]
    button = QPushButton("Stop")
    button.clicked.connect(lambda _: stop.set())
    graphics = pg.PlotWidget()
    plot = graphics.getPlotItem()
    plot.setYRange(-1.5, 1.5)
    curves = [plot.plot(pen=pg.mkPen(colour, width=1)) for colour in ("#0072B2", "#D55E00")]
    for curve in curves:
        curve.setDownsampling(auto=True, method="peak")
        curve.setClipToView(True)
    column.addWidget(button)
    column.addWidget(graphics)
    window.resize(*SIZE)

    def source() -> None:
        for block in blocks_of(rate_per_s):
            if stop.is_set():
                return
            ring.put(block)

    def draw() -> None:
        newest = ring.newest(int(SPAN_S * rate_per_s))
        time_s = np.arange(1 - len(newest), 1) / rate_per_s
        for curve, values in zip(curves, newest.T, strict=True):
            curve.setData(time_s, values)
        drawn[0] = ring.total

    timer = QTimer(interval=33)
    timer.timeout.connect(draw)
    timer.start()
    window.show()
    thread = threading.Thread(target=source, daemon=True)
    thread.start()
    figures = watch(
        viewport=graphics.viewport(),
        taken=lambda: ring.total,
        drawn=lambda: drawn[0],
        stop=button.click,
        ended=lambda: not thread.is_alive(),
        seconds=seconds,
    )
    window.close()
    spin_for(0.05)
    tell(figures)
    del application


if __name__ == "__main__":
    main()
