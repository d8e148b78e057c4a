"""What a job has written can be deleted under it: that is told."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from gui.main_window import MainWindow
from gui.work import WorkState
from labctl.calls import FOLDER, call
from labctl.campaign import Campaign
from labctl.events import Progress
from labctl.job import Job

WAIT_MS = 60_000


@pytest.mark.parametrize("gone", [True, False])
def test_a_job_whose_folder_is_deleted_while_it_runs_says_so(
    qtbot: QtBot, show: Callable[..., MainWindow], monkeypatch: pytest.MonkeyPatch, gone: bool
) -> None:
    def deleted(_call: object, *, folder: Path) -> Campaign[None]:
        yield Progress("a", 1, 2)
        if gone:
            shutil.rmtree(folder)
        yield Progress("a", 2, 2)

    monkeypatch.setattr("gui.work.apart", deleted)
    window = show()
    asked = call("labctl.campaigns.fit_twin:fit_twin", "leaky", [], None, seed=1, folder=FOLDER)
    work = window.desk.start(Job("a fit", asked, window.desk.new_folder("fit")))
    qtbot.waitUntil(lambda: work.over, timeout=WAIT_MS)
    assert work.state is (WorkState.FAILED if gone else WorkState.DONE)
    assert ("was deleted or moved while this ran" in window.error_panel.message.text()) is gone
