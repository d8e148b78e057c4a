"""The internal steps are fine enough: halving them changes neither mean nor spread beyond the sampling error, which is computed."""

import numpy as np
import pytest

from sim_devices.physics import Duffing, LeakyIntegrator

RNG = np.random.default_rng(11)
CASES = {
    "leaky": (LeakyIntegrator, RNG.uniform(-2, 2, 6), 0.6e-3, 20_000),
    "duffing": (Duffing, RNG.uniform(-0.6, 0.6, 5), 3 * 4e-4, 8000),
}


def steps_per_hold(make, hold_s, *, finer):
    """An even number of steps that are at most 1 / finer of the device's largest."""
    return int(np.ceil(hold_s * make().steps_per_s / 2)) * 2 * finer


def responses(make, drive_V, hold_s, *, per_hold, n, seed):
    """Responses (trial, point) in the middle and at the end of each hold."""
    points = np.arange(per_hold // 2, per_hold * len(drive_V) + 1, per_hold // 2) - 1
    generator = np.random.default_rng(seed)
    out = np.empty((n, len(points)))
    for trial in range(n):
        device = make()
        ports = {port: np.zeros(per_hold * len(drive_V)) for port in device.ports}
        ports["drive"] = np.repeat(drive_V, per_hold)
        out[trial] = device.advance(ports, step_s=hold_s / per_hold, generator=generator)["response"][points]
    return out


def spread_and_error(x):
    """Standard deviation over trials and its standard error, from the fourth moment."""
    centred = x - x.mean(axis=0)
    variance = (centred**2).mean(axis=0)
    error_of_variance = np.sqrt(((centred**4).mean(axis=0) - variance**2) / len(x))
    return np.sqrt(variance), error_of_variance / (2 * np.sqrt(variance))


def disagreement(coarse, fine):
    """Largest difference of mean and of spread in sampling errors; and the largest relative sampling error of the spread."""
    (std_c, error_c), (std_f, error_f) = spread_and_error(coarse), spread_and_error(fine)
    error_of_mean = np.sqrt((std_c**2 + std_f**2) / len(coarse))
    of_mean = np.abs(coarse.mean(axis=0) - fine.mean(axis=0)) / error_of_mean
    of_spread = np.abs(std_c - std_f) / np.hypot(error_c, error_f)
    return of_mean.max(), of_spread.max(), (np.hypot(error_c, error_f) / std_f).max()


@pytest.mark.parametrize("name", CASES)
def test_halving_the_internal_steps_leaves_mean_and_spread(name):
    make, drive_V, hold_s, n = CASES[name]
    coarse = responses(make, drive_V, hold_s, per_hold=steps_per_hold(make, hold_s, finer=1), n=n, seed=1)
    fine = responses(make, drive_V, hold_s, per_hold=steps_per_hold(make, hold_s, finer=2), n=n, seed=2)
    of_mean, of_spread, sampling_error = disagreement(coarse, fine)
    assert of_mean < 4
    assert of_spread < 4
    assert sampling_error < 0.03  # else the comparison could not see much


def test_steps_that_are_too_coarse_are_noticed_by_the_same_comparison():
    make, drive_V, hold_s, n = CASES["duffing"]
    coarse = responses(make, drive_V, hold_s, per_hold=6, n=n // 4, seed=1)
    fine = responses(make, drive_V, hold_s, per_hold=steps_per_hold(make, hold_s, finer=1), n=n // 4, seed=2)
    assert max(disagreement(coarse, fine)[:2]) > 4
