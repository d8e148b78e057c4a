"""A new kernel against the equation's own Python, before anything is computed with it.

Catches what tracing cannot see: an equation that draws numbers, that looks at the size of the batch, that changes itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from twins.goku.bound import BoundSystem
from twins.goku.compiled.trace import NotTraceable
from twins.solver.loop import solve_by_loop
from twins.solver.problem import Problem, checked_problem

if TYPE_CHECKING:
    from twins.goku.compiled.kernel import Kernel
    from twins.goku.system import System

_SAMPLES, _SUBSTEPS = 3, 2
_STEP = 0.01  # of the unit of time
_RELATIVE = {torch.float32: 2e-3, torch.float64: 1e-7}
_OF_THE_STATE = {torch.float32: 1e-5, torch.float64: 1e-13}
"""Rounding leaves far less, another equation far more."""


@torch.enable_grad()  # whoever solves first may do so without gradients
def check(system: System, kernel: Kernel, method: str, dtype: torch.dtype, *, noisy: bool, interpolated: bool) -> None:
    """Compare one small step and its gradients with the loop's. Raises NotTraceable where they differ."""
    from twins.goku.compiled.solve import Kernels, solve_compiled

    generator = torch.Generator().manual_seed(0)
    initial, parameters = (
        some_states(system, generator).to(dtype),
        system.draw_parameters(_SAMPLES, generator).to(dtype),
    )

    def drawn(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=dtype)

    drive = drawn(1 + interpolated, _SAMPLES, len(system.drives)) if system.drives else None
    noise = drawn(_SUBSTEPS, _SAMPLES, system.n_states) if noisy else None
    weight = drawn(_SAMPLES, system.n_states)

    def answers(*, by_kernel: bool) -> list[Tensor]:
        inputs = [one.clone().requires_grad_() for one in (initial, parameters)]
        problem = _problem(system, inputs, drive, noise, method, interpolated=interpolated)
        path = (
            solve_compiled(Kernels(kernel), system, problem, inputs[1], None) if by_kernel else solve_by_loop(problem)
        )
        moved = path[-1] - inputs[0]
        return [moved.detach(), *_gradients((moved * weight).sum(), inputs)]

    scales = (initial, torch.zeros_like(initial), torch.zeros_like(parameters))
    for expected, found, scale in zip(answers(by_kernel=False), answers(by_kernel=True), scales, strict=True):
        if not _agree(expected, found, scale):
            raise NotTraceable("what was traced of it is not what it computes; does it draw numbers, or change?")


def some_states(system: System, generator: torch.Generator) -> Tensor:
    """Three initial states, in their ranges where they have some."""
    unit = torch.rand((_SAMPLES, system.n_states), dtype=torch.float64, generator=generator)
    low, high = system.state_range(unit)
    bounded = torch.isfinite(low) & torch.isfinite(high)
    return torch.where(bounded, low + (high - low).nan_to_num(0.0, 0.0, 0.0) * unit, unit)


def _problem(
    system: System,
    inputs: list[Tensor],
    drive: Tensor | None,
    noise: Tensor | None,
    method: str,
    *,
    interpolated: bool,
) -> Problem:
    return checked_problem(
        BoundSystem(system, inputs[1], noisy=noise is not None), inputs[0], drive,
        dt=_STEP * system.time_unit_s, n_steps=1, substeps=_SUBSTEPS, method=method,
        drive="interpolated" if interpolated else "held", noise=noise, generator=None, backend="loop",
    )  # fmt: skip


def _gradients(total: Tensor, inputs: list[Tensor]) -> list[Tensor]:
    found = torch.autograd.grad(total, inputs, allow_unused=True)
    return [torch.zeros_like(one) if grad is None else grad for one, grad in zip(inputs, found, strict=True)]


def _agree(expected: Tensor, found: Tensor, scale: Tensor) -> bool:
    finite = torch.isfinite(expected)
    if not bool((finite == torch.isfinite(found)).all()):
        return False
    expected, found = torch.where(finite, expected, 0.0), torch.where(finite, found, 0.0)
    dtype = expected.dtype
    largest = expected.abs().amax(0)
    allowed = _RELATIVE[dtype] * largest + _OF_THE_STATE[dtype] * (scale.abs().amax(0) + expected.abs().max())
    return bool(((expected - found).abs() <= allowed).all())
