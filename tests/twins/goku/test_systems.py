import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.special import ellipj, ellipk

from twins.errors import EquationInvalid
from twins.goku.bound import BoundSystem
from twins.goku.systems import SYSTEMS, system_named
from twins.goku.trajectories import solve_system

DRIVEN = ("duffing", "fitzhugh_nagumo", "stuart_landau", "macrospin", "relaxation")
NOISY = ("duffing", "fitzhugh_nagumo", "stuart_landau", "macrospin", "relaxation")
CASES = [(name, {}) for name in SYSTEMS] + [(name, {"driven": True}) for name in DRIVEN]
GAMMA = 176.085963  # rad / (ns T), of the electron
# length of a trace in units of the system's time, for gradients
SPANS = {
    "pendulum": 0.75, "damped_pendulum": 0.75, "driven_pendulum": 0.75, "lotka_volterra": 1.0,
    "van_der_pol": 1.0, "duffing": 1.0, "lorenz": 0.2, "fitzhugh_nagumo": 2.5,
    "stuart_landau": 0.25, "stuart_landau_network": 0.25, "macrospin": 0.075, "relaxation": 2.0,
}  # fmt: skip


def draws(system, n, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return system.draw_states(n, generator), system.draw_parameters(n, generator)


def steady(system, n_steps):
    """A drive that stays at 0.6 of its range."""
    if not system.drives:
        return None
    (drive,) = system.drives
    return torch.full((n_steps, 1, 1), drive.low + 0.6 * (drive.high - drive.low), dtype=torch.float64)


@pytest.mark.parametrize(("name", "options"), CASES)
def test_gradients_are_those_of_finite_differences(name, options):
    system = system_named(name, **options)
    initial, parameters = draws(system, 1, seed=1)
    span, n_steps = SPANS[name], 30
    weights = torch.linspace(0.5, 1.5, system.n_states, dtype=torch.float64)
    drive = steady(system, n_steps)
    width = torch.cat((initial[0], parameters[0])).abs() + 0.1

    def value(x):
        states = solve_system(
            system, x[None, : system.n_states], x[None, system.n_states :],
            step_s=span / n_steps * system.time_unit_s, n_steps=n_steps, drive=drive,
        )  # fmt: skip
        return (states[10:, 0] @ weights).sum()

    x = torch.cat((initial[0], parameters[0])).requires_grad_()
    (slope,) = torch.autograd.grad(value(x), x)
    for index in range(len(x)):
        step = torch.zeros_like(x)
        step[index] = 1e-5 * width[index]
        with torch.no_grad():
            expected = (value(x + step) - value(x - step)) / (2e-5 * width[index])
        assert float(slope[index]) == pytest.approx(float(expected), rel=1e-5, abs=1e-6)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        *CASES,
        *((name, {"noisy": True}) for name in NOISY),
        ("duffing", {"asymmetric": True}),
        ("duffing", {"asymmetric": True, "driven": True}),
        ("stuart_landau", {"gain": None, "saturation": 1.0}),
        ("stuart_landau_network", {"n_oscillators": 4, "coupling": "off_diagonal", "learn_noise": True}),
        ("stuart_landau_network", {"n_oscillators": 2}),
        ("macrospin", {"polarisation": [1.0, 0.0, 0.0]}),
        ("macrospin", {"field_direction": [1.0, 0.0, 1.0]}),
    ],
)
def test_declared_symmetries_leave_the_equation_and_the_named_outputs_alone(name, options):
    system = system_named(name, **options)
    states, parameters = draws(system, 5, seed=2)
    drive = torch.full((5, 1), 0.3, dtype=torch.float64) if system.drives else None
    drift, diffusion = BoundSystem(system, parameters).coefficients_at(states, drive)
    outputs = [quantity.name for quantity in system.flat_outputs]
    for symmetry in system.symmetries():
        turned_states, turned = symmetry.state(states), symmetry.parameters(parameters)
        assert not torch.equal(turned_states, states)
        turned_drift, turned_diffusion = BoundSystem(system, turned).coefficients_at(turned_states, drive)
        torch.testing.assert_close(turned_drift, symmetry.state(drift), msg=symmetry.name)
        if diffusion is not None:
            torch.testing.assert_close(spread(turned_diffusion), moved(symmetry, spread(diffusion)), msg=symmetry.name)
        before, after = system.outputs_of(states, parameters), system.outputs_of(turned_states, turned)
        for place in (outputs.index(output) for output in symmetry.outputs):
            torch.testing.assert_close(before[:, place], after[:, place])


