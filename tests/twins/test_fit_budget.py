"""A budget in seconds is kept by every phase, and none keeps anybody waiting who wants to stop. Clocks are made up."""

import itertools
import time

import numpy as np
import pytest
import torch

import twins
from twins.device.prepare import prepare_twin
from twins.fitting import course, filter_phase
from twins.fitting.rollouts import rollouts
from twins.fitting.sensitivities import LinearWeights, gather_equations, normal_equations
from twins.objectives.filter import Recordings


def spec_of(traces, **structure):
    return twins.DeviceTwinSpec.for_traces(
        traces, **({"hidden": (6,), "response_delays": 1, "drive_delays": 0} | structure)
    )


def run(traces, **options):
    twin = twins.DeviceTwin(spec_of(traces, **options.pop("structure", {})))
    return twin, list(twins.fit(twin, [traces], seed=0, **options))


def slow_clock(monkeypatch, step_s):
    """Every look at the clock takes step_s."""
    ticks = itertools.count(time.perf_counter(), step_s)
    monkeypatch.setattr(course.time, "perf_counter", lambda: next(ticks))


@pytest.fixture
def n_filtered(monkeypatch):
    """How often the filter's likelihood was asked for."""
    calls, true = [], filter_phase.filter_nll
    monkeypatch.setattr(filter_phase, "filter_nll", lambda *args, **options: calls.append(0) or true(*args, **options))
    return calls


def test_the_search_for_shares_of_noise_ends_with_its_share_of_the_time(leaky_traces, monkeypatch, n_filtered):
    structure = {"observation": True, "warm_up": 2}
    run(leaky_traces, structure=structure, phases=("filter",), max_epochs=1)
    unlimited = len(n_filtered)
    n_filtered.clear()
    slow_clock(monkeypatch, 0.5)
    _, events = run(leaky_traces, structure=structure, phases=("filter",), max_seconds=10.0)
    assert unlimited == 1 + 25 + 5 and len(n_filtered) < 15
    assert events[-1].progress == 1.0 and events[-1].seconds < 13.0


def test_a_search_that_is_stopped_leaves_the_likeliest_so_far(leaky_traces):
    twin = twins.DeviceTwin(spec_of(leaky_traces, observation=True))
    prepare_twin(twin, [leaky_traces], generator=torch.Generator().manual_seed(0))
    windows = Recordings.of(twin, [leaky_traces]).windows(16, 20, np.random.default_rng(0))
    patterns = filter_phase.start_patterns(twin, [leaky_traces])
    before = float(filter_phase.filter_nll(twin, *windows).detach())
    search = filter_phase.share_noise(twin, windows, patterns, burn_in=0)
    found = list(itertools.islice(search, 8))
    search.close()
    assert found[0] == pytest.approx(before) and found == sorted(found, reverse=True) and found[-1] < before
    assert float(filter_phase.filter_nll(twin, *windows).detach()) == pytest.approx(found[-1], abs=1e-5)


def test_batches_of_the_filter_have_fewer_windows_where_the_state_is_large():
    def windows(n, **structure):
        spec = twins.DeviceTwinSpec(
            dt_s=1.0, drive_names=("u",), drive_units=("V",), response_names=tuple(f"y{i}" for i in range(n)),
            response_units=("V",) * n, response_delays=1, observation=True, **structure,
        )  # fmt: skip
        return filter_phase.windows_in_batch(spec)

    assert windows(1) == windows(8) == 64
    assert windows(20) == 16 and windows(20, trial_drift=True) < 16
    assert windows(60) == 4


@pytest.mark.parametrize("phase", ["likelihood", "filter", "windows", "rollout", "simulation"])
def test_events_come_within_slow_epochs_and_change_nothing(leaky_traces, monkeypatch, phase):
    options = {"phases": (phase,), "max_epochs": 2, "structure": {"observation": phase == "filter"}}
    quick, usual = run(leaky_traces, **options)
    slow_clock(monkeypatch, 1.0)
    slow, more = run(leaky_traces, **options)
    assert len(more) > len(usual)
    assert all(torch.equal(a, b) for a, b in zip(quick.parameters(), slow.parameters(), strict=True))
    epochs = [event.epoch for event in more]
    assert epochs == sorted(epochs) and set(epochs) == {event.epoch for event in usual}


@pytest.mark.parametrize("phase", ["likelihood", "filter", "windows", "adversarial", "rollout", "simulation"])
def test_every_phase_ends_soon_after_its_time(leaky_traces, monkeypatch, phase):
    slow_clock(monkeypatch, 0.25)
    _, events = run(leaky_traces, structure={"observation": phase == "filter"}, phases=(phase,), max_seconds=8.0)
    assert events[-1].seconds < 14.0  # a look or two at the clock beyond the end


def test_equations_of_some_windows_are_told_when_time_is_up(leaky_traces, monkeypatch):
    twin = twins.DeviceTwin(spec_of(leaky_traces))
    prepare_twin(twin, [leaky_traces], generator=torch.Generator().manual_seed(0))
    windows = rollouts(twin, [leaky_traces], n_steps=10, n_windows=12, rng=np.random.default_rng(0))
    weights = LinearWeights(twin.double())
    monkeypatch.setattr("twins.fitting.sensitivities._MOST_NUMBERS", 4 * 10 * weights.size)  # 4 windows at once
    parts = gather_equations(weights, windows, burn_in=0)
    next(parts)
    with pytest.raises(StopIteration) as done:
        parts.send(True)
    with torch.no_grad():
        some = normal_equations(weights, windows.part(slice(4)), burn_in=0)
    torch.testing.assert_close(done.value.value.gram, some.gram)
    assert done.value.value.error == pytest.approx(some.error)
