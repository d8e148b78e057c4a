"""What docs/nca.md shows is what works: its commands run, its options are options, its links lead somewhere."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from labctl.cli import main, parser
from labctl.simulation import SimulatedBench, bundled_bench, bundled_station

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "nca.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, flags=re.DOTALL)


def commands(block: str) -> list[list[str]]:
    return [shlex.split(line)[1:] for line in block.splitlines()]


def ran(block: str, *, allowed: tuple[int, ...] = (0, 3)) -> None:
    for words in commands(block):
        assert main(words) in allowed, words


def test_its_options_are_options() -> None:
    [top] = [one for one in parser()._actions if one.dest == "command"]
    [actions] = [one for one in top.choices["nca"]._actions if one.choices]  # type: ignore[index]
    help_text = " ".join(one.format_help() for one in actions.choices.values())  # type: ignore[union-attr]
    for option in set(re.findall(r"`(--[a-z-]+)", PAGE)):
        assert option in help_text, option


def test_every_link_leads_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", PAGE):
        assert (ROOT / "docs" / target).exists(), target


def test_its_way_from_an_equation_to_a_page_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    shown = {words[1]: words for words in reversed(commands(blocks("sh")[0]))}
    for action in ("pdes", "fit", "simulate", "evaluate"):
        brief = ["--epochs", "6"] if action == "fit" else []
        assert main([*shown[action], *brief]) in (0, 3)
    page = Path("heat.html").read_text(encoding="utf-8")
    for words in ("SIMULATED", "Beside the data", "Hidden channels", "Symmetry", "ealing", "The rule, made readable"):
        assert words in page, words
    assert "heat: du/dt" in capsys.readouterr().out


@pytest.mark.slow
def test_its_ways_from_an_equation_and_from_images_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    equation, images, _ = blocks("sh")
    ran(equation)
    _, code = blocks("python")
    exec(compile(code, "docs/nca.md", "exec"), {})
    ran(images)
    for name in (
        "ahead.npz",
        "damaged.npz",
        "sensitive.png",
        "exported/run_automaton.py",
        "heat.onnx",
        "fitted/small.report.html",
    ):
        assert Path(name).exists(), name


def test_its_equation_in_python_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    code = blocks("python")[0].replace("epochs=120", "epochs=3")
    assert "epochs=3," in code
    names: dict[str, Any] = {"__name__": "page"}
    exec(compile(code, "docs/nca.md", "exec", dont_inherit=True), names)
    assert names["ahead"].values.shape == (2, 9, 32, 32, 1)
    assert names["told"].startswith("error ")
    assert Path("fisher.safetensors").exists() and Path("unseen.npz").exists()


@pytest.mark.slow
def test_its_way_from_a_camera_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    [simulate, characterise] = commands(blocks("sh")[2])
    parser().parse_args(simulate)
    with SimulatedBench.start(bundled_bench("reaction_cell")) as sim:
        sim.write_station(tmp_path / "cell.toml", bundled_station("reaction_cell"))
        assert main(characterise) in (0, 3)
    assert Path("measured/cell.report.html").read_text(encoding="utf-8").count("SIMULATED") > 0
