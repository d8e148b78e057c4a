"""The Euler loop over stacked twins and its adjoint, both by hand.

The weights are frozen, so autograd would only keep books. Forward keeps the path and what the last layer said of it;
backward finds the activations again, many steps in one product, for the path is known by then: that costs less than to
write them to memory and read them again, and long series fit. Everything is (node, channel, batch), batch last: the two
nets of a node are then products of their own without a copy, and what is done to a layer runs over whole rows of memory.
native.py does the same in C where it can.

Where the path is known from the beginning, because a device was measured, there is no loop forward either: the noise is
what the twin would have needed to go that way, and the adjoint runs along the measured path.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import softplus

from twins.device import native

LARGEST_INFERRED_NOISE = 3.0
"""What a measured step deviates by more than so many standard deviations is an error of the twin, not its noise: it
takes no part in the gradient of the noise."""

_TOGETHER = 120_000
"""Numbers of one layer in the steps whose activations are found together: they should stay in a core's cache."""


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class StackedWeights:
    """See stacked_weights.pack: C = 2 · hidden + 1 rows in the first layer, [drift net | diffusion net | linear model]."""

    window_in: Tensor  # (node, C, 2 · window): of each sample, oldest first, first the response, then the drive
    inner_weights: tuple[Tensor, ...]  # (2 · node, out, in)
    inner_biases: tuple[Tensor, ...]  # (2 · node, out, 1)
    out_weight: Tensor  # (node, 2, 2 · hidden)
    out_bias: Tensor  # (node, 2, 1)
    noise_scale: Tensor  # (node, 1)
    noise_floor: Tensor  # (node, 1)
    delays: tuple[int, int]  # of response and drive
    activation: str

    @property
    def n_window(self) -> int:
        """Samples that a step sees."""
        return self.window_in.shape[2] // 2

    @property
    def widths(self) -> list[int]:
        """Rows of each hidden layer, both nets together."""
        return [self.window_in.shape[1] - 1, *(2 * weight.shape[1] for weight in self.inner_weights)]


class StackedRun(torch.autograd.Function):
    """(drive with its history, start, bias, noise) -> path (node, batch, delays + 1 + step), normalised.

    drive: (node, batch, drive delays + steps), start: (node, batch, delays + 1) OLDEST first, normalised, with which
    the path begins; bias: (node, 1, C) of the first layer, conditions included; noise: (step, node, batch). Gradients
    go to drive, start and bias.
    """

    @staticmethod
    def forward(ctx: Any, drive: Tensor, start: Tensor, bias: Tensor, noise: Tensor, weights: StackedWeights) -> Tensor:
        """Run all steps."""
        samples = _samples(drive, start, weights)
        out = _run(samples, bias, noise, weights)
        _keep(ctx, samples, bias, noise, out, weights)
        return _path(samples, weights)

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
        samples = _samples(drive, path, weights)
        _keep(ctx, samples, bias, *_along(samples, bias, weights), weights)
        return path.clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_path: Tensor) -> tuple[Tensor | None, ...]:
        """The adjoint of the twin's steps at the measured states."""
        return (*_gradients(ctx, grad_path), None, None)


def _keep(ctx: Any, samples: Tensor, bias: Tensor, noise: Tensor, out: Tensor, weights: StackedWeights) -> None:
    ctx.weights = weights
    if any(ctx.needs_input_grad[:3]):
        ctx.save_for_backward(samples, bias, noise, out)


