"""Equations written as text.

    name = "pendulum"

    [states.angle]
    unit = "rad"
    range = [-2.0, 2.0]

    [states.rate]
    unit = "rad/s"
    range = [-3.0, 3.0]

    [parameters.length]
    unit = "m"
    range = [1.0, 2.0]

    [constants]
    g = 9.81

    [drift]
    angle = "rate"
    rate = "-g / length * sin(angle)"

Also: time_unit_s (seconds in the unit of time of drift and diffusion), [drives.NAME], [let] (named parts of formulas, each of
those above it), [diffusion] (a formula a state, 0 where left out; a list of formulas for noise channels that states share),
[observe.NAME] (formula, unit, range) for what is seen instead of the states, noise and sde_type.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch

from twins.errors import EquationInvalid
from twins.goku.quantity import Values
from twins.goku.system import System
from twins.goku.written.equation_parts import Formulas, Tables, read_formulas, read_tables
from twins.goku.written.expression import Number

LARGEST_FILE = 64_000
Made = TypeVar("Made")


class TextSystem(System):
    """An equation made from a mapping of plain data, as its TOML file holds it; ``equation_from`` makes it."""

    def __init__(self, tables: Tables, formulas: Formulas) -> None:
        self._tables, self._formulas = tables, formulas
        self.states, self.parameters, self.drives = tables.states, tables.parameters, tables.drives
        self.outputs = tables.outputs
        self.noise, self.sde_type, self.time_unit_s = formulas.noise, tables.sde_type, tables.time_unit_s
        self._constant = dict(tables.constants)

    @property
    def name(self) -> str:
        """As the file says."""
        return self._tables.name

    def options(self) -> dict[str, Any]:
        """What ``equation_from`` makes it again from, under "equation"."""
        return {"equation": self.as_mapping()}

    def as_mapping(self) -> dict[str, Any]:
        """Plain data (text, numbers, lists, tables) from which ``equation_from`` makes it again, with its ranges now."""
        return self._tables.as_mapping(self.states, self.parameters, noise=self.noise)

    def coefficients(self, p: Values) -> Values:
        """The parameters, and the parts of [let] that depend on nothing else."""
        return Values(**self._with_parts({**self._constant, **vars(p)}, self._formulas.hoisted))

    def drift(self, z: Values, p: Any, u: Values) -> tuple[Number, ...]:
        """Per time_unit_s."""
        known = self._with_parts({**vars(p), **vars(z), **vars(u)}, self._formulas.drift_parts)
        return tuple(formula.evaluate(known) for formula in self._formulas.drift)

    def diffusion(self, z: Values, p: Any, u: Values) -> object:
        """Per sqrt(time_unit_s)."""
        known = self._with_parts({**vars(p), **vars(z), **vars(u)}, self._formulas.diffusion_parts)
        rows = [[formula.evaluate(known) for formula in row] for row in self._formulas.diffusion]
        if self.noise != "general":
            return tuple(row[0] for row in rows)
        first = next(iter(vars(z).values()))
        spread = [torch.stack([torch.zeros_like(first) + entry for entry in row], dim=-1) for row in rows]
        return torch.stack(spread, dim=-2)

    def observe(self, z: Values, p: Values) -> object:
        """The formulas of [observe], or the states."""
        if not self.outputs:
            return super().observe(z, p)
        known = {**vars(self.coefficients(p)), **vars(z)}
        known = self._with_parts(known, self._formulas.observe_parts)
        return tuple(formula.evaluate(known) for formula in self._formulas.observe)

    def _with_parts(self, known: dict[str, Number], parts: tuple[str, ...]) -> dict[str, Number]:
        for name in parts:
            known[name] = self._formulas.let[name].evaluate(known)
        return known


def equation_from(content: Mapping[str, Any]) -> TextSystem:
    """The equation of a mapping, as tomllib reads it or ``TextSystem.as_mapping`` gives it, checked on a small sample.

    Raises EquationInvalid, naming the place, and quoting the formula where it is one.
    """
    tables = read_tables(content)
    return TextSystem(tables, read_formulas(tables)).check()


def load_equation(path: str | Path) -> TextSystem:
    """The equation of a TOML file. Raises EquationInvalid, naming the file."""
    return made_of_file(path, equation_from)


def made_of_file(path: str | Path, make: Callable[[Mapping[str, Any]], Made]) -> Made:
    """What `make` makes of a TOML file. Raises EquationInvalid, naming the file."""
    path = Path(path)
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise EquationInvalid(f"{path} is larger than any equation ({LARGEST_FILE} bytes)")
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise EquationInvalid(f"{path} cannot be read: {error.strerror or error}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise EquationInvalid(f"{path} is no TOML: {error}") from error
    try:
        return make(content)
    except EquationInvalid as error:
        raise EquationInvalid(f"{path}: {error}") from error
