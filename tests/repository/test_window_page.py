"""What docs/window.md shows is what works: its panel counts, its script is Python, its commands parse, its pictures are there."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from labctl.cli import parser

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "window.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, flags=re.DOTALL)


def test_its_script_is_python(capsys: pytest.CaptureFixture[str]) -> None:
    exec(compile(blocks("python")[0], "window.md", "exec"), {})
    text = capsys.readouterr().out
    compile(text, "script", "exec")
    assert "characterise(" in text


def test_its_commands_parse() -> None:
    for line in "".join(blocks("sh")).splitlines():
        words = shlex.split(line)
        assert words[0] == "labctl"
        parser().parse_args(words[1:])


def test_its_pictures_are_there() -> None:
    for name in re.findall(r"\]\((screenshots/[^)]+)\)", PAGE):
        assert (ROOT / "docs" / name).is_file(), name


def test_its_panels_are_those_of_the_window_in_their_order() -> None:
    from gui.shell.panel_entries import found_panels

    named = re.findall(r"^\| (\w+) \| Ctrl\+(\d) \|", PAGE, flags=re.MULTILINE)
    assert [name for name, _ in named] == [entry.title for entry in found_panels()]
    assert [int(number) for _, number in named] == list(range(1, len(named) + 1))


def test_its_panel_counts(qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from gui.controller import State
    from gui.desk import Desk
    from gui.work import WorkState

    monkeypatch.setenv("QT_QPA_PLATFORM", "offscreen")
    scope: dict[str, object] = {}
    exec(compile(blocks("python")[1], "window.md", "exec"), scope)
    desk = Desk(runs_folder=tmp_path)
    panel = scope["CounterPanel"](desk)  # type: ignore[operator]
    qtbot.addWidget(panel)
    panel.show()
    panel.controls.start_button.click()
    qtbot.waitUntil(lambda: panel.controls.work.over, timeout=60_000)
    assert panel.controls.work.state is WorkState.DONE
    assert panel.told.text() == "0 recordings"
    desk.controller.part()
    qtbot.waitUntil(lambda: desk.controller.state is State.PARTED, timeout=60_000)
