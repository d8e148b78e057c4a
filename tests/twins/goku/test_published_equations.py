"""The equations once more, in numpy, straight from their papers, solved by scipy at a tight tolerance."""

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp

from twins.goku.systems import SYSTEMS, system_named
from twins.goku.trajectories import solve_system

GAMMA = 176.085963  # rad / (ns T)


def pendulum(z, p, _u):
    return np.array([z[1], -9.81 / p["length"] * np.sin(z[0])])


def damped_pendulum(z, p, u):
    return pendulum(z, p, u) - np.array([0.0, p["damping"] * z[1]])


def driven_pendulum(z, p, u):
    return damped_pendulum(z, p, u) + np.array([0.0, u / (p["mass"] * p["length"] ** 2)])


def lotka_volterra(z, p, _u):
    x, y = z
    return np.array([x * (p["birth"] - p["predation"] * y), y * (p["growth"] * x - p["death"])])


def van_der_pol(z, p, _u):
    return np.array([z[1], p["pumping"] * (1 - z[0] ** 2) * z[1] - p["angular_frequency"] ** 2 * z[0]])


def duffing(z, p, u):
    force = p.get("drive_gain", 0.0) * u
    spring = p["stiffness"] * z[0] + p.get("asymmetry", 0.0) * z[0] ** 2 + p["hardening"] * z[0] ** 3
    return np.array([z[1], force + p.get("offset", 0.0) - p["damping"] * z[1] - spring])


def lorenz(z, p, _u):
    x, y, w = z
    return np.array([p["prandtl"] * (y - x), x * (p["rayleigh"] - w) - y, x * y - p["geometry"] * w])


def fitzhugh_nagumo(z, p, u):
    v, w = z
    current = p["current"] + p.get("drive_gain", 0.0) * u
    return np.array([v - v**3 / 3 - w + current, p["slowness"] * (v + p["offset"] - p["slope"] * w)])


def stuart_landau(z, p, u):
    c = z[0] + 1j * z[1]
    growth = p["growth_per_V"] * (u - p["threshold"]) if "growth_per_V" in p else p["growth"]
    power = abs(c) ** 2
    change = (growth - p["saturation"] * power) * c - 1j * (p["angular_frequency"] + p["shear"] * power) * c
    return np.array([change.real, change.imag])


def stuart_landau_network(z, p, _u):
    x, y = z[:3], z[3:]
    dx, dy = np.empty(3), np.empty(3)
    for j in range(3):
        own = p[f"growth[{j}]"] - x[j] ** 2 - y[j] ** 2
        omega = p[f"angular_frequency[{j}]"]
        dx[j] = own * x[j] - omega * y[j]
        dy[j] = own * y[j] + omega * x[j]
        for i in range(3):
            dx[j] += 0.1 * p[f"coupling[{i},{j}]"] * (x[i] - x[j])
            dy[j] += 0.1 * p[f"coupling[{i},{j}]"] * (y[i] - y[j])
    return 20.0 * np.concatenate((dx, dy))


def macrospin(z, p, u):
    field = np.array([p["field"], 0.0, p["anisotropy"] * z[2]])
    torque = p["torque_per_mA"] * u if "torque_per_mA" in p else p["torque"]
    damping = p["damping"]
    free = -GAMMA * np.cross(z, field) - GAMMA * torque * np.cross(z, np.cross(z, [0.0, 0.0, 1.0]))
    # Gilbert's equation as a linear one for m': m' - damping m x m' = free
    m = np.array([[0, -z[2], z[1]], [z[2], 0, -z[0]], [-z[1], z[0], 0]])
    return np.linalg.solve(np.eye(3) - damping * m, free)


def relaxation(z, p, u):
    v, w = z
    level = p["rest"] + p["drive_gain"] * u if "rest" in p else p["level"]
    on = 1.0 / (1.0 + np.exp(-(v - p["threshold"] + p["drop"] * w) / 0.05))
    return np.array(
        [(level - v) / p["leak_time"] - w * v / p["discharge_time"], (on - w) / p["switching_time"]]
    )  # fmt: skip


RIGHT_SIDES = {
    "pendulum": pendulum,
    "damped_pendulum": damped_pendulum,
    "driven_pendulum": driven_pendulum,
    "lotka_volterra": lotka_volterra,
    "van_der_pol": van_der_pol,
    "duffing": duffing,
    "lorenz": lorenz,
    "fitzhugh_nagumo": fitzhugh_nagumo,
    "stuart_landau": stuart_landau,
    "stuart_landau_network": stuart_landau_network,
    "macrospin": macrospin,
    "relaxation": relaxation,
}
# length of a trace and number of steps, in units of the system's time
SPANS = {
    "pendulum": (3.0, 300), "damped_pendulum": (3.0, 300), "driven_pendulum": (3.0, 300), "lotka_volterra": (4.0, 400),
    "van_der_pol": (4.0, 800), "duffing": (4.0, 400), "lorenz": (0.8, 800), "fitzhugh_nagumo": (10.0, 400),
    "stuart_landau": (1.0, 800), "stuart_landau_network": (1.0, 200), "macrospin": (0.3, 600), "relaxation": (8.0, 800),
}  # fmt: skip
DRIVEN = ("duffing", "fitzhugh_nagumo", "stuart_landau", "macrospin", "relaxation")


@pytest.mark.parametrize(
    ("name", "options"),
    [(name, {}) for name in SYSTEMS]
    + [(name, {"driven": True}) for name in DRIVEN]
    + [("duffing", {"driven": True, "asymmetric": True})],
)
def test_a_trajectory_is_that_of_the_published_equation(name, options):
    system = system_named(name, **options)
    generator = torch.Generator().manual_seed(0)
    initial, parameters = system.draw_states(3, generator), system.draw_parameters(3, generator)
    span, n_steps = SPANS[name]
    u = 0.6 * system.drives[0].high + 0.4 * system.drives[0].low if system.drives else 0.0
    drive = torch.full((n_steps, 1, 1), u, dtype=torch.float64) if system.drives else None
    ours = solve_system(
        system, initial, parameters, step_s=span / n_steps * system.time_unit_s, n_steps=n_steps, drive=drive
    )
    for sample in range(3):
        p = dict(zip(system.parameter_names, parameters[sample].tolist(), strict=True))
        found = solve_ivp(
            lambda _t, z, p=p: RIGHT_SIDES[name](z, p, u),
            (0.0, span), initial[sample].numpy(), method="DOP853", rtol=1e-11, atol=1e-12,
        )  # fmt: skip
        assert ours[-1, sample].numpy() == pytest.approx(found.y[:, -1], rel=2e-5, abs=2e-5)
