"""A mixture of Gaussians whose weights, means and covariances a network gives: the density of a posterior."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

LARGEST_FULL = 40
"""Beyond this many coordinates the components' covariances are diagonal."""


@dataclass(frozen=True, slots=True)
class Mixture:
    """log_weights: (trace, component), normalised; means: (trace, component, n); factor: (trace, component, n, n), lower
    triangular: the Cholesky factor A of the precision, so that A (x - mean) is standard normal."""

    log_weights: Float[Tensor, "trace component"]
    means: Float[Tensor, "trace component n"]
    factor: Float[Tensor, "trace component n n"]

    @classmethod
    def of(cls, raw: Float[Tensor, "trace number"], n: int, components: int) -> Mixture:
        """From unbounded numbers, ``numbers_needed`` a trace."""
        logits, means, log_diagonal, lower = torch.split(raw, _parts(n, components), dim=-1)
        log_diagonal = log_diagonal.reshape(-1, components, n)
        factor = torch.diag_embed(torch.exp(log_diagonal))
        if lower.shape[-1]:
            rows, columns = torch.tril_indices(n, n, offset=-1, device=raw.device)
            below = torch.zeros_like(factor)
            below[..., rows, columns] = lower.reshape(len(raw), components, -1)
            factor = factor + below * torch.exp(log_diagonal).unsqueeze(-1)  # in units of the row's own precision
        return cls(torch.log_softmax(logits, dim=-1), means.reshape(-1, components, n), factor)

    def log_density(self, x: Float[Tensor, "trace n"]) -> Float[Tensor, " trace"]:
        """Nats."""
        scaled = torch.einsum("tkij,tkj->tki", self.factor, x.unsqueeze(1) - self.means)
        log_determinant = torch.log(torch.diagonal(self.factor, dim1=-2, dim2=-1)).sum(-1)
        each = log_determinant - 0.5 * scaled.square().sum(-1) - 0.5 * x.shape[-1] * math.log(2.0 * math.pi)
        return torch.logsumexp(self.log_weights + each, dim=-1)

    def draw(self, n_draws: int, generator: torch.Generator) -> Float[Tensor, "trace draw n"]:
        """Independent draws."""
        chosen = torch.multinomial(self.log_weights.exp(), n_draws, replacement=True, generator=generator)
        n = self.means.shape[-1]
        unit = torch.randn((*chosen.shape, n), dtype=self.means.dtype, generator=generator)
        result = torch.empty_like(unit)
        for component in range(self.means.shape[1]):
            at = self.factor[:, component]
            moved = torch.linalg.solve_triangular(at, unit.mT, upper=False).mT + self.means[:, component, None]
            result = torch.where((chosen == component).unsqueeze(-1), moved, result)
        return result

    def marginal_sd(self) -> Float[Tensor, "trace component n"]:
        """Standard deviation of every coordinate in every component."""
        identity = torch.eye(self.means.shape[-1], dtype=self.means.dtype).expand_as(self.factor)
        inverse: Tensor = torch.linalg.solve_triangular(self.factor, identity, upper=False)
        return inverse.square().sum(-1).sqrt()

    def marginal_cdf(self, x: Float[Tensor, "trace draw n"]) -> Float[Tensor, "trace draw n"]:
        """The probability that a coordinate lies below x, coordinate by coordinate."""
        sd = self.marginal_sd()
        result: Tensor = torch.zeros_like(x)
        for component in range(self.means.shape[1]):
            score = (x - self.means[:, component, None]) / sd[:, component, None]
            result = result + self.log_weights[:, component, None, None].exp() * torch.special.ndtr(score)
        return result

    def to(self, dtype: torch.dtype) -> Mixture:
        """In another floating type."""
        return Mixture(self.log_weights.to(dtype), self.means.to(dtype), self.factor.to(dtype))


def numbers_needed(n: int, components: int) -> int:
    """How many numbers a network must give for each trace."""
    return sum(_parts(n, components))


def _parts(n: int, components: int) -> list[int]:
    below = n * (n - 1) // 2 if n <= LARGEST_FULL else 0
    return [components, components * n, components * n, components * below]