def spread(diffusion):
    """The noise's covariance a unit of time."""
    g = torch.diag_embed(diffusion) if diffusion.dim() == 2 else diffusion
    return g @ g.mT


def moved(symmetry, covariance):
    once = symmetry.state(covariance).mT
    return symmetry.state(once)


def test_which_symmetries_there_are():
    count = {name: len(system_named(name).symmetries()) for name in SYSTEMS}
    assert count == {
        "pendulum": 1, "damped_pendulum": 1, "driven_pendulum": 0, "lotka_volterra": 0, "van_der_pol": 1, "duffing": 1,
        "lorenz": 1, "fitzhugh_nagumo": 1, "stuart_landau": 1, "stuart_landau_network": 3, "macrospin": 3,
        "relaxation": 0,
    }  # fmt: skip
    assert len(system_named("macrospin", field_direction=(1.0, 0.0, 1.0)).symmetries()) == 1
    assert len(system_named("stuart_landau_network", n_oscillators=2).symmetries()) == 2


def test_a_pendulum_swings_as_the_elliptic_function_says():
    system = system_named("pendulum", gravity_m_per_s2=10.0)
    amplitude, length, t = 1.5, 1.3, np.linspace(0.0, 5.0, 501)
    omega, k2 = np.sqrt(10.0 / length), np.sin(amplitude / 2) ** 2
    sn = ellipj(ellipk(k2) - omega * t, k2)[0]
    states = solve_system(
        system, torch.tensor([amplitude, 0.0], dtype=torch.float64), torch.tensor([length], dtype=torch.float64),
        step_s=0.01, n_steps=500,
    )  # fmt: skip
    assert states[:, 0].numpy() == pytest.approx(2 * np.arcsin(np.sqrt(k2) * sn), abs=1e-6)
    assert (system.parameters[0].low, system.parameters[0].high) == (1.0, 2.0)


def test_an_auto_oscillator_above_threshold_grows_and_turns_as_known():
    """c multiplies by exp(γt) / sqrt(u), its phase turns by -ωt - q/(2s) ln u, u = 1 + s |c0|² (exp(2γt) - 1) / γ."""
    system = system_named("stuart_landau", driven=True, noisy=False, gain=0.4)
    per_volt, threshold, saturation, omega, shear, offset = 2.0, 0.3, 1.0, 4 * np.pi, 0.4 * np.pi, 0.05
    bias, c0, t = 0.8, 0.3 + 0.2j, 2.5
    growth = per_volt * (bias - threshold)
    u = 1 + saturation * abs(c0) ** 2 * np.expm1(2 * growth * t) / growth
    c = c0 * np.exp((growth - 1j * omega) * t - (0.5 + 0.5j * shear / saturation) * np.log(u))
    parameters = torch.tensor([per_volt, threshold, saturation, omega, shear, offset], dtype=torch.float64)
    states = solve_system(
        system, torch.tensor([c0.real, c0.imag], dtype=torch.float64), parameters,
        step_s=2.5e-6, n_steps=1000, drive=torch.full((1000, 1), bias, dtype=torch.float64),
    )  # fmt: skip
    assert states[-1].tolist() == pytest.approx([c.real, c.imag], abs=2e-6)
    assert float(system.outputs_of(states[-1], parameters)) == pytest.approx(0.05 + 0.4 * c.real, abs=1e-6)


def test_a_macrospin_in_a_field_spirals_into_it_on_the_unit_sphere():
    """tan(θ/2) falls as exp(-αγBt/(1+α²)), the azimuth turns by γBt/(1+α²)."""
    system = system_named("macrospin", field_direction=(0.0, 0.0, 1.0))
    field, damping, theta, t_ns = 0.08, 0.05, 2.0, 2.0
    parameters = torch.tensor([0.0, field, damping, 0.0], dtype=torch.float64)
    initial = torch.tensor([np.sin(theta), 0.0, np.cos(theta)], dtype=torch.float64)
    m = solve_system(system, initial, parameters, step_s=t_ns * 1e-9 / 500, n_steps=500)[-1].numpy()
    rate = GAMMA * field / (1 + damping**2)
    theta_end = 2 * np.arctan(np.tan(theta / 2) * np.exp(-damping * rate * t_ns))
    expected = [
        np.sin(theta_end) * np.cos(rate * t_ns), np.sin(theta_end) * np.sin(rate * t_ns), np.cos(theta_end)
    ]  # fmt: skip
    assert m == pytest.approx(expected, abs=1e-5)


