"""`labctl gui` with everything running that it can run at once: a program for tests that end it. STATION RUNS_FOLDER.

When all of it runs it prints one line, "at work".
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import labctl.calls
from gui import app
from gui.main_window import MainWindow
from gui.work import WorkState
from labctl.bench import Bench
from labctl.calls import BENCH, FOLDER, call
from labctl.campaign import Campaign
from labctl.events import Event, Progress, Waiting
from labctl.goku_helper import Helper
from labctl.job import Job
from labctl.workers import Job as WorkersJob
from labctl.workers import side_by_side


def idle() -> Iterator[Event]:
    """In a worker: for ever."""
    import time

    while True:
        time.sleep(0.02)
        yield Progress("idle", 1, 2)


def driving(bench: Bench, folder: Path, seed: int) -> Campaign[object]:
    """Drives two outputs while workers of its own work."""
    bench.set("duffing_bias", 0.1)
    bench.set("leaky_drive", 1.0)
    yield Waiting("driving")
    return (yield from side_by_side({"one": WorkersJob(idle, {}), "other": WorkersJob(idle, {})}))  # type: ignore[arg-type]


class WindowAtWork(MainWindow):
    """Starts a job on the bench, one beside it, and the helper of the GOKU panel, as soon as its station is open."""

    def __init__(self, **options: object) -> None:
        super().__init__(**options)  # type: ignore[arg-type]
        self.helper = Helper()
        self.waits = {"driving", "heat", "helper"}
        self.controller.opened.connect(self._begin)

    def _begin(self, _: Bench) -> None:
        desk = self.desk
        on_bench = desk.start(Job("driving", call("window_at_work:driving", BENCH, FOLDER, 1), desk.new_folder("a")))
        source = call("labctl.nca_pde:PdeSource", pde="heat", size=(32, 32), n_trials=1, n_frames=10**5)
        beside = desk.start(
            Job("heat", call("labctl.campaigns.simulate_nca:simulate_images", source), desk.new_folder("b"))
        )
        on_bench.frame.connect(
            lambda frame: self._there("driving", any(isinstance(one, Progress) for one in frame.events))
        )
        beside.frame.connect(lambda _: self._there("heat", beside.state is WorkState.RUNNING))
        desk.call(
            lambda: self.helper.ask(call("labctl.provenance:utc_now")),
            done=lambda _: self._there("helper"),
            name="helper",
        )

    def _there(self, name: str, really: bool = True) -> None:
        if really and name in self.waits:
            self.waits.discard(name)
            if not self.waits:
                sys.stdout.write("at work\n")
                sys.stdout.flush()


if __name__ == "__main__":
    import window_at_work

    labctl.calls.ALLOWED = (*labctl.calls.ALLOWED, "window_at_work:")
    app.MainWindow = window_at_work.WindowAtWork  # type: ignore[misc]
    sys.exit(app.main(station=Path(sys.argv[1]), simulated=None, runs_folder=Path(sys.argv[2]), theme=None))
