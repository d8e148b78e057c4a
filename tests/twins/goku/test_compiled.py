"""Compiled solves equal the loop's, forward and backward, whatever the equation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.autograd import forward_ad

from twins.errors import SolverRefused
from twins.goku.compiled import solve as compiled
from twins.goku.quantity import Quantity, Values
from twins.goku.system import System
from twins.goku.systems import system_named
from twins.goku.trajectories import solve_guarded, solve_system

pytestmark = pytest.mark.skipif(
    "compiler" in compiled.why_not(system_named("pendulum"))
    or "switched off" in compiled.why_not(system_named("pendulum")),
    reason="no C compiler here",
)


class Rings(System):
    """A user's equation with arrays, choices, products of matrices and numbers of its own."""

    states = (Quantity("x", "", -1.0, 1.0, (2,)), Quantity("v", "", 0.1, 1.0))
    parameters = (Quantity("coupling", "", 0.1, 1.0, (2, 2)), Quantity("rate", "1/s", 0.5, 2.0, scale="log"))
    drives = (Quantity("push", "N"),)
    time_unit_s = 0.5
    noise = "additive"

    def drift(self, z: Values, p: Any, u: Values) -> tuple[Tensor, ...]:
        bent = torch.einsum("...ij,...j->...i", p.coupling, torch.tanh(z.x)) - z.x**3
        pulled = torch.where(z.x > 0.2, torch.sqrt(1.0 + z.x**2), torch.nn.functional.softplus(z.x)) * z.v.unsqueeze(-1)
        both = torch.cat((pulled[..., 1:], pulled[..., :1]), dim=-1)
        slow = torch.clamp(z.v, 0.3, 0.7) * p.rate / (1.0 + z.v.abs()) - torch.log(z.v**2 + 1.0) * p.rate.sqrt()
        return bent + both + (u.push * p.rate).unsqueeze(-1), slow + torch.maximum(z.x[..., 0], z.x[..., 1]).sin()

    def diffusion(self, z: Values, p: Any, u: Values) -> tuple[Any, ...]:
        return 0.1, 0.2 * p.rate


class Market(System):
    """Noise that depends on the state."""

    states = (Quantity("price", "", 0.5, 1.5),)
    parameters = (Quantity("growth", "", -0.5, 0.5), Quantity("spread", "", 0.1, 0.5))
    noise = "diagonal"

    def drift(self, z: Values, p: Any, u: Values) -> object:
        return p.growth * z.price

    def diffusion(self, z: Values, p: Any, u: Values) -> object:
        return p.spread * torch.sigmoid(z.price) * z.price


class Strato(Market):
    """The same, read the other way."""

    sde_type = "stratonovich"


CASES: dict[str, tuple[Callable[[], System], dict[str, Any]]] = {
    "pendulum": (lambda: system_named("pendulum"), {}),
    "network": (lambda: system_named("stuart_landau_network", n_oscillators=3, noise_strength=0.02), {"noisy": True}),
    "many_loops": (lambda: system_named("stuart_landau_network", n_oscillators=9), {}),
    "rings": (Rings, {"noisy": True, "substeps": 3, "driven": True}),
    "rings_interpolated": (Rings, {"driven": True, "substeps": 2, "drive_between": "interpolated"}),
    "rings_stepped": (Rings, {"driven": True, "stepped": True, "noisy": True}),
    "milstein": (Market, {"noisy": True, "substeps": 2}),
    "heun": (Strato, {"noisy": True}),
    "stochastic_rk4": (Strato, {"noisy": True, "method": "stochastic_rk4", "substeps": 2}),
}


def answers(case: str, dtype: torch.dtype, backend: str) -> list[Tensor]:
    """Path and gradients of all that can have one."""
    make, asked = CASES[case]
    system, options, n_steps, batch = make(), dict(asked), 7, (3, 7)
    generator = torch.Generator().manual_seed(3)

    def drawn(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)

    initial = system.draw_states(21, generator).reshape(*batch, -1).to(dtype)
    inputs = [initial, system.draw_parameters(7, generator).to(dtype)]
    step: float | Tensor = 0.05
    if options.pop("stepped", False):
        step = 0.02 + 0.05 * drawn(n_steps, *batch).abs()
    if options.pop("driven", False):
        inputs.append(drawn(n_steps + (options.get("drive_between") == "interpolated"), *batch, 1))
        options["drive"] = inputs[-1].requires_grad_()
    if options.get("noisy"):
        inputs.append(drawn(n_steps * options.get("substeps", 1), *batch, system.n_states))
        options["noise"] = inputs[-1].requires_grad_()
    inputs = [one.requires_grad_() for one in inputs]
    path = solve_system(system, inputs[0], inputs[1], step_s=step, n_steps=n_steps, backend=backend, **options)
    weights = drawn(*path.shape)
    return [path.detach(), *torch.autograd.grad((path * weights).sum(), inputs)]


