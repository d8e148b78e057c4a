"""Facts about the one rule for solver steps, and about the steps that simulations of an amortised posterior get."""

import numpy as np
import pytest
import torch

from twins.errors import EquationInvalid
from twins.goku.amortised.design import Design, Simulator
from twins.goku.amortised.substeps import enough_substeps
from twins.goku.inference.cramer_rao import cramer_rao_bound
from twins.goku.observation import KnownObservation
from twins.goku.series import Series
from twins.goku.simulated.substeps import fewest_steps
from twins.goku.system import System
from twins.goku.systems import system_named
from twins.goku.trajectories import solve_system


def simulator_of(system: System, observed: list[str], *, step_s: float, n_samples: int, noise: float) -> Simulator:
    n = len(observed)
    names, level = tuple(f"channel{i}" for i in range(n)), torch.full((n,), noise, dtype=torch.float64)
    series = Series(np.zeros((1, n_samples, n)), step_s * np.arange(n_samples), names, ("",) * n)
    observation = KnownObservation.of_outputs(system, observed)
    return Simulator(system, observation, Design.of(series, system), level, 10.0 * level, 1, None)


def test_the_first_number_of_steps_whose_doubling_changes_little_is_taken_and_each_is_solved_once() -> None:
    asked: list[int] = []

    def solve(substeps: int) -> float:
        asked.append(substeps)
        return 1.0 / substeps

    steps = fewest_steps(solve, lambda coarse, fine: coarse - fine, tolerance=0.1, fewest=2)
    assert (steps.substeps, steps.error, steps.enough) == (8, 1 / 16, True)
    assert asked == [2, 4, 8, 16]


@pytest.mark.parametrize("error", [1.0, float("nan"), float("inf")])
def test_steps_that_are_not_enough_are_told(error: float) -> None:
    steps = fewest_steps(lambda substeps: substeps, lambda coarse, fine: error, tolerance=0.5, most=16)
    assert (steps.substeps, steps.enough) == (16, False)


@pytest.mark.parametrize("step_s", [0.2, 0.5])
def test_simulations_have_the_noise_within_a_sample_that_the_likelihood_has(step_s: float) -> None:
    system = system_named("duffing", noisy=True)
    simulator = simulator_of(system, ["position"], step_s=step_s, n_samples=60, noise=0.05)
    substeps = enough_substeps(simulator, torch.Generator().manual_seed(0))
    parameters = torch.tensor([[0.1, 1.0, 0.2, 0.5]], dtype=torch.float64).expand(4000, -1)
    spread = [
        solve_system(
            system, torch.zeros(4000, 2, dtype=torch.float64), parameters, step_s=step_s, n_steps=1, substeps=steps,
            noisy=True, generator=torch.Generator().manual_seed(1),
        )[-1, :, 0].std()
        for steps in (substeps, 64)
    ]  # fmt: skip
    assert float(spread[0] / spread[1]) == pytest.approx(1.0, abs=0.22)


def test_a_stiff_equation_is_simulated_by_as_many_steps_as_it_needs() -> None:
    system = system_named("van_der_pol").with_ranges({"pumping": (50.0, 200.0)})
    simulator = simulator_of(system, ["position", "velocity"], step_s=0.5, n_samples=20, noise=1e-3)
    generator = torch.Generator().manual_seed(0)
    substeps = enough_substeps(simulator, generator)
    coordinates, rows = simulator.prior(40, generator), torch.zeros(40, dtype=torch.int64)
    (here, kept), (finer, _) = (
        simulator.observed(coordinates, rows, generator, substeps=n) for n in (substeps, 4 * substeps)
    )
    assert bool(kept.all())
    assert float((here - finer).square().mean(1).sqrt().median()) < 0.3e-3


def test_an_equation_that_no_number_of_steps_solves_is_refused_before_a_network_learns_from_it(decay: System) -> None:
    system = decay.with_ranges({"rate": (1e5, 2e5), "strength": (0.01, 0.02)})
    times = 0.5 * np.arange(6)
    series = Series(np.zeros((1, 6, 1)), times, ("a",), ("V",), np.zeros((1, 6, 1)), ("input",), ("V",))
    level = torch.full((1,), 0.1, dtype=torch.float64)
    observation = KnownObservation(torch.eye(1))
    simulator = Simulator(system, observation, Design.of(series, system), level, 2.0 * level, 1, None)
    with pytest.raises(EquationInvalid, match="run away"):
        enough_substeps(simulator, torch.Generator().manual_seed(0))


def test_a_bound_from_a_solution_that_is_too_coarse_is_refused() -> None:
    system = system_named("lorenz")  # whose paths part whatever the steps, within 600 samples
    series = Series(np.zeros((1, 600, 3)), 0.1 * np.arange(600), ("x", "y", "z"), ("",) * 3)
    point = np.array([[10.0, 28.0, 8.0 / 3.0]]), np.array([[1.0, 1.0, 25.0]]), np.full((1, 3), 0.1)
    with pytest.raises(EquationInvalid, match=r"64 steps a sample leave an error of .* give substeps="):
        cramer_rao_bound(system, None, series, *point)


def test_chaotic_paths_get_the_steps_that_single_samples_need() -> None:
    system = system_named("lorenz")
    simulator = simulator_of(system, ["x"], step_s=0.1, n_samples=600, noise=0.1)
    assert 8 <= enough_substeps(simulator, torch.Generator().manual_seed(0)) <= 128
