"""What the solver promises about inputs, noise, batches, delays and gradients."""

import math

import pytest
import torch

from twins.errors import SolverRefused
from twins.solver import METHODS, bind, solve
from twins.solver.schemes import SOLVES

F64 = torch.float64


class Driven:
    """Nonlinear, driven, with state-dependent noise and, if asked, delays."""

    noise_type = "diagonal"

    def __init__(self, n_delays=0, sde_type="ito", weight=None):
        self.n_delays, self.sde_type = n_delays, sde_type
        self.weight = torch.tensor(0.7, dtype=F64) if weight is None else weight

    def f_u(self, x, u):
        newest, oldest = (x[..., 0, :], x[..., -1, :]) if self.n_delays else (x, x)
        return torch.tanh(u) - self.weight * newest + 0.3 * torch.sin(oldest)

    def g_u(self, x, u):
        newest = x[..., 0, :] if self.n_delays else x
        return 0.1 + 0.2 * torch.tanh(newest) ** 2 + 0.1 * u**2


class Matrix:
    """Additive or general noise: three channels on two states."""

    sde_type = "stratonovich"

    def __init__(self, noise_type):
        self.noise_type = noise_type

    def f(self, t, x):
        return -x

    def g(self, t, x):
        g = torch.arange(6, dtype=x.dtype).reshape(2, 3).expand(*x.shape[:-1], 2, 3) / 10
        return g if self.noise_type == "additive" else g * x.unsqueeze(-1)


class Still:
    sde_type, noise_type = "ito", "diagonal"

    def f_u(self, x, u):
        return u

    def g_u(self, x, u):
        return torch.ones_like(x)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def randn(*shape, seed=0):
    return torch.randn(shape, dtype=F64, generator=seeded(seed))


def start(n_delays, *batch, seed=5):
    return randn(*batch, *((n_delays + 1,) if n_delays else ()), 2, seed=seed)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("substeps", [1, 3])
def test_a_pulse_in_the_input_arrives_at_its_step_and_not_before(method, substeps):
    for k in (0, 28, 49):
        u = torch.zeros(50, 1, 1, dtype=F64)
        u[k] = 1.0
        sde = Still()
        sde.noise_type = "none"
        path = solve(sde, torch.zeros(1, 1, dtype=F64), u, dt=1e-3, n_steps=50, substeps=substeps, method=method)
        expected = torch.zeros(51, 1, 1, dtype=F64)
        expected[k + 1 :] = 1e-3
        torch.testing.assert_close(path, expected, rtol=1e-12, atol=1e-18)


def test_the_increment_has_its_variance_at_every_step():
    dt, n_paths = 0.37, 20000
    path = solve(Still(), torch.zeros(n_paths, 1), torch.zeros(40, 1, 1), dt=dt, n_steps=40, generator=seeded())
    variances = path.diff(dim=0).var(1).squeeze() / dt
    assert (variances - 1).abs().max() < 5 * math.sqrt(2 / n_paths)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("n_delays", [0, 2])
def test_a_path_does_not_depend_on_its_batch(n_delays, method):
    x0, u, z = start(n_delays, 4, 3), randn(12, 4, 3, 2, seed=1), randn(24, 4, 3, 2, seed=2)
    sde, arguments = Driven(n_delays, SOLVES[method][0]), {"dt": 0.1, "n_steps": 12, "substeps": 2, "method": method}
    whole = solve(sde, x0, u, noise=z, **arguments)
    alone = solve(sde, x0[2, 1], u[:, 2, 1], noise=z[:, 2, 1], **arguments)
    assert whole.shape == (13, 4, 3, 2)
    torch.testing.assert_close(whole[:, 2, 1], alone, rtol=1e-12, atol=1e-14)


def test_a_path_does_not_depend_on_the_threads():
    x0, u, z = start(0, 3000), randn(10, 1, 2, seed=1), randn(10, 3000, 2, seed=2)
    threads, paths = torch.get_num_threads(), []
    try:
        for n in (1, 2):
            torch.set_num_threads(n)
            paths.append(solve(Driven(), x0, u, dt=0.1, n_steps=10, noise=z))
    finally:
        torch.set_num_threads(threads)
    torch.testing.assert_close(paths[0], paths[1], rtol=1e-12, atol=1e-14)


def test_one_generator_state_gives_one_path_and_noise_replays_it():
    x0, u = start(0, 5), randn(8, 5, 2, seed=1)
    first, second = (solve(Driven(), x0, u, dt=0.1, n_steps=8, generator=seeded(3)) for _ in range(2))
    replayed = solve(Driven(), x0, u, dt=0.1, n_steps=8, noise=randn(8, 5, 2, seed=3))
    assert torch.equal(first, second) and torch.equal(first, replayed)