def test_a_macrospin_off_the_sphere_returns_to_it_and_starts_on_it():
    system = system_named("macrospin").with_ranges(dict.fromkeys(("mx", "my", "mz"), (-1.0, 1.0)))
    states, parameters = draws(system, 50)
    assert states.norm(dim=-1).numpy() == pytest.approx(1.0)
    assert states.mean(0).abs().max() < 0.4
    far = solve_system(system, 1.5 * states, parameters, step_s=1e-11, n_steps=400)
    assert far[-1].norm(dim=-1).numpy() == pytest.approx(1.0, abs=1e-3)
    narrow = system.with_ranges({"mz": (0.95, 1.0)}).draw_states(20, torch.Generator().manual_seed(0))
    assert bool((narrow[:, 2] >= 0.95).all())
    with pytest.raises(EquationInvalid, match="next to no unit vector"):
        system.with_ranges({"mz": (0.1, 0.2), "mx": (0.1, 0.2), "my": (0.1, 0.2)}).draw_states(
            1, torch.Generator().manual_seed(0)
        )


def last_states(system, initial, parameters, step, n_steps, n=3000, seed=3):
    return solve_system(
        system, torch.tensor(initial, dtype=torch.float64).expand(n, -1), torch.tensor(parameters, dtype=torch.float64),
        step_s=step * system.time_unit_s, n_steps=n_steps, noisy=True, generator=torch.Generator().manual_seed(seed),
    )[-1]  # fmt: skip


def test_a_noisy_linear_oscillator_has_the_variances_of_equipartition():
    damping, stiffness, noise = 1.0, 1.5, 0.4
    system = system_named("duffing", noisy=True, time_unit_s=0.02)
    states = last_states(system, [0.0, 0.0], [damping, stiffness, 0.0, noise], 0.05, 200)
    assert float(states[:, 1].var()) == pytest.approx(noise**2 / (2 * damping), rel=0.13)
    assert float(states[:, 0].var()) == pytest.approx(noise**2 / (2 * damping * stiffness), rel=0.13)


def test_the_power_of_a_noisy_auto_oscillator_has_its_stationary_mean():
    """Its density is proportional to exp((γ P - s P²/2) / σ²) in the power P."""
    growth, saturation, noise = 0.5, 1.0, 0.6

    def weight(power):
        return np.exp((growth * power - saturation * power**2 / 2) / noise**2)

    expected = quad(lambda power: power * weight(power), 0, 20)[0] / quad(weight, 0, 20)[0]
    states = last_states(
        system_named("stuart_landau"), [0.5, 0.0], [growth, saturation, 6.0, 1.0, noise, 0.0], 0.02, 400
    )
    power = states.square().sum(-1)
    assert float(power.mean()) == pytest.approx(expected, abs=5 * float(power.std()) / 3000**0.5)


@pytest.mark.parametrize("name", ["fitzhugh_nagumo", "relaxation"])
def test_noise_spreads_the_voltage_alone_at_first(name):
    system = system_named(name, noisy=True, time_unit_s=0.01)
    middle = (system.parameter_range(torch.zeros(1, dtype=torch.float64))[0]).tolist()
    noise = 0.1
    states = last_states(system, [0.4, 0.2], [*middle[:-1], noise], 0.001, 10)
    assert float(states[:, 0].var()) == pytest.approx(noise**2 * 0.01, rel=0.13)
    assert float(states[:, 1].var()) < 1e-3 * noise**2 * 0.01


@pytest.mark.parametrize("options", [{"noise_strength": 0.02}, {"learn_noise": True}])
def test_noise_of_the_network_is_not_multiplied_by_its_time_scale(options):
    system = system_named("stuart_landau_network", **options)
    parameters = [0.0] * 6 + [0.0] * 9 + ([0.02] if system.n_parameters == 16 else [])
    states = last_states(system, [0.0] * 6, parameters, 0.001, 10, n=1000)
    assert states.var(0).numpy() == pytest.approx(0.02**2 * 0.01, rel=0.3)
    assert float(states.var()) == pytest.approx(0.02**2 * 0.01, rel=0.1)


