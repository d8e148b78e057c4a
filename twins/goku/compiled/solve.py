"""Solve a system by a kernel in C, written from the system's own Python and compiled for it at first use.

The drift and the diffusion are traced once into scalar expressions, from which the whole trajectory and its exact discrete
adjoint are written in C. Results equal the loop's to rounding, in float32 and float64; what cannot be traced, what is not on
a CPU, and tensors of torch.func go by the loop. Tangents of forward mode have a kernel of their own; derivatives of gradients
go by the loop.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from twins.goku.bound import BoundSystem
from twins.goku.compiled.cache import KernelCache
from twins.goku.compiled.check import check
from twins.goku.compiled.expressions import in_order
from twins.goku.compiled.kernel import CompiledRun, Course, Kernel, is_dual, wrapped
from twins.goku.compiled.library import NoLibrary, load
from twins.goku.compiled.plan import SCHEMES, plan
from twins.goku.compiled.source import LANES, source
from twins.goku.compiled.trace import NotTraceable, trace
from twins.goku.system import System
from twins.solver.contract import coefficients
from twins.solver.loop import solve_by_loop
from twins.solver.problem import Problem

_LARGEST_TILE_BYTES = 500_000
"""Of what a tile keeps on a thread's stack."""


@dataclass(frozen=True, slots=True)
class _Kind:
    """What a kernel is made for, beside the equation."""

    method: str
    dtype: torch.dtype
    noisy: bool
    interpolated: bool
    dual: bool = False  # with tangents


def why_not(
    system: System,
    *,
    method: str = "rk4",
    dtype: torch.dtype = torch.float32,
    noisy: bool = False,
    interpolated: bool = False,
) -> str:
    """Why there is no compiled kernel for this equation and scheme; empty where there is one. Compiles it.

    interpolated: the drive is linear between samples rather than held.
    """
    found = _kernel(system, _Kind(method, dtype, noisy and system.stochastic, interpolated))
    return found if isinstance(found, str) else ""


@dataclass(frozen=True, slots=True)
class Kernels:
    """What solves a problem: the kernel, and where an input has a tangent (forward mode) the one that takes it along."""

    kernel: Kernel
    dual: Kernel | None = None


def kernels_for(system: System, problem: Problem, parameters: Tensor, lengths: Tensor | None) -> Kernels | str:
    """The kernels for a problem with its tensors, or why there are none; lengths: of the steps, where they differ."""
    x0 = problem.history
    tensors = [one for one in (x0, parameters, problem.u, problem.noise, lengths) if one is not None]
    dual = any(is_dual(one) for one in tensors if not wrapped(one))
    refused = _refused(tensors, problem.noise, lengths, dual=dual)
    if refused:
        return refused
    kind = _Kind(problem.method, x0.dtype, problem.scheme.noise_type != "none", problem.interpolated)
    found = _kernel(system, kind)
    if isinstance(found, str) or not dual:
        return found if isinstance(found, str) else Kernels(found)
    along = _kernel(system, dataclasses.replace(kind, dual=True))
    return along if isinstance(along, str) else Kernels(found, along)


def _refused(tensors: Sequence[Tensor], noise: Tensor | None, lengths: Tensor | None, *, dual: bool) -> str:
    """Why no kernel takes these tensors, the states first, or nothing."""
    x0, without_tangent = tensors[0], [one for one in (noise, lengths) if one is not None]
    reasons = {
        f"kernels are for float32 and float64 on a CPU, not for {x0.dtype} on {x0.device}":
            x0.dtype not in LANES or any(one.device.type != "cpu" for one in tensors),
        "a tensor is a wrapper of torch.func or of a class of its own": any(wrapped(one) for one in tensors),
        "the precision of its tensors differs": any(one.dtype != x0.dtype for one in tensors if one is not lengths),
        "it has no gradient to the lengths of steps": lengths is not None and lengths.requires_grad,
        "forward mode and gradients are asked for at once":
            dual and torch.is_grad_enabled() and any(one.requires_grad for one in tensors),
        "it has no derivative along noise or the lengths of steps in forward mode":
            dual and any(is_dual(one) for one in without_tangent if not wrapped(one)),
        "the batch is empty": x0.numel() == 0,
    }  # fmt: skip
    return next((reason for reason, holds in reasons.items() if holds), "")


