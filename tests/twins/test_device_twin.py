"""DeviceTwin: shapes, histories, ranges, gradients, and agreement with its own equation."""

import numpy as np
import pytest
import torch

import twins
from twins.device.history import Histories, histories_of
from twins.device.prepare import prepare_twin
from twins.solver import solve


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def two_channel_traces():
    rng = np.random.default_rng(0)
    drive, response = rng.uniform(-1, 1, (12, 60, 2)), np.zeros((12, 60, 3))
    mixing = rng.normal(size=(2, 3))
    for k in range(59):
        response[:, k + 1] = 0.8 * response[:, k] + np.tanh(drive[:, k] @ mixing) + 0.05 * rng.normal(size=(12, 3))
    return twins.Traces(drive, response, 1e-3, ("a", "b"), ("V", "T"), ("x", "y", "z"), ("V", "V", "A"), n_prepare=10)


@pytest.fixture(scope="module")
def two_channels():
    traces = two_channel_traces()
    twin = twins.DeviceTwin(twins.DeviceTwinSpec.for_traces(traces, response_delays=2, drive_delays=1))
    for _ in twins.fit(twin, [traces], seed=0, max_epochs=3):
        pass
    return twin


def test_responses_have_the_shape_of_their_drives(two_channels):
    drive = torch.zeros(4, 5, 30, 2)
    assert two_channels.respond(drive, generator=seeded()).shape == (4, 5, 30, 3)
    assert two_channels.respond(drive[0, 0], generator=seeded()).shape == (30, 3)
    assert two_channels.respond(drive[:, :, :1], generator=seeded()).shape == (4, 5, 1, 3)


def test_the_first_sample_is_the_newest_of_the_history(two_channels):
    history = histories_of(two_channels.spec, two_channel_traces())
    response = two_channels.respond(torch.zeros(12, 20, 2), history=history, generator=seeded())
    torch.testing.assert_close(response[:, 0].double(), history.response[:, 0], rtol=1e-5, atol=1e-6)


def test_by_default_it_starts_from_a_measured_preparation(leaky_twin):
    starts = leaky_twin.respond(torch.zeros(50, 2, 1), generator=seeded())[:, 0, 0]
    bank = leaky_twin.bank_response[:, 0, 0]
    assert all(torch.isclose(start, bank, atol=1e-6).any() for start in starts)
    assert len(starts.unique()) > 5


def test_an_early_drive_sample_moves_no_earlier_response(leaky_twin):
    history = leaky_twin.histories([0])
    noise = torch.randn(39, 1, 1, generator=seeded())
    drive = torch.zeros(1, 40, 1)
    quiet = leaky_twin.respond(drive, history=history, noise=noise)
    drive[0, 17] = 1.5
    moved = (leaky_twin.respond(drive, history=history, noise=noise) - quiet).abs()[0, :, 0]
    assert moved[:18].max() == 0.0 and moved[18] > 0.1


def test_respond_solves_the_twins_own_equation(leaky_twin):
    spec = leaky_twin.spec
    history = leaky_twin.histories([2, 5])
    noise = torch.randn(29, 2, 1, generator=seeded(1))
    drive = torch.rand(2, 30, 1, generator=seeded(2)) * 3 - 1.5
    before = torch.cat((history.drive, drive), 1)
    embedded = torch.cat((before[:, 1:-1], before[:, :-2]), -1).movedim(1, 0)  # newest first
    path = solve(leaky_twin, history.response, embedded, dt=spec.dt_s, n_steps=29, noise=noise)
    torch.testing.assert_close(
        path.movedim(0, 1), leaky_twin.respond(drive, history=history, noise=noise), rtol=1e-3, atol=1e-4
    )


def test_gradients_reach_drive_and_weights(leaky_traces):
    twin = twins.DeviceTwin(twins.DeviceTwinSpec.for_traces(leaky_traces, hidden=(8,)))
    prepare_twin(twin, [leaky_traces], generator=seeded())
    twin.double()
    drive = (torch.rand(3, 15, 1, generator=seeded(1), dtype=torch.float64) - 0.5).requires_grad_()
    history, noise = twin.histories([0, 1, 2]), torch.randn(14, 3, 1, generator=seeded(2), dtype=torch.float64)

    def loss(drive):
        return twin.respond(drive, history=history, noise=noise).square().sum()

    loss(drive).backward()
    direction = torch.randn(drive.shape, generator=seeded(3), dtype=torch.float64)
    with torch.no_grad():
        numerical = (loss(drive + 1e-6 * direction) - loss(drive - 1e-6 * direction)) / 2e-6
    assert float((drive.grad * direction).sum()) == pytest.approx(float(numerical), rel=1e-5)
    assert drive.grad[:, -1].abs().max() == 0.0  # the last sample acts after the last response
    assert twin.nets.weights[-1].grad.abs().sum() > 0


def test_beyond_its_fitted_range_it_answers_only_when_told_to(leaky_twin):
    drive = torch.zeros(1, 10, 1)
    drive[0, 4] = 2.5
    with pytest.raises(
        twins.OutsideFittedRange, match=r"leaky_drive: 2\.5 V lies outside the fitted range -1\.99"
    ) as raised:
        leaky_twin.respond(drive, generator=seeded())
    assert (raised.value.channel, raised.value.value, raised.value.unit) == ("leaky_drive", 2.5, "V")
    assert leaky_twin.respond(drive, generator=seeded(), check_range=False).shape == (1, 10, 1)


def test_a_drive_that_is_no_number_is_not_blamed_on_the_range():
    error = twins.OutsideFittedRange(channel="leaky_drive", value=float("nan"), lower=-2.0, upper=2.0, unit="V")
    assert "a twin that it hears has diverged" in str(error)
    assert "wider range" not in str(error)


def test_bad_drives_and_unfitted_twins_are_refused(leaky_twin, leaky_traces):
    with pytest.raises(twins.TracesInvalid, match="must be"):
        leaky_twin.respond(torch.zeros(3, 10, 2), generator=seeded())
    with pytest.raises(twins.TracesInvalid, match="not finite"):
        leaky_twin.respond(torch.full((3, 10, 1), float("nan")), generator=seeded())
    with pytest.raises(twins.TracesInvalid, match="history"):
        leaky_twin.respond(torch.zeros(1, 10, 1), history=Histories(torch.zeros(1, 9, 1), torch.zeros(1, 1, 1)))
    fresh = twins.DeviceTwin(twins.DeviceTwinSpec.for_traces(leaky_traces))
    with pytest.raises(twins.TwinNotFitted):
        fresh.respond(torch.zeros(1, 10, 1), generator=seeded())
