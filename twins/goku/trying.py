"""Try a user's equation on a small sample before anything long begins."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from twins.errors import EquationInvalid
from twins.goku.bound import BoundSystem

if TYPE_CHECKING:
    from twins.goku.system import System

_BATCH = (2, 3)


def try_system(system: System) -> None:
    """Raise EquationInvalid unless drift, diffusion and outputs come out in the right shapes, finite, at mid-range."""
    states = _middle(system, "states").expand(*_BATCH, -1)
    parameters = _middle(system, "parameters").expand(*_BATCH, -1)
    drive = torch.zeros(*_BATCH, len(system.drives), dtype=torch.float64) if system.drives else None
    bound = BoundSystem(system, parameters)
    try:
        drift, diffusion = bound.coefficients_at(states, drive)
        outputs = system.outputs_of(states, parameters)
    except EquationInvalid as error:
        raise EquationInvalid(f"{system.name}: {error}") from error
    except Exception as error:  # the user's own code, of which anything may come
        raise EquationInvalid(f"{system.name}: the equation fails on a small sample: {error!r}") from error
    wanted = {"drift": (drift, system.n_states), "observe": (outputs, system.n_outputs)}
    if diffusion is not None and system.noise != "general":
        wanted["diffusion"] = (diffusion, system.n_states)
    for what, (values, size) in wanted.items():
        if values.shape != (*_BATCH, size):
            raise EquationInvalid(f"{system.name}: {what} gives shape {tuple(values.shape)}, not {(*_BATCH, size)}")
        if not bool(torch.isfinite(values).all()):
            raise EquationInvalid(f"{system.name}: {what} is not finite in the middle of the ranges")
    if diffusion is not None and system.noise == "general" and diffusion.shape[:-1] != (*_BATCH, system.n_states):
        raise EquationInvalid(f"{system.name}: general diffusion must be (…, state, noise channel)")


def _middle(system: System, side: str) -> torch.Tensor:
    """Slightly off the middle, where symmetric equations are often singular."""
    quantities = system.flat_states if side == "states" else system.flat_parameters
    values = [
        quantity.low + 0.55 * (quantity.high - quantity.low) if quantity.bounded else 0.1 for quantity in quantities
    ]
    return torch.tensor(values, dtype=torch.float64)
