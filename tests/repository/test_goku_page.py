"""What docs/goku.md shows is what works: its commands parse and run, its equation is one, its example makes the traces."""

import re
import shlex
import tomllib
from pathlib import Path

import numpy as np
import pytest

from labctl.cli import main, parser
from twins.goku.written.equation_file import equation_from

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "goku.md").read_text(encoding="utf-8")
BRIEF = ["--simulations", "300", "--seconds", "1", "--judged", "1"]


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, flags=re.DOTALL)


def commands() -> list[list[str]]:
    return [shlex.split(line)[1:] for block in blocks("sh") for line in block.splitlines()]


def test_its_commands_parse() -> None:
    assert len(commands()) == 11
    for words in commands():
        parser().parse_args(words)


def test_its_options_are_options() -> None:
    help_text = " ".join(_help(action) for action in ("fit", "infer", "characterise"))
    for option in set(re.findall(r"`(--[a-z-]+)", PAGE)):
        assert option in help_text, option


def _help(action: str) -> str:
    [commands_of] = [one for one in parser()._actions if one.dest == "command"]
    [actions] = [one for one in commands_of.choices["goku"]._actions if one.choices]  # type: ignore[index]
    return str(actions.choices[action].format_help())  # type: ignore[index]


def test_its_equation_is_one() -> None:
    [text] = blocks("toml")
    system = equation_from(tomllib.loads(text))
    assert system.parameter_names == ("length", "friction")


def way(folder: Path, monkeypatch: pytest.MonkeyPatch, *actions: str) -> None:
    """Make the traces, and run these of the page's commands on them."""
    monkeypatch.chdir(folder)
    [block] = blocks("python")
    exec(compile(block, "docs/goku.md", "exec"), {})
    shown = {words[1]: words for words in commands() if "swings.csv" in words and "swing.toml" not in words}
    assert list(shown) == ["fit", "infer", "forecast", "report", "compare"]
    for action in actions:
        assert main([*shown[action], *(BRIEF if action == "fit" else [])]) in (0, 3)


def test_its_way_from_traces_to_a_table_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    way(tmp_path, monkeypatch, "fit", "infer")
    assert np.loadtxt("swings.csv", delimiter=",", skiprows=1).shape == (200, 3)
    assert re.search(r"swings\.csv, trial 0 \(from row 0\) .*\[.*\] m ", capsys.readouterr().out)
    assert Path("table.csv").read_text(encoding="utf-8").count("length") == 4


@pytest.mark.slow
def test_its_way_from_traces_to_a_page_and_a_verdict_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    way(tmp_path, monkeypatch, "fit", "forecast", "report", "compare")
    assert "damped_pendulum" in capsys.readouterr().out
    assert "Parameters" in Path("swings.html").read_text(encoding="utf-8")
    assert Path("ahead.csv").read_text(encoding="utf-8").count("angle") == 80


def test_every_link_leads_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", PAGE):
        assert (ROOT / "docs" / target).exists(), target
