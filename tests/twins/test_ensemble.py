"""Ensembles: a random member a trial, where members disagree, and files that cannot be mixed up."""

import json

import numpy as np
import pytest
import torch

import twins
from twins.device.prepare import prepare_twin


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def traces_of(gain=1.0, seed=0, conditions=None, n_trials=24):
    rng = np.random.default_rng(seed)
    drive, response = rng.uniform(-2, 2, (n_trials, 60, 1)), np.zeros((n_trials, 60, 1))
    for k in range(59):
        kick = 0.05 * rng.normal(size=(n_trials, 1))
        response[:, k + 1] = response[:, k] + 0.2 * (gain * np.tanh(drive[:, k]) - response[:, k]) + kick
    return twins.Traces(
        drive, response, 2e-4, ("d",), ("V",), ("r",), ("V",), n_prepare=10, conditions=conditions or {}
    )


def linear_twin(gain=1.0, **structure):
    """A twin that is its linear backbone alone: mean and noise are those of the data."""
    traces = traces_of(gain)
    structure = {"response_delays": 1, "drive_delays": 0, "hidden": (4,), **structure}
    twin = twins.DeviceTwin(twins.DeviceTwinSpec.for_traces(traces, **structure))
    prepare_twin(twin, [traces], generator=seeded())
    return twin


@pytest.fixture(scope="module")
def ensemble():
    return twins.TwinEnsemble([linear_twin(gain) for gain in (0.5, 1.0, 1.5)])


def test_every_trial_is_the_response_of_one_member(ensemble):
    drive = torch.full((40, 30, 1), 1.0)
    history, noise = ensemble.histories([0] * 40), torch.zeros(29, 40, 1)
    together = ensemble.respond(drive, generator=seeded(1), history=history, noise=noise)
    alone = [twin.respond(drive, history=history, noise=noise) for twin in ensemble.members]
    which = torch.stack([(together - one).abs().amax((1, 2)) < 1e-6 for one in alone])
    assert (which.sum(0) == 1).all()
    assert (which.sum(1) >= 5).all()
    chosen = ensemble.respond(drive, history=history, noise=noise, member=torch.tensor([2] * 40))
    torch.testing.assert_close(chosen, alone[2])


def test_batches_of_any_shape_gradients_and_one_seed_one_answer(ensemble):
    drive = torch.zeros(2, 3, 12, 1, requires_grad=True)
    first, second = (ensemble.respond(drive, generator=seeded(3)) for _ in range(2))
    assert first.shape == (2, 3, 12, 1)
    assert torch.equal(first, second)
    first.sum().backward()
    assert (drive.grad[..., :-1, :].abs().amax((2, 3)) > 0).all()


def test_the_ranges_are_those_that_every_member_knows(ensemble):
    edges = torch.stack([twin.drive_range for twin in ensemble.members])
    assert ensemble.drive_range[0, 1] == edges[:, 0, 1].min()
    with pytest.raises(twins.OutsideFittedRange, match=r"d: 2\.2 V"):
        ensemble.respond(torch.full((1, 5, 1), 2.2), generator=seeded())
    with pytest.raises(twins.OutsideFittedRange):
        ensemble.disagreement(torch.full((1, 5, 1), 2.2), generator=seeded())


def test_members_of_another_structure_are_refused():
    with pytest.raises(twins.TracesMismatch, match="member 1 has another structure"):
        twins.TwinEnsemble([linear_twin(), linear_twin(response_delays=2)])
    with pytest.raises(twins.TwinNotFitted):
        twins.TwinEnsemble([twins.DeviceTwin(linear_twin().spec)])


def test_disagreement_is_the_spread_of_the_means_and_grows_where_the_members_differ(ensemble):
    drive = torch.stack([torch.full((40, 1), level) for level in (0.0, 1.5)])
    found = ensemble.disagreement(drive, generator=seeded(2), n_draws=64)
    still, driven = found.epistemic[:, -1, 0]
    # linear backbones: at rest all say nearly the same, driven their means are proportional to their gains
    with torch.no_grad():
        means = [
            twin.respond(drive[1].expand(400, -1, -1), generator=seeded(5))[:, -1].mean() for twin in ensemble.members
        ]
    assert float(driven) == pytest.approx(float(torch.stack(means).std()), rel=0.15)
    assert float(still) < 0.1 * float(driven)
    assert float(found.ratio[1]) > 3 * float(found.ratio[0])
    stationary = float(found.aleatoric[0, -1, 0])
    assert stationary == pytest.approx(0.05 / np.sqrt(1 - 0.8**2), rel=0.25)


