"""Drift and diffusion nets. Of equal widths they are one: every layer of both is a single batched product."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple, final

import torch
from torch import Tensor, nn

_Tensors = nn.ParameterList | Sequence[Tensor]


class LastLayer(NamedTuple):
    """hidden: (row, hidden), what it sees; weight (hidden, output) and bias (output,), views of the parameters."""

    hidden: Tensor
    weight: Tensor
    bias: Tensor


class Nets(nn.Module):
    """Two multilayer perceptrons side by side: weights a layer (net, in, out), net 0 the drift, 1 the diffusion.

    The last layer starts at zero, so that a fresh twin is exactly the backbone beside it, with constant noise.
    """

    weights: nn.ParameterList
    biases: nn.ParameterList
    n_drift_layers: int  # layers that belong to the drift; in PairedNets every layer belongs to both

    def forward(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """(row, input) -> drift (row, ≥ drift outputs), diffusion (row, ≥ diffusion outputs)."""
        raise NotImplementedError

    def drift(self, rows: Tensor) -> Tensor:
        """The first of what forward gives, alone: for schemes that need no more noise within a step."""
        raise NotImplementedError

    def last_layers(self, rows: Tensor) -> tuple[LastLayer, LastLayer]:
        """The last layers of drift and diffusion and what they see of these rows: both nets are linear in them."""
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
        self.n_drift_layers = len(pairs)

    def forward(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """(row, input) -> two (row, output)."""
        h = _layers(rows.expand(2, *rows.shape), self.weights, self.biases, self.activation)
        return h[0], h[1]

    def drift(self, rows: Tensor) -> Tensor:
        """As Nets says."""
        weights, biases = ([part[:1] for part in both] for both in (self.weights, self.biases))
        return _layers(rows.unsqueeze(0), weights, biases, self.activation)[0]

    def last_layers(self, rows: Tensor) -> tuple[LastLayer, LastLayer]:
        """As Nets says."""
        h = _hidden(rows.expand(2, *rows.shape), self.weights, self.biases, self.activation)
        weight, bias = self.weights[-1], self.biases[-1]
        return LastLayer(h[0], weight[0], bias[0, 0]), LastLayer(h[1], weight[1], bias[1, 0])

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
        self.n_drift_layers = len(layers[0])

    def forward(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """(row, input) -> (row, drift output), (row, diffusion output)."""
        first, n = rows.unsqueeze(0), self.n_drift_layers
        drift, diffusion = (
            _layers(first, self.weights[part], self.biases[part], self.activation)[0]
            for part in (slice(n), slice(n, None))
        )
        return drift, diffusion

    def drift(self, rows: Tensor) -> Tensor:
        """As Nets says."""
        part = slice(self.n_drift_layers)
        return _layers(rows.unsqueeze(0), self.weights[part], self.biases[part], self.activation)[0]

    def last_layers(self, rows: Tensor) -> tuple[LastLayer, LastLayer]:
        """As Nets says."""
        first, n = rows.unsqueeze(0), self.n_drift_layers
        drift, diffusion = (
            LastLayer(
                _hidden(first, self.weights[part], self.biases[part], self.activation)[0],
                self.weights[part][-1][0],
                self.biases[part][-1][0, 0],
            )
            for part in (slice(n), slice(n, None))
        )
        return drift, diffusion

    def initialise(self, generator: torch.Generator, *, diffusion_bias: Tensor) -> None:
        """As Nets says."""
        n = self.n_drift_layers
        for part in (slice(n), slice(n, None)):
            _draw(self.weights[part], self.biases[part], generator)
        with torch.no_grad():
            self.biases[-1][0, 0] = diffusion_bias


def _layers(h: Tensor, weights: _Tensors, biases: _Tensors, activation: str) -> Tensor:
    return torch.baddbmm(biases[-1], _hidden(h, weights, biases, activation), weights[-1])


def _hidden(h: Tensor, weights: _Tensors, biases: _Tensors, activation: str) -> Tensor:
    for weight, bias in list(zip(weights, biases, strict=True))[:-1]:
        if activation == "tanh":  # 2 sigmoid(2 x) - 1: on a CPU several times faster than torch.tanh
            h = torch.baddbmm(bias, h, weight, beta=2, alpha=2).sigmoid().mul(2).sub(1)
        else:
            h = torch.baddbmm(bias, h, weight).relu()
    return h


def _draw(weights: nn.ParameterList, biases: nn.ParameterList, generator: torch.Generator) -> None:
    with torch.no_grad():
        for weight, bias in zip(weights, biases, strict=True):
            bound = math.sqrt(6.0 / (weight.shape[1] + weight.shape[2]))
            weight.copy_((2.0 * torch.rand(weight.shape, generator=generator) - 1.0) * bound)
            bias.copy_((2.0 * torch.rand(bias.shape, generator=generator) - 1.0) * 0.5)
        weights[-1].zero_()
        biases[-1].zero_()
