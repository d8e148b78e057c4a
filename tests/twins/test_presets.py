"""The reference by name: every number of its table, and a fit that runs with them."""

import dataclasses
import math

import numpy as np
import pytest
import torch

import twins
from twins.fitting import AdversarialOptions, RolloutOptions
from twins.presets import PRESETS, preset, with_field_clock


def traces_of(n_drive, n_response, *, n_trials=6, n_samples=70, input_id=None, seed=0):
    """Linear channels with memory and noise; nothing of the device but the number of its channels."""
    rng = np.random.default_rng(seed)
    drive = rng.uniform(-1, 1, (n_trials, n_samples, n_drive))
    response = np.zeros((n_trials, n_samples, n_response))
    for k in range(n_samples - 1):
        kick = 0.1 * rng.standard_normal((n_trials, n_response))
        response[:, k + 1] = 0.8 * response[:, k] + 0.2 * drive[:, k].sum(1, keepdims=True) + kick
    return twins.Traces(
        drive=drive,
        response=response,
        dt_s=0.01,
        drive_names=tuple(f"u{i}" for i in range(n_drive)),
        drive_units=("V",) * n_drive,
        response_names=tuple(f"y{i}" for i in range(n_response)),
        response_units=("V",) * n_response,
        input_id=input_id,
    )


# name: N_X, N_S, N_delay, scheme, T_horizon, batch, F hidden, G hidden, learning rates
TABLE = {
    "duffing": (2, 1, 1, "rk4", 10, 100, (200,), (500, 500), (1e-4, 5e-5, 5e-4)),
    "leaky_integrator": (1, 1, 0, "heun", 10, 100, (200,), (500, 500), (1e-4, 5e-5, 5e-4)),
    "nanorings": (1, 2, 4, "heun", 50, 50, (300, 250, 200), (300, 250, 200), (1e-3, 5e-6, 5e-6)),
    "spin_vortex_ice": (60, 1, 0, "heun", 18, 50, (300, 250, 200), (300, 250, 200), (1e-3, 5e-6, 5e-6)),
}


@pytest.mark.parametrize("name", TABLE)
def test_every_number_of_the_table_is_in_the_preset(name):
    n_response, n_drive, delays, scheme, horizon, batch, drift, noise, rates = TABLE[name]
    chosen = preset(name, traces_of(n_drive, n_response))
    spec, options = chosen.spec, chosen.fit_options["phase_options"]
    rollout, adversarial = options["rollout"], options["adversarial"]
    assert isinstance(rollout, RolloutOptions) and isinstance(adversarial, AdversarialOptions)
    assert (spec.n_response, spec.n_drive, spec.response_delays, spec.drive_delays) == (n_response, n_drive, delays, 0)
    assert (spec.scheme, spec.hidden, spec.diffusion_hidden, spec.activation) == (scheme, drift, noise, "relu")
    assert (rollout.n_steps, rollout.n_windows, rollout.n_iterations) == (horizon, batch, 40_000)
    assert (adversarial.n_steps, adversarial.n_windows, adversarial.n_iterations) == (horizon, batch, 30_000)
    assert (rollout.learning_rate, adversarial.noise_rate, adversarial.auxiliary_rate) == rates
    assert (adversarial.gradient_penalty, adversarial.critic_steps, adversarial.critic_hidden) == (10.0, 5, noise)
    assert adversarial.drift_rate == (5e-6 if name == "nanorings" else None)
    assert (adversarial.critic_sees, adversarial.loss, adversarial.unbiased) == ("windows", "features", False)
    assert chosen.fit_options["phases"] == ("rollout", "adversarial") and "9192" in chosen.source


def test_steps_and_decays_are_those_of_the_reference():
    assert PRESETS["duffing"].step == pytest.approx(0.09 * 2 * math.pi / 1.2)
    assert PRESETS["nanorings"].step == pytest.approx(math.pi / 10)
    chosen = preset("leaky_integrator", traces_of(1, 1))
    decays = chosen.fit_options["phase_options"]["adversarial"].auxiliary_decay
    assert decays[:3] == pytest.approx((0.5, 0.35, 0.245)) and len(decays) == chosen.spec.auxiliaries == 10
    assert chosen.spec.noise_mask == (False,)  # noise reaches the response through the auxiliaries alone


