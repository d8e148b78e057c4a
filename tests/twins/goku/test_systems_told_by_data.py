"""That data can tell the parameters of every system, and that the simulated device is one of the equations."""

import numpy as np
import pytest
import torch

from sim_devices.physics.stuart_landau import StuartLandau as SimulatedOscillator
from twins.goku.systems import SYSTEMS, system_named
from twins.goku.trajectories import solve_system

# a trace that shows all of the system's behaviour, in units of its time
LENGTHS = {
    "pendulum": 5, "damped_pendulum": 10, "driven_pendulum": 10, "lotka_volterra": 10, "van_der_pol": 20, "duffing": 20,
    "lorenz": 2, "fitzhugh_nagumo": 100, "stuart_landau": 3, "stuart_landau_network": 3, "macrospin": 2, "relaxation": 40,
}  # fmt: skip
CASES = [
    *((name, {}) for name in LENGTHS if name not in ("stuart_landau", "stuart_landau_network")),
    ("stuart_landau", {"noisy": False}),
    ("stuart_landau", {"noisy": False, "gain": None, "saturation": 2.0}),
    ("stuart_landau_network", {"coupling": "off_diagonal"}),
    *((name, {"driven": True}) for name in ("duffing", "fitzhugh_nagumo", "macrospin", "relaxation")),
    ("stuart_landau", {"driven": True, "noisy": False, "gain": 0.4}),
    ("duffing", {"driven": True, "asymmetric": True}),
]


def sensitivities(system, parameters, initial, drive, *, length, n_steps=400):
    """d outputs / d (parameters, initial states), in units of their ranges, (output sample, unknown)."""
    unknown = torch.cat((system.parameters_to_unit(parameters), initial))
    low, high = system.state_range(initial)
    width = torch.cat((torch.ones_like(parameters), high - low))
    moved = (
        unknown
        + torch.cat((torch.zeros(1, len(width)), torch.eye(len(width)), -torch.eye(len(width)))).double() * 1e-5 * width
    )
    p = system.parameters_from_unit(moved[:, : len(parameters)])
    states = solve_system(
        system, moved[:, len(parameters) :], p, step_s=length / n_steps * system.time_unit_s, n_steps=n_steps, drive=drive,
        substeps=8,
    )  # fmt: skip
    seen = system.outputs_of(states, p)
    half = len(width)
    return ((seen[:, 1 : 1 + half] - seen[:, 1 + half :]) / 2e-5).swapaxes(1, 2).reshape(-1, half)


def weakest(name, options, seed=0):
    """The smallest singular value over the largest, of one draw that shows it best."""
    system = system_named(name, **options)
    found = []
    for offset in range(4):
        generator = torch.Generator().manual_seed(seed + offset)
        drive = None
        if system.drives:
            (one,) = system.drives
            levels = one.low + (one.high - one.low) * torch.rand((20, 1, 1), generator=generator).double()
            drive = levels.repeat_interleave(20, dim=0)
        matrix = sensitivities(
            system, system.draw_parameters(1, generator)[0], system.draw_states(1, generator)[0], drive,
            length=LENGTHS[name],
        )  # fmt: skip
        values = torch.linalg.svdvals(matrix / matrix.norm(dim=0).clamp_min(1e-12))
        found.append(float(values[-1] / values[0]))
    return max(found)


@pytest.mark.parametrize(("name", "options"), CASES)
def test_a_trace_tells_all_parameters_of_a_system_and_its_initial_state(name, options):
    assert weakest(name, options) > 1e-3


def test_every_system_is_among_those_looked_at():
    assert {name for name, _ in CASES} == set(SYSTEMS)


def test_the_reference_s_full_coupling_has_numbers_that_nothing_tells():
    assert weakest("stuart_landau_network", {}) < 1e-6


def test_the_simulated_oscillator_is_this_equation_with_its_parameters():
    device = SimulatedOscillator(noise_scale=0.0, initial_real=0.2, initial_imaginary=-0.1)
    step_s, n_steps = 5e-6, 600
    bias = np.where(np.arange(n_steps) < 300, 0.9, 0.2)
    voltage = device.advance({"drive": bias}, step_s=step_s, generator=np.random.default_rng(0))["voltage"]
    system = system_named("stuart_landau", driven=True, gain=0.4, time_unit_s=1e-3)
    named = {
        "growth_per_V": 2.0, "threshold": 0.3, "saturation": 1.0, "angular_frequency": 4 * np.pi, "shear": 0.4 * np.pi,
        "noise": 3.0 * 1e-3**0.5, "offset": 0.05,
    }  # fmt: skip
    parameters = torch.tensor([named[name] for name in system.parameter_names], dtype=torch.float64)
    unit = system.parameters_to_unit(parameters)
    assert bool(((unit > 0) & (unit < 1)).all())
    states = solve_system(
        system, torch.tensor([0.2, -0.1], dtype=torch.float64), parameters, step_s=step_s, n_steps=n_steps,
        drive=torch.from_numpy(bias)[:, None], substeps=2,
    )  # fmt: skip
    assert system.outputs_of(states, parameters)[1:, 0].numpy() == pytest.approx(voltage, abs=1e-6)
    in_volts = system_named("stuart_landau", driven=True)
    scaled = {**named, "saturation": 1.0 / 0.4**2, "shear": 0.4 * np.pi / 0.4**2, "noise": 0.4 * named["noise"]}
    unit = in_volts.parameters_to_unit(torch.tensor([scaled[name] for name in in_volts.parameter_names]).double())
    assert bool(((unit > 0) & (unit < 1)).all())
