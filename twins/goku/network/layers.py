"""Layers of the networks, and how their weights begin."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.functional import relu

from twins.goku.network.products import dense_layer


class _Mish(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        exponential = x.clamp(max=20.0).exp_()  # beyond 20 mish(x) = x, to rounding
        n = (exponential + 2.0).mul_(exponential)
        slope = n.div_(n + 2.0)
        ctx.save_for_backward(x, exponential, slope)
        return x * slope

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        x, exponential, slope = ctx.saved_tensors
        sigmoid = exponential / (exponential + 1.0)
        inner = torch.addcmul(x, slope * x, slope, value=-1.0)
        return inner.mul_(sigmoid).add_(slope).mul_(gradient)


def mish(x: Tensor) -> Tensor:
    """x tanh(log(1 + exp x)) (Misra, 2019), by one exponential: tanh(log(1 + e)) = e (e + 2) / (e (e + 2) + 2).

    torch's own takes a logarithm and a tanh beside it, and nearly twice the time. First derivatives only.
    """
    result: Tensor = _Mish.apply(x)  # type: ignore[no-untyped-call]
    return result


ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {"mish": mish, "relu": relu}


def dense(n_in: int, n_out: int, *, bias: bool = True) -> nn.Linear:
    """Its weights are still to be set by ``initialise``; made on no device, so that no global seed is used."""
    return nn.Linear(n_in, n_out, bias=bias, device="meta").to_empty(device="cpu")


def initialise(module: nn.Module, generator: torch.Generator) -> None:
    """Weights uniform within 1/sqrt(inputs), biases zero, as in the public code (Kaiming uniform with gain 1/sqrt(3)).

    For every parameter with two axes, in the order of their names, and for those called bias.
    """
    with torch.no_grad():
        for name, parameter in sorted(module.named_parameters()):
            if parameter.ndim == 2:
                limit = 1.0 / math.sqrt(parameter.shape[1])
                parameter.copy_((2.0 * torch.rand(parameter.shape, generator=generator) - 1.0) * limit)
            elif "bias" in name:
                parameter.zero_()


class DenseStack(nn.Module):
    """Dense layers; one as wide as the layer before it adds to it (x + activation(W x + b)) if `residual`.

    end: "activation", "linear" or "sigmoid", of the last layer.
    """

    def __init__(self, n_in: int, widths: Sequence[int], *, activation: str, residual: bool, end: str) -> None:
        super().__init__()
        sizes = (n_in, *widths)
        self.layers = nn.ModuleList(dense(*pair) for pair in pairwise(sizes))
        self.residual = [residual and 0 < k < len(widths) - 1 and a == b for k, (a, b) in enumerate(pairwise(sizes))]
        self.activation, self.end = activation, end

    def forward(self, x: Float[Tensor, "... n"], added: Tensor | None = None) -> Float[Tensor, "... m"]:
        """added: goes into the first layer beside its own product, before the activation."""
        return self._through(len(self.layers), x, added)

    def before_last(self, x: Float[Tensor, "... n"]) -> Float[Tensor, "... m"]:
        """What the last layer is given."""
        return self._through(len(self.layers) - 1, x, None)

    def _through(self, n_layers: int, x: Tensor, added: Tensor | None) -> Tensor:
        for k in range(n_layers):
            end = self.activation if k < len(self.layers) - 1 or self.end == "activation" else self.end
            layer = self.layers[k]
            assert isinstance(layer, nn.Linear)
            if end in ACTIVATIONS and (added is not None or end == "mish"):
                y = dense_layer(x, layer.weight, layer.bias)
                y = ACTIVATIONS[end](y if added is None else y + added)
            else:
                y = dense_layer(x, layer.weight, layer.bias, end)
            x, added = x + y if self.residual[k] else y, None
        return x
