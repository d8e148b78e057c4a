"""The filter of noisy traces in C gives what the one in torch gives, whatever the equation."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from twins.errors import SolverRefused
from twins.goku.compiled import filter as compiled_filter
from twins.goku.compiled.filter import why_no_filter
from twins.goku.held import HeldSystem
from twins.goku.inference.kalman import predict_filtered
from twins.goku.inference.likelihood import TraceLikelihood
from twins.goku.inference.prediction import log_density
from twins.goku.observation import KnownObservation, LinearObservation, same_outputs
from twins.goku.quantity import Quantity, Values
from twins.goku.simulated.generate import Design, generate
from twins.goku.system import System
from twins.goku.systems import system_named
from twins.goku.written.equation_file import load_equation


class Wandering(System):
    """A linear equation with additive noise: an Ornstein-Uhlenbeck process and its integral that leaks."""

    states = (Quantity("x", "V", -1.0, 1.0), Quantity("y", "V", -1.0, 1.0))
    parameters = (Quantity("rate", "1/s", 0.2, 2.0), Quantity("noise", "V", 0.1, 1.0, scale="log"))
    noise = "additive"

    def drift(self, z: Values, p: Any, u: Values) -> object:
        return -p.rate * z.x, z.x - 0.5 * z.y

    def diffusion(self, z: Values, p: Any, u: Values) -> object:
        return p.noise, 0.3 * p.noise


class Kicked(System):
    """Noise that depends on the state, in Stratonovich's reading, on three states in a row, two of them seen."""

    states = (Quantity("x", "V", 0.5, 2.0), Quantity("y", "V", 0.5, 2.0), Quantity("z", "V", -1.0, 1.0))
    parameters = (Quantity("rate", "1/s", -1.0, 1.0), Quantity("strength", "", 0.05, 0.5))
    outputs = (Quantity("product", "V^2"), Quantity("z", "V"))
    noise = "diagonal"
    sde_type = "stratonovich"
    time_unit_s = 0.5

    def drift(self, z: Values, p: Any, u: Values) -> object:
        return p.rate * z.x, torch.sin(z.x) - z.y, z.y - z.z

    def diffusion(self, z: Values, p: Any, u: Values) -> object:
        return p.strength * z.x, p.strength * torch.exp(-z.y), 0.1

    def observe(self, z: Values, p: Values) -> object:
        return z.x * z.y, z.z + p.rate


class Grown(System):
    """One state, noise that depends on it, in Itô's reading."""

    states = (Quantity("x", "V", 0.5, 2.0),)
    parameters = (Quantity("rate", "1/s", -1.0, 1.0), Quantity("strength", "", 0.05, 0.5))
    noise = "diagonal"

    def drift(self, z: Values, p: Any, u: Values) -> object:
        return p.rate * z.x

    def diffusion(self, z: Values, p: Any, u: Values) -> object:
        return p.strength * z.x * z.x


class General(Wandering):
    """Both states by one kick."""

    noise = "general"

    def diffusion(self, z: Values, p: Any, u: Values) -> Tensor:
        kick = p.noise.unsqueeze(-1).unsqueeze(-1)
        return torch.cat((kick, 0.3 * kick), dim=-2).expand(*z.x.shape, 2, 1)


class Branching(Wandering):
    """Looks at values: cannot be traced."""

    def drift(self, z: Values, p: Any, u: Values) -> object:
        return (-p.rate * z.x if bool((p.rate > 0.0).all()) else z.x), z.x - z.y


pytestmark = pytest.mark.skipif(
    "compiler" in why_no_filter(Wandering()) or "switched off" in why_no_filter(Wandering()),
    reason="no C compiler here",
)

SYSTEMS: dict[str, Callable[[], System]] = {
    "linear": Wandering,
    "driven oscillator with a gain": lambda: system_named("stuart_landau", driven=True, gain=None, saturation=1.0),
    "duffing": lambda: system_named("duffing", noisy=True),
    "fitzhugh_nagumo": lambda: system_named("fitzhugh_nagumo", noisy=True),
    "stratonovich": Kicked,
    "ito": Grown,
    "written as text": lambda: load_equation(EXAMPLE),
}
TRACES, SAMPLES = 3, 12
EXAMPLE = Path(__file__).parents[3] / "examples" / "pendulum.toml"


def likelihood_of(
    system: System, *, uneven: bool = False, missing: float = 0.2, observation: nn.Module | None = None
) -> tuple[TraceLikelihood, tuple[Tensor, ...]]:
    """Simulated traces of a system, and some numbers to ask their likelihood about."""
    step_s = 0.05 * system.time_unit_s
    random = np.random.default_rng(3)
    times = np.cumsum(random.uniform(0.5 * step_s, 1.5 * step_s, (TRACES, SAMPLES)), axis=1)
    design = Design(
        times_s=times if uneven else step_s * np.arange(SAMPLES), noise_sd=0.05, missing=missing, substeps=4,
        drive=random.standard_normal((TRACES, SAMPLES, len(system.drives))) if system.drives else None,
        observation=observation,
    )  # fmt: skip
    made = generate(system, TRACES, design, seed=1)
    numbers = (made.parameters, made.initial, np.full((TRACES, made.series.n_channels), 0.05))
    likelihood = TraceLikelihood(system, observation, made.series, substeps=2)
    return likelihood, tuple(torch.as_tensor(part).double() for part in numbers)


