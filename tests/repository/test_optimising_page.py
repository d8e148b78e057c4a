"""What docs/optimising.md says of settings, splits and commands is so."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest

from labctl.cli import parser
from twins.network.halving import rungs
from twins.network.optimise import OptimiserSettings


@pytest.fixture
def page() -> str:
    return (Path(__file__).parents[2] / "docs" / "optimising.md").read_text(encoding="utf-8")


def test_the_settings_it_names_are_settings(page: str) -> None:
    named = re.findall(r"^\| `(\w+)` \|", page, flags=re.MULTILINE)
    assert len(named) == 5
    assert set(named) < {one.name for one in fields(OptimiserSettings)}


def test_the_split_it_tells_is_the_split_that_is_made(page: str) -> None:
    said = re.search(
        r"of (\d+) iterations four starts get (\d+) each, the better two (\d+) more, the best (\d+)", flat(page)
    )
    assert said is not None
    total, *parts = (int(number) for number in said.groups())
    ladder = rungs(total, 4, 1 / 3)
    assert parts == [ladder[0].until, ladder[1].until - ladder[0].until, ladder[2].until - ladder[1].until]


def test_the_command_it_names_goes_on(page: str) -> None:
    assert "`labctl network optimise … --resume`" in page
    arguments = ["network", "optimise", "--twin", "a=b", "--task", "narma10", "--out", "c", "--resume"]
    assert parser().parse_args(arguments).resume


def flat(text: str) -> str:
    return " ".join(text.split())
