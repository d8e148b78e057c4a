"""Which equation a file is of: enough to make it again, or to know a user's own when it is handed over again."""

from __future__ import annotations

import json
import math
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from twins.errors import CheckpointInvalid, EquationInvalid
from twins.goku.quantity import Quantity
from twins.goku.system import System
from twins.goku.systems import SYSTEMS, system_named
from twins.goku.written.equation_file import TextSystem, equation_from

_Kind = Literal["registered", "text", "own"]


class QuantityModel(BaseModel):
    """A ``Quantity``; an end of its range that is not finite is null."""

    model_config = ConfigDict(extra="forbid", strict=True)
    name: str = Field(max_length=200)
    unit: str = Field(max_length=200)
    low: float | None
    high: float | None
    shape: list[int]
    scale: str


class SystemModel(BaseModel):
    """kind: "registered" (one of the equations that come with the package, by name and options), "text" (the equation
    itself stands in options) or "own" (a user's class; `name` says which, and it must be handed over again)."""

    model_config = ConfigDict(extra="forbid", strict=True)
    kind: _Kind
    name: str = Field(max_length=200)
    options: dict[str, Any]
    states: list[QuantityModel]
    parameters: list[QuantityModel]
    drives: list[QuantityModel]
    outputs: list[QuantityModel]
    noise: str
    time_unit_s: float


def describe_system(system: System) -> SystemModel:
    """The system as plain data. Raises CheckpointInvalid for options that are not."""
    registered = next((name for name, made in SYSTEMS.items() if made is type(system)), None)
    kind: _Kind = "registered" if registered else "text" if isinstance(system, TextSystem) else "own"
    try:
        options = json.loads(json.dumps(system.options(), allow_nan=False))
    except (TypeError, ValueError) as error:
        raise CheckpointInvalid(f"{system.name}: its options must be plain JSON data: {error}") from error
    sides = {
        side: [_plain(quantity) for quantity in quantities]
        for side, quantities in (
            ("states", system.states), ("parameters", system.parameters), ("drives", system.drives),
            ("outputs", system.outputs),
        )
    }  # fmt: skip
    return SystemModel(
        kind=kind,
        name=registered or system.name,
        options=options,
        noise=system.noise,
        time_unit_s=float(system.time_unit_s),
        **sides,
    )


def system_from(described: SystemModel, given: System | None, *, where: object) -> System:
    """The system of a file; `given` where it is a user's own class.

    Raises CheckpointInvalid if it cannot be made again, or differs from what the file says in names, units, ranges, noise or
    unit of time.
    """
    system = given
    if system is None and described.kind == "own":
        raise CheckpointInvalid(
            f"{where} is of {described.name!r}, a class of the user's own; hand it over again as `system`"
        )
    try:
        if system is None and described.kind == "text":
            system = equation_from(described.options.get("equation", {}))
        elif system is None:
            system = _registered(described)
        found = describe_system(system.check())
    except EquationInvalid as error:
        raise CheckpointInvalid(f"{where}: its equation cannot be made again: {error}") from error
    _compare(found, described, where)
    return system


def _registered(described: SystemModel) -> System:
    options = {name: tuple(value) if isinstance(value, list) else value for name, value in described.options.items()}
    system = system_named(described.name, **options)
    stored = {quantity.name: quantity for quantity in (*described.states, *described.parameters)}
    changed = {}
    for quantity in (*system.states, *system.parameters):
        if quantity.name in stored and _plain(quantity) != stored[quantity.name]:
            changed[quantity.name] = _ends(stored[quantity.name])
    return system.with_ranges(changed) if changed else system


def _compare(found: SystemModel, described: SystemModel, where: object) -> None:
    if found.kind == described.kind == "registered" and (found.name, found.options) != (
        described.name,
        described.options,
    ):
        raise CheckpointInvalid(
            f"{where} is of {described.name} {described.options}, not of {found.name} {found.options}"
        )
    for what in ("states", "parameters", "drives", "outputs", "noise", "time_unit_s"):
        ours, theirs = getattr(found, what), getattr(described, what)
        if ours != theirs:
            raise CheckpointInvalid(
                f"{where} is of an equation with {what} {_told(theirs)}; {found.name} has {_told(ours)}; give it these, "
                "as by with_ranges, or train again"
            )


def _told(value: object) -> str:
    if not isinstance(value, list):
        return str(value)
    return ", ".join(f"{q.name} ({q.unit}) {q.low}..{q.high}" for q in value) or "none"


def _plain(quantity: Quantity) -> QuantityModel:
    low, high = (end if math.isfinite(end) else None for end in (float(quantity.low), float(quantity.high)))
    return QuantityModel(
        name=quantity.name, unit=quantity.unit, low=low, high=high, shape=list(quantity.shape), scale=quantity.scale
    )


def _ends(quantity: QuantityModel) -> tuple[float, float]:
    return (
        -math.inf if quantity.low is None else quantity.low,
        math.inf if quantity.high is None else quantity.high,
    )
