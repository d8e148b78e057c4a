"""An equation of known form: what a user writes, and what everything else here takes.

    class Pendulum(System):
        states = (Quantity("angle", "rad", -3.0, 3.0), Quantity("rate", "rad/s", -5.0, 5.0))
        parameters = (Quantity("length", "m", 0.5, 3.0),)

        def drift(self, z, p, u):
            return z.rate, -9.81 / p.length * torch.sin(z.angle)

A system with options is a frozen dataclass; its fields are stored with every model and make it again.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Self

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from twins.errors import EquationInvalid
from twins.goku.quantity import Quantity, Values, check_names, flat_quantities

NOISE_TYPES = ("none", "diagonal", "additive", "general")


@dataclass(frozen=True, slots=True)
class Symmetry:
    """A change of state and parameters after which the equation and what is observed of it are the same.

    state: (…, state) -> (…, state), parameters: (…, parameter) -> (…, parameter), both of flat tensors. outputs: the
    names of observed outputs that it leaves alone, or None if it leaves none of them alone that tells states apart;
    scoring uses a symmetry only where all observed outputs are left alone, or where the decoder is free.
    """

    name: str
    state: Callable[[Tensor], Tensor]
    parameters: Callable[[Tensor], Tensor]
    outputs: tuple[str, ...] = ()


class System:
    """dz = drift(z, p, u) dt/T + diffusion(z, p, u) dW/sqrt(T), with T = time_unit_s seconds.

    states, parameters: with ranges and units; the range of a parameter is its prior.
    drives: the external inputs u that are measured with the traces, if there are any.
    outputs: what ``observe`` gives; by default the states themselves.
    noise: "none" (an ordinary equation), "diagonal" (``diffusion`` gives one value a state), "additive" (the same, and it
    does not depend on the state) or "general" (``diffusion`` gives a tensor (…, state, noise channel)).
    sde_type: "ito" or "stratonovich"; they agree for additive noise.
    In ``drift``, ``diffusion`` and ``observe``, z, p and u hold tensors by name (``Values``), with any batch axes first.
    """

    states: tuple[Quantity, ...] = ()
    parameters: tuple[Quantity, ...] = ()
    drives: tuple[Quantity, ...] = ()
    outputs: tuple[Quantity, ...] = ()
    noise: str = "none"
    sde_type: str = "ito"
    time_unit_s: float = 1.0
    registry_name: ClassVar[str] = ""

    def drift(self, z: Values, p: Any, u: Values) -> object:
        """One value a state, in the order of ``states``, per time_unit_s."""
        raise NotImplementedError

    def diffusion(self, z: Values, p: Any, u: Values) -> object:
        """One value a state, per sqrt(time_unit_s); (…, state, noise channel) where noise = "general"."""
        raise NotImplementedError

    def observe(self, z: Values, p: Values) -> object:  # noqa: ARG002 - for those who override it
        """One value an output, in the order of ``outputs``; by default the states."""
        return tuple(getattr(z, quantity.name) for quantity in self.states)

    def coefficients(self, p: Values) -> Any:
        """What drift and diffusion get for p; override it to compute once a solve what does not change with time."""
        return p

    def symmetries(self) -> Sequence[Symmetry]:
        """Changes of state and parameters that no data can tell; a group needs its generators only."""
        return ()

    # ---- what follows is derived -------------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """In words, from the class's name."""
        return self.registry_name or re.sub(r"(?<=[a-z])(?=[A-Z])", "_", type(self).__name__).lower()

    @property
    def observed(self) -> tuple[Quantity, ...]:
        """The outputs, which are the states where none are declared."""
        return self.outputs or self.states

    @cached_property
    def flat_states(self) -> tuple[Quantity, ...]:
        """One entry a number of the state."""
        return flat_quantities(self.states)

    @cached_property
    def flat_parameters(self) -> tuple[Quantity, ...]:
        """One entry a parameter."""
        return flat_quantities(self.parameters)

    @cached_property
    def flat_outputs(self) -> tuple[Quantity, ...]:
        """One entry an output."""
        return flat_quantities(self.observed)

    @property
    def n_states(self) -> int:
        """Numbers of the state."""
        return len(self.flat_states)

    @property
    def n_parameters(self) -> int:
        """Parameters."""
        return len(self.flat_parameters)

    @property
    def n_outputs(self) -> int:
        """Outputs."""
        return len(self.flat_outputs)

    @property
    def parameter_names(self) -> tuple[str, ...]:
        """As in ("length", "coupling[0,1]")."""
        return tuple(quantity.name for quantity in self.flat_parameters)

    @property
    def stochastic(self) -> bool:
        """Whether it has noise of its own."""
        return self.noise != "none"

    def options(self) -> dict[str, Any]:
        """The fields that made it, as plain data."""
        return dataclasses.asdict(self) if dataclasses.is_dataclass(self) else {}

    def parameter_range(self, like: Tensor) -> tuple[Float[Tensor, " parameter"], Float[Tensor, " parameter"]]:
        """(low, high) of every parameter, in dtype and device of `like`."""
        return _range(self.flat_parameters, like)

    def state_range(self, like: Tensor) -> tuple[Float[Tensor, " state"], Float[Tensor, " state"]]:
        """(low, high) of every initial state."""
        return _range(self.flat_states, like)

    def outputs_of(
        self, states: Float[Tensor, "... state"], parameters: Float[Tensor, "... parameter"]
    ) -> Float[Tensor, "... output"]:
        """What is observed of states; parameters broadcast against the states' batch axes."""
        from twins.goku.quantity import joined

        if type(self).observe is System.observe and not self.outputs:
            return states
        batch = np.broadcast_shapes(states.shape[:-1], parameters.shape[:-1])
        seen = self.observe(Values.of(states, self.states), Values.of(parameters, self.parameters))
        return joined(seen, self.observed, torch.Size(batch), states)

    def draw_parameters(self, n: int, generator: torch.Generator) -> Float[Tensor, "n parameter"]:
        """From the prior: uniform in each range, or in its logarithm where scale = "log". float64."""
        unit = torch.rand((n, self.n_parameters), dtype=torch.float64, generator=generator)
        return self.parameters_from_unit(unit)

    def draw_states(self, n: int, generator: torch.Generator) -> Float[Tensor, "n state"]:
        """Initial states, uniform in each range. float64. Raises EquationInvalid where a state's range is not finite."""
        open_ended = [quantity.name for quantity in self.flat_states if not quantity.bounded]
        if open_ended:
            raise EquationInvalid(f"{self.name}: the state {open_ended[0]!r} needs a finite range of initial values")
        unit = torch.rand((n, self.n_states), dtype=torch.float64, generator=generator)
        low, high = self.state_range(unit)
        return low + (high - low) * unit

    def parameters_from_unit(self, unit: Float[Tensor, "... parameter"]) -> Float[Tensor, "... parameter"]:
        """From 0..1 to the physical ranges: linear, or in the logarithm where scale = "log"."""
        low, high = self.parameter_range(unit)
        is_log = self._log_scaled(unit)
        straight = low + (high - low) * unit
        if not bool(is_log.any()):
            return straight
        safe_low, safe_high = torch.where(is_log, low, 1.0), torch.where(is_log, high, 2.0)
        return torch.where(is_log, safe_low * torch.exp(torch.log(safe_high / safe_low) * unit), straight)

    def parameters_to_unit(self, parameters: Float[Tensor, "... parameter"]) -> Float[Tensor, "... parameter"]:
        """The inverse; values outside the ranges come out below 0 or above 1."""
        low, high = self.parameter_range(parameters)
        is_log = self._log_scaled(parameters)
        straight = (parameters - low) / (high - low)
        if not bool(is_log.any()):
            return straight
        safe_low, safe_high = torch.where(is_log, low, 1.0), torch.where(is_log, high, 2.0)
        positive = torch.where(is_log, parameters, 1.0)
        return torch.where(is_log, torch.log(positive / safe_low) / torch.log(safe_high / safe_low), straight)

    def with_ranges(self, ranges: Mapping[str, tuple[float, float]]) -> Self:
        """The same equation with other ranges of parameters or initial states, by the quantities' names.

        Raises EquationInvalid for an unknown name.
        """
        unknown = sorted(set(ranges) - {quantity.name for quantity in (*self.parameters, *self.states)})
        if unknown:
            known = ", ".join(quantity.name for quantity in (*self.parameters, *self.states))
            raise EquationInvalid(f"{self.name} has no {unknown[0]!r} to give a range; it has {known}")
        copy = object.__new__(type(self))
        copy.__dict__.update({key: value for key, value in self.__dict__.items() if not key.startswith("flat_")})
        for side in ("states", "parameters"):
            changed = tuple(
                dataclasses.replace(quantity, low=ranges[quantity.name][0], high=ranges[quantity.name][1])
                if quantity.name in ranges
                else quantity
                for quantity in getattr(self, side)
            )
            if changed != getattr(self, side):
                copy.__dict__[side] = changed
        return copy

    def check(self) -> Self:
        """Self, if it is well formed: names differ, ranges of parameters are finite, drift and diffusion give what they
        should on a small sample. Raises EquationInvalid."""
        from twins.goku.trying import try_system

        if not self.states or not self.parameters:
            raise EquationInvalid(f"{self.name}: an equation needs at least one state and one parameter")
        check_names((*self.states, *self.parameters, *self.drives), self.name)
        if self.noise not in NOISE_TYPES or self.sde_type not in ("ito", "stratonovich"):
            raise EquationInvalid(f"{self.name}: noise must be one of {NOISE_TYPES}, sde_type ito or stratonovich")
        if not (math.isfinite(self.time_unit_s) and self.time_unit_s > 0.0):
            raise EquationInvalid(f"{self.name}: time_unit_s must be positive, not {self.time_unit_s}")
        for quantity in self.parameters:
            if not quantity.bounded:
                raise EquationInvalid(f"{self.name}: the parameter {quantity.name!r} needs a finite range low..high")
        try_system(self)
        return self

    def _log_scaled(self, like: Tensor) -> Tensor:
        return torch.tensor([quantity.scale == "log" for quantity in self.flat_parameters], device=like.device)


def _range(quantities: Sequence[Quantity], like: Tensor) -> tuple[Tensor, Tensor]:
    low = torch.tensor([quantity.low for quantity in quantities], dtype=like.dtype, device=like.device)
    high = torch.tensor([quantity.high for quantity in quantities], dtype=like.dtype, device=like.device)
    return low, high
