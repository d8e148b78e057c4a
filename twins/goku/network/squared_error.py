"""A decoder's last layer with the squared error behind it as one operation.

Of s = Σ (end(h Wᵀ + b) - x)² the gradient with respect to what is under the sum is known as soon as s is, but for a factor
of all of it. So it is made there and then, in the place of what is expected, and goes on to h, W and b at once: what layer,
error and their gradients do one after another in eight passes over as many numbers as x has is done in the cache.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from twins.goku.network.products import dense_layer, product, summed_outer

_ROWS = 256  # at a time, so that the residual stays in the processor's cache


@dataclass(frozen=True, slots=True)
class LastLayer:
    """What goes into a decoder's last layer, the layer, and its end: "linear" or "sigmoid"."""

    hidden: Float[Tensor, "trace time n"]
    layer: nn.Linear
    end: str

    def __getitem__(self, traces: Bool[Tensor, " trace"]) -> LastLayer:
        """Some of the traces."""
        return LastLayer(self.hidden[traces], self.layer, self.end)

    @property
    def expected(self) -> Float[Tensor, "trace time channel"]:
        """What comes out of it."""
        return dense_layer(self.hidden, self.layer.weight, self.layer.bias, self.end)

    def squared_error(self, values: Float[Tensor, "trace time channel"]) -> Float[Tensor, ""]:
        """Sum of the squared differences from `values`, which are data: they get no gradient. First derivatives only."""
        result: Tensor = _SquaredError.apply(  # type: ignore[no-untyped-call]
            self.hidden.flatten(0, -2), self.layer.weight, self.layer.bias, values.detach().flatten(0, -2), self.end
        )
        return result


class _SquaredError(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor, values: Tensor, end: str) -> Tensor:
        expected = product(hidden, weight, bias, end)
        total = expected.new_zeros(())
        for first in range(0, len(expected), _ROWS):
            y = expected[first : first + _ROWS]
            residual = y - values[first : first + _ROWS]
            total += sum_of_squares(residual)
            if end == "sigmoid":
                torch.ops.aten.sigmoid_backward(residual, y, grad_input=y)
            else:
                y.copy_(residual)
        if any(ctx.needs_input_grad):
            gradient = expected  # in its place now
            ctx.save_for_backward(
                product(gradient, weight.T) if ctx.needs_input_grad[0] else None,
                summed_outer(gradient, hidden) if ctx.needs_input_grad[1] else None,
                gradient.sum(0) if ctx.needs_input_grad[2] else None,
            )
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        return (*(None if part is None else 2.0 * gradient * part for part in ctx.saved_tensors), None, None)


def sum_of_squares(rows: Float[Tensor, "row n"]) -> Float[Tensor, ""]:
    """A sum a row, then theirs, so that float32 does not lose the small ones; no copy."""
    result: Tensor = torch.linalg.vector_norm(rows, dim=1).square().sum()
    return result
