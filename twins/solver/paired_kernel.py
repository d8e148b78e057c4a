"""Euler's steps of a paired equation and their exact adjoint, both by hand.

Forward, every step works in the same small buffers; backward, the weights' gradients of many steps are one product a
layer. The activations are kept if they are not too many. Else those of some steps at a time are computed again in the
backward pass, all at once since their inputs were kept, just enough of them to stay in the processor's caches. This
needs a small part of the memory and the dispatches of autograd.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import softplus

from twins.solver.paired_nets import Nets, grouped

# Numbers of the activations that go through the backward pass together: a few MB, about what caches hold.
_ACTIVATIONS_HELD = 1_000_000
# Numbers that are kept from the forward pass, at most: 256 MB in float32.
_ACTIVATIONS_KEPT = 64_000_000

# The activations of a block of steps: a list of layers (net, step · batch, width) for every group of nets.
Block = list[list[Tensor]]


@dataclass(frozen=True, slots=True)
class Layout:
    """Sizes that the tensors alone do not tell."""

    n_layers: int
    n_state: int
    n_delays: int
    sigmoid: bool  # else relu
    floor: float


class PairedRun(torch.autograd.Function):
    """(history, inputs, kicks, step matrix, step bias, coupling, weights, biases) -> path (step + 1, node, batch, state).

    history: (node, batch, (delays + 1) · state) newest first, inputs: (step, node, batch, input), kicks: (step, node,
    batch, state), what the diffusion is multiplied by; step matrix (node, in, state) and bias (node, 1, state): x of
    the next step but for the nets (None: x as it is, and nothing); coupling: (node · state, node · input) or None;
    weights (2 · node, in, out) with the drift's last layer in units of a step, biases (2 · node, 1, out). Gradients to
    all but the kicks.
    """

    @staticmethod
    def forward(
        ctx: Any,
        layout: Layout,
        history: Tensor,
        inputs: Tensor,
        kicks: Tensor,
        matrix: Tensor | None,
        bias: Tensor | None,
        coupling: Tensor | None,
        *layers: Tensor,
    ) -> Tensor:
        """Run all steps."""
        rows = torch.cat((inputs.new_empty(*inputs.shape[:-1], history.shape[-1]), inputs), dim=-1)
        run = _Run(rows, kicks, matrix, bias, coupling, layers, layout, history.shape[-1])
        kept: list[Block] = []
        if any(ctx.needs_input_grad) and run.numbers_a_step * len(kicks) <= _ACTIVATIONS_KEPT:
            kept = [run.new_block(len(range(len(kicks))[steps])) for steps in run.blocks()]
        ctx.run, ctx.kept = run, kept
        ctx.save_for_backward(history, kicks, matrix, coupling, *layers)  # only to be told if they were changed
        return run.forward(history, kept)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_path: Tensor) -> tuple[Tensor | None, ...]:
        """The exact adjoint of the steps, last to first."""
        _ = ctx.saved_tensors  # raises if a weight was changed in place since
        kept, ctx.kept = ctx.kept, []  # a second time they are computed again
        return (None, *ctx.run.backward(grad_path.contiguous(), kept, ctx.needs_input_grad[1:]))


class _Run:
    """One problem: forward once, backward as often as asked."""

    def __init__(
        self, rows: Tensor, kicks: Tensor, matrix: Tensor | None, bias: Tensor | None, coupling: Tensor | None,
        layers: tuple[Tensor, ...], layout: Layout, n_x: int,
    ) -> None:  # fmt: skip
        # Detached: the graph must not hold itself. rows: (step, node, batch, in), states in front.
        self.rows, self.kicks = rows, kicks.detach()
        self.matrix, self.bias = _detached(matrix), _detached(bias)
        self.coupling = _detached(coupling)
        self.layout, self.n_x = layout, n_x
        self.n_steps, self.n_nodes, self.n_batch, self.n = kicks.shape
        weights = [layer.detach() for layer in layers[: layout.n_layers]]
        biases = [layer.detach() for layer in layers[layout.n_layers :]]
        self.groups = grouped(weights, biases, n_rows=self.n_batch, sigmoid=layout.sigmoid)
        self.widths = [weight.shape[2] for weight in weights]
        self.numbers_a_step = 2 * self.n_nodes * self.n_batch * sum(self.widths[:-1])

    def blocks(self) -> list[slice]:
        """The steps, so many at a time that their activations stay in the caches."""
        held = max(1, min(self.n_steps, _ACTIVATIONS_HELD // max(1, self.numbers_a_step)))
        return [slice(first, min(first + held, self.n_steps)) for first in range(0, self.n_steps, held)]

    def new_block(self, length: int) -> Block:
        """Room for the activations of so many steps."""
        rows = length * self.n_batch
        return [
            [self.kicks.new_empty(len(nets.weights[0]), rows, width) for width in self.widths[:-1]]
            for nets in self.groups
        ]

    def forward(self, history: Tensor, kept: list[Block]) -> Tensor:
        """Fill the states of the rows, and the kept activations; returns the path."""
        n, n_x = self.n, self.n_x
        path = self.kicks.new_empty(self.n_steps + 1, self.n_nodes, self.n_batch, n)
        path[0] = history[..., :n]
        self.rows[0, ..., :n_x] = history
        # Views are made once, not a step at a time: indexing costs as much as a small product.
        rows, states, kicks = self.rows.unbind(0), path.unbind(0), self.kicks.unbind(0)
        newest, drives = self.rows[..., :n].unbind(0), self.rows[..., n_x:].unbind(0)
        older, carried = self.rows[..., n:n_x].unbind(0), self.rows[..., : n_x - n].unbind(0)
        room = [[_by_step(layer, self.n_batch) for layer in nets] for block in kept for nets in block]
        doubled = self.rows.new_empty(2, *self.rows.shape[1:]) if len(self.groups) == 1 else None
        n_groups, per_block = len(self.groups), self.blocks()[0].stop
        for k in range(self.n_steps):
            if self.coupling is not None:
                drives[k].add_(_coupled(newest[k], self.coupling, self.n_nodes))
            seen = rows[k] if doubled is None else doubled.copy_(rows[k]).flatten(0, 1)
            where, offset = divmod(k, per_block)
            outputs = [
                self._net(nets, seen, room[where * n_groups + number] if room else None, offset)
                for number, nets in enumerate(self.groups)
            ]
            drifts, raw = outputs if n_groups == 2 else (outputs[0][: self.n_nodes], outputs[0][self.n_nodes :])
            mean = drifts + newest[k] if self.matrix is None else torch.baddbmm(drifts, rows[k], self.matrix)
            if self.bias is not None:
                mean.add_(self.bias)
            torch.addcmul(mean, kicks[k], softplus(raw).add_(self.layout.floor), out=states[k + 1])
            if k + 1 < self.n_steps:
                newest[k + 1].copy_(states[k + 1])
                if self.layout.n_delays:
                    older[k + 1].copy_(carried[k])
        return path

    @staticmethod
    def _net(nets: Nets, h: Tensor, room: list[tuple[Tensor, ...]] | None, offset: int) -> Tensor:
        for number in range(len(nets.weights) - 1):
            h = nets.hidden(number, h, None if room is None else room[number][offset])
        return nets.output(h)

    def backward(self, grad_path: Tensor, kept: list[Block], wanted: tuple[bool, ...]) -> tuple[Tensor | None, ...]:
        """Gradients in the order of PairedRun's tensors."""
        arrived = torch.empty_like(self.kicks)  # gradient to the state after each step
        to_inputs = self.rows.new_empty(*self.rows.shape[:-1], self.rows.shape[-1] - self.n_x)
        carry = grad_path.new_zeros(self.n_nodes, self.n_batch, self.n_x)  # to the states that a row carries on
        carry[..., : self.n] = grad_path[self.n_steps]
        totals = None
        if any(wanted[6:]):
            totals = [[torch.zeros_like(part) for part in (*nets.weights, *nets.biases)] for nets in self.groups]
        blocks = self.blocks()
        for number in reversed(range(len(blocks))):
            steps = blocks[number]
            inputs = self.rows[steps].transpose(0, 1).flatten(1, 2)  # (node, step · batch, in)
            if len(self.groups) == 1:
                inputs = inputs.expand(2, *inputs.shape).flatten(0, 1)
            block = kept[number] if kept else self._again(inputs)
            grads, carry = self._walk(steps, carry, block, grad_path, arrived, to_inputs)
            if totals is not None:
                self._add_up(inputs, block, grads, totals)
        return self._gathered(carry, arrived, to_inputs, totals, wanted)

    def _again(self, inputs: Tensor) -> Block:
        """The activations of many steps, computed at once."""
        block: Block = []
        for nets in self.groups:
            h, layers = inputs, []
            for number in range(self.layout.n_layers - 1):
                h = nets.hidden(number, h)
                layers.append(h)
            block.append(layers)
        return block

    def _walk(
        self, steps: slice, carry: Tensor, block: Block, grad_path: Tensor, arrived: Tensor, to_inputs: Tensor
    ) -> tuple[Block, Tensor]:
        """Back through a block of steps: gradients to all layers' outputs, and the gradient that goes on."""
        n, n_x, n_nodes, n_batch = self.n, self.n_x, self.n_nodes, self.n_batch
        rows = (steps.stop - steps.start) * n_batch
        grads = [
            [self.kicks.new_empty(len(nets.weights[0]), rows, width) for width in self.widths] for nets in self.groups
        ]
        noisy = self.groups[-1]  # its last nets are the diffusion's
        last = block[-1][-1] if block[-1] else self._inputs_of_no_layer(steps)
        raw = torch.baddbmm(noisy.biases[-1][-n_nodes:], last[-n_nodes:], noisy.weights[-1][-n_nodes:])
        spread = torch.sigmoid_(raw).mul_(self.kicks[steps].transpose(0, 1).flatten(1, 2))
        drift_out = _by_step(grads[0][-1][:n_nodes], n_batch)
        noise_out, spreads = _by_step(grads[-1][-1][-n_nodes:], n_batch), _by_step(spread, n_batch)
        views = [[_by_step(grad, n_batch) for grad in group] for group in grads]
        active = [[_by_step(layer, n_batch) for layer in group] for group in block]
        reached, drives = arrived[steps].unbind(0), to_inputs[steps].unbind(0)
        paths = grad_path[steps].unbind(0)
        for k in reversed(range(len(paths))):
            grad = reached[k].copy_(carry[..., :n])
            drift_out[k].copy_(grad)
            torch.mul(grad, spreads[k], out=noise_out[k])
            backs = []
            for nets, view, activation in zip(self.groups, views, active, strict=True):
                back = nets.back(self.layout.n_layers - 1, view[-1][k])
                for number in range(self.layout.n_layers - 2, -1, -1):
                    back = nets.back(number, nets.through(back, activation[number][k], view[number][k]))
                backs.append(back)
            drift, noise = backs if len(backs) == 2 else (backs[0][:n_nodes], backs[0][n_nodes:])
            row = drift.add_(noise)
            newest = row[..., :n].add_(paths[k])
            if self.matrix is None:
                newest.add_(grad)
            else:
                row.baddbmm_(grad, self.matrix.mT)
            if self.layout.n_delays:
                row[..., : n_x - n].add_(carry[..., n:])
            drives[k].copy_(row[..., n_x:])
            if self.coupling is not None:
                newest.add_(_coupled(drives[k], self.coupling.mT, n_nodes))
            carry = row[..., :n_x]
        return grads, carry

    def _inputs_of_no_layer(self, steps: slice) -> Tensor:
        """Where there is no hidden layer, the outputs come from the rows themselves."""
        return self.rows[steps].transpose(0, 1).flatten(1, 2)

    def _add_up(self, inputs: Tensor, block: Block, grads: Block, totals: list[list[Tensor]]) -> None:
        """The gradients of weights and biases from a block of steps."""
        for nets, layers, group, total in zip(self.groups, block, grads, totals, strict=True):
            for number, (seen, grad) in enumerate(zip((inputs, *layers), group, strict=True)):
                nets.weight_grad(number, seen, grad, total[number])
                total[number + self.layout.n_layers].add_(grad.sum(1, keepdim=True))

    def _gathered(
        self, carry: Tensor, arrived: Tensor, to_inputs: Tensor, totals: list[list[Tensor]] | None,
        wanted: tuple[bool, ...],
    ) -> tuple[Tensor | None, ...]:  # fmt: skip
        history, inputs, _, matrix, bias, coupling, *layers = wanted
        flat = arrived.transpose(0, 1).flatten(1, 2)
        to_matrix = to_coupling = None
        if matrix:
            to_matrix = torch.bmm(self.rows.transpose(0, 1).flatten(1, 2).mT, flat)
        if coupling:
            newest = self.rows[..., : self.n].transpose(1, 2).flatten(0, 1).flatten(1)
            to_coupling = newest.mT @ to_inputs.transpose(1, 2).flatten(0, 1).flatten(1)
        to_layers: list[Tensor | None] = [None] * len(layers)
        if totals is not None:
            to_layers = [torch.cat(parts) for parts in zip(*totals, strict=True)]
        return (
            carry if history else None,
            to_inputs if inputs else None,
            None,
            to_matrix,
            flat.sum(1, keepdim=True) if bias else None,
            to_coupling,
            *to_layers,
        )


def _detached(values: Tensor | None) -> Tensor | None:
    return None if values is None else values.detach()


def _by_step(values: Tensor, n_batch: int) -> tuple[Tensor, ...]:
    """(net, step · batch, ·) -> a view (net, batch, ·) a step."""
    steps: tuple[Tensor, ...] = values.view(len(values), -1, n_batch, values.shape[2]).unbind(1)
    return steps


def _coupled(x: Tensor, coupling: Tensor, n_nodes: int) -> Tensor:
    """(node, batch, a) through (node · a, node · b) -> (node, batch, b)."""
    flat = x.permute(1, 0, 2).reshape(x.shape[1], -1)
    return (flat @ coupling).reshape(x.shape[1], n_nodes, -1).permute(1, 0, 2)
