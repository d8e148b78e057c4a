"""The Euler loop over stacked twins and its adjoint, both by hand.

The weights are frozen, so autograd would only keep books: here every step writes into preallocated memory, the
history is a sliding window over the path itself, and what can be done for all steps at once is done outside the loop.

Where the path is known, because a device was measured, there is no loop forward: all steps are one batch, the noise is
what the twin would have needed to go that way, and the adjoint runs along the measured path.
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
    inner_weights: tuple[Tensor, ...]
    inner_biases: tuple[Tensor, ...]
    out_weight: Tensor  # (node, 2 · hidden, 2)
    out_bias: Tensor  # (node, 1, 2)
    noise_scale: Tensor  # (node, 1)
    noise_floor: Tensor  # (node, 1)
    activation: str


LARGEST_INFERRED_NOISE = 3.0
"""What a measured step deviates by more than so many standard deviations is an error of the twin, not its noise: it
takes no part in the gradient of the noise."""


class StackedRun(torch.autograd.Function):
    """(drive with its history, start, bias, noise) -> path (node, batch, delays + 1 + step), normalised.

    drive: (node, batch, drive delays + steps), start: (node, batch, delays + 1) OLDEST first, normalised, with which
    the path begins; bias: (node, 1, C) of the first layer, conditions included; noise: (step, node, batch). Gradients
    go to drive, start and bias.
    """

    @staticmethod
    def forward(ctx: Any, drive: Tensor, start: Tensor, bias: Tensor, noise: Tensor, weights: StackedWeights) -> Tensor:
        """Run all steps; keep the activations if a gradient will be asked for."""
        layers, spread, path = _run(drive, start, bias, noise, weights)
        _keep(ctx, drive, noise, spread, layers, weights)
        return path

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_path: Tensor) -> tuple[Tensor | None, ...]:
        """The exact adjoint of the steps, last to first."""
        return (*_gradients(ctx, grad_path), None, None)


class MeasuredRun(torch.autograd.Function):
    """(drive with its history, start, bias, path as measured) -> the same path, with the twin's gradients along it.

    Shapes as in StackedRun; path: (node, batch, delays + 1 + step), normalised.
    """

    @staticmethod
    def forward(
        ctx: Any,
        drive: Tensor,
        start: Tensor,  # noqa: ARG004 - it is in the path already; its gradient is asked for
        bias: Tensor,
        path: Tensor,
        weights: StackedWeights,
    ) -> Tensor:
        """All steps at once, each from the measured states before it."""
        layers, spread, noise = _along(drive, path, bias, weights)
        _keep(ctx, drive, noise, spread, layers, weights)
        return path.clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_path: Tensor) -> tuple[Tensor | None, ...]:
        """The adjoint of the twin's steps at the measured states."""
        return (*_gradients(ctx, grad_path), None, None)


def _keep(
    ctx: Any, drive: Tensor, noise: Tensor, spread: Tensor, layers: list[Tensor], weights: StackedWeights
) -> None:
    ctx.weights, ctx.drive_shape = weights, drive.shape
    if any(ctx.needs_input_grad[:3]):
        ctx.save_for_backward(noise, spread, *layers)