@pytest.mark.parametrize(("method", "sde_type"), [(name, reading) for name in METHODS for reading in SOLVES[name]])
@pytest.mark.parametrize(("n_delays", "drive"), [(0, "held"), (2, "interpolated")])
def test_gradients_are_those_of_directional_differences(method, sde_type, n_delays, drive):
    x0, u, z = start(n_delays, 3), randn(10 + (drive == "interpolated"), 3, 2, seed=1), randn(20, 3, 2, seed=2)
    weight = torch.tensor(0.7, dtype=F64)

    def loss(x0, u, weight):
        sde = Driven(n_delays, sde_type, weight)
        arguments = {"dt": 0.1, "n_steps": 10, "substeps": 2, "method": method, "drive": drive}
        return solve(sde, x0, u, noise=z, **arguments)[3:].square().sum()

    inputs = [value.clone().requires_grad_() for value in (x0, u, weight)]
    gradients = torch.autograd.grad(loss(*inputs), inputs)
    for number, gradient in enumerate(gradients):
        direction = randn(*inputs[number].shape, seed=9)
        ends = []
        for sign in (1, -1):
            moved = [value.detach() for value in inputs]
            moved[number] = moved[number] + sign * 1e-6 * direction
            ends.append(loss(*moved))
        numerical = float(ends[0] - ends[1]) / 2e-6
        assert float((gradient * direction).sum()) == pytest.approx(numerical, rel=1e-5, abs=1e-7)


@pytest.mark.parametrize("drive", ["held", "interpolated"])
@pytest.mark.parametrize(
    ("method", "sde_type"),
    [("euler", "ito"), ("heun", "stratonovich"), ("milstein", "ito"), ("milstein", "stratonovich")],
)
@pytest.mark.parametrize(("n_delays", "substeps"), [(0, 3), (2, 1), (2, 3)])
def test_torchsde_gives_the_same_path_through_the_same_increments(method, sde_type, n_delays, substeps, drive):
    arguments = {"dt": 0.1, "n_steps": 12, "substeps": substeps, "method": method, "drive": drive}
    n_inputs = 12 + (drive == "interpolated")
    x0, u, z = start(n_delays, 4, 2), randn(n_inputs, 4, 2, 2, seed=1), randn(12 * substeps, 4, 2, 2, seed=2)
    ours = solve(Driven(n_delays, sde_type), x0, u, noise=z, **arguments)
    reference = solve(Driven(n_delays, sde_type), x0, u, noise=z, backend="torchsde", **arguments)
    torch.testing.assert_close(ours, reference, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("noise_type", ["additive", "general"])
def test_matrix_noise_agrees_with_torchsde(noise_type):
    x0, z = randn(5, 2, seed=1), randn(9, 5, 3, seed=2)
    ours, reference = (
        solve(Matrix(noise_type), x0, dt=0.1, n_steps=9, noise=z, method="heun", backend=backend)
        for backend in ("loop", "torchsde")
    )
    torch.testing.assert_close(ours, reference, rtol=1e-10, atol=1e-12)


def test_a_bound_equation_finds_its_input_at_every_step():
    u = torch.arange(3000, dtype=F64).reshape(-1, 1, 1)
    for dt in (1e-3, 0.1, 0.3, 2e-4):
        bound = bind(Still(), u, dt)
        found = [int(bound.f(torch.tensor(k * dt, dtype=F64), u[0])) for k in range(3000)]
        assert found == list(range(3000))


def test_delayed_states_are_interpolated_between_samples():
    seen = []

    class Probe:
        sde_type, noise_type, n_delays = "ito", "none", 1

        def f_u(self, x, u):
            seen.append(x[..., 1, 0].clone())
            return torch.ones_like(x[..., 0, :])

    solve(
        Probe(), torch.tensor([[0.0], [-1.0]], dtype=F64), torch.zeros(2, 1, dtype=F64), dt=1.0, n_steps=2, substeps=4
    )
    torch.testing.assert_close(torch.stack(seen), torch.arange(-4, 4, dtype=F64) / 4)  # x(t - 1) of x(t) = t


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"method": "magic"}, "one of euler, milstein, heun, rk4"),
        ({"method": "heun"}, "stratonovich"),
        ({"n_steps": 7}, "n_steps = 7"),
        ({"dt": 0.0}, "positive"),
        ({"noise": None}, "generator"),
        ({"noise": torch.zeros(8, 5, 3, dtype=F64)}, "must be"),
        ({"backend": "fused"}, "backend"),
        ({"x0": torch.full((5, 2), float("nan"), dtype=F64)}, "not finite"),
        ({"u": None}, "no drive"),
        ({"drive": "smooth"}, "held, interpolated"),
        ({"drive": "interpolated"}, r"n_steps \+ 1"),
        ({"method": "log_ode"}, "Lévy areas"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_reason(change, words):
    arguments = {"x0": start(0, 5), "u": randn(8, 5, 2), "dt": 0.1, "n_steps": 8, "noise": randn(8, 5, 2)} | change
    with pytest.raises(SolverRefused, match=words):
        solve(Driven(), arguments.pop("x0"), arguments.pop("u"), **arguments)
