"""Something that spreads while it is carried along: the simplest rule with a direction."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from twins.nca.pde.equation import Method, Pde
from twins.nca.pde.neighbourhood import LARGEST_EIGENVALUE, Neighbourhood


@dataclass(frozen=True)
class AdvectionDiffusion(Pde):
    """du/dt = D ∇²u - velocity_x·∂u/∂x - velocity_y·∂u/∂y, velocities in cells per unit of time.

    Automata without dx and dy among their kernels cannot learn it: it is no isotropic rule.
    """

    diffusion: float = 0.1
    velocity_x: float = 0.2
    velocity_y: float = 0.0

    name = "advection_diffusion"
    fields = ("u",)
    background = (0.0,)
    seed = (1.0,)

    def change(self, state: Float[Tensor, "batch field y x"], near: Neighbourhood) -> Float[Tensor, "batch field y x"]:
        """See the class."""
        carried = self.velocity_x * near.slope_x(state) + self.velocity_y * near.slope_y(state)
        return torch.sub(self.diffusion * near.laplacian(state), carried)

    def stiffness(self, state: Float[Tensor, "batch field y x"]) -> float:  # noqa: ARG002 - the same everywhere
        """That of diffusion."""
        return LARGEST_EIGENVALUE * self.diffusion

    def largest_dt(self, state: Float[Tensor, "batch field y x"], method: Method = "euler") -> float:
        """Euler amplifies long waves beyond 2·D/velocity², fine ones beyond 1/(2·D)."""
        largest = super().largest_dt(state, method)
        speed_squared = self.velocity_x**2 + self.velocity_y**2
        if method == "euler" and speed_squared > 0.0:
            largest = min(largest, 2.0 * self.diffusion / speed_squared)
        return largest
