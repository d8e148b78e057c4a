"""Compiled solves equal the loop's, forward and backward, whatever the equation."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from twins.goku import compiled
from twins.goku.quantity import Quantity, Values
from twins.goku.system import System
from twins.goku.systems import system_named
from twins.goku.trajectories import solve_system

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

    def drift(self, z: Values, p: Any, u: Values) -> Tensor:
        return p.growth * z.price

    def diffusion(self, z: Values, p: Any, u: Values) -> Tensor:
        return p.spread * torch.sigmoid(z.price) * z.price


class Strato(Market):
    """The same, read the other way."""

    sde_type = "stratonovich"


CASES = {
    "pendulum": (lambda: system_named("pendulum"), {}),
    "network": (lambda: system_named("stuart_landau_network", n_oscillators=3, noise_strength=0.02), {"noisy": True}),
    "rings": (Rings, {"noisy": True, "substeps": 3, "driven": True}),
    "rings_interpolated": (Rings, {"driven": True, "substeps": 2, "drive_between": "interpolated"}),
    "rings_stepped": (Rings, {"driven": True, "stepped": True, "noisy": True}),
    "milstein": (Market, {"noisy": True, "substeps": 2}),
    "heun": (Strato, {"noisy": True}),
    "stochastic_rk4": (Strato, {"noisy": True, "method": "stochastic_rk4", "substeps": 2}),
}


def answers(case: str, dtype: torch.dtype, backend: str) -> list[Tensor]:
    """Path and gradients of all that can have one."""
    make, options = CASES[case]
    system, options, n_steps, batch = make(), dict(options), 7, (3, 7)
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


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("case", list(CASES))
def test_paths_and_gradients_equal_the_loops(case: str, dtype: torch.dtype) -> None:
    allowed = 2e-5 if dtype == torch.float32 else 1e-13
    for expected, found in zip(answers(case, dtype, "loop"), answers(case, dtype, "compiled"), strict=True):
        assert found.shape == expected.shape
        assert float((found - expected).abs().max()) <= allowed * float(expected.abs().max())
