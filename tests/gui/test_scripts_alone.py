"""The script of each panel's main action does the same by itself: in an empty folder, the window and its simulated bench gone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PySide6.QtWidgets import QComboBox
from pytestqt.qtbot import QtBot

from gui.controller import State
from gui.main_window import MainWindow
from gui.panels.panel import Panel
from gui.work import Work, WorkState
from labctl.job import Job
from labctl.store import open_recording

WAIT_MS = 300_000
Show = Callable[..., MainWindow]


class Scripts:
    """What the panels of a window on a simulated bench would do, done there, and as text."""

    def __init__(self, qtbot: QtBot, window: MainWindow, folder: Path) -> None:
        self.qtbot, self.window, self.folder = qtbot, window, folder
        self.jobs: dict[str, tuple[Job, Job]] = {}
        self.texts: dict[str, str] = {}
        self.panel = Panel(window.desk)

    def go(self, key: str) -> Panel:
        """To this panel."""
        self.window.show_panel(key)
        assert self.window.stack.current is not None, f"{key}: {self.window.stack.currentWidget()} failed to load"
        self.panel = self.window.stack.current
        return self.panel

    def job(self) -> Job:
        """What the page that is looked at does, once it can."""
        found: list[Job] = []

        def can() -> bool:
            try:
                job = self.panel.script_job()
            except Exception as error:  # noqa: BLE001 - told below
                self.lacking = str(error)
                return False
            assert isinstance(job, Job)
            found.append(job)
            return True

        self.qtbot.waitUntil(can, timeout=60_000)
        return found[-1]

    def keep(self, name: str) -> None:
        """The script alone."""
        job = self.job()
        self.jobs[name] = (job, job)
        self.texts[name] = self.window.desk.script_of(job)

    def do(self, name: str) -> Work:
        """Done in the window; and the script of doing it once more, in a folder of its own."""
        work = self.window.desk.start(self.job(), panel=self.panel.key)
        self.qtbot.waitUntil(lambda: work.over, timeout=WAIT_MS)
        assert work.state is WorkState.DONE, work.end
        self.qtbot.waitUntil(lambda: self.window.controller.state is State.READY, timeout=WAIT_MS)
        self.keep(name)
        again = self.jobs[name][1]
        assert again.folder != work.job.folder
        self.jobs[name] = (work.job, again)
        return work

    def leave(self) -> None:
        """Close the window; its simulated bench and its station file go with it."""
        bench, pid = self.window.controller.bench, self.window.controller.simulation_pid
        assert bench is not None and bench.station.path is not None and pid is not None
        self.window.close()
        self.qtbot.waitUntil(lambda: self.window.parting.may_close, timeout=WAIT_MS)
        assert not bench.station.path.exists()
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)

    def started(self, name: str) -> subprocess.Popen[str]:
        """The script, in an empty folder."""
        folder = self.folder / f"alone-{name}"
        folder.mkdir()
        path = self.folder / f"script_of_{name}.py"  # twins.py would stand before the package
        path.write_text(self.texts[name], encoding="utf-8")
        return subprocess.Popen(
            [sys.executable, str(path)], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def run(self, name: str) -> tuple[Path, Path]:
        """The folders of the window's run and of the script's."""
        process = self.started(name)
        said, told = process.communicate(timeout=280)
        assert process.returncode == 0, f"{self.texts[name]}\n{said}\n{told}"
        assert not list((self.folder / f"alone-{name}").iterdir()), "a script writes into its job's folder only"
        return self.jobs[name][0].folder, self.jobs[name][1].folder


@pytest.fixture
def scripts(qtbot: QtBot, show: Show, tmp_path: Path) -> Scripts:
    """Of a window that has opened the simulated demo."""
    window = show()
    window.stations.open_simulated("demo")
    qtbot.waitUntil(lambda: window.controller.state is State.READY, timeout=WAIT_MS)
    return Scripts(qtbot, window, tmp_path)


def small(panel: Panel, **values: int) -> None:
    """Fewer samples than are offered."""
    panel.choices.options.show_values(values)  # type: ignore[attr-defined]


def same_drives(one: Path, other: Path) -> None:
    """Played by the window and by the script; what came back differs, by noise."""
    names = sorted(path.name for path in one.glob("*.h5"))
    assert names and names == sorted(path.name for path in other.glob("*.h5"))
    for name in names:
        first, second = open_recording(one / name), open_recording(other / name)
        np.testing.assert_array_equal(first.drive, second.drive)
        assert second.header.simulated and second.complete
        spread = float(np.nanstd(first.response))
        assert float(np.nanstd(first.response - second.response)) < spread


def test_recording_filming_and_setting_are_done_by_their_scripts_alone(scripts: Scripts) -> None:
    small(scripts.go("record"), n_trials=4, n_samples=60, n_inputs=2, n_repeats=2)
    scripts.do("record")
    nca = scripts.go("nca")
    nca.tabs.setCurrentIndex(0)  # type: ignore[attr-defined]
    scripts.do("nca")
    box = scripts.go("station").live.set_box  # type: ignore[attr-defined]
    box.choose("duffing_bias")
    box.field.set_value(0.05)
    scripts.keep("station")
    scripts.leave()
    same_drives(*scripts.run("record"))
    one, other = scripts.run("nca")
    (film,) = one.glob("*.npz")
    with np.load(film, allow_pickle=False) as first, np.load(other / film.name, allow_pickle=False) as second:
        for name in (name for name in first if first[name].dtype.kind == "f"):
            np.testing.assert_array_equal(first[name], second[name])
    held = scripts.started("station")
    assert held.stderr is not None
    for line in held.stderr:
        if "duffing_bias to 0.05 V" in line:
            break
    time.sleep(0.5)  # any later than this it holds; a signal before then would end the ramp
    held.send_signal(signal.SIGINT)
    said, told = held.communicate(timeout=60)
    assert held.returncode == 0, f"{said}\n{told}"
    assert "'duffing_bias': 0.05" in said


def kept(folder: Path) -> set[str]:
    """What a run has left, beside the job that only the window keeps."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file() and path.name != "job.json"}


