"""An equation some of whose parameters are known: they are held, and only the others are inferred."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from twins.errors import EquationInvalid
from twins.goku.quantity import Quantity, Values
from twins.goku.system import Symmetry, System

_POINTS = 8  # at which a symmetry is asked whether it leaves the held parameters alone


class HeldSystem(System):
    """`inner` with parameters held at known values, by name: all of an array ("coupling") or one element ("coupling[0,1]").

    A held value may lie outside the parameter's range: the range says what is believed of an unknown value, not what the
    equation can take. Elements that stay free of an array that is held in part become parameters of their own.

    Raises EquationInvalid for an unknown name, a value that is not finite, or where no parameter is left to infer.
    """

    def __init__(self, inner: System, held: Mapping[str, float]) -> None:
        self.inner = inner
        self.held = _by_element(inner, held)
        self.states, self.drives, self.outputs = inner.states, inner.drives, inner.outputs
        self.noise, self.sde_type, self.time_unit_s = inner.noise, inner.sde_type, inner.time_unit_s
        self.parameters = tuple(part for quantity in inner.parameters for part in self._free(quantity))
        if not self.parameters:
            raise EquationInvalid(f"{inner.name}: all of its parameters are held, so there is nothing to infer")

    @property
    def name(self) -> str:
        """As the equation's own."""
        return self.inner.name

    def options(self) -> dict[str, Any]:
        """Those of the equation, and what is held."""
        return {**self.inner.options(), "held": dict(self.held)}

    def coefficients(self, p: Values) -> Any:
        """As the equation makes them of all its parameters."""
        return self.inner.coefficients(self._whole(p))

    def drift(self, z: Values, p: Any, u: Values) -> object:
        """As the equation's own."""
        return self.inner.drift(z, p, u)

    def diffusion(self, z: Values, p: Any, u: Values) -> object:
        """As the equation's own."""
        return self.inner.diffusion(z, p, u)

    def observe(self, z: Values, p: Values) -> object:
        """As the equation's own."""
        return self.inner.observe(z, self._whole(p))

    def draw_states(self, n: int, generator: torch.Generator) -> Float[Tensor, "n state"]:
        """As the equation draws them, which may know more of them than their ranges (a unit vector)."""
        ranges = {quantity.name: (quantity.low, quantity.high) for quantity in self.states}
        return self.inner.with_ranges(ranges).draw_states(n, generator)

    def whole_parameters(self, parameters: Float[Tensor, "... free"]) -> Float[Tensor, "... parameter"]:
        """The inner equation's parameters, flat: the free ones with the held ones in their places."""
        places = {name: place for place, name in enumerate(self.parameter_names)}
        of_both = [*places, *(name for name in self.inner.parameter_names if name not in places)]
        known = parameters.new_tensor([self.held[name] for name in of_both[len(places) :]])
        both = torch.cat((parameters, known.expand(*parameters.shape[:-1], -1)), dim=-1)
        order = {name: place for place, name in enumerate(of_both)}
        return both[..., [order[name] for name in self.inner.parameter_names]]

    def free_parameters(self, whole: Float[Tensor, "... parameter"]) -> Float[Tensor, "... free"]:
        """The parameters that are inferred, of the inner equation's."""
        names = self.inner.parameter_names
        return whole[..., [names.index(name) for name in self.parameter_names]]

    def symmetries(self) -> Sequence[Symmetry]:
        """Those of the equation that leave the held parameters as they are."""
        free = self.draw_parameters(_POINTS, torch.Generator().manual_seed(0))
        whole = self.whole_parameters(free)
        kept = []
        for one in self.inner.symmetries():
            changed = one.parameters(whole)
            if torch.allclose(self.whole_parameters(self.free_parameters(changed)), changed, rtol=1e-9, atol=1e-12):
                kept.append(replace(one, parameters=self._as_free(one)))
        return kept

    def _as_free(self, symmetry: Symmetry) -> Any:
        return lambda parameters: self.free_parameters(symmetry.parameters(self.whole_parameters(parameters)))

    def _free(self, quantity: Quantity) -> tuple[Quantity, ...]:
        free = tuple(element for element in quantity.flat() if element.name not in self.held)
        return (quantity,) if len(free) == quantity.size else free

    def _whole(self, p: Values) -> Values:
        """All parameters of the inner equation by name."""
        named: dict[str, Tensor] = {}
        like = getattr(p, self.parameters[0].name)
        like = like[(..., *(0 for _ in self.parameters[0].shape))]
        for quantity in self.inner.parameters:
            if quantity in self.parameters or quantity.name in vars(p):
                named[quantity.name] = getattr(p, quantity.name)
                continue
            elements = [
                torch.full_like(like, self.held[element.name])
                if element.name in self.held
                else getattr(p, element.name)
                for element in quantity.flat()
            ]
            stacked = torch.stack(elements, dim=-1)
            named[quantity.name] = stacked.reshape(*stacked.shape[:-1], *quantity.shape)
        return Values(**named)


_OWN = {"inner", "held", "states", "parameters", "drives", "outputs", "noise", "sde_type", "time_unit_s"}


def unheld(system: System, parameters: Float[Tensor, "... free"]) -> tuple[System, Float[Tensor, "... parameter"]]:
    """The equation within one that is held, and all of its parameters: its solutions are the same, and what is made for
    it (a kernel) serves for all held values. Any other equation comes back as it is."""
    while isinstance(system, HeldSystem) and _only_holds(system):
        parameters = system.whole_parameters(parameters)
        system = system.inner
    return system, parameters


def innermost(system: System) -> System:
    """The equation that ``unheld`` gives."""
    while isinstance(system, HeldSystem) and _only_holds(system):
        system = system.inner
    return system


def _only_holds(system: HeldSystem) -> bool:
    """Whether nobody made another equation of it."""
    own = {name for name in vars(system) if not name.startswith("flat_")}
    alike = ("noise", "sde_type", "time_unit_s", "drives")
    same = all(getattr(system, name) == getattr(system.inner, name) for name in alike)
    return type(system) is HeldSystem and own == _OWN and same


def _by_element(inner: System, held: Mapping[str, float]) -> dict[str, float]:
    arrays = {quantity.name: quantity for quantity in inner.parameters}
    elements = inner.parameter_names
    found: dict[str, float] = {}
    for name, value in held.items():
        if not math.isfinite(value):
            raise EquationInvalid(f"{inner.name}: {name} cannot be held at {value}; give a finite number")
        if name in arrays:
            found |= {element.name: float(value) for element in arrays[name].flat()}
        elif name in elements:
            found[name] = float(value)
        else:
            raise EquationInvalid(f"{inner.name} has no parameter {name!r} to hold; it has {', '.join(elements)}")
    return found
