"""`labctl goku systems`: the equations there are, with their states, parameters, units and ranges."""

from __future__ import annotations

import argparse
import inspect
import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from twins.goku.quantity import Quantity
    from twins.goku.system import System


def add_action(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the action to `labctl goku`."""
    systems = actions.add_parser("systems", help="the equations there are, with states, parameters, units, ranges")
    systems.add_argument(
        "system",
        nargs="?",
        metavar="EQUATION",
        help="one of them, or FILE.toml, or FILE.py:Class (default: a list of all)",
    )
    systems.add_argument("--option", action="append", metavar="NAME=VALUE", help="option of the equation, as in n=3")
    systems.add_argument(
        "--range", action="append", metavar="NAME=LOW..HIGH", help="range of a parameter or initial state"
    )
    systems.add_argument("--fix", action="append", metavar="NAME=VALUE", help="a parameter that is known")
    systems.add_argument("--json", action="store_true", help="print JSON instead of words")
    systems.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print the list, or one equation."""
    from labctl.errors import UsageError

    if options.system is None:
        if options.option or options.range or options.fix:
            raise UsageError("options, ranges and held parameters are of one equation: name it")
        return _run_all(options)
    from labctl.commands.goku_arguments import equation_of

    system = equation_of(options).make()
    if options.json:
        sys.stdout.write(json.dumps(described(system), indent=2) + "\n")
    else:
        sys.stdout.write(in_words(system))
    return 0


def _run_all(options: argparse.Namespace) -> int:
    from twins.goku.systems import SYSTEMS, system_named

    systems = {name: system_named(name) for name in SYSTEMS}
    if options.json:
        sys.stdout.write(json.dumps({name: described(one) for name, one in systems.items()}, indent=2) + "\n")
        return 0
    for name, system in systems.items():
        parameters = ", ".join(quantity.name for quantity in system.parameters)
        told = f"{name}: {_first_line(system)}\n    parameters: {parameters}\n"
        if system.options():
            told += (
                f"    options: {', '.join(f'{option}={_value(value)}' for option, value in system.options().items())}\n"
            )
        sys.stdout.write(told)
    sys.stdout.write("\n`labctl goku systems EQUATION` says what it is, with ranges and units\n")
    return 0


def in_words(system: System) -> str:
    """One equation for a terminal."""
    noise = "no noise of its own" if not system.stochastic else f"{system.noise} noise ({system.sde_type})"
    lines = [f"{system.name}: {noise}; times are in units of {system.time_unit_s:g} s"]
    words = inspect.getdoc(type(system))
    if words and type(system).__module__.startswith("twins.goku.systems"):
        lines += ["", *(f"  {line}".rstrip() for line in words.splitlines())]
    for title, quantities in (
        ("parameters", system.parameters),
        ("states (range of the initial value)", system.states),
        ("outputs", system.observed),
        ("drives", system.drives),
    ):
        if quantities:
            lines += ["", f"{title}:", *_rows(quantities)]
    if system.options():
        lines += ["", "options:", *(f"  {name} = {_value(value)}" for name, value in system.options().items())]
    names = [one.name for one in system.symmetries()]
    if names:
        lines += ["", f"what no data can tell apart: {', '.join(names)}"]
    return "\n".join(lines) + "\n"


def _rows(quantities: Sequence[Quantity]) -> list[str]:
    names = [f"{one.name}{_shape(one)}" for one in quantities]
    width = max(map(len, names))
    return [
        f"  {name:<{width}}  {one.low:g} to {one.high:g} {one.unit}{' (any factor alike)' * (one.scale == 'log')}".rstrip()
        for name, one in zip(names, quantities, strict=True)
    ]


def _shape(quantity: Quantity) -> str:
    return f"[{', '.join(map(str, quantity.shape))}]" if quantity.shape else ""


def described(system: System) -> dict[str, Any]:
    """One equation as plain data."""

    def listed(quantities: Sequence[Quantity]) -> list[dict[str, Any]]:
        return [
            {
                "name": one.name,
                "unit": one.unit,
                "low": _finite(one.low),
                "high": _finite(one.high),
                "shape": list(one.shape),
                "scale": one.scale,
            }
            for one in quantities
        ]

    return {
        "name": system.name,
        "options": system.options(),
        "noise": system.noise,
        "sde_type": system.sde_type,
        "time_unit_s": system.time_unit_s,
        "parameters": listed(system.parameters),
        "states": listed(system.states),
        "outputs": listed(system.observed),
        "drives": listed(system.drives),
    }


def _finite(value: float) -> float | None:
    return value if abs(value) < float("inf") else None


def _first_line(system: System) -> str:
    module = inspect.getdoc(inspect.getmodule(type(system))) or ""
    return module.split("\n\n", maxsplit=1)[0].replace("\n", " ").rstrip(".")


def _value(value: object) -> str:
    return json.dumps(value)