def _gradients(ctx: Any, grad_path: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    """Of drive, start and bias."""
    samples, bias, noise, out = ctx.saved_tensors
    w: StackedWeights = ctx.weights
    of_drive, of_start, of_bias = ctx.needs_input_grad[:3]
    grad, grad_bias = _run_back(grad_path, samples, bias, noise, out, w, of_bias=of_bias)
    n, (response_delays, drive_delays) = w.n_window, w.delays
    return (
        grad[:, n - 1 - drive_delays : -1, 1].transpose(1, 2) if of_drive else None,
        grad[:, n - 1 - response_delays : n, 0].transpose(1, 2) if of_start else None,
        grad_bias,
    )


def _samples(drive: Tensor, path: Tensor, w: StackedWeights) -> Tensor:
    """(node, window + step, 2, batch): response and drive side by side in time, so that a step sees one block of it.

    Sample window - 1 is the start. path: (node, batch, ·), as much of it as is known.
    """
    n, (response_delays, drive_delays) = w.n_window, w.delays
    n_nodes, n_batch, n_driven = drive.shape
    samples = drive.new_zeros(n_nodes, n + n_driven - drive_delays, 2, n_batch)
    first = n - 1 - response_delays
    samples[:, first : first + path.shape[2], 0] = path.transpose(1, 2)
    samples[:, n - 1 - drive_delays : -1, 1] = drive.transpose(1, 2)
    return samples


def _path(samples: Tensor, w: StackedWeights) -> Tensor:
    """(node, batch, delays + 1 + step)."""
    return samples[:, w.n_window - 1 - w.delays[0] :, 0].transpose(1, 2)


def _windows(samples: Tensor, w: StackedWeights) -> Tensor:
    """What each step sees, (step, node, 2 · window, batch): a view."""
    n_nodes, n_time, _, n_batch = samples.shape
    shape = (n_time - w.n_window, n_nodes, 2 * w.n_window, n_batch)
    return samples.as_strided(shape, (2 * n_batch, n_time * 2 * n_batch, n_batch, 1))


def _run(samples: Tensor, bias: Tensor, noise: Tensor, w: StackedWeights) -> Tensor:
    """Fill in the path; (step, node, [mean increment, raw spread], batch), empty where the way back does without."""
    if native.usable(samples):
        native.run(samples, bias, noise, w)
        return noise.new_empty(0)
    n_steps, n_nodes, n_batch = noise.shape
    kicks = noise * w.noise_scale
    out = noise.new_empty(n_steps, n_nodes, 2, n_batch)
    torch.addcmul(w.out_bias[:, 0], noise, w.noise_floor, out=out[:, :, 0])
    out[:, :, 1] = w.out_bias[:, 1]
    first = noise.new_empty(n_nodes, w.window_in.shape[1], n_batch)
    hidden, linear, bias_in = first[:, :-1], first[:, -1], bias.mT.expand_as(first)
    layers = [noise.new_empty(n_nodes, width, n_batch) for width in w.widths]
    by_net = [_by_net(layer) for layer in layers]
    inner = list(zip(w.inner_weights, w.inner_biases, by_net, by_net[1:], strict=False))
    act, act_ = (torch.sigmoid, torch.sigmoid_) if w.activation == "tanh" else (_relu, torch.relu_)
    # Views are made once, not a step at a time: indexing costs as much as a small product.
    steps = zip(
        _windows(samples, w).unbind(0), out.unbind(0), out[:, :, 0].unbind(0), out[:, :, 1].unbind(0),
        kicks.unbind(0), samples[:, w.n_window :, 0].unbind(1), strict=True,
    )  # fmt: skip
    for window, both, mean, raw, kick, following in steps:
        torch.baddbmm(bias_in, w.window_in, window, out=first)
        act(hidden, out=layers[0])
        for weight, inner_bias, before, after in inner:
            act_(torch.baddbmm(inner_bias, weight, before, out=after))
        both.baddbmm_(w.out_weight, layers[-1])
        torch.add(torch.addcmul(linear, kick, softplus(raw)), mean, out=following)
    return out


def _along(samples: Tensor, bias: Tensor, w: StackedWeights) -> tuple[Tensor, Tensor]:
    """(noise of each step (step, node, batch), what _run gives) where the path is known."""
    windows, following = _windows(samples, w), samples[:, w.n_window :, 0].transpose(0, 1)
    noise, out = torch.empty_like(following), samples.new_empty(*following.shape[:2], 2, following.shape[2])
    linear_in, linear_bias = w.window_in[:, -1:], bias.mT[:, -1:]
    for steps, layers in _activations(windows, bias, w):
        out[steps] = torch.matmul(w.out_weight, layers[-1]) + w.out_bias
        linear = (torch.matmul(linear_in, windows[steps]) + linear_bias).squeeze(2)
        mean, raw = out[steps].unbind(2)
        loud = softplus(raw) * w.noise_scale + w.noise_floor
        left = following[steps] - linear - mean
        needed = torch.where(loud > 0, left / loud.clamp_min(torch.finfo(loud.dtype).tiny), 0.0)
        noise[steps] = torch.where(needed.abs() <= LARGEST_INFERRED_NOISE, needed, 0.0)
    return noise, out


def _activations(windows: Tensor, bias: Tensor, w: StackedWeights) -> Iterator[tuple[slice, list[Tensor]]]:
    """Groups of steps, last to first, and all layers in them, (step, node, 2 · hidden, batch)."""
    n_steps, n_nodes, _, n_batch = windows.shape
    n_together = max(1, min(n_steps, _TOGETHER // (n_nodes * w.window_in.shape[1] * n_batch)))
    act_ = torch.sigmoid_ if w.activation == "tanh" else torch.relu_

    def repeated(weights: Tensor) -> Tensor:
        return weights.expand(n_together, *weights.shape).flatten(0, 1)

    hidden_in, hidden_bias = repeated(w.window_in[:, :-1]), bias.mT[:, :-1]
    inner = [(repeated(one), repeated(its)) for one, its in zip(w.inner_weights, w.inner_biases, strict=True)]
    for stop in range(n_steps, 0, -n_together):
        steps = slice(max(0, stop - n_together), stop)
        seen = windows[steps].flatten(0, 1)
        h = torch.bmm(hidden_in[: len(seen)], seen)
        layers = [act_(h.view(-1, n_nodes, *h.shape[1:]).add_(hidden_bias))]
        h = _by_net(h)
        for weight, inner_bias in inner:
            h = act_(torch.baddbmm(inner_bias[: len(h)], weight[: len(h)], h))
            layers.append(h.view(-1, n_nodes, 2 * h.shape[1], n_batch))
        yield steps, layers


def _run_back(
    grad_path: Tensor, samples: Tensor, bias: Tensor, noise: Tensor, out: Tensor, w: StackedWeights, *, of_bias: bool
) -> tuple[Tensor, Tensor | None]:
    """Gradients with respect to the samples and, if asked for, the bias."""
    grad = torch.zeros_like(samples)  # the steps add to it
    _path(grad, w).copy_(grad_path)
    if native.usable(samples):
        return native.run_back(grad, samples, bias, noise, w, of_bias=of_bias)
    _, n_nodes, n_batch = noise.shape
    to_out = torch.stack((torch.ones_like(noise), noise * w.noise_scale * torch.sigmoid(out[:, :, 1])), dim=2)
    to_last, *to_inner, to_window = (
        weight.mT.contiguous() for weight in (w.out_weight, *reversed(w.inner_weights), w.window_in)
    )
    first = noise.new_empty(n_nodes, w.window_in.shape[1], n_batch)
    hidden, linear, both = first[:, :-1], first[:, -1], noise.new_empty(n_nodes, 2, n_batch)
    backs = [noise.new_empty(n_nodes, width, n_batch) for width in reversed(w.widths)]
    by_net, window_back = [_by_net(back) for back in backs], noise.new_empty(n_nodes, 2 * w.n_window, n_batch)
    inner = list(zip(to_inner, backs, by_net, by_net[1:], strict=False))
    times_slope = _sigmoid_slope if w.activation == "tanh" else _relu_slope
    grad_bias = torch.zeros_like(bias) if of_bias else None
    reached, seen = grad[:, w.n_window :, 0].transpose(0, 1), _windows(grad, w)
    for steps, layers in _activations(_windows(samples, w), bias, w):
        views = (part.unbind(0) for part in (reached[steps], to_out[steps], seen[steps], *reversed(layers)))
        for here, weight_out, window, *active in reversed(list(zip(*views, strict=True))):
            torch.mul(weight_out, here.unsqueeze(1), out=both)
            torch.bmm(to_last, both, out=backs[0])
            for (weight, back, back_by_net, before), h in zip(inner, active, strict=False):
                times_slope(back, h, back)
                torch.bmm(weight, back_by_net, out=before)
            times_slope(backs[-1], active[-1], hidden)
            linear.copy_(here)
            window.add_(torch.bmm(to_window, first, out=window_back))
            if grad_bias is not None:
                grad_bias.add_(first.sum(-1).unsqueeze(1))
    return grad, grad_bias


def _by_net(layer: Tensor) -> Tensor:
    """(node, 2 · hidden, batch) -> (2 · node, hidden, batch), a view."""
    return layer.view(2 * len(layer), layer.shape[1] // 2, layer.shape[2])


def _relu(values: Tensor, *, out: Tensor) -> Tensor:
    return torch.clamp_min(values, 0.0, out=out)


def _sigmoid_slope(grad: Tensor, active: Tensor, out: Tensor) -> Tensor:
    """grad · s (1 - s), s the sigmoid's value."""
    found: Tensor = torch.ops.aten.sigmoid_backward.grad_input(grad, active, grad_input=out)
    return found


def _relu_slope(grad: Tensor, active: Tensor, out: Tensor) -> Tensor:
    """grad where the value is positive."""
    found: Tensor = torch.ops.aten.threshold_backward.grad_input(grad, active, 0.0, grad_input=out)
    return found
