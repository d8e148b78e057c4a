"""Coupled Stuart-Landau oscillators, in the form of the GOKU-UI experiments."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from twins.errors import EquationInvalid
from twins.goku.quantity import Quantity, Values
from twins.goku.system import Symmetry, System
from twins.goku.systems.units import per_time

RANGES = {
    "model": {"growth": (-1.0, 1.0), "angular_frequency": (0.0, 1.0), "coupling": (0.0, 0.2)},
    "data": {
        "growth": (-0.2, 0.2),
        "angular_frequency": (0.08 * math.pi, 0.14 * math.pi),
        "coupling": (0.0, 0.2),
    },
}
"""Prior ranges of the reference: what its model may infer, and what its synthetic data are drawn from."""


@dataclass(frozen=True, kw_only=True)
class StuartLandauNetwork(System):
    """x_j' = T [(a_j - x_j² - y_j²) x_j - ω_j y_j + G Σ_i C_ij (x_i - x_j)] + σ dW/dt,
    y_j' = T [(a_j - x_j² - y_j²) y_j + ω_j x_j + G Σ_i C_ij (y_i - y_j)] + σ dW/dt, T = time_scale, G = coupling_strength.

    G. Abrevaya et al., "Effective Latent Differential Equation Models via Attention and Multiple Shooting" (TMLR 2024):
    T = 20, G = 0.1, 0.02 dW where stochastic; sampled every 0.05. a, ω, C are growth, angular_frequency, coupling.

    ranges: "model" or "data", see RANGES. coupling: "full" (the reference: N² numbers, of which those of an oscillator
    to itself do nothing, so that no data can tell them), or "off_diagonal" (N (N - 1), row by row: all can be told).
    noise_strength: σ, known; 0 for an ordinary equation. learn_noise: σ is a parameter, 0.002..0.2, whatever it was.
    time_unit_s: seconds in the unit of time.
    """

    n_oscillators: int = 3
    time_scale: float = 20.0
    coupling_strength: float = 0.1
    ranges: str = "model"
    coupling: str = "full"
    noise_strength: float = 0.0
    learn_noise: bool = False
    time_unit_s: float = 1.0

    def __post_init__(self) -> None:
        if self.n_oscillators < 1 or not self.time_scale > 0.0 or not self.noise_strength >= 0.0:
            raise EquationInvalid(
                "stuart_landau_network: n_oscillators must be at least 1, time_scale positive, noise_strength not negative; "
                f"not {self.n_oscillators}, {self.time_scale} and {self.noise_strength}"
            )
        if self.ranges not in RANGES or self.coupling not in ("full", "off_diagonal"):
            raise EquationInvalid(
                f"stuart_landau_network: ranges must be one of {', '.join(RANGES)}, coupling full or off_diagonal; "
                f"not {self.ranges!r} and {self.coupling!r}"
            )

    @cached_property
    def states(self) -> tuple[Quantity, ...]:  # type: ignore[override]
        """Both quadratures; initial values as in the reference's data."""
        shape = (self.n_oscillators,)
        return Quantity("x", "", 0.3, 0.4, shape), Quantity("y", "", 0.3, 0.4, shape)

    @cached_property
    def parameters(self) -> tuple[Quantity, ...]:  # type: ignore[override]
        """2N + N² numbers in the reference's form."""
        n, rate, range_of = self.n_oscillators, per_time(self.time_unit_s), RANGES[self.ranges]
        shape = (n, n) if self.coupling == "full" else (n, n - 1)
        coupling = (Quantity("coupling", rate, *range_of["coupling"], shape),) if math.prod(shape) else ()
        noise = Quantity("noise_sd", per_time(self.time_unit_s, power="^0.5"), 0.002, 0.2, scale="log")
        return (
            Quantity("growth", rate, *range_of["growth"], (n,)),
            Quantity("angular_frequency", per_time(self.time_unit_s, "rad"), *range_of["angular_frequency"], (n,)),
            *coupling,
            *((noise,) if self.learn_noise else ()),
        )

    @cached_property
    def noise(self) -> str:  # type: ignore[override]
        """Additive, where there is any."""
        return "additive" if self.learn_noise or self.noise_strength else "none"

    def coefficients(self, p: Values) -> Values:
        """All linear terms within a quadrature as one matrix (…, N, N), once; times the scale of time."""
        scale = self.time_scale
        linear = torch.diag_embed(scale * p.growth)
        if self.coupling == "full" or self.n_oscillators > 1:
            into = (scale * self.coupling_strength) * self._matrix(p).mT
            linear = linear + into - torch.diag_embed(into.sum(-1))
        named = {"linear": linear, "turning": scale * p.angular_frequency}
        if self.noise != "none":
            named["kick"] = (p.noise_sd if self.learn_noise else p.growth.new_tensor(self.noise_strength)).unsqueeze(-1)
        return Values(**named)

    def drift(self, z: Values, p: Any, u: Values) -> tuple[Tensor, ...]:
        """Per time_unit_s."""
        x, y = z.x, z.y
        mixed = p.linear @ torch.stack((x, y), dim=-1)
        saturation = -self.time_scale * (x * x + y * y)
        return mixed[..., 0] + saturation * x - p.turning * y, mixed[..., 1] + saturation * y + p.turning * x

    def diffusion(self, z: Values, p: Any, u: Values) -> tuple[Tensor, Tensor]:
        """The same everywhere; not multiplied by the scale of time."""
        return p.kick, p.kick

    def symmetries(self) -> tuple[Symmetry, ...]:
        """Any order of the oscillators (two permutations generate it), and all turning the other way."""
        n = self.n_oscillators
        swap, cycle = [1, 0, *range(2, n)], [*range(1, n), 0]
        orders = {1: [], 2: [swap]}.get(n, [swap, cycle])
        return (
            *(Symmetry(f"order {order}", self._reordered_states(order), self._reordered(order)) for order in orders),
            *self.symmetries_in_place(),
        )

    def symmetries_in_place(self) -> tuple[Symmetry, ...]:
        """Those that do not change the order: all turning the other way."""
        names = tuple(f"x[{index}]" for index in range(self.n_oscillators))
        return (Symmetry("other sense of rotation", self._y_turned, self._frequency_turned, outputs=names),)

    @property
    def exchangeable(self) -> int:
        """That many oscillators, one like the other, can stand in any order."""
        return self.n_oscillators

    def reordered(self, parameters: Tensor, order: list[int]) -> Tensor:
        """Parameters (…, parameter) of the same network with oscillator order[j] at place j."""
        return self._reordered(order)(parameters)

    def unit_parameters(self, parameters: Tensor) -> Tensor:
        """(…, N, 2): growth and angular frequency of each oscillator."""
        n = self.n_oscillators
        return torch.stack((parameters[..., :n], parameters[..., n : 2 * n]), dim=-1)

    def _matrix(self, p: Values) -> Tensor:
        if self.coupling == "full":
            return p.coupling
        return torch.cat((p.coupling, torch.zeros_like(p.coupling[..., :1])), dim=-1).gather(
            -1, self._columns(p.coupling).expand(*p.coupling.shape[:-1], self.n_oscillators)
        )

    def _columns(self, like: Tensor) -> Tensor:
        """Where entry (i, j) of the matrix lies in row i of N - 1 numbers and a 0 after them."""
        n = self.n_oscillators
        rows = [[n - 1 if j == i else j - (j > i) for j in range(n)] for i in range(n)]
        return torch.tensor(rows, device=like.device)

    def _reordered(self, order: list[int]) -> Callable[[Tensor], Tensor]:
        def change(parameters: Tensor) -> Tensor:
            p = Values.of(parameters, self.parameters)
            parts = [p.growth[..., order], p.angular_frequency[..., order]]
            if any(quantity.name == "coupling" for quantity in self.parameters):
                matrix = self._matrix(p)[..., order, :][..., order]
                if self.coupling == "off_diagonal":
                    keep = ~torch.eye(self.n_oscillators, dtype=torch.bool, device=matrix.device)
                    matrix = matrix[..., keep]
                parts.append(matrix.reshape(*parameters.shape[:-1], -1))
            if self.learn_noise:
                parts.append(p.noise_sd.unsqueeze(-1))
            return torch.cat(parts, dim=-1)

        return change

    def _reordered_states(self, order: list[int]) -> Callable[[Tensor], Tensor]:
        places = [*order, *(self.n_oscillators + place for place in order)]
        return lambda state: state[..., places]

    def _y_turned(self, state: Tensor) -> Tensor:
        n = self.n_oscillators
        return torch.cat((state[..., :n], -state[..., n:]), dim=-1)

    def _frequency_turned(self, parameters: Tensor) -> Tensor:
        n = self.n_oscillators
        return torch.cat((parameters[..., :n], -parameters[..., n : 2 * n], parameters[..., 2 * n :]), dim=-1)
