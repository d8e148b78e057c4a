"""What else can be done with a network on the bench: nothing starts without leave, and each job is a script of labctl's names."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot

from gui.panels.networks.offered import HOME, OFFERED
from gui.panels.networks.panel import NetworksPanel
from gui.panels.networks.selection_form import condition_of, condition_text
from gui.work import WorkState
from labctl.errors import UsageError
from labctl.network_editing import add_layer, set_twin

WAIT_MS = 60_000
LEFT = Qt.MouseButton.LeftButton


@pytest.fixture
def drawn(panel: NetworksPanel, tmp_path: Path) -> NetworksPanel:
    """One layer on a device whose twin is no file."""
    draft = add_layer(panel.document.draft, "only", {"leaky": 2}, listens_to=("input",))
    panel.document.show(set_twin(draft, "leaky", tmp_path / "leaky"))
    panel.pages.setCurrentWidget(panel.bench_page)
    return panel


@pytest.mark.parametrize("number", range(len(OFFERED)), ids=[one.function for one in OFFERED])
def test_every_form_fits_its_function_and_can_be_shown_as_a_script(
    drawn: NetworksPanel, open_bench: Callable[[], None], tmp_path: Path, number: int
) -> None:
    page, offered = drawn.bench_page, OFFERED[number]
    page.choice.setCurrentIndex(number)
    assert "No station is open" in page.controls.start_button.toolTip()
    open_bench()
    if offered.optimised:
        assert "Choose the folder" in page.why_not()
        page.network.set_path(tmp_path / "net")
    assert "Tick the box" in page.why_not()
    with pytest.raises(UsageError, match="Tick the box"):
        page.job()
    page.confirm.click()
    page.reason.setText("a test")
    job = page.job()
    known = inspect.signature(getattr(import_module(HOME), offered.function)).parameters
    assert set(job.call.options) <= set(known)
    assert job.call.options["override"] == "a test"
    assert job.needs_bench
    script = drawn.desk.script_of(job)
    assert f"{offered.function}(" in script
    compile(script, "script", "exec")


def test_a_field_that_cannot_be_taken_is_named(
    drawn: NetworksPanel, open_bench: Callable[[], None], tmp_path: Path
) -> None:
    open_bench()
    page = drawn.bench_page
    page.network.set_path(tmp_path / "net")
    page.confirm.click()
    page.fields[0]["repeats"].edit.setText("1")
    with pytest.raises(UsageError, match="Repeats: 1 outside"):
        page.job()


def test_a_campaign_that_fails_says_why_and_wants_leave_again(
    qtbot: QtBot, drawn: NetworksPanel, open_bench: Callable[[], None], tmp_path: Path
) -> None:
    open_bench()
    page = drawn.bench_page
    page.network.set_path(tmp_path / "net")
    page.confirm.click()
    qtbot.mouseClick(page.controls.start_button, LEFT)
    work = page.controls.work
    assert work is not None
    qtbot.waitUntil(lambda: work.over, timeout=WAIT_MS)
    assert work.state is WorkState.FAILED
    assert "network.json: no such file" in page.controls.line.toolTip()
    assert not page.confirm.isChecked()
    assert not page.controls.start_button.isEnabled()


@pytest.mark.parametrize(
    ("text", "value"), [("", None), ("0.1", 0.1), ("-2e-3", -2e-3), ("-0.1 .. 0.1", {"low": -0.1, "high": 0.1})]
)
def test_set_points_are_read_as_they_are_written(text: str, value: object) -> None:
    assert condition_of(text) == value
    assert condition_of(condition_text(value)) == value
    with pytest.raises(ValueError, match="could not convert"):
        condition_of(f"{text}x")
