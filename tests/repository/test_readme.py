"""What the README shows is what works: its commands parse (and run, in the slow tests), its examples run."""

import re
import shlex
import subprocess
import sys
import time
from pathlib import Path

import pytest

from labctl.cli import main, parser
from labctl.simulation import SimulatedBench, write_demo_station
from labctl.station import parse_station

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
TWINS = (ROOT / "docs" / "twins.md").read_text(encoding="utf-8")


def blocks(language: str, page: str = README) -> list[str]:
    """The fenced blocks of a language, in order."""
    return re.findall(rf"```{language}\n(.*?)```", page, flags=re.DOTALL)


def commands(page: str = README) -> list[list[str]]:
    """Every labctl command line of a page, as words."""
    lines = [line for block in blocks("sh", page) for line in block.splitlines() if line.startswith("labctl ")]
    return [shlex.split(line, comments=True)[1:] for line in lines]


def tutorial() -> list[list[str]]:
    """The tutorial's commands in order, but the simulator that runs beside them."""
    return [words for words in commands() if words[0] not in ("sim", "gui", "demo")]


@pytest.fixture(scope="module")
def bench_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as the tutorial leaves it, with small recordings."""
    folder = tmp_path_factory.mktemp("readme")
    with SimulatedBench.start() as sim:
        station = write_demo_station(sim, folder / "station.toml")
        small = ["--trials", "8", "--samples", "200", "--inputs", "2", "--repeats", "4"]
        assert main(["record", str(station), "--device", "leaky", "--out", str(folder / "recordings"), *small]) == 0
        yield folder


def test_every_command_line_parses() -> None:
    assert len(commands()) >= 10
    for words in commands():
        parser().parse_args(words)


def test_the_commands_of_the_page_on_twins_parse() -> None:
    for words in commands(TWINS):
        parser().parse_args(words)


@pytest.mark.parametrize("block", blocks("python", TWINS))
def test_the_examples_of_the_page_on_twins_run(block: str, tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", block], cwd=tmp_path, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("block", blocks("toml"))
def test_every_station_file_is_valid(block: str) -> None:
    parse_station(block)


@pytest.mark.parametrize("block", blocks("python"))
def test_every_python_example_runs(block: str, bench_folder: Path) -> None:
    done = subprocess.run([sys.executable, "-c", block], cwd=bench_folder, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr


def test_every_link_into_the_repository_leads_somewhere() -> None:
    for page, folder in ((README, ROOT), (TWINS, ROOT / "docs")):
        for target in re.findall(r"\]\(([^)#]+)\)", page):
            if "://" not in target:
                assert (folder / target).exists(), target


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_the_tutorial_runs_as_it_stands(tmp_path: Path) -> None:
    labctl = [sys.executable, "-m", "labctl.cli"]
    sim = subprocess.Popen([*labctl, "sim", "--station", "station.toml"], cwd=tmp_path, stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 60
        while not (tmp_path / "station.toml").exists() and time.monotonic() < deadline:
            time.sleep(0.1)
        for words in tutorial():
            done = subprocess.run([*labctl, *words], cwd=tmp_path, capture_output=True, text=True, timeout=600)
            assert done.returncode == 0, f"labctl {' '.join(words)}: {done.stderr}"
    finally:
        sim.terminate()
        sim.wait(30)
