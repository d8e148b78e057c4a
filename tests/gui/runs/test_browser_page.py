"""The browser of runs: found, searched, looked at, linked, exported, opened where it belongs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QAbstractItemView
from pytestqt.qtbot import QtBot

from gui.panels.runs.panel import RunsPanel
from gui.theme import DARK
from labctl.job import Job, save_job

WAIT_MS = 30_000
Click = Callable[..., None]
ALL = ["leaky-training.h5", "leaky.json", "network.json"]


def names(panel: RunsPanel) -> list[str]:
    return [one.name for one in panel.browser.model.rows]


@pytest.fixture
def browser(qtbot: QtBot, panel: RunsPanel) -> RunsPanel:
    """The panel with its second page, when it has read the folder."""
    qtbot.mouseClick(panel.pages.tabBar(), Qt.MouseButton.LeftButton, pos=panel.pages.tabBar().tabRect(1).center())
    qtbot.waitUntil(lambda: sorted(names(panel)) == ALL, timeout=WAIT_MS)
    return panel


def choose(qtbot: QtBot, panel: RunsPanel, click: Click, name: str) -> None:
    click(panel.browser.view, names(panel).index(name))
    qtbot.waitUntil(lambda: panel.browser.file.headline.text() == name, timeout=WAIT_MS)


def test_words_kind_and_day_leave_what_fits(qtbot: QtBot, browser: RunsPanel, click: Click) -> None:
    filters = browser.browser.filters
    qtbot.keyClick(browser.browser, Qt.Key.Key_F, Qt.KeyboardModifier.ControlModifier)
    qtbot.keyClicks(filters.search, "RELAY clicked")
    qtbot.waitUntil(lambda: names(browser) == ["leaky-training.h5"], timeout=WAIT_MS)
    click(filters.clear_button)
    qtbot.waitUntil(lambda: sorted(names(browser)) == ALL, timeout=WAIT_MS)
    qtbot.keyClicks(filters.kind, "twin")
    qtbot.waitUntil(lambda: names(browser) == ["leaky.json"], timeout=WAIT_MS)
    click(filters.clear_button)
    qtbot.keyClicks(filters.until, "2026-01")
    qtbot.waitUntil(lambda: names(browser) == ["leaky-training.h5"], timeout=WAIT_MS)
    assert browser.browser.count.text() == "1 of 3 files"


def test_a_click_on_a_column_sorts_by_it(qtbot: QtBot, browser: RunsPanel) -> None:
    header = browser.browser.view.horizontalHeader()
    for wanted in (["network", "recording", "twin"], ["twin", "recording", "network"]):
        at = header.sectionViewportPosition(1) + 8
        qtbot.mouseClick(
            header.viewport(),
            Qt.MouseButton.LeftButton,
            pos=header.rect().topLeft() + type(header.rect().topLeft())(at, 8),
        )
        qtbot.waitUntil(
            lambda wanted=wanted: [one.kind for one in browser.browser.model.rows] == wanted, timeout=WAIT_MS
        )


def test_a_recording_shows_its_first_trials_and_notes_and_says_that_it_is_simulated(
    qtbot: QtBot, browser: RunsPanel, click: Click
) -> None:
    choose(qtbot, browser, click, "leaky-training.h5")
    file = browser.browser.file
    qtbot.waitUntil(lambda: file.plot.curves == 4, timeout=WAIT_MS)
    assert "SIMULATED" in file.facts.text()
    assert browser.desk.simulated == {"runs": "leaky-training.h5"}
    assert file.notes.toPlainText() == "the relay clicked"
    browser.use_theme(DARK)
    assert file.plot.curves == 4


def test_the_chain_leads_from_the_network_to_the_recording(qtbot: QtBot, browser: RunsPanel, click: Click) -> None:
    choose(qtbot, browser, click, "network.json")
    file = browser.browser.file
    qtbot.waitUntil(lambda: file.chain.rowCount(file.chain.index(0, 0)) == 1, timeout=WAIT_MS)
    twin = file.chain.index(0, 0, file.chain.index(0, 0))
    recording = file.chain.index(0, 0, twin)
    assert (twin.data(), recording.data()) == ("leaky.json", "leaky-training.h5")
    bar = file.tabs.tabBar()
    qtbot.mouseClick(bar, Qt.MouseButton.LeftButton, pos=bar.tabRect(file.tabs.indexOf(file.tree)).center())
    file.tree.expandAll()
    file.tree.scrollTo(recording, QAbstractItemView.ScrollHint.EnsureVisible)
    at = file.tree.visualRect(recording).center()
    qtbot.mouseClick(file.tree.viewport(), Qt.MouseButton.LeftButton, pos=at)
    qtbot.mouseDClick(file.tree.viewport(), Qt.MouseButton.LeftButton, pos=at)
    qtbot.waitUntil(lambda: file.headline.text() == "leaky-training.h5", timeout=WAIT_MS)


def test_a_file_opens_in_the_panel_it_belongs_to(qtbot: QtBot, browser: RunsPanel, click: Click) -> None:
    for name, key in (("network.json", "networks"), ("leaky.json", "twins")):
        choose(qtbot, browser, click, name)
        with qtbot.waitSignal(browser.desk.panel_asked) as asked:
            click(browser.browser.file.open_button)
        assert asked.args[0] == key
        assert [path.name for path in asked.args[1]] == [name]


def test_a_run_opens_as_a_script_or_says_why_that_cannot_be(qtbot: QtBot, browser: RunsPanel, click: Click) -> None:
    choose(qtbot, browser, click, "leaky.json")
    with qtbot.waitSignal(browser.desk.script_asked, timeout=WAIT_MS) as asked:
        click(browser.browser.file.script_button)
    assert asked.args[1].startswith("# REBUILT, not stored")
    choose(qtbot, browser, click, "network.json")
    with qtbot.waitSignal(browser.desk.troubled, timeout=WAIT_MS) as troubled:
        click(browser.browser.file.script_button)
    assert "no job was stored with it" in troubled.args[0].message


def test_a_recording_is_exported_in_a_process_of_its_own(
    qtbot: QtBot, browser: RunsPanel, click: Click, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    choose(qtbot, browser, click, "leaky-training.h5")
    target = tmp_path / "out.csv"
    monkeypatch.setattr("gui.panels.runs.file_view.ask_where_to_save", lambda *given: given[-1](target))
    browser.browser.file.exports[".csv"].trigger()
    qtbot.waitUntil(lambda: bool(browser.desk.works) and browser.desk.works[-1].over, timeout=WAIT_MS)
    assert target.read_text().startswith("trial,time (s),input,leaky_drive (V),leaky_response (V)\n")
    choose(qtbot, browser, click, "network.json")
    assert not browser.browser.file.exports[".csv"].isEnabled()


def test_what_comes_and_goes_below_the_folder_is_seen(
    qtbot: QtBot, browser: RunsPanel, runs: Path, short: Callable[[str], Job]
) -> None:
    save_job(short("later"), runs / "later" / "job.json")
    (runs / "net" / "network.json").unlink()
    browser.desk.files_changed.emit()
    qtbot.waitUntil(lambda: sorted(names(browser)) == ["job.json", "leaky-training.h5", "leaky.json"], timeout=WAIT_MS)
    row = names(browser).index("job.json")
    cell = browser.browser.view.visualRect(browser.browser.model.index(row, 2)).center()
    viewport = browser.browser.view.viewport()
    qtbot.mouseClick(viewport, Qt.MouseButton.LeftButton, pos=cell)
    qtbot.mouseDClick(viewport, Qt.MouseButton.LeftButton, pos=cell)
    qtbot.waitUntil(lambda: [work.job.title for work in browser.desk.works] == ["later"], timeout=WAIT_MS)
    assert browser.pages.currentWidget() is browser.queue


def test_files_handed_to_the_panel_are_chosen(qtbot: QtBot, browser: RunsPanel, runs: Path) -> None:
    browser.take_files([runs / "a" / "leaky.json"])
    qtbot.waitUntil(lambda: browser.browser.file.headline.text() == "leaky.json", timeout=WAIT_MS)