def choose(panel: Panel, name: str, start: str) -> None:
    """In the box of this name."""
    box = next(one for one in panel.findChildren(QComboBox) if one.accessibleName() == name)
    box.setCurrentIndex(next(row for row in range(box.count()) if box.itemText(row).lower().startswith(start)))


@pytest.mark.slow
def test_fitting_optimising_inferring_and_training_are_done_by_their_scripts_alone(scripts: Scripts) -> None:
    small(scripts.go("record"), n_trials=12, n_samples=200, n_inputs=4, n_repeats=5)
    recorded = scripts.do("record").job.folder
    twins: Any = scripts.go("twins")
    twins.take_files([recorded / "leaky-training.h5", recorded / "leaky-heldout.h5"])
    twins.pages.setCurrentWidget(twins.fit)
    twins.fit.seconds.set_value(2)
    choose(twins, "How it is built", "plain")
    (twin,) = scripts.do("twins").job.folder.glob("leaky.json")
    networks: Any = scripts.go("networks")
    networks.take_files([twin])
    networks.pages.setCurrentWidget(networks.optimise_page)
    networks.optimise_page.seconds.set_value(2)
    scripts.do("networks")
    goku: Any = scripts.go("goku")
    goku.steps.setCurrentIndex(0)
    (example,) = scripts.do("goku-example").job.folder.glob("*.h5")
    goku.take_files([example])
    goku.steps.setCurrentIndex(2)
    goku.form.seconds.set_value(1)
    scripts.do("goku")
    nca: Any = scripts.go("nca")
    nca.tabs.setCurrentIndex(1)
    nca.train.seconds.set_value(1)
    scripts.do("nca")
    scripts.leave()
    for name in ("record", "twins", "networks", "goku-example", "goku", "nca"):
        one, other = scripts.run(name)
        assert kept(one) and kept(other) == kept(one), name
    first, second = (open_recording(one.folder / example.name) for one in scripts.jobs["goku-example"])
    np.testing.assert_array_equal(first.response, second.response)


@pytest.mark.slow
def test_the_whole_loop_is_done_by_its_script_alone(scripts: Scripts) -> None:
    runs: Any = scripts.go("runs")
    loop = runs.queue.loop
    loop.fit_s.set_value(2)
    loop.optimise_s.set_value(2)
    loop.override.setText("twins of two seconds, to try the script")
    loop.devices["duffing"].setChecked(False)
    scripts.keep("runs")
    scripts.go("start")
    scripts.keep("start")
    scripts.leave()
    assert "close_the_known_loop" in scripts.texts["start"] and 'simulated_station("demo")' in scripts.texts["start"]
    folder = scripts.run("runs")[1]
    assert {"report.html", "journal.jsonl"} <= {path.name for path in folder.rglob("*")}
