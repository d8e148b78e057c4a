"""A whole unroll and its exact adjoint by the compiled kernel: float32 on a CPU, several times faster than torch.

Kept for the way back is the state after every step; features and hidden units are computed again. Work is shared out over
torch.get_num_threads() threads, over the batch and, where that is small, over bands of rows; numbers do not depend on how
many. Longer runs leave the calling thread waiting, so that it hears signals, as Ctrl-C.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import pad

from twins.nca.formulations.library import Kernel, kernel_of
from twins.nca.formulations.packing import Weights, gradients, tiled, whole
from twins.nca.formulations.sharing import share_out
from twins.nca.perceive import padded
from twins.nca.spec import PADDINGS, NcaSpec

if TYPE_CHECKING:
    from twins.nca.automaton import Automaton

_BAND_CELLS = 4096
"""At least, of the bands that a field is cut into: waiting for one another after every step must not cost more than it gains."""
_MOST_BANDS = 16
_WORTH_A_THREAD = 200_000
"""Cell-steps below which sharing out costs more than it gains; they take some milliseconds."""


def why_not(automaton: Automaton, state: Tensor) -> str:
    """Why this automaton cannot go by the compiled kernel on a state like this one; empty where it can."""
    parameters = _parameters(automaton)
    if state.device.type != "cpu" or any(one.device.type != "cpu" for one in parameters):
        return "it runs on the CPU alone"
    if state.dtype != torch.float32 or any(one.dtype != torch.float32 for one in parameters):
        return "it computes in float32 alone"
    found = kernel_of(automaton.spec)
    return found if isinstance(found, str) else ""


def advance(
    automaton: Automaton, state: Tensor, overshoot: Tensor, masks: Sequence[Tensor | None], conditions: Tensor | None
) -> tuple[Tensor, Tensor]:
    """As many steps as there are masks: the state after them, and the overshoot with that of these steps added."""
    if not masks:
        return state, overshoot
    kernel = kernel_of(automaton.spec)
    assert isinstance(kernel, Kernel)  # why_not() was asked
    fired = None if masks[0] is None else torch.stack([mask[:, 0] for mask in masks if mask is not None])
    bias = None if conditions is None else conditions @ automaton.condition_weight.T
    parameters = _parameters(automaton)
    tensors = (state, *parameters) if bias is None else (state, *parameters, bias)
    kept = torch.is_grad_enabled() and any(one.requires_grad for one in tensors)
    plan = _Plan(automaton.spec, kernel, fired, len(masks), kept)
    state, more = _Unrolling.apply(plan, state, bias, *parameters)  # type: ignore[no-untyped-call]
    return state, overshoot + more


def _parameters(automaton: Automaton) -> list[Tensor]:
    """In the order of Weights.of."""
    gate = [automaton.gate_weight, automaton.gate_bias] if automaton.spec.gated else []
    return [*automaton.hidden_weights, automaton.out_weight, automaton.out_bias, *gate]


@dataclass(frozen=True, slots=True, eq=False)
class _Plan:
    """What there is to do, without the tensors that gradients are taken of. kept: whether every state is kept."""

    spec: NcaSpec
    kernel: Kernel
    fired: Tensor | None
    n_steps: int
    kept: bool


class _Job(ctypes.Structure):
    """As in steps.c."""

    _fields_ = (
        *((name, ctypes.c_long) for name in ("batch", "height", "width", "n_steps", "n_bands", "padding", "kept")),
        *(
            (name, ctypes.c_void_p)
            for name in (
                "states", "fired", "first_bias", "first", "second", "last", "last_bias", "first_back", "second_back",
                "last_back", "overshoot", "grad_overshoot", "grad", "grad_weights",
            )
        ),
        ("n_threads", ctypes.c_long), ("arrived", ctypes.c_long), ("stop", ctypes.c_int32),
    )  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class _Work:
    """One call of the kernel, with all memory that it reads and writes: whoever may still call it must hold this."""

    plan: _Plan
    job: _Job
    held: dict[str, Tensor]

    @classmethod
    def of(
        cls, plan: _Plan, shape: torch.Size, bias: Tensor | None, weights: Weights, more: dict[str, Tensor]
    ) -> _Work:
        """shape: of a state. more: tensors by their name in the job."""
        batch, _, height, width = shape
        rows = plan.kernel.wide_rows
        n_hidden = plan.spec.hidden[0]
        first_bias = weights.last.new_zeros(batch, whole(n_hidden))
        if bias is not None:
            first_bias[:, :n_hidden] = bias
        held = {
            "first_bias": first_bias,
            "first": tiled(weights.hidden[0], rows),
            "last": tiled(weights.last, rows),
            "last_bias": pad(weights.last_bias, (0, whole(len(weights.last_bias)) - len(weights.last_bias))),
            **more,
        }
        if len(weights.hidden) == 2:
            held["second"] = tiled(weights.hidden[1], rows)
        if plan.fired is not None:
            held["fired"] = plan.fired.contiguous()
        if "grad" in more:
            held["first_back"], held["last_back"] = tiled(weights.hidden[0].mT, rows), tiled(weights.last.mT, rows)
            if len(weights.hidden) == 2:
                held["second_back"] = tiled(weights.hidden[1].mT, rows)
        held = {name: tensor.contiguous() for name, tensor in held.items()}
        sizes = (batch, height, width, plan.n_steps, n_bands(height, width), PADDINGS.index(plan.spec.padding))
        job = _Job(*sizes, plan.kept, **{name: tensor.data_ptr() for name, tensor in held.items()})
        return cls(plan, job, held)

    def run(self) -> None:
        """All steps, forward, or backward if there is a gradient to bring back."""
        back, batch, bands = "grad" in self.held, self.job.batch, self.job.n_bands
        cell_steps = batch * self.job.height * self.job.width * self.plan.n_steps
        n_threads = max(1, min(torch.get_num_threads(), batch * bands, cell_steps // _WORTH_A_THREAD))
        self.job.n_threads = n_threads
        parts, each = (batch, bands) if n_threads <= batch else (batch * bands, 1)
        edges = [each * (parts * number // n_threads) for number in range(n_threads + 1)]
        memory = self._sent(n_threads if n_threads <= batch else batch) if back else None

        def part(number: int, first: int, end: int) -> None:
            told = ctypes.addressof(self.job)
            if memory is None:
                answer = self.plan.kernel.forward(told, first, end)
            else:
                own = memory[number if n_threads <= batch else 0]
                answer = self.plan.kernel.back(told, first, end, own.data_ptr())
            if answer == 1:
                raise MemoryError("no memory for the working place of a thread")

        calls = [(number, first, end) for number, (first, end) in enumerate(pairwise(edges))]
        share_out(part, calls, short=cell_steps < _WORTH_A_THREAD, stop=self._stop)

    def _stop(self) -> None:
        self.job.stop = 1

    def _sent(self, count: int) -> Tensor:
        """Where gradients on their way to neighbours wait: see SENT_PLANE and N_SENT in steps_back.c."""
        plane = (self.job.height + 4) * (self.job.width + 2) + 2 * self.plan.kernel.block
        return torch.zeros(count, max(1, self.plan.kernel.n_sent), plane)


def n_bands(height: int, width: int) -> int:
    """Into how many bands of rows a field is cut, however many threads there are: sums depend on it."""
    return max(1, min(_MOST_BANDS, height, height * width // _BAND_CELLS))


class _Unrolling(torch.autograd.Function):
    """(state, hidden bias of each batch item, parameters) -> (state, overshoot)."""

    @staticmethod
    def forward(
        ctx: Any, plan: _Plan, state: Tensor, bias: Tensor | None, *parameters: Tensor
    ) -> tuple[Tensor, Tensor]:
        states = _planes(plan, state, plan.n_steps + 1 if plan.kept else 2)
        first = _fields(states, state.shape)
        first[0] = padded(state, plan.spec.padding)
        sums = torch.zeros(len(state), n_bands(*state.shape[2:]), dtype=torch.float64)
        weights = Weights.of(parameters, plan.spec)
        _Work.of(plan, state.shape, bias, weights, {"states": states, "overshoot": sums}).run()
        ctx.plan, ctx.shape = plan, state.shape
        if plan.kept:
            ctx.save_for_backward(states, bias, *parameters)
        last = first[plan.n_steps if plan.kept else plan.n_steps % 2]
        return last[..., 1:-1, 1:-1].clone(), sums.sum(1).to(state.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_state: Tensor, grad_overshoot: Tensor) -> tuple[Tensor | None, ...]:
        plan, shape = ctx.plan, ctx.shape
        states, bias, *parameters = ctx.saved_tensors
        grads = _planes(plan, grad_state, 1).zero_()
        inside = _fields(grads, shape)[0, ..., 1:-1, 1:-1]
        last = _fields(states, shape)[plan.n_steps, ..., 1:-1, 1:-1]
        outside = (last > 1.0).to(last.dtype) - (last < 0.0).to(last.dtype)
        inside.copy_(torch.addcmul(grad_state, outside, grad_overshoot[:, None, None, None]))
        wanted = ctx.needs_input_grad
        more = {"states": states, "grad": grads, "grad_overshoot": grad_overshoot}
        if any(wanted[2:]):
            n_sums = plan.kernel.n_sums
            more["grad_weights"] = torch.zeros(shape[0], n_bands(*shape[2:]), n_sums, dtype=torch.float64)
        _Work.of(plan, shape, bias, Weights.of(parameters, plan.spec), more).run()
        answer: list[Tensor | None] = [None] * (2 + len(parameters))
        if "grad_weights" in more:
            of_parameters, of_bias = gradients(more["grad_weights"].sum(1), plan.spec)
            answer[1:] = [None if bias is None else of_bias.to(grad_state.dtype)]
            answer += [one.to(grad_state.dtype) for one in of_parameters]
        answer[0] = inside.clone()
        return (None, *answer)


def _planes(plan: _Plan, like: Tensor, count: int) -> Tensor:
    """Memory for that many padded states, and for a block beyond."""
    batch, n_channels, height, width = like.shape
    size = count * batch * n_channels * (height + 2) * (width + 2)
    memory = like.new_empty(size + plan.kernel.block + 2 * plan.kernel.lanes)
    plan.kernel.large_pages(memory.data_ptr(), memory.nbytes)
    return memory


def _fields(planes: Tensor, shape: torch.Size) -> Tensor:
    """(count, batch, channel, y + 2, x + 2)."""
    batch, n_channels, height, width = shape
    size = batch * n_channels * (height + 2) * (width + 2)
    count = len(planes) // size
    return planes[: count * size].view(count, batch, n_channels, height + 2, width + 2)
