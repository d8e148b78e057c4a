"""The nets of a paired equation as the kernel runs them: layers, backward products and gradients of the weights.

On a CPU, torch's products of float32 matrices go to MKL, which on other makers' processors leaves half the speed
unused; oneDNN, which comes with torch too, does not, but costs more a call. So wide layers take oneDNN's product with
its fused bias and activation, where this build of torch has it, and all others a batched product over the nets. The
choice depends on shapes alone, never on timing, so that runs repeat. Where a product has few columns, MKL is up to
three times faster if the right matrix lies transposed in memory.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

_WIDE, _MANY_ROWS = 96, 64
_FEW_COLUMNS = 16


def _fused_product() -> Callable[..., Tensor] | None:
    """oneDNN's act(x W' + b), an operator that torch.compile uses: not of torch's public interface, so looked for."""
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return None
    found: Any = getattr(torch.ops.mkldnn, "_linear_pointwise", None)
    return None if found is None else found


_FUSED = _fused_product()


def is_wide(weight: Tensor, n_rows: int) -> bool:
    """Whether a layer (…, in, out) is worth oneDNN's product."""
    fits = weight.dtype == torch.float32 and weight.device.type == "cpu" and _FUSED is not None
    return fits and min(weight.shape[-2:]) >= _WIDE and n_rows >= _MANY_ROWS and bool(torch.backends.mkldnn.enabled)


class Nets:
    """Perceptrons of one shape: weights (net, in, out) and biases (net, 1, out) a layer. A wide layer needs net = 1."""

    def __init__(self, weights: list[Tensor], biases: list[Tensor], *, n_rows: int, sigmoid: bool) -> None:
        self.weights, self.biases, self.sigmoid = [_laid_out(weight) for weight in weights], biases, sigmoid
        self.wide = [len(weight) == 1 and is_wide(weight, n_rows) for weight in weights]
        self._turned = [_laid_out(weight.mT) for weight in weights]
        self._buffers = [weight.new_empty(len(weight), n_rows, weight.shape[2]) for weight in weights]
        self._name = "sigmoid" if sigmoid else "relu"

    def hidden(self, number: int, h: Tensor, into: Tensor | None = None) -> Tensor:
        """Activations of a hidden layer, into a given tensor or one that is overwritten by the next call."""
        if self.wide[number]:
            assert _FUSED is not None
            result = _FUSED(h, self._turned[number][0], self.biases[number].flatten(), self._name, [], "")
            return result if into is None else into.copy_(result)
        fits = self._buffers[number].shape[1] == h.shape[1]
        raw = torch.baddbmm(
            self.biases[number], h, self.weights[number], out=self._buffers[number] if fits else None
        )  # fmt: skip
        target = raw if into is None else into
        return torch.sigmoid(raw, out=target) if self.sigmoid else torch.clamp_min(raw, 0.0, out=target)

    def output(self, h: Tensor) -> Tensor:
        """The last layer's output, overwritten by the next call."""
        return torch.baddbmm(self.biases[-1], h, self.weights[-1], out=self._buffers[-1])

    def back(self, number: int, grad: Tensor) -> Tensor:
        """Gradient to a layer's inputs from that to its outputs."""
        if self.wide[number]:
            assert _FUSED is not None
            return _FUSED(grad, self.weights[number][0], None, "none", [], "")
        return torch.bmm(grad, self._turned[number])

    def through(self, grad: Tensor, activation: Tensor, out: Tensor) -> Tensor:
        """Gradient from an activation to what it was computed from."""
        if self.sigmoid:
            return torch.ops.aten.sigmoid_backward.grad_input(grad, activation, grad_input=out)  # type: ignore[no-any-return]
        return torch.mul(grad, activation > 0, out=out)

    def weight_grad(self, number: int, inputs: Tensor, grad: Tensor, total: Tensor) -> None:
        """Add this layer's gradient, over all rows, to `total` (net, in, out)."""
        if self.wide[number]:
            assert _FUSED is not None
            total.add_(_FUSED(inputs[0].mT.contiguous(), grad[0].mT.contiguous(), None, "none", [], ""))
        elif grad.shape[2] < _FEW_COLUMNS:
            total.add_(torch.bmm(grad.mT, inputs).mT)
        else:
            total.baddbmm_(inputs.mT, grad)


def _laid_out(matrices: Tensor) -> Tensor:
    """The same matrices in the order in memory that products with them from the right like."""
    return matrices.mT.contiguous().mT if matrices.shape[-1] < _FEW_COLUMNS else matrices.contiguous()


def grouped(weights: list[Tensor], biases: list[Tensor], *, n_rows: int, sigmoid: bool) -> list[Nets]:
    """All nets (2 · node) in one group; or drift and diffusion of a single node apart, if layers are wide."""
    if len(weights[0]) == 2 and any(is_wide(weight, n_rows) for weight in weights):
        halves = (slice(0, 1), slice(1, 2))
        return [
            Nets([w[half] for w in weights], [b[half] for b in biases], n_rows=n_rows, sigmoid=sigmoid)
            for half in halves
        ]
    return [Nets(weights, biases, n_rows=n_rows, sigmoid=sigmoid)]
