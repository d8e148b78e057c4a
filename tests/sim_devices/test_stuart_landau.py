"""The auto-oscillator against what is known in closed form."""

import math

import numpy as np
import pytest

from sim_devices.physics import DEVICES, StuartLandau

ON_V = 0.8  # half a volt above threshold: growth 1000 / s


def run(device, drive_V, duration_s, *, n, seed=0):
    """Re c at the end of each of n equal steps."""
    generator = np.random.default_rng(seed)
    seen = device.advance({"drive": np.full(n, drive_V)}, step_s=duration_s / n, generator=generator)["voltage"]
    return (seen - device.offset_V) / device.gain_V


def quiet(**options):
    return StuartLandau(**({"noise_scale": 0.0, "initial_real": 0.2, "initial_imaginary": 0.1} | options))


def exact(device, drive_V, time_s):
    """The quiet amplitude: the power is a logistic function, the phase its integral."""
    start = complex(device.initial_real, device.initial_imaginary)
    growth, saturation = device.growth_per_V_s * (drive_V - device.threshold_V), device.saturation_per_s
    power = abs(start) ** 2
    gained = 2 * time_s if growth == 0 else np.expm1(2 * growth * time_s) / growth
    bent = 1 + saturation * power * gained
    dose = np.log(bent) / (2 * saturation)
    phase = -2 * math.pi * (device.frequency_Hz * time_s + device.shear_Hz * dose)
    return start * np.sqrt(np.exp(2 * growth * time_s) / bent) * np.exp(1j * phase)


def test_a_bench_file_knows_it_by_its_name():
    assert DEVICES["stuart_landau"] is StuartLandau


@pytest.mark.parametrize("drive_V", [-1.0, 0.0, 0.3, 0.5, ON_V, 1.3])
@pytest.mark.parametrize("n", [1, 7, 1000])
def test_without_noise_it_is_exact_for_any_step(drive_V, n):
    device = quiet()
    seen = run(device, drive_V, 3e-3, n=n)
    expected = exact(device, drive_V, np.arange(1, n + 1) * 3e-3 / n)
    np.testing.assert_allclose(seen, expected.real, atol=1e-11)
    assert device._c == pytest.approx(expected[-1], abs=1e-11)


def test_the_limit_cycle_has_the_radius_and_the_frequency_of_the_equation():
    device = quiet(shear_Hz=300.0)
    run(device, ON_V, 0.05, n=1000)
    assert abs(device._c) == pytest.approx(math.sqrt(1000.0 / 1000.0), rel=1e-12)
    seen = run(device, ON_V, 0.02, n=20_000)
    falling = np.flatnonzero((seen[:-1] > 0) & (seen[1:] <= 0))
    crossings = falling + seen[falling] / (seen[falling] - seen[falling + 1])
    assert 1.0 / (np.diff(crossings).mean() * 1e-6) == pytest.approx(2000.0 + 300.0 * 1.0, rel=1e-5)


def test_a_disturbed_power_relaxes_at_twice_the_growth_rate():
    powers = []
    for time_s in (1e-3, 2e-3):
        device = quiet(initial_real=1.0 + 1e-5, initial_imaginary=0.0)
        run(device, ON_V, time_s, n=50)
        powers.append(abs(device._c) ** 2 - 1.0)
    assert math.log(powers[0] / powers[1]) / 1e-3 == pytest.approx(2 * 1000.0, rel=1e-4)


def test_the_drive_is_held_in_each_step():
    device, step, drive_V = quiet(), quiet(), np.array([0.8, 0.1, 1.3])
    device.advance({"drive": drive_V}, step_s=1e-4, generator=np.random.default_rng(0))
    for volts in drive_V:
        run(step, volts, 1e-4, n=1)
    assert device._c == pytest.approx(step._c, abs=1e-14)


