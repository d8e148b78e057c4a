"""Slow drift over trials: learned from repeats, drawn once a trial, refused where nothing can show it."""

import dataclasses

import numpy as np
import pytest
import torch

import twins
from twins.device.prepare import prepare_twin
from twins.device.trial_drift import offsets_of

OFFSET = 0.08


def drifting(traces, *, std=OFFSET, correlation=0.8, seed=1):
    """The same recordings with an offset a trial that wanders as AR(1)."""
    rng = np.random.default_rng(seed)
    offset = np.zeros(traces.n_trials)
    offset[0] = std * rng.standard_normal()
    for k in range(1, traces.n_trials):
        offset[k] = correlation * offset[k - 1] + std * np.sqrt(1 - correlation**2) * rng.standard_normal()
    return dataclasses.replace(traces, response=traces.response + offset[:, None, None])


@pytest.fixture(scope="module")
def repeated(ground_truth):
    return ground_truth.record("leaky", np.random.default_rng(0), n_inputs=10, n_samples=150, n_repeats=30)


def test_the_offsets_of_trials_are_learned_from_repeats(repeated):
    found = [offsets_of([drifting(repeated, seed=seed)], np.random.default_rng(0)) for seed in range(6)]
    assert np.mean([float(abs(root[0, 0])) for root, _ in found]) == pytest.approx(OFFSET, rel=0.25)
    assert np.mean([correlation for _, correlation in found]) == pytest.approx(0.8, abs=0.15)


def test_channels_that_drift_together_keep_their_covariance(repeated):
    one = drifting(repeated)
    offset = one.response - repeated.response
    both = dataclasses.replace(
        repeated,
        response=np.concatenate((one.response, 2.0 * repeated.response[..., ::-1] - offset), axis=-1),
        response_names=("x", "y"),
        response_units=("V", "V"),
    )
    root, _ = offsets_of([both], np.random.default_rng(0))
    covariance = root @ root.T
    assert covariance[0, 1] < -0.5 * np.sqrt(covariance[0, 0] * covariance[1, 1])


def test_each_trial_of_a_twin_has_an_offset_of_that_size(repeated):
    traces = drifting(repeated)
    twin = twins.DeviceTwin(
        twins.DeviceTwinSpec.for_traces(traces, trial_drift=True, response_delays=0, drive_delays=0, hidden=(8,))
    )
    prepare_twin(twin, [traces], generator=torch.Generator().manual_seed(0))
    drive = torch.zeros(400, 40, 1, dtype=torch.float64)
    seen, state = (
        twin.respond(drive, generator=torch.Generator().manual_seed(1), observed=observed)[:, 20:, 0]
        for observed in (True, False)
    )
    offset = (seen - state).detach()
    assert float(offset.mean(1).std()) == pytest.approx(OFFSET, rel=0.35)
    assert float(offset.std(1).max()) < 1e-6


def test_a_device_that_does_not_drift_gets_no_offset(repeated):
    root, _ = offsets_of([repeated], np.random.default_rng(0))
    assert np.abs(root).max() == 0.0


def test_without_repeats_a_drift_cannot_be_asked_for(ground_truth):
    traces = ground_truth.record("leaky", np.random.default_rng(0), n_inputs=10, n_samples=150)
    alone = dataclasses.replace(traces, n_prepare=0)
    twin = twins.DeviceTwin(twins.DeviceTwinSpec.for_traces(alone, trial_drift=True))
    with pytest.raises(twins.TracesMismatch, match="needs repeats"):
        next(twins.fit(twin, [alone], seed=0, phases=("likelihood", "filter")))
