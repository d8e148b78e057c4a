"""diagnose finds the noise, drift, memory and faults that were put in, with repeats and without."""

import json

import numpy as np
import pytest

from twins.diagnosis import diagnose, recommend
from twins.diagnosis.drift import drift_over_repeats
from twins.diagnosis.repeats import find_repeats
from twins.errors import TracesInvalid, TracesMismatch


def within(estimate, truth, *, relative, n_sd=4.0):
    """The estimate is right to `relative`, and its own standard error says as much as it should."""
    off = abs(estimate.value - truth)
    return off < relative * truth and off < n_sd * estimate.sd + 0.03 * truth


@pytest.fixture(scope="module", params=["single shots", "repeats"])
def leaky(request, known):
    """(drive, response, repeats) of the leaky integrator, without observation noise."""
    rng = np.random.default_rng(1)
    n_repeats = 1 if request.param == "single shots" else 20
    drive = np.repeat(known.steps(rng, 100 // n_repeats, 150, 2.0, (5, 25)), n_repeats, axis=0)
    return drive, known.leaky(drive, rng), n_repeats


@pytest.fixture(scope="module", params=["single shots", "repeats"])
def duffing(request, known):
    rng = np.random.default_rng(2)
    n_repeats = 1 if request.param == "single shots" else 20
    amplitude = np.repeat(known.steps(rng, 100 // n_repeats, 150, 0.2, (10, 25, 50)), n_repeats, axis=0)
    return (*known.duffing(amplitude, rng, well=1)[::-1], n_repeats)


def test_the_leaky_integrators_own_noise_is_found_and_no_other(leaky, known):
    drive, response, n_repeats = leaky
    channel = diagnose(known.traces(response, drive, repeats=n_repeats)).channels[0]
    assert within(channel.process_noise, known.leaky_step_noise(drive, response), relative=0.06)
    assert channel.observation_noise.value < 0.02
    assert channel.observation_noise_known and channel.memory == 1 and not channel.coloured
    assert channel.loudness_range > 1.3


def test_observation_noise_on_a_leaky_integrator_is_told_apart(leaky, known):
    drive, response, n_repeats = leaky
    noisy = response + 0.05 * np.random.default_rng(5).standard_normal(response.shape)
    diagnosis = diagnose(known.traces(noisy, drive, repeats=n_repeats))
    channel = diagnosis.channels[0]
    assert within(channel.observation_noise, 0.05, relative=0.1)
    assert within(channel.process_noise, known.leaky_step_noise(drive, response), relative=0.08)
    assert channel.observation_noise_known, channel.observation_noise_reason


def test_a_clean_duffing_shows_no_observation_noise(duffing, known):
    drive, response, n_repeats = duffing
    diagnosis = diagnose(known.traces(response, drive, repeats=n_repeats))
    channel = diagnosis.channels[0]
    assert channel.observation_noise.value < 0.002
    assert 0.008 < channel.process_noise.value < 0.012  # 0.0092: the residual of long one-step models, in 10⁶ samples
    assert channel.memory >= 3 and diagnosis.response_delays >= 2  # position alone hides speed and noise
    assert diagnosis.polynomial_order > 1


def test_observation_noise_on_a_duffing_is_told_apart(duffing, known):
    drive, response, n_repeats = duffing
    noisy = response + 0.05 * np.random.default_rng(5).standard_normal(response.shape)
    channel = diagnose(known.traces(noisy, drive, repeats=n_repeats)).channels[0]
    assert within(channel.observation_noise, 0.05, relative=0.1)
    # coloured forcing adds up over samples: the best white process noise beside the observation's is 0.013 to 0.017
    assert 0.009 < channel.process_noise.value < 0.02
    assert channel.observation_noise_known


def test_drift_over_repeats_is_measured_and_not_taken_for_noise(known):
    rng = np.random.default_rng(3)
    amplitude = np.repeat(known.steps(rng, 5, 120, 0.2, (10, 25)), 60, axis=0)
    response, drive = known.duffing(amplitude, rng, well=1)
    response += 0.05 * rng.standard_normal(response.shape)
    repeats = find_repeats([known.traces(response, drive, repeats=60)])
    assert not drift_over_repeats(repeats, rng)[0].significant
    drifting = response + known.autoregressive(300, 0.8, 0.04, rng)
    channel = diagnose(known.traces(drifting, drive, repeats=60)).channels[0]
    assert channel.drift.significant and channel.drift.distinct
    assert within(channel.drift.std, 0.04, relative=0.3)
    assert channel.drift.correlation.value == pytest.approx(0.8, abs=4 * channel.drift.correlation.sd)
    assert within(channel.observation_noise, 0.05, relative=0.1)


@pytest.mark.parametrize("n_channels, rank", [(16, 3), pytest.param(60, 8, marks=pytest.mark.slow)])
def test_many_correlated_channels_that_are_white_in_time(known, n_channels, rank):
    data = known.correlated_channels(np.random.default_rng(4), n_channels=n_channels, n_samples=48)
    diagnosis = diagnose(data)
    assert diagnosis.adjacent_correlation == pytest.approx(0.96, abs=0.03)
    assert diagnosis.noise_rank == pytest.approx(rank, abs=1)
    shares = [channel.drift.share.value for channel in diagnosis.channels]
    assert np.mean(shares) == pytest.approx(0.057, abs=0.025)
    assert all(channel.drift.distinct for channel in diagnosis.channels)
    assert np.mean([channel.observation_noise.value for channel in diagnosis.channels]) == pytest.approx(
        0.097, rel=0.05
    )
    assert max(abs(channel.residual_autocorrelation[0]) for channel in diagnosis.channels) < 0.1
    # noise that the device forgets at once could be its own: that is said, not hidden
    assert not any(channel.observation_noise_known for channel in diagnosis.channels)
    assert "white in time" in diagnosis.channels[0].observation_noise_reason
    chosen = recommend(diagnosis, data)
    assert chosen.spec_options["observation_columns"] == diagnosis.noise_rank
    assert chosen.spec_options["trial_drift"] and chosen.spec_options["observation"] and "filter" in chosen.phases


def test_repeats_that_part_into_clusters_are_a_warning_and_no_drift(known):
    rng = np.random.default_rng(6)
    amplitude = np.repeat(known.steps(rng, 5, 120, 0.2, (10, 25)), 16, axis=0)
    response, drive = known.duffing(amplitude, rng)  # the wells are random
    data = known.traces(response + 0.02 * rng.standard_normal(response.shape), drive, repeats=16)
    diagnosis = diagnose(data)
    assert diagnosis.multistable_share > 0.5
    assert any("clusters" in warning for warning in diagnosis.warnings)
    assert not diagnosis.channels[0].drift.distinct
    assert "trial_drift" not in recommend(diagnosis, data).spec_options


def linear(rng, n_trials=16, n_samples=120, noise=0.01):
    drive = np.repeat(rng.uniform(-1, 1, (n_trials, n_samples // 5)), 5, axis=1)
    x = np.zeros((n_trials, n_samples))
    for k in range(n_samples - 1):
        x[:, k + 1] = 0.8 * x[:, k] + 0.2 * drive[:, k]
    return drive, x, x + noise * rng.standard_normal(x.shape)


def test_faulty_channels_are_named(known):
    drive, x, noisy = linear(np.random.default_rng(0))
    channels = [noisy, np.full_like(x, 3.0), np.round(noisy, 1), np.clip(noisy, -0.3, 0.3)]
    diagnosis = diagnose(known.traces(np.stack(channels, axis=-1), drive))
    assert [channel.name for channel in diagnosis.channels] == ["y0", "y2", "y3"]
    said = {word: [w for w in diagnosis.warnings if word in w] for word in ("never changes", "quantised", "saturates")}
    assert [len(one) for one in said.values()] == [1, 1, 1]
    assert said["never changes"][0].startswith("y1") and said["quantised"][0].startswith("y2")
    assert said["saturates"][0].startswith("y3")


def test_a_dead_time_asks_for_drive_delays(known):
    rng = np.random.default_rng(0)
    drive, _, noisy = linear(rng, n_trials=20)
    late = np.concatenate((np.zeros((20, 3)), noisy[:, :-3]), axis=1)
    delays = [
        recommend(diagnose(data), data).spec_options["drive_delays"]
        for data in (known.traces(noisy, drive), known.traces(late, drive))
    ]
    assert delays[0] == 0 and delays[1] >= 3


def test_a_response_within_one_sample_is_called_too_coarse(known):
    rng = np.random.default_rng(0)
    drive = rng.uniform(-1, 1, (16, 120))
    response = np.zeros_like(drive)
    response[:, 1:] = np.tanh(2 * drive[:, :-1])
    diagnosis = diagnose(known.traces(response + 0.01 * rng.standard_normal(drive.shape), drive))
    assert any("sample faster" in warning for warning in diagnosis.warnings)


def test_a_response_that_hardly_moves_in_a_sample_is_called_too_fine(known):
    rng = np.random.default_rng(0)
    time = np.arange(400)
    phase = rng.uniform(0, 2 * np.pi, (16, 1))
    response = np.sin(2 * np.pi * time / 2000 + phase) + np.sin(2 * np.pi * time / 1300 + 2 * phase)
    drive = np.cos(2 * np.pi * time / 2000 + phase)
    diagnosis = diagnose(known.traces(response, drive))
    assert any("sampled finer" in warning for warning in diagnosis.warnings)


def test_conditions_that_differ_are_not_noise(known):
    rng = np.random.default_rng(0)
    parts = []
    for bias in (0.0, 1.0):
        drive, x, _ = linear(rng)
        parts.append(
            known.traces(x + 0.5 * bias + 0.01 * rng.standard_normal(x.shape), drive, conditions={"bias_V": bias})
        )
    channel = diagnose(parts).channels[0]
    assert within(channel.observation_noise, 0.01, relative=0.15)


def test_exact_data_show_no_noise(known):
    drive, x, _ = linear(np.random.default_rng(0))
    diagnosis = diagnose(known.traces(x, drive))
    assert diagnosis.channels[0].process_noise.value < 1e-9 and not diagnosis.channels[0].coloured
    assert "observation" not in recommend(diagnosis, known.traces(x, drive)).spec_options


def test_one_long_recording_counts_as_many_stretches(known):
    drive, _, noisy = linear(np.random.default_rng(0), n_trials=1, n_samples=4000)
    diagnosis = diagnose(known.traces(noisy, drive))
    assert diagnosis.n_inputs == 1 and diagnosis.n_stretches == 50
    assert within(diagnosis.channels[0].observation_noise, 0.01, relative=0.15)


def test_the_common_preparation_stands_in_for_repeats(known):
    rng = np.random.default_rng(0)
    drive, x, _ = linear(rng, n_trials=60)
    drive[:, :60] = 0.5
    for k in range(119):
        x[:, k + 1] = 0.8 * x[:, k] + 0.2 * drive[:, k]
    drift = known.autoregressive(60, 0.8, 0.02, rng)
    diagnosis = diagnose(known.traces(x + drift + 0.01 * rng.standard_normal(x.shape), drive, n_prepare=60))
    assert diagnosis.channels[0].drift.distinct
    assert within(diagnosis.channels[0].drift.std, 0.02, relative=0.5)
    assert any("preparation" in warning for warning in diagnosis.warnings)


def test_a_diagnosis_is_plain_json_and_follows_from_the_seed(known):
    drive, _, noisy = linear(np.random.default_rng(0))
    first, second = (diagnose(known.traces(noisy, drive), seed=3) for _ in range(2))
    assert first == second
    assert json.loads(json.dumps(first.as_dict(), allow_nan=False))["n_trials"] == 16


def test_too_little_data_are_refused_in_words(known):
    drive, x, _ = linear(np.random.default_rng(0))
    with pytest.raises(TracesInvalid, match="at least 24"):
        diagnose(known.traces(x[:, :20], drive[:, :20]))
    with pytest.raises(TracesInvalid, match="record more"):
        diagnose(known.traces(x[:1, :60], drive[:1, :60]))
    with pytest.raises(TracesInvalid, match="ever changes"):
        diagnose(known.traces(np.zeros_like(x), drive))
    with pytest.raises(TracesMismatch):
        diagnose([known.traces(x, drive), known.traces(x, drive, dt_s=2.0)])
