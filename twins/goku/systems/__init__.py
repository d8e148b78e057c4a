"""Equations that come with the package, by name."""

from __future__ import annotations

import dataclasses
from typing import Any

from twins.errors import EquationInvalid
from twins.goku.system import System
from twins.goku.systems.damped_pendulum import DampedPendulum
from twins.goku.systems.driven_pendulum import DrivenPendulum
from twins.goku.systems.duffing import Duffing
from twins.goku.systems.fitzhugh_nagumo import FitzHughNagumo
from twins.goku.systems.lorenz import Lorenz
from twins.goku.systems.lotka_volterra import LotkaVolterra
from twins.goku.systems.macrospin import Macrospin
from twins.goku.systems.pendulum import Pendulum
from twins.goku.systems.relaxation import Relaxation
from twins.goku.systems.stuart_landau import StuartLandau
from twins.goku.systems.stuart_landau_network import StuartLandauNetwork
from twins.goku.systems.van_der_pol import VanDerPol

SYSTEMS: dict[str, type[System]] = {
    "pendulum": Pendulum,
    "damped_pendulum": DampedPendulum,
    "driven_pendulum": DrivenPendulum,
    "lotka_volterra": LotkaVolterra,
    "van_der_pol": VanDerPol,
    "duffing": Duffing,
    "lorenz": Lorenz,
    "fitzhugh_nagumo": FitzHughNagumo,
    "stuart_landau": StuartLandau,
    "stuart_landau_network": StuartLandauNetwork,
    "macrospin": Macrospin,
    "relaxation": Relaxation,
}

__all__ = [
    "SYSTEMS", "DampedPendulum", "DrivenPendulum", "Duffing", "FitzHughNagumo", "Lorenz", "LotkaVolterra", "Macrospin",
    "Pendulum", "Relaxation", "StuartLandau", "StuartLandauNetwork", "VanDerPol", "system_named",
]  # fmt: skip


def system_named(name: str, **options: Any) -> System:
    """One of SYSTEMS, with options (the fields of its class).

    Raises EquationInvalid, naming what there is, for another name, another option, or a value of another kind.
    """
    if name not in SYSTEMS:
        raise EquationInvalid(f"there is no equation named {name!r}; there are {', '.join(SYSTEMS)}")
    made = SYSTEMS[name]
    known = {field.name: field for field in dataclasses.fields(made)}  # type: ignore[arg-type]
    for option, value in options.items():
        if option not in known:
            raise EquationInvalid(f"{name} has no option {option!r}; it has {', '.join(known) or 'none'}")
        default, may_be_none = known[option].default, "None" in str(known[option].type)
        if not (value is None and may_be_none) and not _fits(value, default):
            raise EquationInvalid(f"{name}: {option} must be like its default {default!r}, not {value!r}")
    return made(**options).check()


def _fits(value: object, default: object) -> bool:
    """Whether a value, perhaps out of a file, is of a default's kind; a default of None stands for a number."""
    if isinstance(default, bool | str):
        return isinstance(value, type(default))
    if isinstance(default, tuple):
        return isinstance(value, list | tuple) and all(_fits(entry, 1.0) for entry in value)
    wanted = int if isinstance(default, int) else int | float
    return isinstance(value, wanted) and not isinstance(value, bool)
