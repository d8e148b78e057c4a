"""The backend for paired equations: which problems it takes, and how they are laid out for the kernel."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from twins.solver.paired import PairedSDE, by_node
from twins.solver.paired_kernel import Layout, PairedRun
from twins.solver.problem import Problem


def why_not(p: Problem) -> str | None:
    """Why this problem cannot go to the kernel; None if it can."""
    sde = p.sde
    if not isinstance(sde, PairedSDE):
        return "the equation is not a PairedSDE"
    if p.method != "euler" or p.interpolated:
        return "it takes Euler's steps under a held input only"
    if p.substeps > 1 and p.n_delays:
        return "with delays it takes one substep only"
    if p.u is None and sde.n_inputs and sde.coupling is None:
        return "its inputs are missing"
    scale = sde.diffusion_scale
    if p.noise is None or p.noise.requires_grad or (isinstance(scale, Tensor) and scale.requires_grad):
        return "it has no gradient to the noise or to diffusion_scale"
    return None


def solve_by_adjoint(p: Problem) -> Tensor:
    """(n_steps + 1, …, state)."""
    sde: PairedSDE = p.sde
    assert p.noise is not None
    batch, n, nodes = p.history.shape[:-2], sde.n_state, sde.n_nodes
    h = p.dt / p.substeps
    history = by_node(p.history, nodes)
    kicks = _steps_by_node(p.noise, nodes, n) * (math.sqrt(h) * sde.diffusion_scale)
    matrix, bias = _step_matrix(sde, h, history)
    layers = _folded(sde, h)
    layout = Layout(len(sde.weights), n, p.n_delays, sde.activation == "tanh", sde.diffusion_floor)
    run = PairedRun.apply
    path: Tensor = run(  # type: ignore[no-untyped-call]
        layout, history, _inputs(p, kicks), kicks, matrix, bias, sde.coupling, *layers
    )
    return path[:: p.substeps].transpose(1, 2).reshape(p.n_steps + 1, *batch, nodes * n)


def _steps_by_node(values: Tensor, n_nodes: int, n_channels: int) -> Tensor:
    """(step, …, node · channel) -> (step, node, row, channel)."""
    return values.reshape(len(values), -1, n_nodes, n_channels).transpose(1, 2)


def _inputs(p: Problem, kicks: Tensor) -> Tensor:
    sde: PairedSDE = p.sde
    if p.u is None:
        return kicks.new_zeros(*kicks.shape[:3], sde.n_inputs)
    u = p.u.expand(p.n_steps, *p.history.shape[:-2], -1)
    inputs = _steps_by_node(u, sde.n_nodes, sde.n_inputs)
    return inputs if p.substeps == 1 else inputs.repeat_interleave(p.substeps, dim=0)


def _step_matrix(sde: PairedSDE, h: float, like: Tensor) -> tuple[Tensor | None, Tensor | None]:
    """x of the next step as rows @ matrix + bias, but for the nets; None where that is x itself, or nothing."""
    bias = None if sde.linear_bias is None else h * sde.linear_bias
    if sde.linear_weight is None:
        return None, bias
    n_in, n = sde.linear_weight.shape[1:]
    return torch.eye(n_in, n, dtype=like.dtype, device=like.device) + h * sde.linear_weight, bias


def _folded(sde: PairedSDE, h: float) -> list[Tensor]:
    """Weights and biases (2 · node, in, out), the drift's last layer in units of a step.

    tanh(a) = 2 sigmoid(2 a) - 1, with its twos and ones moved into the layers around it. All of it is differentiable.
    """
    weights, biases = [], []
    last = len(sde.weights) - 1
    for number, (weight, bias) in enumerate(zip(sde.weights, sde.biases, strict=True)):
        w, b = weight, bias
        if sde.activation == "tanh":
            if number > 0:
                w, b = 2.0 * w, b - w.sum(2, keepdim=True)
            if number < last:
                w, b = 2.0 * w, 2.0 * b
        if number == last:
            scale = h * sde.drift_scale
            w, b = torch.stack((w[0] * scale, w[1])), torch.stack((b[0] * scale, b[1]))
        weights.append(w.flatten(0, 1).contiguous())
        biases.append(b.flatten(0, 1).contiguous())
    return [*weights, *biases]
