"""fit: held out by input, chosen by free run, repeatable, stoppable."""

import dataclasses

import numpy as np
import pytest
import torch

import twins
from twins.fitting.held_out import split_by_input


def fresh(traces, **options):
    return twins.DeviceTwin(twins.DeviceTwinSpec.for_traces(traces, **({"hidden": (8, 8)} | options)))


def run(twin, traces, **options):
    generator, events = twins.fit(twin, traces, **options), []
    while True:
        try:
            events.append(next(generator))
        except StopIteration as stop:
            return events, stop.value


def test_fitting_beats_the_linear_model_on_held_out_inputs(leaky_traces):
    events, result = run(fresh(leaky_traces), [leaky_traces], seed=0, max_epochs=20)
    assert result.best_phase == "likelihood"
    assert result.free_run_score < 0.6 * result.linear_free_run_score
    assert events[0].phase == "linear" and events[-1].progress == 1.0
    assert [event.epoch for event in events] == list(range(21))


def test_the_outcome_follows_from_the_seed(leaky_traces):
    outcomes = []
    for seed in (1, 1, 2):
        twin = fresh(leaky_traces)
        run(twin, [leaky_traces], seed=seed, max_epochs=3)
        outcomes.append(torch.cat([parameter.detach().flatten() for parameter in twin.parameters()]))
    assert torch.equal(outcomes[0], outcomes[1]) and not torch.equal(outcomes[0], outcomes[2])


def test_a_fit_that_is_stopped_leaves_its_best_checkpoint(leaky_traces):
    twin = fresh(leaky_traces)
    generator = twins.fit(twin, [leaky_traces], seed=0, max_epochs=400)
    kept = {}
    for event in generator:
        if event.best:
            kept = {name: value.detach().clone() for name, value in twin.named_parameters()}
        if event.epoch == 20:
            generator.close()
    assert all(torch.equal(value, kept[name]) for name, value in twin.named_parameters())
    assert twin.respond(torch.zeros(2, 5, 1), generator=torch.Generator().manual_seed(0)).shape == (2, 5, 1)


def test_a_budget_in_seconds_ends_the_fit(leaky_traces):
    _, result = run(fresh(leaky_traces), [leaky_traces], seed=0, max_epochs=10**6, max_seconds=0.3)
    assert result.n_epochs < 10**5


def test_the_window_phase_is_kept_only_where_it_helps(leaky_traces):
    _, plain = run(fresh(leaky_traces), [leaky_traces], seed=0, max_epochs=4)
    events, tuned = run(fresh(leaky_traces), [leaky_traces], seed=0, max_epochs=4, phases=("likelihood", "windows"))
    assert {event.phase for event in events} == {"linear", "likelihood", "windows"}
    assert tuned.free_run_score < plain.free_run_score or tuned == dataclasses.replace(
        plain, seconds=tuned.seconds, n_epochs=tuned.n_epochs
    )


def test_events_are_plain_data(leaky_traces):
    events, result = run(fresh(leaky_traces), [leaky_traces], seed=0, max_epochs=2)
    for value in [*(v for e in events for v in dataclasses.astuple(e)), *dataclasses.astuple(result)]:
        assert isinstance(value, (str, int, float, bool, tuple))


def test_no_input_is_both_trained_on_and_held_out(ground_truth):
    rng = np.random.default_rng(0)
    first = ground_truth.record("leaky", rng, n_inputs=6, n_samples=50, n_repeats=3)
    drives = first.drive[::3, first.n_prepare :, 0]
    again = ground_truth.record("leaky", rng, n_inputs=6, n_samples=50, drive=drives)  # the same drives once more
    split = split_by_input([first, again], fraction=0.3, rng=rng)
    seen, judged = (
        {drive.tobytes() for part in parts for drive in part.drive} for parts in (split.train, split.held_out)
    )
    assert seen and judged and not seen & judged
    assert len(judged) == 2 and len(split.held_out_inputs) == 4


