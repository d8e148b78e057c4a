"""The Gray-Scott model: a substance A that B feeds on."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from twins.nca.pde.equation import Pde
from twins.nca.pde.neighbourhood import LARGEST_EIGENVALUE, Neighbourhood


@dataclass(frozen=True)
class GrayScott(Pde):
    """dA/dt = D_A ∇²A - A·B² + alpha·(1 - A),  dB/dt = D_B ∇²B + A·B² - (gamma + alpha)·B.

    alpha: feed rate f. gamma: kill rate k. The defaults grow a maze: alpha = 0.0623 with gamma = 0.06258, as in the code of
    Richardson et al. (PLOS Comput. Biol. 2024); the caption of their figure says 0.06268. ``MITOSIS`` divides spots.
    Source: P. Gray, S. K. Scott, Chem. Eng. Sci. 39, 1087 (1984); J. Pearson, Science 261, 189 (1993).
    """

    alpha: float = 0.0623
    gamma: float = 0.06258
    diffusion_a: float = 0.1
    diffusion_b: float = 0.05

    name = "gray_scott"
    fields = ("A", "B")
    background = (1.0, 0.0)
    seed = (0.0, 1.0)

    def change(self, state: Float[Tensor, "batch field y x"], near: Neighbourhood) -> Float[Tensor, "batch field y x"]:
        """See the class."""
        a, b = state.unbind(1)
        spread_a, spread_b = near.laplacian(state).unbind(1)
        reacted = b.square().mul_(a) if not b.requires_grad else a * b.square()
        change_a = torch.sub(self.diffusion_a * spread_a + self.alpha, reacted).sub_(a, alpha=self.alpha)
        change_b = torch.add(self.diffusion_b * spread_b, reacted).sub_(b, alpha=self.gamma + self.alpha)
        return torch.stack((change_a, change_b), dim=1)

    def stiffness(self, state: Float[Tensor, "batch field y x"]) -> float:  # noqa: ARG002 - diffusion limits it everywhere
        """That of diffusion alone."""
        return LARGEST_EIGENVALUE * max(self.diffusion_a, self.diffusion_b)


MAZE = GrayScott()
MITOSIS = GrayScott(alpha=0.0367, gamma=0.0649)

SWEEP: tuple[dict[str, float], ...] = tuple(
    {"alpha": feed, "gamma": kill}
    for kill, feed in (
        (0.06264, 0.06100), (0.05171, 0.11074), (0.06399, 0.03616), (0.05571, 0.02088), (0.04486, 0.01262),
        (0.06067, 0.08242), (0.05626, 0.09805), (0.05151, 0.02548), (0.06081, 0.05587),
    )
)  # fmt: skip
"""The nine pairs of kill and feed rate that Richardson et al. sweep (their code, github AlexDR1998/NCA)."""
