"""The Brusselator: spots and stripes by Turing's mechanism, or a chemical clock."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from twins.nca.pde.equation import Pde
from twins.nca.pde.neighbourhood import LARGEST_EIGENVALUE, Neighbourhood


@dataclass(frozen=True)
class Brusselator(Pde):
    """du/dt = D_u ∇²u + a - (b + 1)·u + u²·v,  dv/dt = D_v ∇²v + b·u - u²·v.

    Its uniform state u = a, v = b/a turns into a pattern above b = (1 + a·sqrt(D_u/D_v))² and oscillates above b = 1 + a².
    The defaults lie above the first (2.91) and below the second (5).
    Source: I. Prigogine, R. Lefever, J. Chem. Phys. 48, 1695 (1968).
    """

    a: float = 2.0
    b: float = 3.5
    diffusion_u: float = 1.0
    diffusion_v: float = 8.0

    name = "brusselator"
    fields = ("u", "v")
    dt = 0.025

    @property
    def background(self) -> tuple[float, ...]:  # type: ignore[override]
        """The uniform state."""
        return self.rest()

    @property
    def seed(self) -> tuple[float, ...]:  # type: ignore[override]
        """More u, less v."""
        return 1.5 * self.a, 0.5 * self.b / self.a

    def change(self, state: Float[Tensor, "batch field y x"], near: Neighbourhood) -> Float[Tensor, "batch field y x"]:
        """See the class."""
        u, v = state.unbind(1)
        spread_u, spread_v = near.laplacian(state).unbind(1)
        reacted = u * u * v
        change_u = self.diffusion_u * spread_u + (self.a - (self.b + 1.0) * u + reacted)
        change_v = self.diffusion_v * spread_v + (self.b * u - reacted)
        return torch.stack((change_u, change_v), dim=1)

    def rest(self) -> tuple[float, float]:
        """u = a, v = b/a."""
        return self.a, self.b / self.a

    @property
    def turing_threshold(self) -> float:
        """The b above which the uniform state turns into a pattern."""
        return float((1.0 + self.a * (self.diffusion_u / self.diffusion_v) ** 0.5) ** 2)

    @property
    def hopf_threshold(self) -> float:
        """The b above which the uniform state oscillates."""
        return 1.0 + self.a**2

    @property
    def start(self) -> str:
        """Ripples on the uniform state."""
        return "noise"

    def stiffness(self, state: Float[Tensor, "batch field y x"]) -> float:
        """Of diffusion, and of u²·v where u is largest."""
        consumed = float(state[:, 0].square().max())
        return max(
            LARGEST_EIGENVALUE * self.diffusion_v + consumed, LARGEST_EIGENVALUE * self.diffusion_u + self.b + 1.0
        )
