"""Equations as plain data, for lists, forms and tables: formulas in readable lines, quantities with units and ranges."""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from labctl.goku_equation import EquationSource

if TYPE_CHECKING:
    from twins.goku.quantity import Quantity
    from twins.goku.system import System

_PACKAGE = "twins.goku.systems"
_APART = re.compile(r";\s+|,\s+(?=[^,]*?'\s*=)")
"""Between the equations of a line: x' = …, y' = …"""
_RATE = re.compile(r"^(?P<name>\w+)'(?=\s*=)")


@dataclass(frozen=True, slots=True)
class QuantityTold:
    """One number of an equation. low, high: None where the range is open; scale: "linear" or "log"."""

    name: str
    unit: str
    low: float | None
    high: float | None
    scale: str = "linear"


@dataclass(frozen=True, slots=True)
class EquationTold:
    """title: one line on what it is. formulas: as d x/dt = …, one a line. words: what else is to be known, with the source.
    noise: its kind, "none" for an ordinary equation. alike: changes of it that no data can tell apart.
    """

    name: str
    title: str
    formulas: tuple[str, ...]
    words: str
    parameters: tuple[QuantityTold, ...]
    states: tuple[QuantityTold, ...]
    outputs: tuple[QuantityTold, ...]
    drives: tuple[QuantityTold, ...]
    options: dict[str, Any]
    noise: str
    time_unit_s: float
    alike: tuple[str, ...]


def equations_told() -> tuple[EquationTold, ...]:
    """All that come with the package, with their default options."""
    from twins.goku.systems import SYSTEMS

    return tuple(equation_told(EquationSource(name)) for name in SYSTEMS)


def equation_told(source: EquationSource) -> EquationTold:
    """One equation. Raises CampaignError, twins.errors.EquationInvalid."""
    return told_of(source.make())


def told_of(system: System) -> EquationTold:
    """A system as plain data."""
    formulas, words = _formulas(system)
    return EquationTold(
        name=system.name,
        title=_title(system),
        formulas=formulas,
        words=words,
        parameters=_told(system.flat_parameters),
        states=_told(system.flat_states),
        outputs=_told(system.flat_outputs),
        drives=_told(system.drives),
        options={name: value for name, value in system.options().items() if name not in ("equation", "held")},
        noise=system.noise,
        time_unit_s=float(system.time_unit_s),
        alike=tuple(one.name for one in system.symmetries()),
    )


def readable(text: str) -> tuple[str, ...]:
    """The equations of a sentence, one a line: "x' = y, y' = -k x." is ("d x/dt = y", "d y/dt = -k x")."""
    parts = _APART.split(" ".join(text.split()).rstrip("."))
    return tuple(_RATE.sub(lambda found: f"d {found['name']}/dt", part.strip()) for part in parts if part.strip())


def _formulas(system: System) -> tuple[tuple[str, ...], str]:
    from twins.goku.held import HeldSystem
    from twins.goku.written.equation_file import TextSystem

    inner = system
    while isinstance(inner, HeldSystem):
        inner = inner.inner
    if isinstance(inner, TextSystem):
        return _written(inner.as_mapping()), ""
    if not type(inner).__module__.startswith(_PACKAGE):
        return (), inspect.getdoc(type(inner)) or ""
    first, _, rest = (inspect.getdoc(type(inner)) or "").partition("\n\n")
    return readable(first), " ".join(rest.split())


def _written(content: dict[str, Any]) -> tuple[str, ...]:
    """Of an equation written as text."""
    lines = [f"{name} = {formula}" for name, formula in content.get("let", {}).items()]
    spread = content.get("diffusion", {})
    for name, formula in content["drift"].items():
        noise = spread.get(name)
        added = "" if noise in (None, "0") else f" + ({noise if isinstance(noise, str) else ', '.join(noise)}) dW/dt"
        lines.append(f"d {name}/dt = {formula}{added}")
    lines += [f"output {name} = {one['formula']}" for name, one in content.get("observe", {}).items()]
    return tuple(lines)


def _title(system: System) -> str:
    if not type(system).__module__.startswith(_PACKAGE):
        return ""
    words = inspect.getdoc(inspect.getmodule(type(system))) or ""
    return words.split("\n\n", maxsplit=1)[0].replace("\n", " ").rstrip(".")


def _told(quantities: Sequence[Quantity]) -> tuple[QuantityTold, ...]:
    return tuple(QuantityTold(one.name, one.unit, _finite(one.low), _finite(one.high), one.scale) for one in quantities)


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
