"""A compiled kernel and how torch calls it: whole trajectories forward, their exact gradients backward."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from twins.goku.compiled.source import LANES

_WORTH_A_THREAD = 20_000_000
"""Operations below which sharing out costs more than it gains; they take some milliseconds."""

_INTEGERS = ("batch", "n_steps", "substeps")
_GIVEN = ("initial", "parameters", "drive", "lengths", "noise")
_FOUND = ("path", "grad_path", "grad_initial", "grad_parameters", "grad_drive", "grad_noise")


class _Run(ctypes.Structure):
    """As in compiled_source."""

    _fields_ = (
        *((name, ctypes.c_long) for name in _INTEGERS),
        ("length", ctypes.c_double),
        *((name, ctypes.c_void_p) for name in (*_GIVEN, *_FOUND)),
    )


@dataclass(frozen=True, slots=True, eq=False)
class Kernel:
    """forward, backward: functions of the library (None without an adjoint); n_operations: of one stage, about."""

    forward: Any
    backward: Any
    n_operations: int

    @classmethod
    def of(cls, library: Any, n_operations: int, *, adjoint: bool) -> Kernel:
        """Raises AttributeError if this is no kernel."""
        functions = [library.forward, *([library.backward] if adjoint else [])]
        for function in functions:
            function.argtypes, function.restype = [ctypes.c_void_p, ctypes.c_long, ctypes.c_long], ctypes.c_int
        return cls(library.forward, library.backward if adjoint else None, n_operations)


@dataclass(frozen=True, slots=True, eq=False)
class Course:
    """What is the same forward and backward. length: of a step, in the equation's unit of time; lengths: of each one.

    by_loop: the same solution by differentiable steps of torch, for derivatives of the gradient. dual: the kernel that
    takes tangents along, where an input has one.
    """

    kernel: Kernel
    n_steps: int
    substeps: int
    length: float
    lengths: Tensor | None
    by_loop: Callable[..., Tensor]
    dual: Kernel | None = None


class CompiledRun(torch.autograd.Function):
    """(initial (batch, state), parameters (batch, parameter), drive (time, batch, channel), noise (step, batch, state))
    -> path (step + 1, batch, state); drive and noise may be None."""

    @staticmethod
    def forward(ctx: Any, course: Course, initial: Tensor, parameters: Tensor, *more: Tensor | None) -> Tensor:
        """Of all steps."""
        drive, noise = more
        path = initial.new_empty(course.n_steps + 1, *initial.shape)
        given = {"initial": initial, "parameters": parameters, "drive": drive, "noise": noise, "path": path}
        _call(course, course.kernel.forward, len(initial), initial.dtype, given)
        ctx.course = course
        if course.dual is not None:
            ctx.save_for_forward(initial, parameters, drive, noise)
        else:
            ctx.save_for_backward(initial, parameters, drive, noise, path)
        return path

    @staticmethod
    def jvp(ctx: Any, _course: None, *tangents: Tensor | None) -> Tensor:
        """Of the path: solved once more, with the tangents as states beside the states."""
        inputs, course = ctx.saved_tensors, ctx.course
        n_states = inputs[0].shape[-1]
        names = ("initial", "parameters", "drive")
        given = {name: _beside(*pair) for name, pair in zip(names, zip(inputs, tangents, strict=True), strict=False)}
        noise = inputs[3]
        given["noise"] = None if noise is None else torch.cat((noise, noise), dim=-1)
        path = inputs[0].new_empty(course.n_steps + 1, len(inputs[0]), 2 * n_states)
        _call(course, course.dual.forward, len(inputs[0]), path.dtype, {**given, "path": path})
        tangent: Tensor = path[..., n_states:].contiguous()
        return tangent

    @staticmethod
    def backward(ctx: Any, grad_path: Tensor) -> Any:
        """Of initial, parameters, drive and noise; by the loop where this gradient is to be differentiated itself."""
        initial, parameters, drive, noise, path = ctx.saved_tensors
        course, needed = ctx.course, ctx.needs_input_grad[1:]
        if torch.is_grad_enabled() or not plain(grad_path):
            return None, *_by_loop(course, (initial, parameters, drive, noise), needed, grad_path)
        grads: dict[str, Tensor | None] = {
            "grad_initial": torch.empty_like(initial),
            "grad_parameters": torch.empty_like(parameters),
            "grad_drive": torch.zeros_like(drive) if drive is not None and needed[2] else None,
            "grad_noise": torch.empty_like(noise) if noise is not None and needed[3] else None,
        }
        given = {"initial": initial, "parameters": parameters, "drive": drive, "noise": noise, "path": path}
        together = {**given, **grads, "grad_path": grad_path.contiguous()}
        _call(course, course.kernel.backward, len(initial), initial.dtype, together)
        return None, *(grad if wanted else None for grad, wanted in zip(grads.values(), needed, strict=True))


def _beside(values: Tensor | None, tangent: Tensor | None) -> Tensor | None:
    if values is None:
        return None
    return torch.cat((values, torch.zeros_like(values) if tangent is None else tangent), dim=-1)


def _by_loop(
    course: Course, inputs: tuple[Tensor | None, ...], needed: tuple[bool, ...], grad_path: Tensor
) -> list[Tensor | None]:
    with torch.enable_grad():
        again = [one.view_as(one) if one is not None else None for one in inputs]
        wanted = [one for one, need in zip(again, needed, strict=True) if need and one is not None]
        path = course.by_loop(*again)
        found = iter(torch.autograd.grad(path, wanted, grad_path, create_graph=True, allow_unused=True))
    return [next(found) if need and one is not None else None for one, need in zip(again, needed, strict=True)]


def plain(tensor: Tensor) -> bool:
    """Whether a tensor is an ordinary one: no dual number of forward mode, no wrapper of torch.func, no subclass."""
    return not wrapped(tensor) and not is_dual(tensor)


def wrapped(tensor: Tensor) -> bool:
    """Whether it is a wrapper of torch.func or of a class of its own."""
    return type(tensor) not in (Tensor, torch.nn.Parameter) or torch._C._functorch.is_functorch_wrapped_tensor(tensor)


def is_dual(tensor: Tensor) -> bool:
    """Whether it has a tangent, in forward mode."""
    in_forward_mode = torch.autograd.forward_ad._current_level >= 0
    return in_forward_mode and torch._C._VariableFunctions._unpack_dual(tensor, level=0)[1] is not None


def _call(course: Course, function: Any, batch: int, dtype: torch.dtype, tensors: dict[str, Tensor | None]) -> None:
    """All tiles, over as many threads as torch may use; ctypes lets go of the interpreter meanwhile."""
    places = {name: None if one is None else one.data_ptr() for name, one in tensors.items()}
    lengths = None if course.lengths is None else course.lengths.data_ptr()
    run = _Run(
        batch=batch, n_steps=course.n_steps, substeps=course.substeps, length=course.length, lengths=lengths, **places
    )  # fmt: skip
    n_tiles = -(-batch // LANES[dtype])
    work = n_tiles * LANES[dtype] * course.n_steps * course.substeps * course.kernel.n_operations
    n_parts = min(torch.get_num_threads(), n_tiles, work // _WORTH_A_THREAD)
    address, failed = ctypes.addressof(run), []

    def part(first: int, end: int) -> None:
        if function(address, first, end):
            failed.append(first)

    if n_parts <= 1:
        part(0, n_tiles)
    else:
        edges = [n_tiles * number // n_parts for number in range(n_parts + 1)]
        threads = [threading.Thread(target=part, args=pair) for pair in pairwise(edges)]
        for thread in threads:
            thread.start()
        for thread in threads:  # they own what they write until they end: wait, whatever is raised here meanwhile
            _wait_for(thread)
    if failed:
        raise MemoryError("no memory for the states within a step")


def _wait_for(thread: threading.Thread) -> None:
    try:
        thread.join()
    finally:
        if thread.is_alive():
            thread.join()
