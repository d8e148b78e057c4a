"""Drift and diffusion nets. Of equal widths they are one: every layer of both is a single batched product."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import final

import torch
from torch import Tensor, nn


class Nets(nn.Module):
    """Two multilayer perceptrons side by side: weights a layer (net, in, out), net 0 the drift, 1 the diffusion.

    The last layer starts at zero, so that a fresh twin is exactly the backbone beside it, with constant noise.
    """

    weights: nn.ParameterList
    biases: nn.ParameterList

    def forward(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """(row, input) -> drift (row, ≥ drift outputs), diffusion (row, ≥ diffusion outputs)."""
        raise NotImplementedError

    def initialise(self, generator: torch.Generator, *, diffusion_bias: Tensor) -> None:
        """Draw the hidden weights (Glorot), zero the last layer, set the diffusion's starting level, an output each."""
        raise NotImplementedError


@final
class PairedNets(Nets):
    """Both nets have the same hidden widths; the last layer is as wide as the wider of the two needs."""

    def __init__(self, n_inputs: int, hidden: tuple[int, ...], n_outputs: int, activation: str) -> None:
        super().__init__()
        pairs = list(pairwise((n_inputs, *hidden, n_outputs)))
        self.weights = nn.ParameterList(torch.zeros(2, n_in, n_out) for n_in, n_out in pairs)
        self.biases = nn.ParameterList(torch.zeros(2, 1, n_out) for _, n_out in pairs)
        self.activation = activation

    def forward(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """(row, input) -> two (row, output)."""
        h = _layers(rows.expand(2, *rows.shape), self.weights, self.biases, self.activation)
        return h[0], h[1]

    def initialise(self, generator: torch.Generator, *, diffusion_bias: Tensor) -> None:
        """As Nets says."""
        _draw(self.weights, self.biases, generator)
        with torch.no_grad():
            self.biases[-1][1, 0, : len(diffusion_bias)] = diffusion_bias


@final
class SeparateNets(Nets):
    """Each net has hidden widths of its own; weights and biases of the drift come first in the lists, then the diffusion's."""

    def __init__(
        self,
        n_inputs: int,
        hidden: tuple[tuple[int, ...], tuple[int, ...]],
        n_outputs: tuple[int, int],
        activation: str,
    ) -> None:
        super().__init__()
        layers = [list(pairwise((n_inputs, *widths, n))) for widths, n in zip(hidden, n_outputs, strict=True)]
        self.weights = nn.ParameterList(torch.zeros(1, n_in, n_out) for net in layers for n_in, n_out in net)
        self.biases = nn.ParameterList(torch.zeros(1, 1, n_out) for net in layers for _, n_out in net)
        self.activation = activation
        self._n_drift = len(layers[0])

    def forward(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """(row, input) -> (row, drift output), (row, diffusion output)."""
        first, n = rows.unsqueeze(0), self._n_drift
        drift, diffusion = (
            _layers(first, self.weights[part], self.biases[part], self.activation)[0]
            for part in (slice(n), slice(n, None))
        )
        return drift, diffusion

    def initialise(self, generator: torch.Generator, *, diffusion_bias: Tensor) -> None:
        """As Nets says."""
        n = self._n_drift
        for part in (slice(n), slice(n, None)):
            _draw(self.weights[part], self.biases[part], generator)
        with torch.no_grad():
            self.biases[-1][0, 0] = diffusion_bias


def _layers(h: Tensor, weights: nn.ParameterList, biases: nn.ParameterList, activation: str) -> Tensor:
    for weight, bias in list(zip(weights, biases, strict=True))[:-1]:
        if activation == "tanh":  # 2 sigmoid(2 x) - 1: on a CPU several times faster than torch.tanh
            h = torch.baddbmm(bias, h, weight, beta=2, alpha=2).sigmoid().mul(2).sub(1)
        else:
            h = torch.baddbmm(bias, h, weight).relu()
    return torch.baddbmm(biases[-1], h, weights[-1])


def _draw(weights: nn.ParameterList, biases: nn.ParameterList, generator: torch.Generator) -> None:
    with torch.no_grad():
        for weight, bias in zip(weights, biases, strict=True):
            bound = math.sqrt(6.0 / (weight.shape[1] + weight.shape[2]))
            weight.copy_((2.0 * torch.rand(weight.shape, generator=generator) - 1.0) * bound)
            bias.copy_((2.0 * torch.rand(bias.shape, generator=generator) - 1.0) * 0.5)
        weights[-1].zero_()
        biases[-1].zero_()
