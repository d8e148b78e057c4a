"""The tables of an equation's file, checked one by one, and its formulas, read in their order."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from twins.errors import EquationInvalid
from twins.goku.quantity import Quantity
from twins.goku.written.expression import Expression, is_free_name, read_expression

MOST_QUANTITIES = 200
_KEYS = (
    "name", "time_unit_s", "noise", "sde_type", "constants", "states", "parameters", "drives", "let", "drift", "diffusion",
    "observe",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Tables:
    """What a file says, with its formulas still text. drift, diffusion (rows of noise channels), let, observe: by name."""

    name: str
    time_unit_s: float
    noise: str | None
    sde_type: str
    constants: dict[str, float]
    states: tuple[Quantity, ...]
    parameters: tuple[Quantity, ...]
    drives: tuple[Quantity, ...]
    outputs: tuple[Quantity, ...]
    let: dict[str, str]
    drift: dict[str, str]
    diffusion: dict[str, str | list[str]]
    observe: dict[str, str]

    def as_mapping(
        self, states: tuple[Quantity, ...], parameters: tuple[Quantity, ...], *, noise: str
    ) -> dict[str, Any]:
        """As the file would say it, with these ranges."""
        content: dict[str, Any] = {
            "name": self.name, "time_unit_s": self.time_unit_s, "noise": noise, "sde_type": self.sde_type,
            "constants": dict(self.constants),
            "states": {one.name: _plain(one) for one in states},
            "parameters": {one.name: _plain(one) for one in parameters},
            "drives": {one.name: _plain(one) for one in self.drives},
            "let": dict(self.let), "drift": dict(self.drift),
            "diffusion": {key: row if isinstance(row, str) else list(row) for key, row in self.diffusion.items()},
            "observe": {one.name: {"formula": self.observe[one.name], **_plain(one)} for one in self.outputs},
        }  # fmt: skip
        return {key: value for key, value in content.items() if value != {}}


@dataclass(frozen=True, slots=True)
class Formulas:
    """Formulas, and which parts of [let] each kind needs, in order. hoisted: parts that depend on parameters alone."""

    drift: tuple[Expression, ...]
    diffusion: tuple[tuple[Expression, ...], ...]
    observe: tuple[Expression, ...]
    let: dict[str, Expression]
    hoisted: tuple[str, ...]
    drift_parts: tuple[str, ...]
    diffusion_parts: tuple[str, ...]
    observe_parts: tuple[str, ...]
    noise: str


def read_tables(content: Mapping[str, Any]) -> Tables:
    """Check what a mapping says, but for its formulas. Raises EquationInvalid."""
    _only(content, _KEYS, "an equation")
    for key in ("states", "parameters", "drift"):
        if not _table(content, key):
            raise EquationInvalid(f"an equation needs [{key}], with at least one entry")
    outputs, observe = _read_outputs(_table(content, "observe"))
    tables = Tables(
        name=_word(content.get("name", "equation"), "name"),
        time_unit_s=_number(content.get("time_unit_s", 1.0), "time_unit_s"),
        noise=None if content.get("noise") is None else _word(content["noise"], "noise"),
        sde_type=_word(content.get("sde_type", "ito"), "sde_type"),
        constants={key: _number(value, f"constants: {key}") for key, value in _table(content, "constants").items()},
        states=_read_quantities(content, "states", bounded=False),
        parameters=_read_quantities(content, "parameters", bounded=True),
        drives=_read_quantities(content, "drives", bounded=False),
        outputs=outputs,
        let=dict(_table(content, "let")),
        drift=dict(_table(content, "drift")),
        diffusion=dict(_table(content, "diffusion")),
        observe=observe,
    )
    _check_names(tables)
    return tables


def read_formulas(tables: Tables) -> Formulas:
    """Read all formulas. Raises EquationInvalid, quoting the one that cannot be."""
    states, parameters, drives = (
        {one.name for one in side} for side in (tables.states, tables.parameters, tables.drives)
    )
    fixed = parameters | set(tables.constants)
    known, let, needs = fixed | states | drives, dict[str, Expression](), dict[str, frozenset[str]]()
    for name, text in tables.let.items():
        let[name] = read_expression(text, known | set(let), f"let: {name}")
        needs[name] = _all_names(let[name].names, needs)
    everything = known | set(let)
    drift = tuple(_formulas_by_state(tables, everything))
    diffusion = _read_diffusion(tables, everything)
    observe = tuple(
        read_expression(tables.observe[one.name], everything - drives, f"observe: {one.name}") for one in tables.outputs
    )
    for one, formula in zip(tables.outputs, observe, strict=True):
        driven = _all_names(formula.names, needs) & drives
        if driven:
            raise EquationInvalid(f"observe: {one.name} depends on the drive {min(driven)!r}; only states are observed")
    hoisted = tuple(name for name in let if _all_names({name}, needs) <= fixed | set(let))

    def parts(formulas: Iterable[Expression]) -> tuple[str, ...]:
        used = frozenset().union(*(_all_names(formula.names, needs) for formula in formulas))
        return tuple(name for name in let if name in used and name not in hoisted)

    noise = _noise(tables, diffusion, needs, states)
    rows = [formula for row in diffusion for formula in row]
    return Formulas(
        drift=drift, diffusion=diffusion, observe=observe, let=let, hoisted=hoisted, drift_parts=parts(drift),
        diffusion_parts=parts(rows), observe_parts=parts(observe), noise=noise,
    )  # fmt: skip


def _all_names(names: Iterable[str], needs: Mapping[str, frozenset[str]]) -> frozenset[str]:
    """These names and all that parts of [let] among them depend on."""
    names = frozenset(names)
    return names.union(*(needs.get(name, frozenset()) for name in names))


def _formulas_by_state(tables: Tables, known: set[str]) -> Iterable[Expression]:
    wanted = [one.name for one in tables.states]
    if set(tables.drift) != set(wanted):
        raise EquationInvalid(
            f"[drift] must have one formula for each of {', '.join(wanted)}; it has {', '.join(tables.drift)}"
        )
    return [read_expression(tables.drift[name], known, f"drift of {name}") for name in wanted]


def _read_diffusion(tables: Tables, known: set[str]) -> tuple[tuple[Expression, ...], ...]:
    """One row a state; () without noise."""
    if not tables.diffusion:
        return ()
    names = [one.name for one in tables.states]
    unknown = sorted(set(tables.diffusion) - set(names))
    if unknown:
        raise EquationInvalid(f"[diffusion] has {unknown[0]!r}, which is no state; the states are {', '.join(names)}")
    lists = [row for row in tables.diffusion.values() if isinstance(row, list)]
    widths = {len(row) for row in lists}
    if lists and (len(lists) != len(tables.diffusion) or len(widths) != 1 or 0 in widths):
        raise EquationInvalid("[diffusion] must have a formula a state, or for every state a list, all equally long")
    width = widths.pop() if lists else 1
    rows = []
    for name in names:
        row = tables.diffusion.get(name, ["0"] * width)
        texts = row if isinstance(row, list) else [row]
        rows.append(tuple(read_expression(text, known, f"diffusion of {name}") for text in texts))
    return tuple(rows)


def _noise(
    tables: Tables, diffusion: tuple[tuple[Expression, ...], ...], needs: Mapping[str, frozenset[str]], states: set[str]
) -> str:
    """The kind of noise that the formulas have; a kind that is given must agree, or be a wider one."""
    if not diffusion:
        found = "none"
    elif any(isinstance(row, list) for row in tables.diffusion.values()):
        found = "general"
    else:
        depends = any(_all_names(formula.names, needs) & states for row in diffusion for formula in row)
        found = "diagonal" if depends else "additive"
    if tables.noise not in (None, found) and (tables.noise, found) != ("diagonal", "additive"):
        raise EquationInvalid(
            f"noise = {tables.noise!r}, but the formulas of [diffusion] are {found!r}; leave noise away"
        )
    return tables.noise or found


def _read_outputs(table: Mapping[str, Any]) -> tuple[tuple[Quantity, ...], dict[str, str]]:
    quantities, formulas = [], {}
    for name, entry in table.items():
        entry = {"formula": entry} if isinstance(entry, str) else entry  # noqa: PLW2901 - the short form
        if not isinstance(entry, Mapping) or "formula" not in entry:
            raise EquationInvalid(f'[observe.{name}] needs a formula, as in formula = "offset + gain * x"')
        formulas[name] = entry["formula"]
        quantities.append(
            _quantity(name, {key: entry[key] for key in entry if key != "formula"}, "observe", bounded=False)
        )
    return tuple(quantities), formulas


def _read_quantities(content: Mapping[str, Any], side: str, *, bounded: bool) -> tuple[Quantity, ...]:
    table = _table(content, side)
    if len(table) > MOST_QUANTITIES:
        raise EquationInvalid(f"[{side}] can have {MOST_QUANTITIES} entries, not {len(table)}")
    return tuple(_quantity(name, entry, side, bounded=bounded) for name, entry in table.items())


def _quantity(name: str, entry: object, side: str, *, bounded: bool) -> Quantity:
    where = f"[{side}.{name}]"
    if not isinstance(entry, Mapping):
        raise EquationInvalid(f"{where} must be a table with unit, range and scale, not {entry!r}")
    _only(entry, ("unit", "range", "scale"), where)
    bounds = entry.get("range")
    if bounds is None and bounded:
        raise EquationInvalid(f"{where} needs range = [low, high]: what can be inferred lies in it")
    low, high = -math.inf, math.inf
    if bounds is not None:
        if not isinstance(bounds, list | tuple) or len(bounds) != 2:
            raise EquationInvalid(f"{where}: range must be [low, high], not {bounds!r}")
        low, high = (_number(bound, f"{where}: range") for bound in bounds)
    unit, scale = (
        _word(entry.get(key, default), f"{where}: {key}") for key, default in (("unit", ""), ("scale", "linear"))
    )
    return Quantity(name, unit, low, high, scale=scale)


def _plain(quantity: Quantity) -> dict[str, Any]:
    table: dict[str, Any] = {"unit": quantity.unit}
    if math.isfinite(quantity.low) or math.isfinite(quantity.high):
        table["range"] = [quantity.low, quantity.high]
    return table if quantity.scale == "linear" else {**table, "scale": quantity.scale}


def _check_names(tables: Tables) -> None:
    sides = (tables.states, tables.parameters, tables.drives)
    names = [*(one.name for side in sides for one in side), *tables.constants, *tables.let]
    for name in names:
        if not is_free_name(name):
            raise EquationInvalid(
                f"nothing can be called {name!r}: it is no identifier, or means something else in formulas"
            )
        if names.count(name) > 1:
            raise EquationInvalid(f"the name {name!r} is given twice")
    if len(names) > MOST_QUANTITIES:
        raise EquationInvalid(f"an equation can have {MOST_QUANTITIES} names, not {len(names)}")


def _only(table: Mapping[str, Any], allowed: Iterable[str], where: str) -> None:
    unknown = [key for key in table if key not in allowed]
    if unknown:
        raise EquationInvalid(f"{where} has no {unknown[0]!r}; it has {', '.join(allowed)}")


def _table(content: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    table = content.get(key, {})
    if not isinstance(table, Mapping):
        raise EquationInvalid(f"[{key}] must be a table, not {table!r}")
    return table


def _number(value: object, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e300:
        raise EquationInvalid(f"{where}: expected a finite number, not {str(value)[:40]}")
    return float(value)


def _word(value: object, where: str) -> str:
    if not isinstance(value, str) or len(value) > 100:
        raise EquationInvalid(f"{where}: expected a short text, not {str(value)[:40]!r}")
    return value
