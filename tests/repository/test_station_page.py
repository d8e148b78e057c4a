"""What docs/station.md shows is what works."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from labctl.bench import Bench
from labctl.cli import parser

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "station.md").read_text(encoding="utf-8")
PYTHON = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)


@pytest.mark.parametrize("block", PYTHON)
def test_its_examples_run(block: str, tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", block], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


def test_its_commands_parse() -> None:
    blocks = re.findall(r"```sh\n(.*?)```", PAGE, flags=re.DOTALL)
    labctl = [shlex.split(line, comments=True)[1:] for block in blocks for line in block.splitlines()]
    assert len(labctl) == 9
    for words in labctl:
        parser().parse_args(words)


def test_the_methods_that_it_names_are_there() -> None:
    named = set(re.findall(r"bench\.(\w+)\(", PAGE)) | set(re.findall(r"`bench\.(\w+)`", PAGE))
    assert named >= {"reconnect", "stop_ramp", "check_set"}
    for name in named:
        assert callable(getattr(Bench, name)), name
