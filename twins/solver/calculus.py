"""Derivatives of the diffusion: Milstein's term, and Itô's reading of an equation against Stratonovich's.

All derivatives are exact (forward mode), and gradients flow through them. Where an equation has delays, they are
with respect to the newest state: the delayed ones are known when a step begins.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from twins.errors import SolverRefused

Diffusion = Callable[[Tensor], "Tensor | None"]

_COMMUTES_TO = 1e-4  # of the largest derivative; rounding in float32 leaves about 1e-6


def along(g: Diffusion, x: Tensor, direction: Tensor) -> Tensor:
    """Derivative of g at x in this direction, in the shape of g."""
    derivative: Tensor = torch.func.jvp(g, (x,), (direction,))[1]
    return derivative


def lie_terms(g: Diffusion, x: Tensor, columns: Tensor) -> Tensor:
    """(…, state, j, k): the derivative of column k of g along column j, for g (…, state, noise)."""
    return _all_along(g, x, columns.movedim(-1, 0)).movedim(0, -2)


def own_slopes(g: Diffusion, x: Tensor) -> Tensor:
    """(…, state): ∂g_i/∂x_i of diagonal noise, whatever else g_i depends on."""
    n = x.shape[-1]
    basis = torch.eye(n, dtype=x.dtype, device=x.device).reshape(n, *(1,) * (x.ndim - 1), n).expand(n, *x.shape)
    return _all_along(g, x, basis).movedim(0, -1).diagonal(dim1=-2, dim2=-1)


def _all_along(g: Diffusion, x: Tensor, directions: Tensor) -> Tensor:
    """Derivatives along several directions (direction, …, state) at once, in front of the shape of g."""
    derivatives: Tensor = torch.func.vmap(lambda direction: along(g, x, direction))(directions)
    return derivatives


def milstein_term(
    g: Diffusion, x: Tensor, spread: Tensor, h: float, dW: Tensor, sde_type: str, noise_type: str
) -> Tensor:
    """The double integrals of a step: half the sum of (g_j · ∇) g_k (dW_j dW_k - δ_jk h), without h in Stratonovich's.

    For noise that commutes this is exact: the Lévy areas drop out. `spread` is g(x).
    """
    ito_h = h if sde_type == "ito" else 0.0
    if noise_type == "diagonal":  # g_i of x_i alone: along(g, x, spread) is g_i ∂g_i/∂x_i
        return along(g, x, spread) * (0.5 * (dW * dW - ito_h))
    if noise_type == "scalar":
        return along(g, x, spread.squeeze(-1)).squeeze(-1) * (0.5 * (dW * dW - ito_h))
    squares = dW.unsqueeze(-1) * dW.unsqueeze(-2)
    if ito_h:
        squares = squares - ito_h * torch.eye(dW.shape[-1], dtype=dW.dtype, device=dW.device)
    return 0.5 * (lie_terms(g, x, spread) * squares.unsqueeze(-3)).sum((-2, -1))


def check_commutes(g: Diffusion, x: Tensor, noise_type: str) -> None:
    """Raise SolverRefused unless the noise commutes at these states, so that Milstein's scheme needs no Lévy area.

    Diagonal noise commutes if g_i depends on x_i alone; two probes of the Jacobian tell (a third state would fool
    them only by chance). Costs two or `noise` derivatives, once a solve.
    """
    with torch.no_grad():
        if noise_type == "diagonal":
            other = torch.linspace(1.0, 2.0, x.shape[-1], dtype=x.dtype, device=x.device).expand_as(x)
            first, second = along(g, x, torch.ones_like(x)), along(g, x, other) / other
        elif noise_type == "general":
            columns = g(x)
            assert columns is not None
            first = lie_terms(g, x, columns)
            second = first.transpose(-1, -2)
        else:
            return
        worst, largest = float((first - second).abs().max()), float(first.abs().max())
    if worst > _COMMUTES_TO * max(largest, 1e-12):
        cause = "g_i depends on other states than x_i" if noise_type == "diagonal" else "its columns do not commute"
        raise SolverRefused(
            f"milstein has its order only where the noise commutes, and here {cause} (brackets up to {worst:.2g}); "
            "use euler (Itô, order 0.5), heun on as_stratonovich(sde), or backend='torchsde' with method='log_ode', "
            "which draws Lévy areas"
        )


def as_stratonovich(sde: Any) -> Any:
    """The Stratonovich equation with the same solutions as this one: heun and stochastic_rk4 solve it.

    An equation that is Stratonovich's already, or whose noise does not depend on the state, comes back as it is.
    """
    return _converted(sde, "stratonovich")


def as_ito(sde: Any) -> Any:
    """The Itô equation with the same solutions as this one: euler and rk4 solve it."""
    return _converted(sde, "ito")


def _converted(sde: Any, wanted: str) -> Any:
    if sde.sde_type == wanted or sde.noise_type in ("none", "additive"):
        return sde
    return _Converted(sde, wanted)


class _Converted:
    """An equation with the drift of the other reading: Stratonovich's is f - ½ Σ_k (g_k · ∇) g_k."""

    def __init__(self, sde: Any, sde_type: str) -> None:
        self._sde = sde
        self.sde_type, self.noise_type = sde_type, sde.noise_type
        self.n_delays = int(getattr(sde, "n_delays", 0))
        self._weight = -0.5 if sde_type == "stratonovich" else 0.5
        if hasattr(sde, "f_u"):
            self.f_u, self.g_u = self._f_u, sde.g_u
        if hasattr(sde, "f"):
            self.f, self.g = self._f, sde.g

    def _f(self, t: float, x: Tensor) -> Tensor:
        drift: Tensor = self._sde.f(t, x)
        return drift + self._weight * self._correction(lambda seen: self._sde.g(t, seen), x)

    def _f_u(self, x: Tensor, u: Tensor) -> Tensor:
        drift: Tensor = self._sde.f_u(x, u)
        return drift + self._weight * self._correction(lambda seen: self._sde.g_u(seen, u), x)

    def _correction(self, g: Diffusion, seen: Tensor) -> Tensor:
        """Σ_k (g_k · ∇) g_k."""
        newest = seen[..., 0, :] if self.n_delays else seen

        def of_newest(x: Tensor) -> Tensor | None:
            if not self.n_delays:
                return g(x)
            older = seen[..., 1:, :].expand(*x.shape[:-1], -1, -1)
            return g(torch.cat((x.unsqueeze(-2), older), dim=-2))

        spread = of_newest(newest)
        assert spread is not None
        if self.noise_type == "diagonal":
            return spread * own_slopes(of_newest, newest)
        return lie_terms(of_newest, newest, spread).diagonal(dim1=-2, dim2=-1).sum(-1)
