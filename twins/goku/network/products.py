"""Dense layers whose large float32 products are made by oneDNN, which comes with torch on a CPU.

torch itself gives products of matrices to MKL, which keeps to half the width of the registers of processors that are not
Intel's: on an AMD EPYC with AVX-512 oneDNN takes half the time, by the same sums in float32. What is small, of another kind
or on another device goes torch's own way. First derivatives only.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from twins.goku.compiled.kernel import plain

_FEWEST_PRODUCTS = 2**20  # below, dispatch is what takes the time
_ACTIVATIONS = {"linear": "none", "relu": "relu", "sigmoid": "sigmoid"}


def large(a: Float[Tensor, "... k"], b: Float[Tensor, "n k"]) -> bool:
    """Whether a bᵀ is oneDNN's: large, of ordinary float32 tensors on a CPU."""
    return (
        a.numel() * len(b) >= _FEWEST_PRODUCTS
        and a.dtype is b.dtype is torch.float32
        and a.device.type == b.device.type == "cpu"
        and plain(a)
        and plain(b)
        and by_onednn()
    )


@functools.cache
@torch.no_grad()
def by_onednn() -> bool:
    """Whether oneDNN's product is there and is torch's own, tried once on a small one: the operator is none of torch's
    public ones, so that a later torch may take other arguments, or mean something else by them."""
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return False

    def numbers(*shape: int) -> Tensor:
        return torch.linspace(-1.0, 1.3, math.prod(shape), dtype=torch.float32, device="cpu").reshape(shape)

    bias = numbers(5)
    try:
        return all(
            torch.allclose(_by_onednn(a, b, added, end), _ended(functional.linear(a, b, added), end), atol=1e-5)
            for a in (numbers(2, 3, 4), numbers(4, 3).T)
            for b in (numbers(5, a.shape[-1]), numbers(a.shape[-1], 5).T)
            for added in (bias, None)
            for end in _ACTIVATIONS
        )
    except Exception:  # noqa: BLE001 - whatever the operator answers to what it does not take
        return False


def _by_onednn(a: Tensor, b: Tensor, bias: Tensor | None, end: str) -> Tensor:
    if not (b.is_contiguous() or b.mT.is_contiguous()):  # such a factor takes oneDNN hundreds of times as long
        b = b.contiguous()
    result: Tensor = torch.ops.mkldnn._linear_pointwise(a, b, bias, _ACTIVATIONS[end], [], "")
    return result


def product(
    a: Float[Tensor, "... k"], b: Float[Tensor, "n k"], bias: Float[Tensor, " n"] | None = None, end: str = "linear"
) -> Float[Tensor, "... n"]:
    """end(a bᵀ + bias), without a gradient. end: "linear", "relu" or "sigmoid"."""
    if large(a, b):
        return _by_onednn(a, b, bias, end)
    return _ended(functional.linear(a, b, bias), end)


def summed_outer(a: Float[Tensor, "row m"], b: Float[Tensor, "row n"]) -> Float[Tensor, "m n"]:
    """aᵀ b, without a gradient; oneDNN has a copy made of its first factor, so that is the smaller one."""
    return product(a.T, b.T) if a.shape[1] <= b.shape[1] else product(b.T, a.T).T


def dense_layer(
    x: Float[Tensor, "... k"], weight: Float[Tensor, "n k"], bias: Float[Tensor, " n"] | None, end: str = "linear"
) -> Float[Tensor, "... n"]:
    """end(x weightᵀ + bias), with its gradient."""
    if large(x, weight):
        result: Tensor = _DenseLayer.apply(x, weight, bias, end)  # type: ignore[no-untyped-call]
        return result
    return _ended(functional.linear(x, weight, bias), end)


class _DenseLayer(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, end: str) -> Tensor:
        y = product(x, weight, bias, end)
        ctx.save_for_backward(x, weight, None if end == "linear" else y)
        ctx.end = end
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None, None]:
        x, weight, y = ctx.saved_tensors
        if ctx.end == "relu":
            gradient = torch.ops.aten.threshold_backward(gradient, y, 0.0)
        elif ctx.end == "sigmoid":
            gradient = torch.ops.aten.sigmoid_backward(gradient, y)
        needs_x, needs_weight, needs_bias, _ = ctx.needs_input_grad
        rows = gradient.reshape(-1, gradient.shape[-1])
        return (
            product(gradient, weight.T) if needs_x else None,
            summed_outer(rows, x.reshape(-1, x.shape[-1])) if needs_weight else None,
            rows.sum(0) if needs_bias else None,
            None,
        )


def _ended(y: Tensor, end: str) -> Tensor:
    if end == "relu":
        return torch.relu(y)
    return torch.sigmoid(y) if end == "sigmoid" else y
