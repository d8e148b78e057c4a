"""Equations whose drift and diffusion are two perceptrons of one shape: what the fast backend knows how to run.

    f(r) = r L + l + drift_scale · net_0(r)            r = [state and delayed states, newest first | inputs]
    g(r) = diffusion_scale · (softplus(net_1(r)) + diffusion_floor)        one noise a state (Itô)

For N nodes of one shape side by side, and coupled if wished: every tensor has a leading node axis, the state is
(…, node · state of a node), and the inputs are u + x C. ``solve`` takes such an equation by its hand-written adjoint
(backend="adjoint", also by "auto") where that applies, and like any other otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import softplus

from twins.errors import SolverRefused


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class PairedSDE:
    """An equation of this form. Tensors may require gradients; `diffusion_scale` may not in the fast backend.

    weights: (2, node, in, out) a layer, biases: (2, node, 1, out); index 0 is the drift's, 1 the diffusion's.
    activation: "tanh" or "relu" after all layers but the last.
    linear_weight: (node, in, state), linear_bias: (node, 1, state), of the drift besides its net; None: none.
    drift_scale, diffusion_scale: numbers or (node, 1, state).
    coupling: (node · state, node · input) adds x C to the inputs, x the newest states; None: nodes are apart.

    Raises SolverRefused for shapes that do not fit.
    """

    weights: tuple[Tensor, ...]
    biases: tuple[Tensor, ...]
    activation: str = "tanh"
    n_delays: int = 0
    linear_weight: Tensor | None = None
    linear_bias: Tensor | None = None
    drift_scale: Tensor | float = 1.0
    diffusion_scale: Tensor | float = 1.0
    diffusion_floor: float = 0.0
    coupling: Tensor | None = None
    sde_type: str = field(default="ito", init=False)
    noise_type: str = field(default="diagonal", init=False)

    def __post_init__(self) -> None:
        if self.activation not in ("tanh", "relu"):
            raise SolverRefused(f"activation must be tanh or relu, not {self.activation!r}")
        if not self.weights or len(self.weights) != len(self.biases):
            raise SolverRefused("a paired equation needs layers: as many biases as weights, at least one")
        shapes = [tuple(weight.shape) for weight in self.weights]
        chained = all(a[3] == b[2] for a, b in pairwise(shapes))
        biased = all(b.shape == (2, s[1], 1, s[3]) for b, s in zip(self.biases, shapes, strict=True))
        if any(len(shape) != 4 or shape[:2] != (2, shapes[0][1]) for shape in shapes) or not (chained and biased):
            raise SolverRefused(
                f"weights must be (2, node, in, out) in a chain, with biases (2, node, 1, out): {shapes}"
            )
        if self.n_inputs < 0:
            raise SolverRefused(f"{shapes[0][2]} inputs are fewer than {self.n_delays + 1} × {self.n_state} states")
        if self.coupling is not None:
            wanted = (self.n_nodes * self.n_state, self.n_nodes * self.n_inputs)
            if tuple(self.coupling.shape) != wanted:
                raise SolverRefused(f"coupling must be (node · state, node · input) = {wanted}")

    @property
    def n_nodes(self) -> int:
        """Nodes side by side."""
        return int(self.weights[0].shape[1])

    @property
    def n_state(self) -> int:
        """States of a node."""
        return int(self.weights[-1].shape[3])

    @property
    def n_inputs(self) -> int:
        """Inputs of a node besides its states."""
        return int(self.weights[0].shape[2]) - (self.n_delays + 1) * self.n_state

    def f_and_g_u(self, x: Tensor, u: Tensor | None) -> tuple[Tensor, Tensor]:
        """Drift and diffusion (…, node · state) of x (…, delays + 1 if any, node · state), u (…, node · input)."""
        history = x if self.n_delays else x.unsqueeze(-2)
        batch = history.shape[:-2] if u is None else np.broadcast_shapes(history.shape[:-2], u.shape[:-1])
        history = history.expand(*batch, *history.shape[-2:])
        if self.coupling is not None:
            coupled = history[..., 0, :] @ self.coupling
            u = coupled if u is None else u + coupled
        rows = by_node(history, self.n_nodes)
        if u is not None:
            rows = torch.cat((rows, by_node(u.expand(*batch, -1).unsqueeze(-2), self.n_nodes)), dim=-1)
        mean, spread = self._rows(rows)
        return from_nodes(mean, batch), from_nodes(spread, batch)

    def f_and_g(self, _t: float | Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        """The same without a drive."""
        return self.f_and_g_u(x, None)

    def f_u(self, x: Tensor, u: Tensor) -> Tensor:
        """Drift."""
        return self.f_and_g_u(x, u)[0]

    def g_u(self, x: Tensor, u: Tensor) -> Tensor:
        """Diffusion."""
        return self.f_and_g_u(x, u)[1]

    def f(self, t: float | Tensor, x: Tensor) -> Tensor:
        """Drift without a drive."""
        return self.f_and_g(t, x)[0]

    def g(self, t: float | Tensor, x: Tensor) -> Tensor:
        """Diffusion without a drive."""
        return self.f_and_g(t, x)[1]

    def _rows(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """(node, row, in) -> drift and diffusion (node, row, state)."""
        n = self.n_nodes
        h = rows.expand(2, *rows.shape).flatten(0, 1)
        layers = list(zip(self.weights, self.biases, strict=True))
        for number, (weight, bias) in enumerate(layers, 1):
            last, flat, shift = number == len(layers), weight.flatten(0, 1), bias.flatten(0, 1)
            if not last and self.activation == "tanh":  # 2 sigmoid(2 x) - 1: on CPUs much faster than torch.tanh
                h = torch.baddbmm(shift, h, flat, beta=2, alpha=2).sigmoid().mul(2).sub(1)
            else:
                h = torch.baddbmm(shift, h, flat)
                h = h if last else h.relu()
        mean, spread = h[:n] * self.drift_scale, (softplus(h[n:]) + self.diffusion_floor) * self.diffusion_scale
        if self.linear_weight is not None:
            mean = mean + rows @ self.linear_weight
        return mean if self.linear_bias is None else mean + self.linear_bias, spread


def by_node(values: Tensor, n_nodes: int) -> Tensor:
    """(…, time, node · channel) -> (node, row, time · channel), rows being all that stands before."""
    split = values.reshape(-1, values.shape[-2], n_nodes, values.shape[-1] // n_nodes)
    return split.permute(2, 0, 1, 3).flatten(2)


def from_nodes(values: Tensor, batch: Any) -> Tensor:
    """(node, row, channel) -> (…, node · channel)."""
    return values.permute(1, 0, 2).reshape(*batch, -1)
