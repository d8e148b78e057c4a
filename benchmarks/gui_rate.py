"""Does the window keep its frames, and does Stop act, however fast samples come in?

    python benchmarks/gui_rate.py --json gui_rate.json [--seconds 5]

Opens the window (off screen unless QT_QPA_PLATFORM says otherwise) on a simulated bench and runs a campaign that yields
samples of one drive and one response at 1e4, 1e5 and 1e6 samples a second of each, and once as fast as Python can. For each
rate: the rate that was reached, frames drawn a second, the longest time between two frames, the time from the click on
Stop until the campaign's thread has ended and until the window says so, the time from "All outputs safe" under the same
load until every output was read back, CPU of the whole process (1 = one core), and resident memory at the end.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import numpy as np
from PySide6.QtCore import QEventLoop, QTimer
from PySide6.QtWidgets import QApplication

from gui.app import SWITCH_INTERVAL_S
from gui.bridge import Frame
from gui.controller import State
from gui.main_window import MainWindow
from gui.offers import Offer
from labctl.bench import Bench
from labctl.campaign import Campaign
from labctl.events import Progress, Sampled, StepStarted

RATES = (1e4, 1e5, 1e6, float("inf"))
BLOCK_SAMPLES = 500


def source(rate_per_s: float) -> Callable[[Bench, Path, int], Campaign[None]]:
    """A campaign that yields blocks of noise at this rate, for ever; at infinity without a pause."""

    def make(_bench: Bench, _folder: Path, seed: int) -> Campaign[None]:
        noise = np.random.default_rng(seed).standard_normal((BLOCK_SAMPLES, 2))
        count = BLOCK_SAMPLES if rate_per_s > 1e4 else 50
        drive, response = noise[:count, :1], noise[:count, 1:]
        yield StepStarted("source", "Samples without end")
        began, done = time.perf_counter(), 0
        while True:
            yield Sampled("source", 0, done, 1e-6, ("leaky_drive",), ("leaky_response",), drive, response)
            yield Progress("source", done % 1000, 1000, f"{done} samples")
            done += count
            ahead_s = done / rate_per_s - (time.perf_counter() - began)
            if ahead_s > 0.0:
                time.sleep(ahead_s)

    return make


def spin(until: Callable[[], bool], *, limit_s: float = 120.0) -> None:
    """Run Qt's event loop until something is true."""
    loop = QEventLoop()
    watch = QTimer(interval=2)
    began = time.perf_counter()
    watch.timeout.connect(lambda: loop.quit() if until() or time.perf_counter() - began > limit_s else None)
    watch.start()
    loop.exec()
    if not until():
        raise RuntimeError(f"waited {limit_s:g} s in vain")


def spin_for(seconds: float) -> None:
    """Run Qt's event loop for a time, undisturbed."""
    loop = QEventLoop()
    QTimer.singleShot(round(1000 * seconds), loop.quit)
    loop.exec()


def measure(window: MainWindow, rate_per_s: float, seconds: float) -> dict[str, float]:
    """One rate: frames, Stop, all outputs safe."""
    window.run_panel.campaign.setCurrentIndex(RATES.index(rate_per_s))
    window.run_panel.run.click()
    spin(lambda: window.bridge.running and window.bridge.box.samples.total > 0)
    spin_for(0.5)
    times: list[float] = []

    def note(_: Frame) -> None:
        times.append(time.perf_counter())

    window.bridge.frame.connect(note)
    began, frames, samples, cpu_s = (
        time.perf_counter(),
        window.trace_plot.frames,
        window.bridge.box.samples.total,
        cpu(),
    )
    spin_for(seconds)
    lasted_s = time.perf_counter() - began
    figures = {
        "samples_per_s": (window.bridge.box.samples.total - samples) / lasted_s,
        "fps": (window.trace_plot.frames - frames) / lasted_s,
        "longest_frame_ms": 1000 * float(np.diff(times).max()),
        "cpu": (cpu() - cpu_s) / lasted_s,
    }
    window.bridge.frame.disconnect(note)
    figures |= stop_times(window)
    window.run_panel.run.click()
    spin(lambda: window.bridge.running and window.bridge.box.samples.total > 0)
    began = time.perf_counter()
    window.safe_button.click()
    spin(lambda: window.controller.state is State.READY)
    figures["all_safe_ms"] = 1000 * (time.perf_counter() - began)
    figures["rss_MB"] = resident_MB()
    return figures


def stop_times(window: MainWindow) -> dict[str, float]:
    """From the click on Stop to the end of the campaign's thread, and to the window's saying so (ms)."""
    began = time.perf_counter()
    window.run_panel.stop.click()
    window.bridge.wait(60.0)  # the click has been handled: from here on only the thread counts
    thread_ms = 1000 * (time.perf_counter() - began)
    spin(lambda: not window.bridge.running)
    told_ms = 1000 * (time.perf_counter() - began)
    spin(lambda: window.controller.state is State.READY)
    return {"stop_ms": thread_ms, "stop_told_ms": told_ms}


def cpu() -> float:
    """CPU seconds of this process, all threads."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def resident_MB() -> float:
    """Resident memory now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def main() -> int:
    """Measure all rates, print a table, write the JSON file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here")
    parser.add_argument("--seconds", type=float, default=5.0, help="how long each rate is watched (default 5)")
    options = parser.parse_args()
    application = QApplication(sys.argv[:1])
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    offers = [Offer(f"{rate:g} samples/s", "for the benchmark", source(rate)) for rate in RATES]
    figures: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        window = MainWindow(campaigns=lambda _: offers, runs_folder=Path(folder), farewell_ms=0)
        window.show()
        window.controller.open_simulated()
        spin(lambda: window.controller.state is State.READY)
        for rate in RATES:
            name = "saturating" if rate == float("inf") else f"{rate:g}"
            figures[name] = measure(window, rate, options.seconds)
            print(name, {key: round(value, 1) for key, value in figures[name].items()}, flush=True)
        window.close()
        spin(lambda: window.controller.state is State.PARTED)
    application.processEvents()
    if options.json:
        options.json.write_text(
            json.dumps({"platform": os.environ["QT_QPA_PLATFORM"], "rates": figures}, indent=2) + "\n"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