def solve_compiled(
    kernels: Kernels, system: System, problem: Problem, parameters: Tensor, lengths: Tensor | None
) -> Tensor:
    """(n_steps + 1, …, state) by the kernels that kernels_for gave."""
    x0, n_drives = problem.history.squeeze(-2), len(system.drives)
    batch = x0.shape[:-1]

    def rows(values: Tensor | None, n_axes: int = 0) -> Tensor | None:
        """(…, number) -> (trajectory, number), after n_axes of time."""
        if values is None:
            return None
        if values.shape[n_axes:-1] == batch and values.ndim == n_axes + 2:
            return values.contiguous()
        missing = len(batch) + n_axes + 1 - values.ndim
        wide = values.reshape(*values.shape[:n_axes], *(1,) * missing, *values.shape[n_axes:])
        wide = wide.expand(*values.shape[:n_axes], *batch, values.shape[-1])
        return wide.reshape(*values.shape[:n_axes], -1, values.shape[-1]).contiguous()

    drive = rows(problem.u[..., :n_drives], 1) if problem.u is not None and n_drives else None
    unit_s = system.time_unit_s
    each = None
    if lengths is not None:
        wide = (lengths.to(x0) / unit_s).expand(problem.n_steps, *batch)
        each = wide.reshape(problem.n_steps, -1).contiguous()

    def by_loop(initial: Tensor, parameters: Tensor, drive: Tensor | None, noise: Tensor | None) -> Tensor:
        u = drive
        if each is not None:
            seconds = (each * unit_s).unsqueeze(-1)
            u = seconds if drive is None else torch.cat((drive, seconds), dim=-1)
        bound = BoundSystem(system, parameters, stepped=each is not None, noisy=noise is not None)
        return solve_by_loop(
            dataclasses.replace(
                problem, sde=bound, evaluate=coefficients(bound, driven=u is not None),
                history=initial.unsqueeze(-2), u=u, noise=noise,
            )
        )  # fmt: skip

    course = Course(
        kernels.kernel, problem.n_steps, problem.substeps, problem.dt / unit_s, each, by_loop, kernels.dual
    )  # fmt: skip
    path: Tensor = CompiledRun.apply(  # type: ignore[no-untyped-call]
        course, rows(x0), rows(parameters), drive, rows(problem.noise, 1)
    )
    return path if len(batch) == 1 else path.reshape(problem.n_steps + 1, *batch, -1)


@dataclass(frozen=True, slots=True)
class _Text:
    """n_operations: of one stage, about."""

    text: str
    n_operations: int


def _kernel(system: System, kind: _Kind) -> Kernel | str:
    """The kernel, or why there is none."""
    return _kernels.find(system, kind)


def _written(system: System, kind: _Kind) -> _Text:
    scheme = SCHEMES.get(kind.method)
    if scheme is None:
        raise NotTraceable(f"there is no kernel for the scheme {kind.method!r}")
    traced = trace(system, kind.dtype, noisy=kind.noisy)
    # with additive noise Milstein's term is zero
    milstein = scheme.milstein and kind.noisy and system.noise == "diagonal"
    planned = plan(traced, n_parameters=system.n_parameters, n_drives=len(system.drives), milstein=milstein)
    numbers = 2 * (planned.n_parameters + len(planned.coefficients)) + 30 * planned.n_states
    if numbers * LANES[kind.dtype] * kind.dtype.itemsize > _LARGEST_TILE_BYTES:
        raise NotTraceable("it has too many numbers for a tile of trajectories")
    text = source(
        planned.doubled() if kind.dual else planned, dataclasses.replace(scheme, milstein=milstein), kind.dtype,
        interpolated=kind.interpolated, ito=system.sde_type == "ito", adjoint=not kind.dual,
    )  # fmt: skip
    return _Text(text, len(in_order((*planned.drift, *planned.diffusion))) * (3 if kind.dual else 1))


def _made(system: System, kind: _Kind, written: _Text) -> Kernel:
    try:
        kernel = Kernel.of(load(written.text), written.n_operations, adjoint=not kind.dual)
    except AttributeError as error:
        raise NoLibrary(f"a library without the kernel's functions: {error}") from error
    if not kind.dual:  # its expressions are those of the other kernel, which was checked
        check(system, kernel, kind.method, kind.dtype, noisy=kind.noisy, interpolated=kind.interpolated)
    return kernel


_kernels: KernelCache[_Kind, _Text, Kernel] = KernelCache(_written, _made)
