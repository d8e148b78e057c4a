"""FitzHugh-Nagumo: an excitable medium, with pulses and spirals."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from twins.nca.pde.equation import Pde
from twins.nca.pde.neighbourhood import LARGEST_EIGENVALUE, Neighbourhood


@dataclass(frozen=True)
class FitzHughNagumo(Pde):
    """du/dt = D_u ∇²u + u - u³/3 - v + current,  dv/dt = D_v ∇²v + epsilon·(u + beta - gamma·v).

    u excites itself and is inhibited by the slow v. The defaults rest until u is lifted over its threshold, and then send
    out one pulse. ``SPIRALS`` oscillates everywhere, and from smooth_noise waves run on
    for ever. ``LABYRINTH``, with a fast v that spreads widely, comes
    to stand in stripes. Sources: R. FitzHugh, Biophys. J. 1, 445 (1961); J. Nagumo et al., Proc. IRE 50, 2061 (1962).
    """

    epsilon: float = 0.08
    beta: float = 0.7
    gamma: float = 0.8
    current: float = 0.0
    diffusion_u: float = 1.0
    diffusion_v: float = 0.0

    name = "fitzhugh_nagumo"
    fields = ("u", "v")
    dt = 0.1

    @property
    def background(self) -> tuple[float, ...]:  # type: ignore[override]
        """At rest."""
        return self.rest()

    @property
    def seed(self) -> tuple[float, ...]:  # type: ignore[override]
        """u far above its threshold."""
        return 1.5, self.rest()[1]

    def change(self, state: Float[Tensor, "batch field y x"], near: Neighbourhood) -> Float[Tensor, "batch field y x"]:
        """See the class."""
        u, v = state.unbind(1)
        spread_u, spread_v = near.laplacian(state).unbind(1)
        change_u = self.diffusion_u * spread_u + (u - u * u * u / 3.0 - v + self.current)
        change_v = self.diffusion_v * spread_v + self.epsilon * (u + self.beta - self.gamma * v)
        return torch.stack((change_u, change_v), dim=1)

    def rest(self) -> tuple[float, float]:
        """The leftmost uniform state that does not change."""
        if self.gamma == 0.0:
            u = -self.beta
            return u, u - u**3 / 3.0 + self.current
        # v = (u + beta) / gamma in u - u³/3 - v + current = 0
        roots = np.roots((-1.0 / 3.0, 0.0, 1.0 - 1.0 / self.gamma, self.current - self.beta / self.gamma))
        u = float(min(roots[np.abs(roots.imag) < 1e-9].real))
        return u, (u + self.beta) / self.gamma

    @property
    def start(self) -> str:
        """Blocks send out pulses where it rests; noise breaks up where it turns into a pattern or oscillates."""
        if 1.0 - self.rest()[0] ** 2 > self.epsilon * self.gamma:
            return "smooth_noise"
        return "noise" if self.diffusion_v > self.diffusion_u else "random_blocks"

    def stiffness(self, state: Float[Tensor, "batch field y x"]) -> float:
        """Of diffusion and of u³ where it is steepest."""
        steepest = float(state[:, 0].square().max())
        fast = LARGEST_EIGENVALUE * self.diffusion_u + max(0.0, steepest - 1.0)
        return max(fast, LARGEST_EIGENVALUE * self.diffusion_v + abs(self.epsilon * self.gamma))


SPIRALS = FitzHughNagumo(epsilon=0.1, beta=0.5, gamma=0.5, diffusion_u=0.25)
LABYRINTH = FitzHughNagumo(epsilon=2.0, beta=0.0, gamma=0.8, diffusion_u=0.35, diffusion_v=3.9)