def _gradients(ctx: Any, grad_path: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    """Of drive, start and bias."""
    noise, spread, *layers = ctx.saved_tensors
    weights: StackedWeights = ctx.weights
    grad_first, grad_start = _run_back(grad_path, noise, spread, layers, weights)
    of_drive, of_start, of_bias = ctx.needs_input_grad[:3]
    return (
        _to_drive(grad_first, weights.drive_in, ctx.drive_shape) if of_drive else None,
        grad_start if of_start else None,
        grad_first.sum((0, 2)).unsqueeze(1) if of_bias else None,
    )


def _run(
    drive: Tensor, start: Tensor, bias: Tensor, noise: Tensor, w: StackedWeights
) -> tuple[list[Tensor], Tensor, Tensor]:
    """(activations of every layer (step, node, batch, ·), raw spread (step, node, batch), path with history)."""
    n_steps, n_nodes, n_batch = noise.shape
    n_state, n_columns = w.state_in.shape[1:]
    windows = drive.unfold(-1, w.drive_in.shape[1], 1).permute(2, 0, 1, 3)  # (step, node, batch, drive delay)
    first = torch.matmul(windows, w.drive_in).add_(bias)
    first[..., -1].addcmul_(noise, w.noise_floor)
    kicks = noise * w.noise_scale
    widths = [n_columns - 1, *(weight.shape[2] for weight in w.inner_weights)]
    layers = [noise.new_empty(n_steps, n_nodes, n_batch, width) for width in widths]
    out = noise.new_empty(n_steps, n_nodes, n_batch, 2)
    path = noise.new_empty(n_nodes, n_batch, n_state + n_steps)
    path[..., :n_state] = start
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
        for target, (weight, inner_bias) in zip(later, inner, strict=True):
            h = act_(torch.baddbmm(inner_bias, h, weight, out=target))
        torch.baddbmm(w.out_bias, h, w.out_weight, out=both)
        torch.add(torch.addcmul(linear, kick, softplus(raw)), mean, out=following)
    return layers, out[..., 1], path


def _along(drive: Tensor, path: Tensor, bias: Tensor, w: StackedWeights) -> tuple[list[Tensor], Tensor, Tensor]:
    """(activations, raw spread, the noise of each step) where the path is given; shapes as of _run."""
    n_state = w.state_in.shape[1]
    n_steps = path.shape[2] - n_state
    windows = drive.unfold(-1, w.drive_in.shape[1], 1).permute(2, 0, 1, 3)
    seen = path.unfold(-1, n_state, 1)[:, :, :n_steps].permute(2, 0, 1, 3)
    first = torch.matmul(windows, w.drive_in).add_(bias) + torch.matmul(seen, w.state_in)
    act = torch.sigmoid if w.activation == "tanh" else torch.relu
    h, linear = act(first[..., :-1]), first[..., -1]
    layers = [h]
    for weight, inner_bias in zip(w.inner_weights, w.inner_biases, strict=True):
        h = act(torch.matmul(h, weight) + inner_bias)
        layers.append(h)
    mean, spread = (torch.matmul(h, w.out_weight) + w.out_bias).unbind(-1)
    loud = softplus(spread) * w.noise_scale + w.noise_floor
    left = path[..., n_state:].permute(2, 0, 1) - linear - mean
    noise = torch.where(loud > 0, left / loud.clamp_min(torch.finfo(loud.dtype).tiny), 0.0)
    return layers, spread, torch.where(noise.abs() <= LARGEST_INFERRED_NOISE, noise, 0.0)


def _run_back(
    grad_path: Tensor, noise: Tensor, spread: Tensor, layers: list[Tensor], w: StackedWeights
) -> tuple[Tensor, Tensor]:
    """Gradients with respect to the first layer's columns, (step, node, batch, C), and to the start."""
    n_steps, n_nodes, n_batch = noise.shape
    n_state, n_columns = w.state_in.shape[1:]
    slopes = [layer - layer.square() if w.activation == "tanh" else (layer > 0).to(layer.dtype) for layer in layers]
    to_out = torch.stack((torch.ones_like(noise), noise * w.noise_scale * torch.sigmoid(spread)), dim=-1)
    grad = grad_path.clone(memory_format=torch.contiguous_format)  # the steps add to it
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
    return grad_first, grad[..., :n_state]


def _to_drive(grad_first: Tensor, drive_in: Tensor, shape: torch.Size) -> Tensor:
    """Sum the windows' gradients back onto the drive, (node, batch, drive delays + steps)."""
    grad_windows = torch.matmul(grad_first, drive_in.mT)  # (step, node, batch, drive delay)
    n_steps = len(grad_first)
    grad = grad_first.new_zeros(shape)
    for offset in range(drive_in.shape[1]):
        grad[..., offset : offset + n_steps] += grad_windows[..., offset].permute(1, 2, 0)
    return grad
