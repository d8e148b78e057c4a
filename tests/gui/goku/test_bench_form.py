"""Traces from the bench, by clicks; a level beyond the limits is refused before anything is set."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from gui.controller import State
from gui.panels.goku.panel import TRACES, GokuPanel
from gui.work import WorkState

Click = Callable[..., None]
WAIT_MS = 60_000


@pytest.fixture
def on_bench(qtbot: QtBot, panel: GokuPanel, station: Path) -> Iterator[GokuPanel]:
    """The panel, with the simulated station open."""
    controller = panel.desk.controller
    controller.open_station(station)
    qtbot.waitUntil(lambda: controller.state is State.READY, timeout=WAIT_MS)
    panel.steps.setCurrentIndex(TRACES)
    panel.traces.sources.setCurrentIndex(1)
    yield panel
    controller.part()
    qtbot.waitUntil(lambda: controller.state is State.PARTED, timeout=WAIT_MS)


def fill(qtbot: QtBot, panel: GokuPanel, **texts: str) -> None:
    """Type into fields of the form."""
    for name, text in texts.items():
        field = getattr(panel.traces.bench, name)
        edit = getattr(field, "edit", field)
        edit.selectAll()
        qtbot.keyClicks(edit, text)


def test_a_device_is_recorded_and_its_traces_are_taken(qtbot: QtBot, on_bench: GokuPanel, click: Click) -> None:
    form = on_bench.traces.bench
    assert form.device.count() >= 1 and form.levels.text()
    fill(qtbot, on_bench, repeats="1", samples="30")
    click(form.controls.start_button)
    qtbot.waitUntil(lambda: on_bench.traces.traces is not None, timeout=WAIT_MS)
    assert form.controls.work is not None and form.controls.work.state is WorkState.DONE
    told = on_bench.traces.traces
    assert told is not None and told.simulated and len(told.traces) == 3
    script = on_bench.desk.script_of(form.controls.work.job)
    assert "record_traces(" in script and "Bench.open(" in script
    assert on_bench.traces.sources.currentIndex() == 0


def test_levels_that_cannot_be_are_refused_with_words(qtbot: QtBot, on_bench: GokuPanel, click: Click) -> None:
    form = on_bench.traces.bench
    fill(qtbot, on_bench, levels="0.1, much")
    click(form.controls.start_button)
    assert "are no numbers" in form.controls.line.text() and not on_bench.desk.works
    fill(qtbot, on_bench, levels="1e6", repeats="1", samples="20")
    click(form.controls.start_button)
    qtbot.waitUntil(lambda: bool(on_bench.desk.works) and on_bench.desk.works[-1].over, timeout=WAIT_MS)
    assert on_bench.desk.works[-1].state is WorkState.FAILED
    assert "outside" in form.controls.line.toolTip() or "limit" in form.controls.line.toolTip()
    assert on_bench.traces.traces is None
