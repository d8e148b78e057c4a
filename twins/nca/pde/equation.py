"""The one interface of all equations: fields on a grid that change by what their cells and neighbours hold."""

from __future__ import annotations

import dataclasses
from typing import Any, Literal, Self, get_args

import torch
from jaxtyping import Float
from torch import Tensor

from twins.errors import EquationInvalid, SolverRefused
from twins.nca.pde.neighbourhood import Neighbourhood
from twins.nca.spec import PADDINGS, Padding

Method = Literal["euler", "rk4"]
METHODS: tuple[Method, ...] = get_args(Method)
_STABLE = {"euler": 2.0, "rk4": 2.785}
"""How far the stable interval of each scheme reaches along the negative real axis, in 1/dt."""
_PROBE = 1e-5


class Pde:
    """∂state/∂t = change(state, neighbours) on a grid with cells of size 1. Subclasses are frozen dataclasses: their fields
    are the parameters, with defaults.

    fields: names of the fields. units: theirs; all dimensionless where empty. dt: the usual time step, in the equation's
    time. padding: what usually lies beyond the edge. background, seed: values of the fields where nothing happens yet, and
    in the blocks and spots that patterns start from. discrete: whether this is no equation but a rule with dt = 1.
    """

    name: str = "pde"
    fields: tuple[str, ...] = ()
    units: tuple[str, ...] = ()
    dt: float = 1.0
    padding: Padding = "periodic"
    background: tuple[float, ...] = ()
    seed: tuple[float, ...] = ()
    discrete: bool = False

    def change(self, state: Float[Tensor, "batch field y x"], near: Neighbourhood) -> Float[Tensor, "batch field y x"]:
        """The time derivative of all fields."""
        raise NotImplementedError

    @property
    def start(self) -> str:
        """The usual initial condition, a name that ``initial_named`` knows."""
        return "random_blocks" if self.seed else "noise"

    @property
    def parameters(self) -> dict[str, float]:
        """Every parameter's value."""
        return {one.name: getattr(self, one.name) for one in dataclasses.fields(self)}  # type: ignore[arg-type]

    def with_parameters(self, **values: float) -> Self:
        """The same equation with other parameters. Raises EquationInvalid for one it does not have, or no number."""
        known = self.parameters
        for name, value in values.items():
            if name not in known:
                raise EquationInvalid(f"{self.name} has no parameter {name!r}; it has {', '.join(known) or 'none'}")
            if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e300:
                raise EquationInvalid(f"{self.name}: {name} must be a finite number, not {value!r}")
        return self._replaced({name: float(value) for name, value in values.items()})

    def _replaced(self, values: dict[str, float]) -> Self:
        return dataclasses.replace(self, **values)  # type: ignore[type-var]

    def rest(self) -> tuple[float, ...]:
        """A uniform state that does not change; the background where there is nothing better."""
        return self.background

    def rate(
        self, state: Float[Tensor, "batch field y x"], *, padding: Padding | None = None
    ) -> Float[Tensor, "batch field y x"]:
        """``change``, checked, with a padding by name. Raises EquationInvalid for a state of another shape."""
        self.check(state)
        return self.change(state, self.neighbourhood(padding))

    def step(
        self,
        state: Float[Tensor, "batch field y x"],
        *,
        dt: float | None = None,
        padding: Padding | None = None,
        method: Method = "euler",
    ) -> Float[Tensor, "batch field y x"]:
        """The state one time step later."""
        self.check(state)
        return self.advanced(state, self.dt if dt is None else dt, self.neighbourhood(padding), method)

    def advanced(self, state: Tensor, dt: float, near: Neighbourhood, method: Method) -> Tensor:
        """``step`` without its checks."""
        first = self.change(state, near)
        if method == "euler":
            return torch.add(state, first, alpha=dt)
        second = self.change(torch.add(state, first, alpha=dt / 2), near)
        third = self.change(torch.add(state, second, alpha=dt / 2), near)
        fourth = self.change(torch.add(state, third, alpha=dt), near)
        return state + (dt / 6) * (first + 2 * second + 2 * third + fourth)

    def stiffness(self, state: Float[Tensor, "batch field y x"]) -> float:
        """The fastest rate (1/time) of small ripples, which limits the time step.

        Of the stripes that alternate from cell to cell, about the mean of `state`; equations that know theirs override it.
        """
        mean = state.double().mean(dim=(0, 2, 3))
        n_fields, stripes = len(mean), torch.ones(4, 4, dtype=torch.float64)
        stripes[:, 1::2] = -1.0
        size = _PROBE * max(1.0, float(mean.abs().max()))
        flat = mean[None, :, None, None].expand(n_fields, -1, 4, 4)
        ripples = size * torch.eye(n_fields, dtype=torch.float64)[:, :, None, None] * stripes
        near = Neighbourhood("periodic")
        answers = (self.change(flat + ripples, near) - self.change(flat - ripples, near)) / (2 * size)
        jacobian = (answers * stripes).mean(dim=(2, 3)).T
        if not bool(jacobian.isfinite().all()):
            raise EquationInvalid(
                f"{self.name}: its rate is not finite about the mean of the initial state ({_told(mean.tolist())}); "
                "begin at values that its formulas are defined for"
            )
        return float(torch.linalg.eigvals(jacobian).abs().max())

    def largest_dt(self, state: Float[Tensor, "batch field y x"], method: Method = "euler") -> float:
        """The largest time step with which the finest ripples about `state` do not blow up."""
        stiffness = self.stiffness(state)
        return float("inf") if stiffness <= 0.0 else _STABLE[method] / stiffness

    def check_dt(self, state: Float[Tensor, "batch field y x"], dt: float, method: Method = "euler") -> None:
        """Raise SolverRefused for a time step that is not positive, or beyond ``largest_dt``."""
        if method not in METHODS:
            raise SolverRefused(f"method must be one of {', '.join(METHODS)}, not {method!r}")
        if not 0.0 < dt < float("inf"):
            raise SolverRefused(f"{self.name}: dt must be positive, not {dt!r}")
        if self.discrete and (dt != 1.0 or method != "euler"):
            raise SolverRefused(f"{self.name} goes from step to step: only dt = 1 and method = 'euler' make sense")
        largest = self.largest_dt(state, method)
        if dt > largest:
            raise SolverRefused(
                f"{self.name}: dt = {dt:g} is unstable: the finest ripples decay at {self.stiffness(state):.4g} per unit of "
                f"time, and {method} follows that up to dt = {largest:.4g}; take a smaller dt (with more steps a frame) or "
                "smaller diffusion coefficients"
            )

    def neighbourhood(self, padding: Padding | None = None) -> Neighbourhood:
        """With this equation's own padding where none is given. Raises EquationInvalid for an unknown one."""
        chosen = self.padding if padding is None else padding
        if chosen not in PADDINGS:
            raise EquationInvalid(f"padding must be one of {', '.join(PADDINGS)}, not {chosen!r}")
        return Neighbourhood(chosen)

    def check(self, state: Any) -> None:
        """Raise EquationInvalid unless a state has this equation's fields."""
        if state.ndim != 4 or state.shape[1] != len(self.fields) or 0 in state.shape:
            raise EquationInvalid(
                f"{self.name}: a state must be (batch, field, y, x) with the fields {', '.join(self.fields)}, "
                f"not {tuple(state.shape)}"
            )

    def check_initial(self, state: Float[Tensor, "batch field y x"]) -> None:
        """Raise EquationInvalid for a state it cannot begin at."""
        self.check(state)
        if not bool(state.isfinite().all()):
            raise EquationInvalid(f"{self.name}: the initial state holds values that are not finite")


def _told(values: list[float]) -> str:
    return ", ".join(f"{value:.4g}" for value in values)