def check_equal(likelihood: TraceLikelihood, numbers: tuple[Tensor, ...]) -> None:
    copies = [torch.stack((part, part * 1.01)) for part in numbers]
    by_torch, compiled = (
        predict_filtered(
            likelihood.system, likelihood.observation, likelihood.data, *copies, substeps=2, backend=backend
        )
        for backend in ("loop", "compiled")
    )  # fmt: skip
    assert not bool(by_torch.diverged.any())
    assert torch.equal(by_torch.diverged, compiled.diverged)
    assert by_torch.covariance is not None and compiled.covariance is not None
    torch.testing.assert_close(compiled.mean, by_torch.mean, rtol=1e-9, atol=1e-11)
    torch.testing.assert_close(compiled.covariance, by_torch.covariance, rtol=1e-9, atol=1e-12)
    expected = log_density(likelihood.data, by_torch)
    torch.testing.assert_close(likelihood.log_likelihood(*copies), expected, rtol=1e-9, atol=1e-8)


@pytest.mark.parametrize("name", SYSTEMS)
def test_means_covariances_and_densities_are_those_of_the_filter_in_torch(name: str) -> None:
    check_equal(*likelihood_of(SYSTEMS[name]()))


def test_steps_of_different_lengths_and_channels_that_combine_outputs() -> None:
    observation = KnownObservation(torch.tensor([[1.0, 0.5], [0.0, 2.0], [1.0, -1.0]]), torch.tensor([0.1, 0.0, -0.2]))
    check_equal(*likelihood_of(Kicked(), uneven=True, observation=observation))


def test_a_learned_linear_observation() -> None:
    observation = LinearObservation(2, 5, generator=torch.Generator().manual_seed(0))
    check_equal(*likelihood_of(Wandering(), observation=observation.requires_grad_(False)))


def test_a_trace_that_runs_away_is_told_and_harms_no_other() -> None:
    likelihood, (parameters, initial, noise_sd) = likelihood_of(system_named("fitzhugh_nagumo", noisy=True))
    expected = likelihood.log_likelihood(parameters, initial, noise_sd)
    initial = initial.clone()
    initial[1] = 1e6
    found = likelihood.log_likelihood(parameters, initial, noise_sd)
    assert found[1] == -torch.inf
    assert torch.equal(found[[0, 2]], expected[[0, 2]])
    predicted = likelihood.predict(parameters, initial, noise_sd)
    assert predicted.diverged.tolist() == [False, True, False]


def test_changed_numbers_of_a_system_make_another_filter() -> None:
    system = system_named("stuart_landau", gain=0.5)
    other = system_named("stuart_landau", gain=1.5)
    for one in (system, other):
        check_equal(*likelihood_of(one))


STRENGTH = SimpleNamespace(of_pull=1.0)


class PulledByAnObject(Wandering):
    """Reads a number that cannot be watched."""

    def drift(self, z: Values, p: Any, u: Values) -> object:
        return -p.rate * STRENGTH.of_pull * z.x, z.x - 0.5 * z.y


def test_the_filter_of_a_changed_equation_is_that_of_the_equation_now(monkeypatch: pytest.MonkeyPatch) -> None:
    likelihood, numbers = likelihood_of(PulledByAnObject())
    before = likelihood.log_likelihood(*numbers)
    check_equal(likelihood, numbers)
    monkeypatch.setattr(STRENGTH, "of_pull", 3.0)
    check_equal(likelihood, numbers)
    assert not torch.allclose(before, likelihood.log_likelihood(*numbers))


def test_all_held_values_share_a_filter() -> None:
    inner = system_named("stuart_landau_network", n_oscillators=2, noise_strength=0.02)
    counts = []
    for value in (0.1, 0.2):
        check_equal(*likelihood_of(HeldSystem(inner, {"growth[1]": value, "coupling": 0.1})))
        counts.append(len(compiled_filter._kernels))
    assert counts[0] == counts[1]


def test_what_cannot_be_compiled_says_why_and_goes_by_torch() -> None:
    assert "general" in why_no_filter(General())
    assert "can be traced" in why_no_filter(Branching())
    assert "no noise" in why_no_filter(system_named("pendulum"))
    decoder = nn.Sequential(nn.Linear(2, 2), nn.Tanh()).double()
    assert "Sequential" in why_no_filter(Wandering(), decoder)
    likelihood, numbers = likelihood_of(Branching())
    assert bool(torch.isfinite(likelihood.log_likelihood(*numbers)).all())
    with pytest.raises(SolverRefused, match="backend='loop'"):
        predict_filtered(
            likelihood.system, same_outputs, likelihood.data, *(part.unsqueeze(0) for part in numbers),
            substeps=1, backend="compiled",
        )  # fmt: skip


def test_gradients_and_tangents_go_by_torch() -> None:
    likelihood, (parameters, initial, noise_sd) = likelihood_of(Wandering())
    parameters.requires_grad_()
    (gradient,) = torch.autograd.grad(likelihood.log_likelihood(parameters, initial, noise_sd).sum(), parameters)
    found = likelihood.derivatives(parameters.detach(), initial, noise_sd)
    exact = likelihood.derivatives(parameters.detach(), initial, noise_sd, exact=True)
    torch.testing.assert_close(found.gradient[:, :2], gradient, rtol=1e-5, atol=1e-4)
    torch.testing.assert_close(exact.gradient[:, :2], gradient, rtol=1e-9, atol=1e-9)


def test_a_series_of_two_samples_is_filtered() -> None:
    likelihood, numbers = likelihood_of(Wandering(), missing=0.0)
    assert isinstance(likelihood.data.step_s, float)
    check_equal(likelihood.first(2), numbers)
