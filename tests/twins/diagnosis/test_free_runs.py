"""Free runs of polynomials: whether they err by the model or by the device's own noise, and how much memory they need."""

import numpy as np

from twins.diagnosis.free_runs import free_runs


def oscillator(process_noise, measurement_noise, seed=0):
    """(response, drive), (trial, time, 1): x[k+1] = 1.5 x[k] - 0.7 x[k-1] - 0.05 x[k]^3 + u[k]^3 / 3 + noise."""
    rng = np.random.default_rng(seed)
    drive = np.repeat(rng.uniform(-1, 1, (40, 60)), 5, axis=1)
    x = np.zeros((40, 300))
    for k in range(1, 299):
        kick = process_noise * rng.standard_normal(40)
        x[:, k + 1] = 1.5 * x[:, k] - 0.7 * x[:, k - 1] - 0.05 * x[:, k] ** 3 + drive[:, k] ** 3 / 3 + kick
    return (x + measurement_noise * rng.standard_normal(x.shape))[..., None], drive[..., None]


def test_noise_of_the_device_itself_is_recognised_as_what_drives_free_runs_apart():
    response, drive = oscillator(0.01, 0.0)
    found = free_runs([response], [drive], order=3)
    assert 0.7 < found.noise_share < 1.4


def test_the_smallest_memory_that_is_enough_is_chosen():
    response, drive = oscillator(1e-4, 0.0)
    assert free_runs([response], [drive], order=3).delays == (1, 0)


def test_too_few_data_decide_nothing():
    response, drive = oscillator(0.0, 0.0)
    assert free_runs([response[:2]], [drive[:2]], order=3) is None
