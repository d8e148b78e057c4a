"""Coordinates in which the first state of a noisy equation's trace is spread alike, however small its noise of observation.

Noise of its own explains what noise of observation does not, so that the level of the latter is often only bounded from
above; and the smaller it is, the nearer is the first state to the first sample: a funnel (Neal, Ann. Stat. 31 (2003)) that
neither one covariance nor steps of one length fit. Given noise levels n, the first state's Gaussian has the precision
P(n) = P0 + Σ h_c h_c' / n_c², h_c the slope of what channel c sees, and the mean that goes with it; P0 is what is left of
the precision at the top. Its whitened distance from there takes the first state's place. Any such map is exact, because its
determinant is counted; the approximations decide only how well it serves.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from twins.goku.inference.group_density import GroupDensity

_NUDGE = 1e-5
_LEAST_PRECISION = 0.3  # of what is left at the top; the prior alone has 1


class Funnel:
    """The map of one density's groups, whose tops are given. It has `value` in place of the density's."""

    def __init__(self, density: GroupDensity, top: Float[Tensor, "group free"]) -> None:
        self.density = density
        coordinates, likelihood, members = density.coordinates, density.likelihood, density.members
        n_parameters, n_states, n_channels = coordinates.sizes
        self._initial = torch.arange(n_parameters, n_parameters + n_states)
        self._noise = torch.arange(n_parameters + n_states, n_parameters + n_states + n_channels)
        own = density.by_trace(top)
        seen = likelihood.data.seen[0, members].to(top.dtype)
        here, slope = self._look(own)
        self._slope = slope * seen.unsqueeze(-1)  # (group, member, channel, state)
        self._error = torch.nan_to_num(likelihood.data.values[0, members] - here) * seen
        self._top = own[..., self._initial]
        sharp = self._noise_sd(own).square().reciprocal()
        self._pull_at_top = self._pull(sharp)
        precision = density.quadratic(top, torch.arange(len(top))).precision
        blocks = torch.stack(
            [precision[:, place[self._initial].unsqueeze(-1), place[self._initial]] for place in density.places], dim=1
        )
        values, vectors = torch.linalg.eigh(torch.nan_to_num(blocks - self._told(sharp)))
        self._rest = (vectors * values.clamp(min=_LEAST_PRECISION).unsqueeze(-2)) @ vectors.mT

    def value(self, w: Float[Tensor, "copy row free"], groups: Int64[Tensor, " row"]) -> Float[Tensor, "copy row"]:
        """Logarithm of the density of these coordinates."""
        x, log_slope = self.out(w, groups)
        return self.density.value(x, groups) + log_slope

    def out(self, w: Float[Tensor, "copy row free"], groups: Int64[Tensor, " row"]) -> tuple[Tensor, Tensor]:
        """(free coordinates, logarithm of the map's determinant)."""
        own = self.density.by_trace(w)
        middle, factor = self._gaussian(own, groups)
        white = own[..., self._initial].unsqueeze(-1)
        initial = middle + torch.linalg.solve_triangular(factor.mT, white, upper=True).squeeze(-1)
        return self._with(own, initial), self._log_slope(factor)

    def into(self, x: Float[Tensor, "copy row free"], groups: Int64[Tensor, " row"]) -> tuple[Tensor, Tensor]:
        """(these coordinates, logarithm of the determinant of the way out)."""
        own = self.density.by_trace(x)
        middle, factor = self._gaussian(own, groups)
        white = (factor.mT @ (own[..., self._initial] - middle).unsqueeze(-1)).squeeze(-1)
        return self._with(own, white), self._log_slope(factor)

    def _gaussian(self, own: Tensor, groups: Tensor) -> tuple[Tensor, Tensor]:
        """(mean, lower factor of the precision) of the first states given the noise levels."""
        sharp = self._noise_sd(own).square().reciprocal()
        precision = self._rest[groups] + torch.einsum(
            "...mc,...mci,...mcj->...mij", sharp, self._slope[groups], self._slope[groups]
        )
        factor = torch.linalg.cholesky_ex(precision)[0]
        pull = torch.einsum("...mc,...mci,...mc->...mi", sharp, self._slope[groups], self._error[groups])
        change = torch.cholesky_solve((pull - self._pull_at_top[groups]).unsqueeze(-1), factor)
        return self._top[groups] + change.squeeze(-1), factor

    def _told(self, sharp: Tensor) -> Tensor:
        return torch.einsum("...mc,...mci,...mcj->...mij", sharp, self._slope, self._slope)

    def _pull(self, sharp: Tensor) -> Tensor:
        return torch.einsum("...mc,...mci,...mc->...mi", sharp, self._slope, self._error)

    def _noise_sd(self, own: Tensor) -> Tensor:
        return self.density.coordinates.physical(own)[..., self._noise]

    def _log_slope(self, factor: Tensor) -> Tensor:
        return -factor.diagonal(dim1=-2, dim2=-1).log().sum(dim=(-2, -1))

    def _with(self, own: Tensor, initial: Tensor) -> Tensor:
        own = own.clone()
        own[..., self._initial] = initial
        return self.density.joined(own)

    def _look(self, own: Tensor) -> tuple[Tensor, Tensor]:
        """(what is seen of the first states, its slope by their free coordinates (…, channel, state))."""
        moves = torch.zeros(2 * len(self._initial) + 1, own.shape[-1], dtype=own.dtype)
        for number, place in enumerate(self._initial.tolist()):
            moves[2 * number + 1, place], moves[2 * number + 2, place] = _NUDGE, -_NUDGE
        points = (own.unsqueeze(0) + moves[:, None, None]).reshape(len(moves), -1, own.shape[-1])
        coordinates, likelihood = self.density.coordinates, self.density.likelihood
        parameters, initial, _ = coordinates.split(coordinates.physical(points))
        seen = likelihood.observation(likelihood.system.outputs_of(initial, parameters))
        seen = seen.reshape(len(moves), *own.shape[:-1], -1)
        return seen[0], torch.stack(list((seen[1::2] - seen[2::2]) / (2.0 * _NUDGE)), dim=-1)
