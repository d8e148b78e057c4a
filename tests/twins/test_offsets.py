"""Signals that are small beside their offset, and far from one in their units: a twin works in units of its own."""

import copy
import dataclasses

import numpy as np
import pytest
import torch

import twins
from twins.export import arrays_of
from twins.objectives.windows import draw_windows, window_score

SPREAD = 0.06  # what a response of some 0.4 V is scaled to: 2.5e-2 on an offset of 1e6
UNITS = {
    "plain": (SPREAD, 0.0, 0.0),
    "response offset": (SPREAD, 1e6, 0.0),
    "tiny": (1e-9, 0.0, 0.0),
    "both offset": (SPREAD, 1e6, 1e6),
}


def in_units(traces: twins.Traces, scale: float, offset: float, drive_offset: float) -> twins.Traces:
    return dataclasses.replace(traces, response=traces.response * scale + offset, drive=traces.drive + drive_offset)


def fitted(traces, **options):
    structure = {"response_delays": 1, "drive_delays": 1, "hidden": (8, 8)} | options
    twin = twins.DeviceTwin(twins.DeviceTwinSpec.for_traces(traces, **structure))
    events = twins.fit(twin, [traces], seed=0, max_epochs=12)
    while True:
        try:
            next(events)
        except StopIteration as stop:
            return twin, stop.value


@pytest.fixture(scope="module")
def in_all_units(leaky_traces, ground_truth):
    repeats = ground_truth.record("leaky", np.random.default_rng(9), n_inputs=6, n_samples=120, n_repeats=30)
    found = {}
    for name, units in UNITS.items():
        twin, result = fitted(in_units(leaky_traces, *units))
        generator = torch.Generator().manual_seed(1)
        judged = twins.calibrate(twin, in_units(repeats, *units), generator=generator, check_range=False)
        found[name] = (twin, result, judged)
    return found


@pytest.mark.parametrize("units", list(UNITS)[1:])
def test_the_same_physics_in_other_units_gives_an_equally_good_twin(in_all_units, units):
    _, plain, figures = in_all_units["plain"]
    _, result, judged = in_all_units[units]
    # rounding differs, and training spreads such differences: which inputs are held out is another lot with drives' bits
    assert result.linear_free_run_score == pytest.approx(plain.linear_free_run_score, rel=0.25)
    assert result.free_run_score == pytest.approx(plain.free_run_score, rel=0.25)
    assert judged.coverage_90 == pytest.approx(figures.coverage_90, abs=0.02)
    assert judged.std_ratio == pytest.approx(figures.std_ratio, abs=0.05)
    assert judged.lag1_autocorrelation_twin == pytest.approx(figures.lag1_autocorrelation_twin, abs=0.01)
    assert judged.lag1_autocorrelation_device == pytest.approx(figures.lag1_autocorrelation_device, abs=1e-4)


def test_responses_hold_more_digits_than_the_nets_do(in_all_units):
    twin, _, _ = in_all_units["both offset"]
    drive = torch.full((3, 40, 1), 1e6, dtype=torch.float64)
    response = twin.respond(drive, generator=torch.Generator().manual_seed(0)).detach()
    assert response.dtype == torch.float64 and twin.linear_weight.dtype == torch.float32
    steps = response.diff(dim=1).abs()
    assert len(np.unique(steps.numpy())) == steps.numel(), "no two steps are alike: nothing was rounded to a grid"
    assert (
        copy.deepcopy(twin).double().respond(drive, generator=torch.Generator().manual_seed(0)).dtype == torch.float64
    )


def test_stacked_twins_answer_as_each_alone_whatever_the_offsets(in_all_units):
    alone = [in_all_units[name][0] for name in ("plain", "both offset", "tiny")]
    stack, generator = twins.StackedTwins(alone), torch.Generator().manual_seed(2)
    history = stack.histories(4, generator=generator)
    centre = torch.tensor([0.0, 1e6, 0.0], dtype=torch.float64)[:, None, None]
    drive = centre + 2.0 * torch.rand(3, 4, 50, generator=generator, dtype=torch.float64) - 1.0
    noise = torch.randn(49, 3, 4, generator=generator)
    together = stack.respond(drive, history=history, noise=noise)
    assert stack.get_buffer("_fast.0.window_in").dtype == torch.float32, "the kernel stays as fast as it was"
    for node, twin in enumerate(alone):
        own = twins.Histories(history.response[node].unsqueeze(-1), history.drive[node].unsqueeze(-1))
        single = twin.respond(drive[node].unsqueeze(-1), history=own, noise=noise[:, node].unsqueeze(-1))[..., 0]
        error = (together[node] - single.detach()).abs().max() / twin.response_scale
        assert float(error) < 1e-4


def test_offsets_survive_a_file_and_an_export(in_all_units, tmp_path):
    twin, _, _ = in_all_units["both offset"]
    again = twins.load_twin(twins.save_twin(twin, tmp_path / "far", provenance={}))
    assert torch.equal(again.response_centre, twin.response_centre)
    starts = arrays_of(again, seed=0)["start_response"]
    assert np.abs(starts - twin.bank_response.numpy()).max() < 1e-3 * float(twin.response_scale)


def test_scores_of_windows_do_not_feel_an_offset(in_all_units, leaky_traces):
    near, _, _ = in_all_units["plain"]
    far = copy.deepcopy(near)
    with torch.no_grad():
        far.response_centre += 1e6
        far.drive_centre += 1e6
    scores = []
    for twin, units in ((near, "plain"), (far, "both offset")):
        traces = in_units(leaky_traces, *UNITS[units])
        windows = draw_windows(twin, [traces], n_windows=8, n_steps=10, rng=np.random.default_rng(0))
        with torch.no_grad():
            scores.append(window_score(twin, windows, n_draws=4, generator=torch.Generator().manual_seed(0)))
    assert scores[1].dtype == torch.float32
    assert float(scores[1]) == pytest.approx(float(scores[0]), rel=1e-3)
