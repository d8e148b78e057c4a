"""The windows phase: its options, and windows no longer than the trials."""

import numpy as np
import pytest
import torch

import twins
from twins.errors import TracesInvalid
from twins.fitting.options import WindowOptions
from twins.objectives.windows import draw_windows, window_score


@pytest.mark.parametrize("score", ["energy", "pairs"])
def test_either_score_of_windows_sees_measurement_noise_and_reaches_every_part(leaky_traces, score):
    spec = twins.DeviceTwinSpec.for_traces(
        leaky_traces, response_delays=1, drive_delays=0, hidden=(6,), observation=True, warm_up=4, auxiliaries=1
    )
    twin = twins.DeviceTwin(spec)
    options = {"windows": WindowOptions(n_steps=8, n_windows=16, n_draws=4, score=score)}
    for _ in twins.fit(twin, [leaky_traces], seed=0, phases=("windows",), max_epochs=1, phase_options=options):
        pass
    windows = draw_windows(twin, [leaky_traces], n_windows=32, n_steps=8, rng=np.random.default_rng(0))
    with torch.no_grad():
        twin.auxiliary_coupling.fill_(0.1)

    def loss(log_std: float) -> torch.Tensor:
        with torch.no_grad():
            twin.observation_log_std.fill_(log_std)
        return window_score(twin, windows, n_draws=16, generator=torch.Generator().manual_seed(0), score=score)

    parts = [twin.observation_log_std, twin.auxiliary_coupling, twin.auxiliary_rate, *twin.nets.parameters()]
    assert all(torch.isfinite(g).all() and g.any() for g in torch.autograd.grad(loss(-4.0), parts[:3]))
    assert loss(-4.0) < loss(0.0)  # the device was measured almost without noise


def test_windows_are_cut_to_short_trials(leaky_traces):
    short = leaky_traces.span(20, 50)
    spec = twins.DeviceTwinSpec.for_traces(short, response_delays=1, drive_delays=1, hidden=(4,))
    twin = twins.DeviceTwin(spec)
    events = list(twins.fit(twin, [short], seed=0, phases=("windows",), max_epochs=1))
    assert np.isfinite(events[-1].train_loss)


def test_a_score_that_is_not_there_is_named():
    with pytest.raises(TracesInvalid, match="energy, pairs"):
        WindowOptions(score="likelihood")
