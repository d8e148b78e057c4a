"""What docs/outside-data.md shows is what works: its commands parse, its example runs."""

import argparse
import re
import shlex
import subprocess
import sys
from pathlib import Path

from labctl.cli import parser
from labctl.commands.data_arguments import add_data_arguments

TEXT = (Path(__file__).resolve().parents[3] / "docs" / "outside-data.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", TEXT, flags=re.DOTALL)


def test_every_command_line_parses() -> None:
    lines = [line for block in blocks("sh") for line in block.splitlines()]
    assert len(lines) >= 4
    for line in lines:
        parser().parse_args(shlex.split(line)[1:])


def test_the_python_example_runs(write_csv, one) -> None:
    path = write_csv(one.columns)
    (block,) = blocks("python")
    done = subprocess.run([sys.executable, "-c", block], cwd=path.parent, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("(8, 50, 1)")


def test_every_option_is_explained() -> None:
    command = argparse.ArgumentParser(add_help=False)
    add_data_arguments(command)
    options = [text for action in command._actions for text in action.option_strings]
    assert [option for option in options if f"`{option}" not in TEXT] == []
