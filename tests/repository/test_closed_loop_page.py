"""What docs/closed-loop.md shows is what works: its commands parse, its example runs."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from labctl.cli import parser

pytestmark = pytest.mark.alone

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "closed-loop.md").read_text(encoding="utf-8")


def test_its_commands_parse() -> None:
    lines = re.findall(r"^ {4}(labctl .*)$", PAGE, flags=re.MULTILINE)
    assert len(lines) == 2
    for line in lines:
        parser().parse_args(shlex.split(line, comments=True)[1:])


def test_its_example_runs(tmp_path: Path) -> None:
    (block,) = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
    done = subprocess.run([sys.executable, "-c", block], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "samples a second can be promised" in done.stdout
    assert "(2, 51, 4) closed loop: samples came" in done.stdout
