"""An equation that is being written: what is wrong with it is said where it stands."""

import pytest

from labctl.goku_equation import equation_written
from labctl.goku_example import ExampleDesign, simulated_from_text
from labctl.goku_told import equations_told, readable
from labctl.goku_writing import EXAMPLE, check_written


def line_with(text: str, part: str) -> int:
    """From 1."""
    return next(number for number, line in enumerate(text.splitlines(), 1) if part in line)


def test_what_one_begins_with_is_an_equation_with_readable_formulas() -> None:
    written = check_written(EXAMPLE)
    assert written.problem is None and written.told is not None
    assert "d angle/dt = rate" in written.told.formulas
    assert [one.name for one in written.told.parameters] == ["length", "friction"]
    assert written.told.parameters[1].scale == "log"


@pytest.mark.parametrize(
    ("old", "new", "says", "at"),
    [
        ("sin(angle)", "sin(angel)", "there is no 'angel'", "sin(angel)"),
        ("sin(angle)", "__import__('os')", "there is no function '__import__'", "__import__"),
        ('range = [1.0, 2.0]', "range = [2.0, 1.0]", "is empty", "[parameters.length]"),
        ('unit = "m"\n', 'unit = "m"\nsize = 1\n', "has no 'size'", "[parameters.length]"),
        ('unit = "m"\n', "unit = m\n", "not TOML", "unit = m"),
        ('[parameters.length]', "[parameters.length", "not TOML", "[parameters.length"),
        ("gravity = 9.81", 'gravity = "much"', "expected a finite number", "gravity ="),
    ],
)  # fmt: skip
def test_a_mistake_is_told_at_its_line(old: str, new: str, says: str, at: str) -> None:
    text = EXAMPLE.replace(old, new, 1)
    problem = check_written(text).problem
    assert problem is not None
    assert says in problem.message
    assert problem.line == line_with(text, at)


def test_the_column_of_a_mistake_in_a_formula_is_that_of_the_word() -> None:
    text = EXAMPLE.replace("sin(angle)", "sin(angel)")
    problem = check_written(text).problem
    assert problem is not None
    line = text.splitlines()[problem.line - 1]
    assert line[problem.column - 1 :].startswith("angel")


def test_what_is_wrong_with_the_whole_has_no_line() -> None:
    problem = check_written("").problem
    assert problem is not None and problem.line == 0
    assert "needs [states]" in str(problem)


def test_every_equation_that_comes_with_the_package_can_be_shown() -> None:
    told = equations_told()
    assert len(told) == 12
    assert all(one.title and one.formulas and one.parameters for one in told)


def test_a_sentence_of_equations_becomes_a_line_each() -> None:
    assert readable("x' = y, y' = -k (x - 1), with k known.") == ("d x/dt = y", "d y/dt = -k (x - 1), with k known")


def test_a_text_can_be_simulated_and_keeps_its_name() -> None:
    made = simulated_from_text(EXAMPLE, seed=0, design=ExampleDesign(n_traces=2, n_samples=20))
    assert made.values.shape == (2, 20, 1) and made.names == ("angle_seen",)
    assert equation_written(EXAMPLE).named == "swing.toml"
