"""Cahn-Hilliard: two substances part."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from twins.nca.pde.equation import Pde
from twins.nca.pde.neighbourhood import LARGEST_EIGENVALUE, Neighbourhood


@dataclass(frozen=True)
class CahnHilliard(Pde):
    """du/dt = mobility · ∇²(u³ - u - kappa·∇²u), with u = ±1 in the two substances.

    The mean of u stays what it is, with periodic and symmetric padding. About a uniform u the fastest growing ripples have
    -∇² = (1 - 3u²)/(2·kappa). Source: J. Cahn, J. Hilliard, J. Chem. Phys. 28, 258 (1958).
    """

    mobility: float = 0.05
    kappa: float = 1.0

    name = "cahn_hilliard"
    fields = ("u",)
    background = (-1.0,)
    seed = (1.0,)

    def change(self, state: Float[Tensor, "batch field y x"], near: Neighbourhood) -> Float[Tensor, "batch field y x"]:
        """See the class."""
        potential = state * state * state - state - self.kappa * near.laplacian(state)
        return self.mobility * near.laplacian(potential)

    def rest(self) -> tuple[float]:
        """Any uniform state rests, those within ±1/√3 not for long; 0 parts soonest."""
        return (0.0,)

    def growth_rate(self, eigenvalue: float, *, mean: float = 0.0) -> float:
        """Of small ripples about a uniform `mean` that the stencil multiplies by `eigenvalue` (0 to -4), per unit of time."""
        return self.mobility * eigenvalue * (3.0 * mean * mean - 1.0 - self.kappa * eigenvalue)

    @property
    def start(self) -> str:
        """A mixture."""
        return "noise"

    def stiffness(self, state: Float[Tensor, "batch field y x"]) -> float:
        """Of the biharmonic, and of u³ within ±1 or wherever the state reaches beyond."""
        steepest = 3.0 * max(1.0, float(state.square().max())) - 1.0
        return self.mobility * LARGEST_EIGENVALUE * (steepest + LARGEST_EIGENVALUE * self.kappa)
