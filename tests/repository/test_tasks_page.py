"""What docs/tasks.md shows is what works."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from labctl.cli import parser
from labctl.own_task import load_own_task
from twins.network.tasks import TASKS

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "tasks.md").read_text(encoding="utf-8")
PYTHON = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)


@pytest.mark.parametrize("block", PYTHON)
def test_its_examples_run(block: str, tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", block], cwd=tmp_path, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr


def test_its_own_task_is_one(tmp_path: Path) -> None:
    [block] = [one for one in PYTHON if "class Product" in one]
    (tmp_path / "mine.py").write_text(block, encoding="utf-8")
    data = load_own_task(f"{tmp_path}/mine.py:Product").sample(2, 9, np.random.default_rng(0))
    np.testing.assert_array_equal(data.targets[:, 1:], data.inputs[:, 1:] * data.inputs[:, :-1])


def test_its_commands_parse() -> None:
    lines = [line for block in re.findall(r"```sh\n(.*?)```", PAGE, flags=re.DOTALL) for line in block.splitlines()]
    labctl = [line.split()[1:] for line in lines if line.startswith("labctl ")]
    assert labctl
    for words in labctl:
        parser().parse_args(words)


def test_it_lists_every_task() -> None:
    assert re.findall(r"^\| `(\w+)` \|", PAGE, flags=re.MULTILINE)[: len(TASKS)] == list(TASKS)


def test_its_links_lead_somewhere() -> None:
    prose = re.sub(r"```.*?```", "", PAGE, flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)#]+)\)", prose):
        if "://" not in target:
            assert (ROOT / "docs" / target).exists(), target
