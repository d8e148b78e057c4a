import numpy as np
import pytest
import torch

from twins.goku.diagnosis.aliasing import aliasing_warnings, fastest_turning, measured_warnings, prior_warnings
from twins.goku.series import Series
from twins.goku.simulated.generate import Design, generate
from twins.goku.systems import system_named


def kinds(warnings):
    return {one.kind for one in warnings}


def test_two_frequencies_that_differ_by_the_sampling_give_the_same_samples():
    """What the warnings are about: no fit can tell these apart."""
    step_s, omega = 0.0001, 9.0e3
    system = system_named("stuart_landau", noisy=False, time_unit_s=1.0)
    rest = [500.0, 500.0]
    paths = [
        generate(
            system, 1, Design(times_s=step_s * np.arange(40)), seed=0, initial=np.array([[0.5, 0.0]]),
            parameters=np.array([[*rest, frequency, 0.0, 0.0]]),
        ).series.values
        for frequency in (omega, omega + 2 * np.pi / step_s)
    ]  # fmt: skip
    assert paths[0] == pytest.approx(paths[1], abs=1e-5)


def test_linearised_turning_is_that_of_small_swings_and_follows_the_unit_of_time():
    pendulum = system_named("pendulum")
    lengths = torch.tensor([[1.0], [2.0]], dtype=torch.float64)
    rest = torch.zeros((1, 2, 2), dtype=torch.float64)
    assert fastest_turning(pendulum, rest, lengths).tolist() == pytest.approx([9.81**0.5, (9.81 / 2) ** 0.5])
    oscillator = system_named("stuart_landau")
    parameters = oscillator.draw_parameters(5, torch.Generator().manual_seed(0))
    turning = fastest_turning(oscillator, torch.zeros((1, 5, 2), dtype=torch.float64), parameters)
    assert turning.numpy() == pytest.approx(1e3 * parameters[:, 2].numpy())


@pytest.mark.parametrize(
    ("name", "fine_s", "coarse_s", "decides"),
    [
        ("stuart_landau_network", 0.05, 0.3, "angular_frequency"),
        ("macrospin", 1e-11, 1e-10, "anisotropy"),
        ("pendulum", 0.1, 1.2, "length"),
    ],
)
def test_a_prior_is_warned_about_where_samples_are_too_far_apart_for_it(name, fine_s, coarse_s, decides):
    system = system_named(name)
    assert prior_warnings(system, step_s=fine_s, n_samples=46, n_draws=60) == ()
    found = prior_warnings(system, step_s=coarse_s, n_samples=46, n_draws=60)
    assert kinds(found) == {"fast oscillation", "power beyond"}
    for one in found:
        assert one.about.startswith(decides)
        assert one.nyquist == pytest.approx(np.pi / coarse_s)
        assert one.share > 0.01
        assert one.angular_frequency > one.nyquist
        assert "Sample faster" in str(one)


def test_a_narrower_range_or_faster_sampling_takes_the_warning_away():
    system = system_named("stuart_landau_network", n_oscillators=1)
    found = prior_warnings(system, step_s=0.2, n_samples=40, n_draws=100)
    fast = next(one for one in found if one.kind == "fast oscillation")
    expected = 1.0 - np.pi / 0.2 / 20.0  # ω is uniform in 0..1, twenty times as fast in seconds
    assert fast.share == pytest.approx(expected, abs=4 * (expected * (1 - expected) / 100) ** 0.5)
    slow = system.with_ranges({"angular_frequency": (0.0, 0.5)})
    assert prior_warnings(slow, step_s=0.2, n_samples=40, n_draws=100) == ()


def test_a_drive_is_held_as_it_was_measured():
    system = system_named("duffing", driven=True).with_ranges({"hardening": (3.0, 5.0)})
    pushed, left = (level * np.ones((60, 1)) for level in (40.0, 0.0))
    assert kinds(prior_warnings(system, step_s=0.5, n_samples=60, drive=pushed, n_draws=50)) != set()
    assert prior_warnings(system, step_s=0.5, n_samples=60, drive=left, n_draws=50) == ()


def measured(omega, *, step_s=0.1, noise=0.1, n=400, seed=0):
    rng = np.random.default_rng(seed)
    times = step_s * np.arange(n)
    values = np.stack((np.sin(omega * times), rng.standard_normal(n)), axis=-1)[None]
    return Series(values + noise * rng.standard_normal(values.shape), times, ("tone", "hiss"), ("V", "V"))


def test_a_measured_line_close_below_the_nyquist_frequency_is_told_and_noise_is_not():
    (found,) = measured_warnings(measured(29.0))
    assert (found.kind, found.about) == ("line near", "tone")
    assert found.angular_frequency == pytest.approx(29.0, abs=0.2)
    assert f"{2 * np.pi / 0.1 - found.angular_frequency:.4g} rad/s" in found.message
    assert measured_warnings(measured(10.0)) == ()
    for seed in range(20):
        assert measured_warnings(measured(10.0, noise=3.0, seed=seed)) == ()


def test_uneven_times_missing_samples_and_constant_channels_are_no_line():
    times = np.cumsum(np.random.default_rng(0).uniform(0.05, 0.15, 100))
    assert measured_warnings(Series(np.sin(29.0 * times)[None, :, None], times, ("x",), ("V",))) == ()
    values = np.ones((2, 64, 2))
    values[:, 5, 1] = np.nan
    assert measured_warnings(Series(values, 0.1 * np.arange(64), ("x", "y"), ("V", "V"))) == ()


def test_the_whole_look_takes_the_closest_samples_of_the_series():
    system = system_named("stuart_landau_network", n_oscillators=1)
    times = np.cumsum(np.where(np.arange(40) % 10 == 5, 0.05, 0.3))
    uneven = Series(np.sin(times)[None, :, None], times, ("x",), ("",))
    even = Series(np.sin(times)[None, :, None], 0.3 * np.arange(40), ("x",), ("",))
    assert aliasing_warnings(system, uneven, n_draws=50) == ()
    assert "fast oscillation" in kinds(aliasing_warnings(system, even, n_draws=50))
