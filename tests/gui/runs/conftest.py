"""A panel on a runs folder that holds a recording, a twin of it and a network of that, in short."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QAbstractItemView
from pytestqt.qtbot import QtBot

from gui.controller import State
from gui.desk import Desk
from gui.panels.runs.panel import RunsPanel
from labctl.calls import call
from labctl.job import Job
from labctl.recording import Block, RecordingHeader
from labctl.store import RecordingWriter

WAIT_MS = 30_000
STARTED = "2026-01-31T12:00:00.000001+00:00"
GATES = {"passed": True, "judged": True, "gates": [{"name": "coverage_90", "value": 0.8991206030150756}]}
Click = Callable[..., None]


def record(path: Path, started: str = STARTED) -> None:
    """Two trials of a ramp."""
    header = RecordingHeader(
        shape=(2, 50), dt_s=1e-3, drive_names=("leaky_drive",), drive_units=("V",), response_names=("leaky_response",),
        response_units=("V",), n_prepare=10, input_id=np.arange(2), simulated=True, started_utc=started,
    )  # fmt: skip
    ramp = np.arange(50, dtype=float)[:, None]
    with RecordingWriter(path, header) as writer:
        writer.append_many([Block(trial, 0, ramp, -ramp) for trial in range(2)])
        writer.note("the relay clicked")


def write(path: Path, content: dict[str, Any]) -> None:
    """A JSON file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """The runs folder."""
    root = tmp_path / "runs"
    (root / "a").mkdir(parents=True)
    record(root / "a" / "leaky-training.h5")
    source = {"path": "/elsewhere/leaky-training.h5", "started_utc": STARTED}
    about = {"simulated": True, "seed": 3, "started_utc": "2026-02-01T00:00:00+00:00", "gates": GATES}
    twin = {"format": "labctl.device_twin", "provenance": {**about, "extra": {"recordings": [source]}}}
    write(root / "a" / "leaky.json", twin)
    promise = {
        "promised": 0.29,
        "promised_std": 0.01,
        "linear_same_taps": 0.59,
        "linear_20_taps": 0.41,
        "metric": "nrmse",
    }
    plan = {"task": {"name": "narma10"}}
    network = {"format": "labctl-network-2", "gates": {"leaky": GATES}, "plan": plan, "provenance": about, **promise}
    write(root / "net" / "network.json", network)
    return root


@pytest.fixture
def panel(qtbot: QtBot, runs: Path) -> Iterator[RunsPanel]:
    """The panel; nothing runs when a test is over."""
    desk = Desk(runs_folder=runs)
    made = RunsPanel(desk)
    made.resize(1120, 640)
    made.show()
    made.activateWindow()
    qtbot.waitUntil(made.isActiveWindow, timeout=WAIT_MS)
    yield made
    for work in list(desk.works):
        if not work.over:
            work.stop()
    qtbot.waitUntil(lambda: all(work.over for work in desk.works), timeout=WAIT_MS)
    desk.controller.part()
    qtbot.waitUntil(lambda: desk.controller.state is State.PARTED, timeout=WAIT_MS)
    desk.keep_state()
    made.close()
    made.deleteLater()
    desk.deleteLater()


@pytest.fixture
def click(qtbot: QtBot) -> Click:
    """Click on a button, or on a row of a table."""

    def press(where: Any, row: int | None = None) -> None:
        if row is None:
            assert where.isEnabled(), f"{where.accessibleName()}: {where.toolTip()}"
            qtbot.mouseClick(where, Qt.MouseButton.LeftButton)
            return
        assert isinstance(where, QAbstractItemView)
        index = where.model().index(row, 1)
        where.scrollTo(index)
        qtbot.mouseClick(where.viewport(), Qt.MouseButton.LeftButton, pos=where.visualRect(index).center())

    return press


@pytest.fixture
def short(runs: Path) -> Callable[[str], Job]:
    """Over at once."""
    return lambda name: Job(name, call("labctl.provenance:utc_now"), runs / name)


@pytest.fixture
def failing(runs: Path) -> Callable[[str], Job]:
    """Reads what is not there."""
    return lambda name: Job(name, call("labctl.store:open_recording", runs / "none.h5"), runs / name)


@pytest.fixture
def long(runs: Path) -> Callable[[str], Job]:
    """Simulates for minutes."""
    source = call("labctl.nca_pde:PdeSource", pde="gray_scott", size=(128, 128), n_frames=400, steps_per_frame=400)
    return lambda name: Job(name, call("labctl.campaigns.simulate_nca:simulate_images", source), runs / name)
