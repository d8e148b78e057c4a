"""Windows: cut, solved in one batch, joined."""

import numpy as np
import pytest
import torch

from twins.goku.network.shooting import Windows, solve_windows, steps_of
from twins.goku.trajectories import solve_system


@pytest.mark.parametrize("window", [None, 2, 5, 10, 60])
@pytest.mark.parametrize("n_samples", [2, 10, 11, 46, 50])
def test_joined_windows_hold_every_sample_once_and_in_order(n_samples, window):
    windows = Windows(n_samples, window)
    trace = torch.arange(2 * n_samples * 3.0).reshape(2, n_samples, 3)
    assert 2 <= windows.last_length <= windows.length
    assert torch.equal(windows.joined(trace[:, windows.places]), trace)
    assert torch.count_nonzero(windows.gaps(trace[:, windows.places])) == 0


def test_46_samples_are_5_windows_of_10_as_published():
    windows = Windows(46, 10)
    assert (windows.count, windows.length, windows.last_length) == (5, 10, 10)
    assert windows.places[:, 0].tolist() == [0, 9, 18, 27, 36]


def test_gaps_are_where_a_window_begins_less_where_the_one_before_ends():
    states = torch.arange(12.0).reshape(1, 3, 4, 1) ** 2
    assert Windows(10, 4).gaps(states).flatten().tolist() == [16.0 - 9.0, 64.0 - 49.0]


@pytest.mark.parametrize("n_samples", [19, 22])  # 22: a last window of 4
def test_windows_in_one_batch_equal_windows_one_by_one(examples, n_samples):
    system, windows = examples.Swing(), Windows(n_samples, 10)
    generator = torch.Generator().manual_seed(1)
    begin = torch.stack([system.draw_states(windows.count, generator) for _ in range(3)])
    lengths = system.draw_parameters(3, generator)
    times_s = 0.1 * torch.arange(n_samples, dtype=torch.float64).expand(3, -1)
    states, diverged = solve_windows(
        system, windows, begin, lengths, times_s, None, substeps=1, noisy=False, generator=None
    )
    assert not bool(diverged.any())
    for w in range(windows.count):
        n = windows.last_length if w == windows.count - 1 else windows.length
        alone = solve_system(system, begin[:, w], lengths, step_s=0.1, n_steps=n - 1).transpose(0, 1)
        np.testing.assert_allclose(states[:, w, :n], alone, rtol=1e-9)


def test_every_trace_has_times_and_a_drive_of_its_own(examples):
    system, windows = examples.Relaxer(), Windows(8, 4)
    rng = np.random.default_rng(0)
    times_s = torch.from_numpy(np.cumsum(rng.uniform(0.01, 0.2, (2, 8)), axis=1))
    drive = torch.from_numpy(rng.normal(size=(2, 8, 1)))
    begin = torch.zeros(2, windows.count, 1, dtype=torch.float64)
    parameters = torch.tensor([[1.0, 0.05], [3.0, 0.05]], dtype=torch.float64)
    states, _ = solve_windows(
        system, windows, begin, parameters, times_s, drive, substeps=4, noisy=False, generator=None
    )
    for trace in range(2):
        level = 0.0  # the closed form of a decay towards a held input, through the second window: samples 3 .. 6
        for k in range(3, 6):
            rest = float(torch.exp(-parameters[trace, 0] * (times_s[trace, k + 1] - times_s[trace, k])))
            level = float(drive[trace, k, 0]) * (1.0 - rest) + level * rest
        assert states[trace, 1, 3, 0] == pytest.approx(level, abs=1e-6)


def test_a_window_that_diverges_is_told_and_harms_no_other(examples):
    begin = torch.tensor([[[-0.5], [0.9]], [[-0.5], [-0.9]]], requires_grad=True)
    times_s = 0.1 * torch.arange(19, dtype=torch.float64).expand(2, -1)
    growth = torch.full((2, 1), 100.0)
    states, diverged = solve_windows(
        examples.Explosive(), Windows(19, 10), begin, growth, times_s, None, substeps=60, noisy=False, generator=None
    )
    assert diverged.tolist() == [[False, True], [False, False]]
    assert bool(torch.isfinite(states).all()) and states[0, 1].unique().item() == pytest.approx(0.9)
    states.square().sum().backward()
    assert bool(torch.isfinite(begin.grad).all()) and begin.grad[0, 0].item() != 0.0


def test_steps_are_one_number_only_where_they_are_equal():
    equal = torch.arange(5, dtype=torch.float64).expand(2, -1) * 1e-9
    assert steps_of(equal) == pytest.approx(1e-9)
    other = equal.clone()
    other[1, 4] += 1e-10
    assert isinstance(steps_of(other), torch.Tensor)