def test_members_that_agree_leave_nothing_of_the_finite_number_of_draws():
    same = twins.TwinEnsemble([linear_twin(), linear_twin()])
    found = same.disagreement(torch.full((1, 30, 1), 1.0), generator=seeded(2), n_draws=4)
    assert float(found.epistemic.abs().max()) < 1e-6
    with pytest.raises(twins.TracesInvalid, match="2 members"):
        twins.TwinEnsemble([linear_twin()]).disagreement(torch.zeros(1, 5, 1), generator=seeded())


def test_conditions_reach_every_member():
    parts = [traces_of(gain, seed, {"bias": gain}) for seed, gain in enumerate((0.5, 1.0))]
    members = []
    for seed in (0, 1):
        twin = twins.DeviceTwin(twins.DeviceTwinSpec.for_traces(parts, hidden=(4,)))
        prepare_twin(twin, parts, generator=seeded(seed))
        members.append(twin)
    both = twins.TwinEnsemble(members)
    drive = torch.zeros(5, 8, 1)
    assert both.respond(drive, generator=seeded(), conditions={"bias": 0.7}).shape == (5, 8, 1)
    assert both.respond(drive, generator=seeded(), conditions=torch.full((5, 1), 0.7)).shape == (5, 8, 1)
    assert both.disagreement(drive, generator=seeded(), conditions={"bias": 0.7}).ratio.shape == (5,)
    with pytest.raises(twins.TracesInvalid, match="bias"):
        both.respond(drive, generator=seeded())
    with pytest.raises(twins.OutsideFittedRange, match="bias"):
        both.respond(drive, generator=seeded(), conditions={"bias": 3.0})


def test_members_are_fitted_with_seeds_and_held_out_inputs_of_their_own():
    traces = traces_of()
    spec = twins.DeviceTwinSpec.for_traces(traces, response_delays=1, drive_delays=0, hidden=(8,))
    run = twins.fit_ensemble(lambda: twins.DeviceTwin(spec), [traces], seed=4, n_members=3, max_epochs=2)
    events = []
    while True:
        try:
            events.append(next(run))
        except StopIteration as finished:
            ensemble, results = finished.value
            break
    assert [event.member for event in events] == sorted(event.member for event in events)
    assert {event.member for event in events} == {0, 1, 2}
    assert len({result.seed for result in results}) == 3
    assert len({result.held_out_inputs for result in results}) == 3
    weights = [twin.nets.weights[0] for twin in ensemble.members]
    assert not torch.allclose(weights[0], weights[1])
    figures = twins.calibrate(ensemble, traces_of(seed=9), n_draws=60, generator=seeded())
    assert figures.coverage_90 == pytest.approx(0.9, abs=0.06)


def test_an_ensemble_is_saved_as_a_list_of_its_members_and_comes_back_the_same(ensemble, tmp_path):
    path = twins.save_ensemble(ensemble, tmp_path / "leaky", provenance={"simulated": True, "seed": 3})
    assert path == tmp_path / "leaky.json"
    again = twins.load_any_twin(tmp_path / "leaky")
    assert isinstance(again, twins.TwinEnsemble)
    drive = torch.zeros(4, 9, 1)
    assert torch.equal(*(one.respond(drive, generator=seeded(7)) for one in (ensemble, again)))
    assert twins.read_provenance(path)["seed"] == 3
    member = twins.load_any_twin(tmp_path / "leaky.member1.json")
    assert isinstance(member, twins.DeviceTwin)
    assert twins.read_provenance(tmp_path / "leaky.member1")["ensemble_member"] == 1
    with pytest.raises(twins.CheckpointInvalid):
        twins.load_twin(path)
    with pytest.raises(twins.CheckpointInvalid):
        twins.load_ensemble(tmp_path / "leaky.member1.json")


def test_a_member_that_was_exchanged_or_a_path_that_leads_elsewhere_is_refused(ensemble, tmp_path):
    path = twins.save_ensemble(ensemble, tmp_path / "leaky", provenance={})
    document = json.loads(path.read_text())
    twins.save_twin(linear_twin(3.0), tmp_path / "leaky.member0", provenance={})
    with pytest.raises(twins.CheckpointInvalid, match="sha256"):
        twins.load_ensemble(path)
    for file in ("../other.json", "/etc/other.json", "other.txt"):
        path.write_text(json.dumps({**document, "members": [{"file": file, "sha256": "0"}]}))
        with pytest.raises(twins.CheckpointInvalid):
            twins.load_ensemble(path)
    path.write_text("{")
    with pytest.raises(twins.CheckpointInvalid, match="not valid JSON"):
        twins.load_any_twin(path)