@pytest.mark.parametrize(
    ("case", "dtype"),
    [*((case, torch.float64) for case in CASES), ("network", torch.float32), ("rings", torch.float32)],
)
def test_paths_and_gradients_equal_the_loops(case: str, dtype: torch.dtype) -> None:
    allowed = 2e-5 if dtype == torch.float32 else 1e-13
    for expected, found in zip(answers(case, dtype, "loop"), answers(case, dtype, "compiled"), strict=True):
        assert found.shape == expected.shape
        assert float((found - expected).abs().max()) <= allowed * float(expected.abs().max())


def test_gradients_equal_finite_differences() -> None:
    system = Rings()
    generator = torch.Generator().manual_seed(5)
    initial, parameters = system.draw_states(1, generator), system.draw_parameters(1, generator)
    drive = torch.randn((2, 1, 1), generator=generator, dtype=torch.float64)

    def solve(x: Tensor, p: Tensor, u: Tensor) -> Tensor:
        return solve_system(system, x, p, step_s=0.1, n_steps=2, drive=u, backend="compiled")

    inputs = tuple(one.requires_grad_() for one in (initial, parameters, drive))
    assert torch.autograd.gradcheck(solve, inputs)
    assert torch.autograd.gradgradcheck(solve, inputs, fast_mode=True)


@pytest.mark.parametrize("case", ["network", "rings", "heun"])
def test_tangents_equal_the_loops(case: str) -> None:
    make, options = CASES[case]
    system, generator = make(), torch.Generator().manual_seed(2)
    values = [system.draw_states(5, generator), system.draw_parameters(5, generator)]
    drive = torch.randn((4, 5, 1), generator=generator, dtype=torch.float64) if system.drives else None
    values += [drive] if drive is not None else []
    tangents = [torch.randn(one.shape, generator=generator, dtype=torch.float64) for one in values]

    def along(backend: str) -> tuple[Tensor, Tensor]:
        with forward_ad.dual_level():
            duals = [forward_ad.make_dual(*pair) for pair in zip(values, tangents, strict=True)]  # type: ignore[no-untyped-call]
            path = solve_system(
                system, duals[0], duals[1], step_s=0.05, n_steps=4, drive=duals[2] if drive is not None else None,
                noisy=options["noisy"], generator=torch.Generator().manual_seed(3), backend=backend,
            )  # fmt: skip
            unpacked = forward_ad.unpack_dual(path)  # type: ignore[no-untyped-call]
            return unpacked.primal, unpacked.tangent

    for expected, found in zip(along("loop"), along("compiled"), strict=True):
        assert float((found - expected).abs().max()) <= 1e-13 * float(expected.abs().max())


def test_tensors_of_torch_func_and_hessians_go_by_the_loop() -> None:
    system = system_named("pendulum")
    initial, parameters = torch.tensor([[0.5, 0.1]]), torch.tensor([[1.5]])

    def solve(x: Tensor) -> Tensor:
        return solve_system(system, x, parameters, step_s=0.1, n_steps=3)

    tangent = torch.tensor([[1.0, -1.0]])
    by_func = torch.func.jvp(solve, (initial,), (tangent,))[1]
    jacobian = torch.autograd.functional.jacobian(solve, initial)  # type: ignore[no-untyped-call]
    assert torch.allclose(by_func, torch.einsum("tbsij,ij->tbs", jacobian, tangent), atol=1e-5)
    with forward_ad.dual_level():
        dual = forward_ad.make_dual(initial.clone().requires_grad_(), tangent)  # type: ignore[no-untyped-call]
        with pytest.raises(SolverRefused, match="at once"):
            solve_system(system, dual, parameters, step_s=0.1, n_steps=3, backend="compiled")
        assert solve(dual).shape == (4, 1, 2)