@pytest.mark.parametrize("name", TABLE)
def test_each_preset_fits_in_one_line(name):
    n_response, n_drive = TABLE[name][:2]
    traces = traces_of(n_drive, n_response)
    chosen = preset(name, traces, fraction=1e-4, hidden=(6,), diffusion_hidden=(6,))
    twin = twins.DeviceTwin(chosen.spec)
    options = dict(chosen.fit_options["phase_options"])
    options["adversarial"] = dataclasses.replace(options["adversarial"], critic_hidden=(8,), n_windows=8)
    events = list(twins.fit(twin, [traces], seed=0, **(chosen.fit_options | {"phase_options": options})))
    assert {event.phase for event in events} == {"linear", "rollout", "adversarial"}
    assert all(math.isfinite(event.free_run_score) for event in events)
    drive = torch.zeros(3, 5, n_drive)
    assert twin.respond(drive, generator=torch.Generator().manual_seed(0)).shape == (3, 5, n_response)


def test_the_fraction_scales_the_iterations():
    options = preset("duffing", traces_of(1, 2), fraction=0.01).fit_options["phase_options"]
    assert (options["rollout"].n_iterations, options["adversarial"].n_iterations) == (400, 300)
    with pytest.raises(twins.TracesInvalid, match="fraction"):
        preset("duffing", traces_of(1, 2), fraction=2.0)


def test_checkpoints_are_chosen_by_repeats_where_there_are_some():
    singles, repeats = traces_of(1, 1), traces_of(1, 1, input_id=np.repeat(np.arange(2), 3))
    for traces, choose_by in ((singles, "free_run"), (repeats, "repeats"), ([singles, repeats], "repeats")):
        chosen = preset("leaky_integrator", traces)
        assert chosen.fit_options["phase_options"]["adversarial"].choose_by == choose_by
        assert bool(chosen.notes) == (choose_by == "free_run")


def test_parts_can_be_otherwise():
    plain = preset("leaky_integrator", traces_of(1, 1), auxiliaries=0)
    assert plain.spec.noise_mask == () and not plain.fit_options["phase_options"]["adversarial"].auxiliary_decay
    ode = preset("duffing", traces_of(1, 2), noise_diagonal=False)
    assert not ode.spec.noisy and ode.fit_options["phases"] == ("rollout",)
    fewer = preset("spin_vortex_ice", traces_of(1, 8), response_delays=2)
    assert fewer.spec.response_delays == 2 and "60 response channels" in fewer.notes[0]


def test_wrong_names_and_drives_are_refused():
    with pytest.raises(twins.TracesInvalid, match="there are duffing, leaky_integrator"):
        preset("lorenz", traces_of(1, 1))
    with pytest.raises(twins.TracesMismatch, match="with_field_clock"):
        preset("nanorings", traces_of(1, 1))


def test_the_field_clock_is_the_angle_of_the_field():
    traces = traces_of(1, 1, n_samples=41)
    field = with_field_clock(traces, samples_per_period=20)
    amplitude = traces.drive[..., 0]
    np.testing.assert_allclose(np.hypot(*np.moveaxis(field.drive, 2, 0)), np.abs(amplitude))
    np.testing.assert_allclose(field.drive[:, 5], np.stack([0 * amplitude[:, 5], amplitude[:, 5]], 1), atol=1e-12)
    np.testing.assert_allclose(field.drive[:, [0, 20, 40], 0], amplitude[:, [0, 20, 40]])
    assert field.drive_names == ("u0_cos", "u0_sin") and field.drive_units == ("V", "V")
    clock = with_field_clock(traces, samples_per_period=20, phase_rad=math.pi / 2, form="amplitude_and_clock")
    np.testing.assert_allclose(clock.drive[..., 0], amplitude)
    np.testing.assert_allclose(clock.drive[0, :, 1], np.cos(2 * np.pi * np.arange(41) / 20), atol=1e-12)
    assert preset("nanorings", field).spec.drive_names == ("u0_cos", "u0_sin")
    with pytest.raises(twins.TracesMismatch, match="one drive"):
        with_field_clock(field, samples_per_period=20)
    with pytest.raises(twins.TracesInvalid, match="samples_per_period"):
        with_field_clock(traces, samples_per_period=1)
