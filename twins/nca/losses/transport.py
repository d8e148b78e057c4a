"""Optimal transport on the plane: what it takes to move the mass of one image to where it lies in the other.

M. Cuturi, "Sinkhorn Distances" (NeurIPS 2013); J. Feydy, T. Séjourné, F.-X. Vialard, S. Amari, A. Trouvé, G. Peyré,
"Interpolating between Optimal Transport and MMD using Sinkhorn Divergences" (AISTATS 2019).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from twins.errors import AutomatonInvalid, TransportNotConverged
from twins.nca.losses.loss import channel_mean
from twins.nca.losses.mass import MassLoss

_LEAST_SUM = 1e-290
"""A sum of numbers of at most 1 above this lost nothing by underflow that double precision would notice."""
_OVER_RELAXATION = 1.8
"""Of the last, slow iterations, which it makes about seven times fewer (A. Thibault et al., "Overrelaxed Sinkhorn-Knopp
Algorithm for Regularized Optimal Transport", Algorithms 14, 143, 2021)."""
_PATIENCE = 50
"""Iterations that must lower the error by a tenth; else the over-relaxation is halved."""
_ROUNDS = 5
"""Iterations with each of the regularisations that lead to the last one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sinkhorn(MassLoss):
    """The squared 2-Wasserstein distance of mass on the grid, in cells², by entropic regularisation; mean over channels.

    Moving all mass by s cells costs |s|². Amplitudes are normalised away.

    blur_cells: the regularisation is its square; details finer than this are not seen, and smaller is slower.
    periodic: mass may travel round the edges. debiased: less half of what both images cost against themselves (Feydy et al.
    2019): to the tolerance not negative, and 0 where both are equal; without it the loss is smallest for an image sharper
    than the target.
    tolerance: of the marginals, Σ|found - wanted|. max_iterations: then TransportNotConverged is raised.

    The cost is a sum over both axes and so the kernel a product, computed in double precision and in logarithms. The
    gradient is that of the converged problem, its potentials (no iteration is differentiated), right to the tolerance.

    The publication's code takes whole CHANNELS for the points, and Σ (difference of images)² for the cost between them, so that
    channels may stand in for each other; where they are different substances that says nothing, and is left out.
    """

    blur_cells: float = 2.0
    periodic: bool = True
    debiased: bool = True
    tolerance: float = 1e-3
    max_iterations: int = 2000

    def __post_init__(self) -> None:
        super(Sinkhorn, self).__post_init__()  # the bare super() does not know a class with slots
        for name in ("blur_cells", "tolerance", "max_iterations"):
            if not 0.0 < getattr(self, name) < float("inf"):
                raise AutomatonInvalid(f"{name} must be finite and above 0, not {getattr(self, name)!r}")

    def distance(
        self,
        predicted: Float[Tensor, "batch channel y x"],
        target: Float[Tensor, "batch channel y x"],
        generator: torch.Generator | None,
    ) -> Float[Tensor, " batch"]:
        del generator
        found, wanted = (self.distribution(image.double()).flatten(0, 1) for image in (predicted, target))
        with torch.no_grad():
            first, second = _solvable(found), _solvable(wanted)
            towards_wanted, towards_found = self.potentials(first, second)
            if self.debiased:
                towards_wanted = towards_wanted - self.own_potential(first)
                towards_found = towards_found - self.own_potential(second)
        cost = (found * towards_wanted + wanted * towards_found).sum(dim=(1, 2))
        return channel_mean(cost.reshape(predicted.shape[:2]).to(predicted), self.shares(predicted))

    def potentials(
        self, first: Float[Tensor, "problem y x"], second: Float[Tensor, "problem y x"]
    ) -> tuple[Float[Tensor, "problem y x"], Float[Tensor, "problem y x"]]:
        """The dual potentials on the first and the second distribution. Raises TransportNotConverged."""
        costs = self._costs(first)
        logs = first.log(), second.log()
        f, g = torch.zeros_like(first), torch.zeros_like(second)
        for epsilon in self._annealed(costs):
            on_first, on_second = _softmin(logs[1], g, costs, epsilon), _softmin(logs[0], f, costs, epsilon)
            f, g = (f + on_first) / 2.0, (g + on_second) / 2.0
        epsilon, relaxation = self.blur_cells**2, _OVER_RELAXATION
        error, least, least_before = float("inf"), float("inf"), float("inf")
        for iteration in range(1, self.max_iterations + 1):
            g = torch.lerp(g, _softmin(logs[0], f, costs, epsilon), relaxation)
            after = _softmin(logs[1], g, costs, epsilon)
            error = _error(first, f, after, epsilon)
            if error <= self.tolerance:
                g = _softmin(logs[0], f, costs, epsilon)  # now the second marginal is met exactly
                after = _softmin(logs[1], g, costs, epsilon)
                error = _error(first, f, after, epsilon)
                if error <= self.tolerance:
                    return f, g
            f = torch.lerp(f, after, relaxation)
            least = min(least, error)
            if iteration % _PATIENCE == 0:
                if least > 0.9 * least_before:  # too bold for these masses
                    relaxation = 1.0 + (relaxation - 1.0) / 2.0
                least_before = least
        raise self._not_converged(error)

    def own_potential(self, mass: Float[Tensor, "problem y x"]) -> Float[Tensor, "problem y x"]:
        """The potential of a distribution against itself, where both are the same. Raises TransportNotConverged."""
        costs = self._costs(mass)
        log, f = mass.log(), torch.zeros_like(mass)
        for epsilon in self._annealed(costs):
            f = (f + _softmin(log, f, costs, epsilon)) / 2.0
        epsilon, error = self.blur_cells**2, float("inf")
        for _ in range(self.max_iterations):
            after = _softmin(log, f, costs, epsilon)
            error = _error(mass, f, after, epsilon)
            if error <= self.tolerance:
                return f
            f = (f + after) / 2.0
        raise self._not_converged(error)

    def _costs(self, like: Tensor) -> tuple[Tensor, Tensor]:
        """Squared distances between the rows, and between the columns, in cells²."""
        costs = []
        for n_cells in like.shape[-2:]:
            place = torch.arange(n_cells, dtype=like.dtype, device=like.device)
            apart = (place[:, None] - place).abs()
            costs.append(torch.minimum(apart, n_cells - apart).square() if self.periodic else apart.square())
        return costs[0], costs[1]

    def _annealed(self, costs: tuple[Tensor, Tensor]) -> list[float]:
        """Regularisations from the largest cost down to the one asked for, halving each time: far moves are found first."""
        epsilon, wanted = float(costs[0].max() + costs[1].max()), self.blur_cells**2
        found = []
        while epsilon > wanted:
            found += [epsilon] * _ROUNDS
            epsilon /= 2.0
        return found

    def _not_converged(self, error: float) -> TransportNotConverged:
        return TransportNotConverged(
            f"transport between images: marginals are off by {error:.2g} after {self.max_iterations} iterations, "
            f"{self.tolerance:g} is allowed; take a larger blur_cells (now {self.blur_cells:g}), a larger tolerance, or "
            "more max_iterations"
        )


def _solvable(mass: Tensor) -> Tensor:
    """Even mass for images that are not finite: their loss comes out NaN, like every other loss of theirs."""
    finite = mass.isfinite().all(dim=2, keepdim=True).all(dim=1, keepdim=True)
    return torch.where(finite, mass, 1.0 / mass[0].numel())


def _error(mass: Tensor, potential: Tensor, after: Tensor, epsilon: float) -> float:
    """Σ|marginal - mass| of the plan of a potential, from what the next iteration would make of it; of the worst problem."""
    return float((mass * torch.expm1((potential - after) / epsilon).abs()).sum(dim=(1, 2)).max())


def _softmin(log_mass: Tensor, potential: Tensor, costs: tuple[Tensor, Tensor], epsilon: float) -> Tensor:
    """-ε log Σ mass · exp((potential - cost)/ε), over rows and then over columns."""
    over_rows = _log_convolved(log_mass + potential / epsilon, -costs[0] / epsilon)
    return -epsilon * _log_convolved(over_rows.mT, -costs[1] / epsilon).mT


def _log_convolved(values: Float[Tensor, "problem from other"], log_kernel: Float[Tensor, "to from"]) -> Tensor:
    """log Σ exp(values) · kernel: as a product of matrices, and term by term where that would underflow."""
    peak = values.amax(dim=1, keepdim=True)
    sums = log_kernel.exp() @ (values - peak).exp()
    if float(sums.min()) > _LEAST_SUM:
        return peak + sums.log()
    return torch.logsumexp(log_kernel[:, :, None] + values[:, None], dim=2)
