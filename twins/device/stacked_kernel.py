"""The Euler loop over stacked twins and its adjoint, both by hand.

The weights are frozen, so autograd would only keep books: here every step writes into preallocated memory, the
history is a sliding window over the path itself, and what can be done for all steps at once is done outside the loop.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import softplus


@dataclass(frozen=True, slots=True, eq=False)
class StackedWeights:
    """See stacked_weights.pack: C = 2 · hidden + 1 columns in the first layer, all with a leading node axis."""

    state_in: Tensor  # (node, delays + 1, C), oldest first
    drive_in: Tensor  # (node, drive delays + 1, C), oldest first
    bias_in: Tensor  # (node, 1, C)
    inner_weights: tuple[Tensor, ...]
    inner_biases: tuple[Tensor, ...]
    out_weight: Tensor  # (node, 2 · hidden, 2)
    out_bias: Tensor  # (node, 1, 2)
    noise_scale: Tensor  # (node, 1)
    noise_floor: Tensor  # (node, 1)
    activation: str


class StackedRun(torch.autograd.Function):
    """(drive with its history, start, noise) -> path (node, batch, step + 1), normalised; gradient to the drive only.

    drive: (node, batch, drive delays + steps), start: (node, batch, delays + 1) newest first, normalised,
    noise: (step, node, batch).
    """

    @staticmethod
    def forward(ctx: Any, drive: Tensor, start: Tensor, noise: Tensor, weights: StackedWeights) -> Tensor:
        """Run all steps; keep the activations if a gradient will be asked for."""
        layers, spread, path = _run(drive, start, noise, weights)
        ctx.weights, ctx.drive_shape = weights, drive.shape
        if ctx.needs_input_grad[0]:
            ctx.save_for_backward(noise, spread, *layers)
        return path[..., weights.state_in.shape[1] - 1 :].contiguous()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_path: Tensor) -> tuple[Tensor | None, ...]:
        """The exact adjoint of the steps, last to first."""
        noise, spread, *layers = ctx.saved_tensors
        weights: StackedWeights = ctx.weights
        grad_first = _run_back(grad_path, noise, spread, layers, weights)
        return _to_drive(grad_first, weights.drive_in, ctx.drive_shape), None, None, None


def _run(drive: Tensor, start: Tensor, noise: Tensor, w: StackedWeights) -> tuple[list[Tensor], Tensor, Tensor]:
    """(activations of every layer (step, node, batch, ·), raw spread (step, node, batch), path with history)."""
    n_steps, n_nodes, n_batch = noise.shape
    n_state, n_columns = w.state_in.shape[1:]
    windows = drive.unfold(-1, w.drive_in.shape[1], 1).permute(2, 0, 1, 3)  # (step, node, batch, drive delay)
    first = torch.matmul(windows, w.drive_in).add_(w.bias_in)
    first[..., -1].addcmul_(noise, w.noise_floor)
    kicks = noise * w.noise_scale
    widths = [n_columns - 1, *(weight.shape[2] for weight in w.inner_weights)]
    layers = [noise.new_empty(n_steps, n_nodes, n_batch, width) for width in widths]
    out = noise.new_empty(n_steps, n_nodes, n_batch, 2)
    path = noise.new_empty(n_nodes, n_batch, n_state + n_steps)
    path[..., :n_state] = start.flip(-1)
    sigmoid = w.activation == "tanh"  # the weights are rewritten for it
    act_ = torch.sigmoid_ if sigmoid else torch.relu_
    # Views are made once, not a step at a time: indexing costs as much as a small product.
    seen, reached = path.unfold(-1, n_state, 1).unbind(2), path[..., n_state:].unbind(-1)
    steps = zip(
        first.unbind(0), first[..., :-1].unbind(0), first[..., -1].unbind(0), out.unbind(0), out[..., 0].unbind(0),
        out[..., 1].unbind(0), kicks.unbind(0), seen, reached, *(layer.unbind(0) for layer in layers), strict=False,
    )  # fmt: skip
    inner = list(zip(w.inner_weights, w.inner_biases, strict=True))
    for columns, hidden, linear, both, mean, raw, kick, window, following, first_layer, *later in steps:
        columns.baddbmm_(window, w.state_in)
        h = torch.sigmoid(hidden, out=first_layer) if sigmoid else first_layer.copy_(hidden).relu_()
        for target, (weight, bias) in zip(later, inner, strict=True):
            h = act_(torch.baddbmm(bias, h, weight, out=target))
        torch.baddbmm(w.out_bias, h, w.out_weight, out=both)
        torch.add(torch.addcmul(linear, kick, softplus(raw)), mean, out=following)
    return layers, out[..., 1], path


def _run_back(grad_path: Tensor, noise: Tensor, spread: Tensor, layers: list[Tensor], w: StackedWeights) -> Tensor:
    """Gradient with respect to the first layer's columns, (step, node, batch, C)."""
    n_steps, n_nodes, n_batch = noise.shape
    n_state, n_columns = w.state_in.shape[1:]
    slopes = [layer - layer.square() if w.activation == "tanh" else (layer > 0).to(layer.dtype) for layer in layers]
    to_out = torch.stack((torch.ones_like(noise), noise * w.noise_scale * torch.sigmoid(spread)), dim=-1)
    grad = grad_path.new_zeros(n_nodes, n_batch, n_state + n_steps)
    grad[..., n_state - 1 :] = grad_path
    grad_first = grad_path.new_empty(n_steps, n_nodes, n_batch, n_columns)
    out_t, state_t = w.out_weight.mT.contiguous(), w.state_in.mT.contiguous()
    inner_t = [weight.mT.contiguous() for weight in reversed(w.inner_weights)]
    steps = list(zip(
        grad[..., n_state:].unbind(-1), grad.unfold(-1, n_state, 1).unbind(2)[:n_steps], to_out.unbind(0),
        grad_first.unbind(0), grad_first[..., :-1].unbind(0), grad_first[..., -1].unbind(0),
        *(slope.unbind(0) for slope in reversed(slopes)), strict=True,
    ))  # fmt: skip
    for reached, window, weight_out, columns, hidden, linear, *slope in reversed(steps):
        back = torch.bmm(weight_out * reached.unsqueeze(-1), out_t)
        for slope_here, weight in zip(slope[:-1], inner_t, strict=True):
            back = torch.bmm(back.mul_(slope_here), weight)
        torch.mul(back, slope[-1], out=hidden)
        linear.copy_(reached)
        window.add_(torch.bmm(columns, state_t))
    return grad_first


def _to_drive(grad_first: Tensor, drive_in: Tensor, shape: torch.Size) -> Tensor:
    """Sum the windows' gradients back onto the drive, (node, batch, drive delays + steps)."""
    grad_windows = torch.matmul(grad_first, drive_in.mT)  # (step, node, batch, drive delay)
    n_steps = len(grad_first)
    grad = grad_first.new_zeros(shape)
    for offset in range(drive_in.shape[1]):
        grad[..., offset : offset + n_steps] += grad_windows[..., offset].permute(1, 2, 0)
    return grad
