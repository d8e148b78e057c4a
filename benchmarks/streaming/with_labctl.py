"""labctl's main window on the simulated bench, its Record panel following a campaign that yields points without end."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import pyqtgraph as pg
from PySide6.QtWidgets import QApplication
from watching import blocks_of, spin, tell, watch

from gui.app import SWITCH_INTERVAL_S
from gui.controller import State
from gui.main_window import MainWindow
from gui.panels.record.panel import RecordPanel
from labctl import calls
from labctl.calls import call
from labctl.campaign import Campaign
from labctl.events import Progress, Sampled, StepStarted
from labctl.job import Job


def streaming(rate_per_s: float) -> Campaign[None]:
    """As a recording's events come, at this rate."""
    yield StepStarted("source", "Points without end")
    done, drive_names, response_names = 0, ("leaky_drive",), ("leaky_response",)
    for block in blocks_of(rate_per_s):
        drive, response = block[:, :1], block[:, 1:]
        yield Sampled("source", 0, done, 1.0 / rate_per_s, drive_names, response_names, drive, response)
        done += len(block)
        yield Progress("source", done % 1000, 1000, f"{done} samples")


def main() -> None:
    rate_per_s, seconds = float(sys.argv[1]), float(sys.argv[2])
    application = QApplication(sys.argv[:1])
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    with tempfile.TemporaryDirectory() as folder:
        window = MainWindow(runs_folder=Path(folder), farewell_ms=0)
        window.show()
        desk = window.desk
        desk.controller.open_simulated()
        spin(lambda: desk.controller.state is State.READY)
        panel = window.show_panel("record")
        assert isinstance(panel, RecordPanel)
        bench = desk.controller.bench
        bench.streaming = streaming  # a job calls a method of the bench, and this one as well, here
        calls.BENCH_METHODS |= {"streaming"}
        work = desk.start(Job("Streaming", call("bench.streaming", rate_per_s), Path(folder) / "run"), panel=panel.key)
        panel.controls.follow(work)
        panel.tabs.setCurrentWidget(panel.live)
        samples = desk.bridge.box.samples
        spin(lambda: samples.total > 0)
        figures = watch(
            viewport=panel.live.findChild(pg.GraphicsLayoutWidget).viewport(),
            taken=lambda: samples.total,
            drawn=lambda: panel.live.frames,
            stop=panel.controls.stop_button.click,
            ended=lambda: desk.bridge.wait(0.0),
            seconds=seconds,
        )
        window.close()
        spin(lambda: desk.controller.state is State.PARTED)
    tell(figures)
    del application


if __name__ == "__main__":
    main()