def test_a_diverging_trajectory_harms_no_other() -> None:
    class Burst(System):
        states = (Quantity("level", "", -1.0, 1.0),)
        parameters = (Quantity("rate", "", 0.1, 10.0),)

        def drift(self, z: Values, p: Any, u: Values) -> Any:
            return p.rate * z.level**2

    initial = torch.tensor([[-0.5], [1.0], [0.1]]).requires_grad_()
    parameters = torch.tensor([[1.0], [10.0], [1.0]])
    options: dict[str, Any] = {"step_s": 0.1, "n_steps": 30}
    alone = solve_system(Burst(), initial[::2], parameters[::2], **options, backend="loop")
    path = solve_system(Burst(), initial, parameters, **options, backend="compiled")
    assert torch.allclose(path[:, ::2], alone, rtol=1e-5)
    assert not bool(torch.isfinite(path[-1, 1]).all())
    solved = solve_guarded(Burst(), initial, parameters, **options)
    assert solved.diverged.tolist() == [False, True, False]
    (gradient,) = torch.autograd.grad(solved.states.sum(), initial)
    assert bool(torch.isfinite(gradient).all())


class Branching(System):
    """Looks at values; draws numbers where `draws`; has a number that can be changed."""

    states = (Quantity("level", "", 0.1, 1.0),)
    parameters = (Quantity("rate", "", 0.1, 1.0),)

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.factor = 1.0

    def drift(self, z: Values, p: Any, u: Values) -> Any:
        if self.kind == "branches" and float(z.level.sum()) > 0.5:
            return -p.rate * z.level
        if self.kind == "draws":
            return -p.rate * z.level * torch.rand(())
        if self.kind == "mixes":
            return p.rate * (z.level - z.level.mean())
        if self.kind == "unknown":
            return torch.special.i0(z.level) * p.rate
        return -self.factor * p.rate * z.level


REASONS = {"branches": "_local_scalar_dense", "draws": "draw numbers", "mixes": "each by itself", "unknown": "i0"}


@pytest.mark.parametrize("kind", list(REASONS))
def test_what_cannot_be_traced_goes_by_the_loop_and_says_why(kind: str) -> None:
    system = Branching(kind)
    initial, parameters = torch.tensor([[0.3], [0.7]]), torch.tensor([[0.5], [0.9]])
    assert REASONS[kind] in compiled.why_not(system)
    assert solve_system(system, initial, parameters, step_s=0.1, n_steps=2).shape == (3, 2, 1)
    with pytest.raises(SolverRefused, match="use backend='loop'"):
        solve_system(system, initial, parameters, step_s=0.1, n_steps=2, backend="compiled")


def test_a_changed_number_of_the_equation_is_seen() -> None:
    system = Branching("plain")
    initial, parameters = torch.tensor([[0.5]]), torch.tensor([[1.0]])
    slow = solve_system(system, initial, parameters, step_s=0.1, n_steps=2, backend="compiled")
    system.factor = 3.0
    fast = solve_system(system, initial, parameters, step_s=0.1, n_steps=2, backend="compiled")
    assert torch.allclose(fast, solve_system(system, initial, parameters, step_s=0.1, n_steps=2, backend="loop"))
    assert float(fast[-1]) < float(slow[-1])


def test_a_gradient_to_the_lengths_of_steps_goes_by_the_loop() -> None:
    system = system_named("pendulum")
    initial, parameters = torch.tensor([[0.5, 0.1]]), torch.tensor([[1.5]])
    lengths = torch.full((3, 1), 0.1).requires_grad_()
    path = solve_system(system, initial, parameters, step_s=lengths, n_steps=3)
    (gradient,) = torch.autograd.grad(path[-1, 0, 0], lengths)
    assert bool((gradient != 0).all())


def test_results_do_not_depend_on_the_batch_around_them() -> None:
    system, generator = system_named("stuart_landau_network"), torch.Generator().manual_seed(1)
    initial, parameters = system.draw_states(37, generator), system.draw_parameters(37, generator)
    whole = solve_system(system, initial, parameters, step_s=0.05, n_steps=5, backend="compiled")
    part = solve_system(system, initial[20:23], parameters[20:23], step_s=0.05, n_steps=5, backend="compiled")
    assert torch.equal(whole[:, 20:23], part)
