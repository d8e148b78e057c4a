"""The heat equation."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from twins.nca.pde.equation import Pde
from twins.nca.pde.neighbourhood import LARGEST_EIGENVALUE, Neighbourhood


@dataclass(frozen=True)
class Heat(Pde):
    """du/dt = D ∇²u. D = 0.33 is what Richardson et al. (PLOS Comput. Biol. 2024) train on."""

    diffusion: float = 0.33

    name = "heat"
    fields = ("u",)
    background = (0.0,)
    seed = (1.0,)

    def change(self, state: Float[Tensor, "batch field y x"], near: Neighbourhood) -> Float[Tensor, "batch field y x"]:
        """See the class."""
        return self.diffusion * near.laplacian(state)

    def stiffness(self, state: Float[Tensor, "batch field y x"]) -> float:  # noqa: ARG002 - the same everywhere
        """That of stripes from cell to cell."""
        return LARGEST_EIGENVALUE * self.diffusion