def test_a_thermal_field_turns_a_macrospin_at_the_known_rate_and_leaves_its_length():
    """The mean of m falls as exp(-κ²t), κ = γσ / sqrt(1 + α²)."""
    system = system_named("macrospin", noisy=True)
    noise, damping, t_ns = 4e-3, 0.5, 1.0
    m = last_states(system, [0.0, 0.6, 0.8], [0.0, 0.0, damping, 0.0, noise], 0.005, 200, n=4000)
    assert m.norm(dim=-1).numpy() == pytest.approx(1.0, abs=0.02)
    falls = np.exp(-((GAMMA * noise) ** 2) / (1 + damping**2) * t_ns)
    assert m.mean(0).numpy() == pytest.approx(falls * np.array([0.0, 0.6, 0.8]), abs=5 * 0.6 / 4000**0.5)


def test_an_off_diagonal_coupling_is_the_full_one_without_its_diagonal():
    full, bare = (system_named("stuart_landau_network", coupling=kind) for kind in ("full", "off_diagonal"))
    states, parameters = draws(full, 4)
    kept = [*range(6), 7, 8, 9, 11, 12, 13]
    drifts = [
        BoundSystem(system, p).coefficients_at(states, None)[0]
        for system, p in ((full, parameters), (bare, parameters[:, kept]))
    ]
    torch.testing.assert_close(*drifts)
    assert (full.n_parameters, bare.n_parameters) == (15, 12)


def test_the_two_sets_of_ranges_of_the_reference_are_there():
    data = system_named("stuart_landau_network", ranges="data")
    by_name = {quantity.name: (quantity.low, quantity.high) for quantity in data.parameters}
    assert by_name["angular_frequency"] == pytest.approx((0.08 * np.pi, 0.14 * np.pi))
    assert by_name["growth"] == (-0.2, 0.2)
    model = system_named("stuart_landau_network")
    assert [(q.low, q.high) for q in model.parameters] == [(-1.0, 1.0), (0.0, 1.0), (0.0, 0.2)]


@pytest.mark.parametrize(("name", "options"), CASES)
def test_ranges_can_be_changed_and_the_system_stays_whole(name, options):
    system = system_named(name, **options)
    quantity = system.parameters[0]
    narrow = (quantity.low + 0.1 * (quantity.high - quantity.low), quantity.high - 0.1 * (quantity.high - quantity.low))
    changed = system.with_ranges({quantity.name: narrow}).check()
    assert (changed.parameters[0].low, changed.parameters[0].high) == narrow
    assert (system.parameters[0].low, system.parameters[0].high) == (quantity.low, quantity.high)
    assert changed.options() == system.options()


def test_units_follow_the_unit_of_time():
    units = {q.name: q.unit for q in system_named("stuart_landau", driven=True, time_unit_s=1e-6).parameters}
    assert units["growth_per_V"] == "1/V/µs"
    assert units["saturation"] == "1/(V^2 µs)"
    assert system_named("duffing", time_unit_s=0.02).parameters[1].unit == "1/(0.02 s)^2"


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("pendulun", {}, "no equation named 'pendulun'; there are pendulum, damped_pendulum"),
        ("pendulum", {"gravity": 10.0}, "no option 'gravity'; it has gravity_m_per_s2"),
        ("lorenz", {"gravity": 10.0}, "it has time_unit_s"),
        ("duffing", {"driven": 1}, "driven must be like its default False"),
        ("duffing", {"time_unit_s": None}, "time_unit_s must be like its default 1.0"),
        ("duffing", {"time_unit_s": -1.0}, "time_unit_s must be positive"),
        ("stuart_landau", {"gain": None}, "give one of them"),
        ("stuart_landau", {"gain": 0.0}, "must not be 0"),
        ("stuart_landau_network", {"n_oscillators": 0}, "n_oscillators must be at least 1"),
        ("stuart_landau_network", {"n_oscillators": 2.5}, "like its default 3"),
        ("stuart_landau_network", {"ranges": "wide"}, "one of model, data"),
        ("macrospin", {"polarisation": [0.0, 0.0, 0.0]}, "three numbers, not all 0"),
        ("relaxation", {"width_V": 0.0}, "width_V must be positive"),
    ],
)
def test_what_does_not_exist_is_refused_by_name(name, options, words):
    with pytest.raises(EquationInvalid, match=words.replace("(", r"\(").replace("[", r"\[")):
        system_named(name, **options)