def test_below_threshold_the_thermal_noise_has_the_variance_and_the_memory_of_linear_theory():
    device, damping, n = StuartLandau(noise_scale=0.5, saturation_per_s=1e-3), 600.0, 200_000
    step_s = 1.0 / device.steps_per_s
    x = run(device, 0.0, n * step_s, n=n, seed=1)[2000:]
    independent = n * step_s * damping
    assert x.var() == pytest.approx(0.5**2 / (2 * damping), rel=5 * math.sqrt(2 / independent))
    quarter = 10  # of a period of 2 kHz: 80 000 steps a second, 40 in a period
    decay = math.exp(-damping * 2 * quarter * step_s)
    half_period = np.mean(x[: -2 * quarter] * x[2 * quarter :]) / x.var()
    assert half_period == pytest.approx(-decay, abs=5 / math.sqrt(independent))


@pytest.mark.parametrize("drive_V", [0.3, ON_V])
@pytest.mark.parametrize("finer", [1, 4])
def test_the_power_has_the_stationary_law_whatever_the_step(drive_V, finer):
    """P(p) ∝ exp((γ p - s p² / 2) / σ²): the drift in the plane is a gradient and a rotation."""
    device, growth, n = StuartLandau(noise_scale=12.0), 2000.0 * (drive_V - 0.3), 200_000
    power = np.linspace(0, 6, 60_001)
    weight = np.exp((growth * power - 500.0 * power**2) / 12.0**2 - growth**2 / (2e3 * 12.0**2))
    expected = (weight * power).sum() / weight.sum()
    spread = math.sqrt((weight * power**2).sum() / weight.sum() - expected**2)
    step_s = 1.0 / device.steps_per_s / finer
    run(device, drive_V, 0.01, n=800 * finer, seed=3)
    x = run(device, drive_V, n * step_s, n=n, seed=2)
    independent = n * step_s * max(growth, 400.0)  # half of what the relaxation of the power gives
    # Re c = sqrt(p) cos(phase) with a phase that goes round many times: its mean square is half the power
    assert 2 * np.mean(x**2) == pytest.approx(expected, abs=5 * spread / math.sqrt(independent))


def test_shear_widens_the_diffusion_of_the_phase_by_one_plus_its_square():
    device, n, per = StuartLandau(shear_Hz=200.0), 9000, 160
    generator, drive = np.random.default_rng(4), np.full(160, ON_V)
    step_s = 1.0 / device.steps_per_s
    run(device, ON_V, 0.01, n=800, seed=5)
    phases = []
    for _ in range(n):
        device.advance({"drive": drive}, step_s=step_s, generator=generator)
        phases.append(math.atan2(device._c.imag, device._c.real))
    turned = np.angle(np.exp(1j * (np.diff(phases) + 2 * math.pi * 2200.0 * per * step_s)))
    long = np.add.reduceat(turned - turned.mean(), np.arange(0, n - 1, 10))[:-1]  # far longer than the relaxation
    shear = 2 * math.pi * 200.0 / 1000.0
    expected = 3.0**2 * (1 + shear**2) * 10 * per * step_s
    assert np.abs(turned).max() < 2.0  # no turn was lost
    assert long.var() == pytest.approx(expected, rel=5 * math.sqrt(2 / long.size))


def test_it_is_seen_through_gain_and_offset():
    device = quiet(gain_V=0.25, offset_V=-0.1, initial_real=0.6)
    assert device.observe() == {"voltage": pytest.approx(-0.1 + 0.25 * 0.6)}
    seen = device.advance({"drive": np.full(3, 0.5)}, step_s=1e-5, generator=np.random.default_rng(0))["voltage"]
    assert device.observe()["voltage"] == seen[-1] == pytest.approx(-0.1 + 0.25 * device._c.real)


@pytest.mark.parametrize(
    "wrong", [{"growth_per_V_s": 0.0}, {"saturation_per_s": -1.0}, {"frequency_Hz": -1.0}, {"noise_scale": -1.0}, {"gain_V": 0.0}]
)  # fmt: skip
def test_impossible_parameters_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        StuartLandau(**wrong)
