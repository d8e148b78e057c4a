"""The start page: it follows what really happened, leads to the right panel, and runs the whole loop by itself."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot

sys.path.insert(0, str(Path(__file__).parent))
import campaigns

import labctl.demo
from gui.controller import State
from gui.main_window import MainWindow
from gui.shell.start.panel import StartPanel
from gui.shell.start.steps import STEPS
from gui.work import WorkState
from labctl.bench import Bench
from labctl.campaign import Campaign

WAIT_MS = 60_000
LEFT = Qt.MouseButton.LeftButton
Show = Callable[..., MainWindow]


def page(window: MainWindow) -> StartPanel:
    panel = window.show_panel("start")
    assert isinstance(panel, StartPanel)
    return panel


def done(panel: StartPanel) -> set[str]:
    return {key for key, row in panel.rows.items() if row.done}


def write(folder: Path, **texts: str) -> None:
    for name, text in texts.items():
        path = folder / name.replace("__", ".").replace("_in_", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def test_a_newcomer_meets_it_first_and_the_first_step_is_the_one_to_do(qtbot: QtBot, show: Show) -> None:
    window = show()
    panel = window.stack.current
    assert isinstance(panel, StartPanel)
    assert done(panel) == set()
    assert [row.mark.toolTip() for row in panel.rows.values()] == ["to do next", *5 * ["not done yet"]]
    assert all(step.why.endswith(".") for step in STEPS)


def test_steps_tick_themselves_off_by_what_happens_on_the_bench(qtbot: QtBot, opened: Show) -> None:
    window = opened()
    panel = page(window)
    assert done(panel) == {"open"}
    bench = window.controller.bench
    assert bench is not None
    window.desk.call(lambda: bench.set("duffing_bias", 0.05), done=lambda _: None)
    qtbot.waitUntil(lambda: "set" in done(panel), timeout=WAIT_MS)
    window.make_safe()
    qtbot.waitUntil(lambda: "all outputs safe" in window.top_bar.state.whole(), timeout=WAIT_MS)
    assert "set" in done(panel), "what was done stays done"


def test_steps_tick_themselves_off_by_files_and_hand_the_newest_to_the_panels(
    qtbot: QtBot, show: Show, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    window = show()
    panel = page(window)
    asked: list[tuple[str, list[Path]]] = []
    monkeypatch.setattr(window.desk, "show_panel", lambda key, *, files=(): asked.append((key, list(files))))
    runs = tmp_path / "runs"
    write(
        runs, a_in_leaky_training__h5="", a_in_leaky_heldout__h5="", a_in_leaky__json='{"format": "labctl.device_twin"}'
    )
    window.desk.files_changed.emit()
    qtbot.waitUntil(lambda: done(panel) == {"record", "fit"}, timeout=WAIT_MS)
    write(runs, n_in_network__json="{}", d_in_deployment__json="{}")
    window.desk.files_changed.emit()
    qtbot.waitUntil(lambda: {"optimise", "apply"} <= done(panel), timeout=WAIT_MS)
    for key in ("record", "fit", "optimise", "apply"):
        qtbot.mouseClick(panel.rows[key].go, LEFT)
    assert asked[0] == ("record", [])
    assert asked[1][0] == "twins" and {path.name for path in asked[1][1]} == {"leaky_training.h5", "leaky_heldout.h5"}
    assert asked[2] == ("networks", [runs / "a" / "leaky.json"])
    assert asked[3] == ("networks", [runs / "n"])


def test_the_whole_loop_starts_the_simulated_bench_by_one_click_and_shows_what_came_out(
    qtbot: QtBot, show: Show, monkeypatch: pytest.MonkeyPatch
) -> None:
    def loop(bench: Bench, *, folder: Path, seed: int) -> Campaign[object]:
        assert bench.simulated
        return (yield from campaigns.reporting(bench, folder, seed))

    loop.__module__, loop.__name__ = "labctl.demo", "close_the_known_loop"  # else a call of it is refused
    monkeypatch.setattr(labctl.demo, "close_the_known_loop", loop)
    window = show()
    panel = page(window)
    qtbot.mouseClick(panel.all_button, LEFT)
    assert not panel.all_button.isEnabled()
    qtbot.waitUntil(lambda: panel.work is not None and panel.work.over, timeout=WAIT_MS)
    assert panel.work is not None and panel.work.state is WorkState.DONE, panel.work.end
    qtbot.waitUntil(lambda: window.controller.state is State.READY, timeout=WAIT_MS)
    model = panel.loop.tasks
    cells = [model.index(0, column).data() for column in range(model.columnCount())]
    assert cells == ["narma10", "nrmse", "0.300 ± 0.010", "0.310 ± 0.020", "0.550", "0.900", "0.600", "0.400"]
    assert window.controller.simulated_name == "demo"
    assert "all outputs safe" in window.top_bar.state.whole()
    assert panel.all_button.isEnabled()


def test_the_whole_loop_can_be_written_as_a_script(qtbot: QtBot, opened: Show) -> None:
    window = opened()
    job = page(window).script_job()
    assert job is not None
    text = window.desk.script_of(job)
    assert "close_the_known_loop(bench,folder=folder,seed=1" in "".join(text.split())
    assert str(window.controller.bench.station.path) in text  # type: ignore[union-attr]
    compile(text, "script.py", "exec")


def test_a_station_that_does_not_start_leaves_the_whole_loop_unstarted(
    qtbot: QtBot, show: Show, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(name: str) -> Path:
        raise OSError("no such bench")

    monkeypatch.setattr("gui.opened_bench.bundled_bench", broken)
    window = show()
    panel = page(window)
    qtbot.mouseClick(panel.all_button, LEFT)
    qtbot.waitUntil(window.error_panel.isVisible, timeout=WAIT_MS)
    assert "no such bench" in window.error_panel.message.text()
    assert panel.work is None
    assert panel.all_button.isEnabled()
