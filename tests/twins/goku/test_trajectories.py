"""Trajectories of systems: closed forms, times of their own, drives, noise, and samples that run away."""

import math

import pytest
import torch

from twins.errors import EquationInvalid
from twins.goku.trajectories import default_method, solve_guarded, solve_system


def _generator(seed: int = 1) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_a_relaxation_follows_its_exponential_in_seconds(decay):
    parameters = torch.tensor([[2.0, 0.1], [0.5, 0.1]], dtype=torch.float64)
    initial = torch.ones(2, 1, dtype=torch.float64)
    drive = torch.zeros(50, 2, 1, dtype=torch.float64)
    states = solve_system(decay, initial, parameters, step_s=0.02, n_steps=50, drive=drive)
    assert torch.allclose(states[-1, :, 0], torch.exp(-parameters[:, 0]), atol=1e-9)


def test_the_time_unit_stretches_time_and_noise(decay):
    slow = type(decay)()
    slow.time_unit_s = 1e-3
    parameters = torch.tensor([1.0, 0.3], dtype=torch.float64)
    initial = torch.zeros(4000, 1, dtype=torch.float64)
    drive = torch.ones(40, 1, 1, dtype=torch.float64)
    states = solve_system(
        slow, initial, parameters, step_s=5e-5, n_steps=40, drive=drive, noisy=True, generator=_generator()
    )
    assert float(states[-1].mean()) == pytest.approx(1.0 - math.exp(-2.0), abs=0.01)
    variance = 0.3**2 / 2.0 * (1.0 - math.exp(-4.0))
    assert float(states[-1].var()) == pytest.approx(variance, rel=0.1)


def test_steps_of_different_lengths_are_taken_sample_by_sample(decay):
    lengths = torch.rand((30, 4), dtype=torch.float64, generator=_generator()) * 0.05
    parameters = decay.draw_parameters(4, _generator(2))
    initial = torch.ones(4, 1, dtype=torch.float64)
    drive = torch.zeros(30, 4, 1, dtype=torch.float64)
    states = solve_system(decay, initial, parameters, step_s=lengths, n_steps=30, drive=drive, substeps=2)
    exact = torch.exp(-parameters[:, 0] * lengths.cumsum(0))
    assert torch.allclose(states[1:, :, 0], exact, atol=1e-6)


def test_noise_over_unequal_steps_has_the_variance_of_its_time(decay):
    lengths = torch.tensor([0.1, 0.4, 0.01], dtype=torch.float64).unsqueeze(-1)
    states = solve_system(
        decay,
        torch.zeros(20000, 1, dtype=torch.float64),
        torch.tensor([0.1, 1.0], dtype=torch.float64),
        step_s=lengths,
        n_steps=3,
        drive=torch.zeros(3, 1, 1, dtype=torch.float64),
        noisy=True,
        generator=_generator(),
    )
    expected = [(1.0 - math.exp(-0.2 * t)) / 0.2 for t in (0.1, 0.5, 0.51)]
    assert states[1:, :, 0].var(1).tolist() == pytest.approx(expected, rel=0.05)


def test_a_pendulum_keeps_its_energy(pendulum):
    initial = pendulum.draw_states(20, _generator())
    parameters = pendulum.draw_parameters(20, _generator(2))
    states = solve_system(pendulum, initial, parameters, step_s=0.05, n_steps=100, substeps=2)
    energy = 0.5 * states[..., 1] ** 2 - 9.81 / parameters[:, 0] * torch.cos(states[..., 0])
    assert torch.allclose(energy[-1], energy[0], rtol=1e-4, atol=1e-3)


def test_the_method_follows_the_noise(pendulum, decay):
    assert default_method(pendulum) == "rk4"
    assert default_method(decay) == "rk4"
    for noise, kind, method in (("diagonal", "ito", "milstein"), ("general", "stratonovich", "heun")):
        other = type(decay)()
        other.noise, other.sde_type = noise, kind
        assert default_method(other) == method


def test_a_drive_that_is_missing_or_too_much_is_told(pendulum, decay):
    with pytest.raises(EquationInvalid, match="its drives are input; none was given"):
        solve_system(decay, torch.zeros(1, 1), torch.ones(1, 2), step_s=0.1, n_steps=2)
    with pytest.raises(EquationInvalid, match="its drives are none; one was given"):
        solve_system(pendulum, torch.zeros(1, 2), torch.ones(1, 1), step_s=0.1, n_steps=2, drive=torch.zeros(2, 1, 1))


def test_a_sample_that_runs_away_is_told_and_harms_no_other(explosion):
    initial = torch.tensor([[0.5], [0.9], [-0.5]], dtype=torch.float64, requires_grad=True)
    parameters = torch.ones(3, 1, dtype=torch.float64, requires_grad=True)
    solved = solve_guarded(explosion, initial, parameters, step_s=0.1, n_steps=15, substeps=4)
    assert solved.diverged.tolist() == [False, True, False]
    assert bool(torch.isfinite(solved.states).all())
    assert torch.allclose(solved.states[-1, [0, 2], 0], 1.0 / (1.0 / initial[[0, 2], 0] - 1.5), rtol=1e-4)
    solved.states[-1].sum().backward()
    assert initial.grad is not None
    assert parameters.grad is not None
    assert bool(torch.isfinite(initial.grad).all() and torch.isfinite(parameters.grad).all())
    assert float(parameters.grad[0]) != 0.0
    assert float(parameters.grad[1]) == 0.0


def test_a_batch_of_which_nothing_is_left_comes_back_told(explosion):
    initial = torch.full((2, 1), float("nan"), dtype=torch.float64)
    solved = solve_guarded(explosion, initial, torch.ones(2, 1, dtype=torch.float64), step_s=0.1, n_steps=5)
    assert solved.diverged.tolist() == [True, True]
    assert bool(torch.isfinite(solved.states).all())


def test_the_guard_changes_nothing_where_nothing_runs_away(decay):
    parameters = decay.draw_parameters(5, _generator())
    initial = decay.draw_states(5, _generator(2))
    drive = torch.zeros(8, 5, 1, dtype=torch.float64)
    common = {"step_s": 0.1, "n_steps": 8, "drive": drive, "noisy": True, "generator": _generator(3)}
    guarded = solve_guarded(decay, initial, parameters, **common)
    plain = solve_system(decay, initial, parameters, **{**common, "generator": _generator(3)})
    assert torch.equal(guarded.states, plain)
    assert not bool(guarded.diverged.any())