@pytest.mark.parametrize("fraction", [0.05, 0.15, 0.5])
def test_an_input_that_was_trained_on_is_never_held_out_later(ground_truth, fraction):
    whole = ground_truth.record("leaky", np.random.default_rng(0), n_inputs=80, n_samples=4)
    for seed in range(20):
        trained: set[bytes] = set()
        for n in (16, 17, 30, 60, 80):
            order = np.random.default_rng([seed, n]).permutation(n)  # nor does it matter where the others join
            parts = [whole.select(order[: n // 2]), whole.select(order[n // 2 :])]
            rng = np.random.default_rng(seed)
            split = split_by_input(parts, fraction=fraction, rng=rng, may_grow=True)
            train, held = (
                {drive.tobytes() for part in side for drive in part.drive} for side in (split.train, split.held_out)
            )
            assert held and not held & trained
            trained |= train


def test_about_the_fraction_is_held_out_of_data_that_may_grow(ground_truth):
    whole = ground_truth.record("leaky", np.random.default_rng(0), n_inputs=80, n_samples=4)
    counts = [
        len(split_by_input([whole], fraction=0.15, rng=np.random.default_rng(seed), may_grow=True).held_out_inputs)
        for seed in range(100)
    ]
    assert np.mean(counts) == pytest.approx(12.0, abs=1.0) and min(counts) > 0 and len(set(counts)) > 5
    exact = split_by_input([whole], fraction=0.15, rng=np.random.default_rng(0))
    assert len(exact.held_out_inputs) == 12


def test_a_warm_start_on_more_data_judges_on_none_that_it_was_trained_on(leaky_traces):
    twin = fresh(leaky_traces)
    _, first = run(twin, [leaky_traces.select(range(12))], seed=3, max_epochs=1)
    _, second = run(twin, [leaky_traces], seed=3, max_epochs=1, warm_start=True)
    trained = set(range(12)) - {input_id for _, input_id in first.held_out_inputs}
    assert not trained & {input_id for _, input_id in second.held_out_inputs}


@pytest.mark.parametrize(
    ("structure", "phases", "refused"),
    [
        ({"auxiliaries": 1}, ("likelihood",), "auxiliaries=1"),
        ({"auxiliaries": 1}, ("likelihood", "simulation"), "auxiliaries=1"),
        ({"observation": True}, ("likelihood",), "observation=True"),
        ({"observation": True, "noise_diagonal": False}, ("rollout",), "observation=True"),
        ({"observation": True, "auxiliaries": 1}, ("simulation",), "auxiliaries=1"),
        ({"auxiliaries": 1}, ("likelihood", "windows"), None),
        ({"observation": True}, ("likelihood", "simulation"), None),
        ({"observation": True}, ("rollout",), None),
        ({"observation": True, "auxiliaries": 1}, ("likelihood", "filter"), None),
    ],
)
def test_what_no_phase_would_train_is_refused(leaky_traces, structure, phases, refused):
    events = twins.fit(fresh(leaky_traces, **structure), [leaky_traces], seed=0, phases=phases)
    if refused is None:
        assert next(events).phase == "linear"
        events.close()
        return
    with pytest.raises(twins.TracesInvalid, match=f'{refused} would never be trained by .* add "filter"'):
        next(events)


def test_data_that_do_not_belong_together_are_refused(leaky_traces):
    other_rate = dataclasses.replace(leaky_traces, dt_s=1e-3)
    with pytest.raises(twins.TracesMismatch, match="sampled every"):
        next(twins.fit(fresh(leaky_traces), [leaky_traces, other_rate], seed=0))
    with pytest.raises(twins.TracesMismatch, match="twin steps by"):
        next(twins.fit(fresh(leaky_traces), [other_rate], seed=0))
    with pytest.raises(twins.TracesMismatch, match="drive_units differ"):
        next(twins.fit(fresh(leaky_traces), [dataclasses.replace(leaky_traces, drive_units=("mV",))], seed=0))
    with pytest.raises(twins.TracesMismatch, match="at least two inputs"):
        next(twins.fit(fresh(leaky_traces), [leaky_traces.select([0])], seed=0))


@pytest.mark.slow
@pytest.mark.parametrize(("device", "dt"), [("leaky", 0.2), ("duffing", 0.5), ("duffing", 0.25)])
def test_default_twins_are_calibrated(ground_truth, device, dt):
    rng = np.random.default_rng(1)
    traces = ground_truth.record(device, rng, n_inputs=60, n_samples=600, dt=dt)
    held_out = ground_truth.record(device, rng, n_inputs=30, n_samples=300, n_repeats=60, dt=dt)
    twin = twins.DeviceTwin(twins.DeviceTwinSpec.for_traces(traces))
    run(twin, [traces], seed=0)
    figures = twins.calibrate(twin, held_out, generator=torch.Generator().manual_seed(0))
    assert 0.88 <= figures.coverage_90 <= 0.92
    assert figures.std_ratio == pytest.approx(1.0, abs=0.03 if device == "leaky" else 0.06)
    assert figures.lag1_autocorrelation_twin == pytest.approx(figures.lag1_autocorrelation_device, abs=0.01)
    assert figures.energy_relative < 0.02
