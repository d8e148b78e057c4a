"""Stepped use: a device that is looked at loses no time, however often."""

import numpy as np
import pytest

from sim_devices.physics.leaky_integrator import LeakyIntegrator
from sim_devices.signals import Level
from sim_devices.wired_device import WiredDevice


@pytest.mark.parametrize("interval_s", [0.15, 0.0109, 0.004, 0.0007])
def test_a_slow_device_settles_by_the_clock_however_often_it_is_looked_at(interval_s: float) -> None:
    device = LeakyIntegrator(tau_s=0.1, noise_scale=0.0)
    wired = WiredDevice(name="slow", device=device, index=0, seed=0, idle_limit_s=0.2, settle_s=0.02, now_s=0.0)
    wired.change("drive", Level(1.0), now_s=0.0)
    times = np.append(np.arange(interval_s, 0.3, interval_s), 0.3)
    seen = [wired.observe(now_s=float(now_s))["response"] for now_s in times]
    np.testing.assert_allclose(seen, np.tanh(1.0) * (1.0 - np.exp(-times / 0.1)), atol=1e-9)
