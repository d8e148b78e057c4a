"""Ensembles of automata whose spread one knows: every cell drifts by its bias, as often as it fires."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from twins.errors import FramesInvalid
from twins.nca import Automaton, Frames, NcaModel, NcaSpec, Scaling
from twins.nca.ensemble import NcaEnsemble
from twins.nca.ensemble_calibration import calibration, calibration_of

START = Frames(np.full((2, 6, 32, 32, 1), 3.0), 1.0, ("a",), ("V",))
N_STEPS = 40


def drifting(rate: float, *, fire_rate: float = 1.0, n_channels: int = 2) -> NcaModel:
    """Every step adds 2 V · rate where it fires, nothing else."""
    spec = NcaSpec(n_channels=n_channels, n_observed=1, kernels="ID_LAP", fire_rate=fire_rate)
    automaton = Automaton(spec, generator=torch.Generator())
    with torch.no_grad():
        automaton.out_bias[0] = rate
    return NcaModel(automaton, Scaling((0.0,), (2.0,)), N_STEPS, 1.0, ("a",), ("V",))


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_mean_and_spread_are_those_of_the_members() -> None:
    rates = np.array([0.0, 0.01, 0.05])
    spread = NcaEnsemble([drifting(rate, n_channels=2 + n) for n, rate in enumerate(rates)]).run(START, 3)
    reached = 3.0 + 2.0 * N_STEPS * 3 * rates
    np.testing.assert_allclose(spread.mean.values[:, 3], reached.mean(), rtol=1e-4)
    np.testing.assert_allclose(spread.sd[:, 3], reached.std(ddof=1), rtol=1e-4)
    np.testing.assert_allclose(spread.sd_between, spread.sd, atol=1e-6)
    assert spread.mean.simulated and (spread.sd[:, 0] == 0).all() and (spread.sd_within == 0).all()
    assert spread.members.tolist() == [0, 1, 2]


def test_what_firing_does_by_chance_is_told_from_what_members_disagree_on() -> None:
    ensemble = NcaEnsemble([drifting(rate, fire_rate=0.5) for rate in (0.01, 0.01, 0.04, 0.04)])
    spread = ensemble.run(START, 1, generator=generator(), n_draws=8)
    assert len(spread.runs) == 32 and spread.members.tolist() == sorted(spread.members.tolist())
    by_chance = 2.0 * np.sqrt(N_STEPS * 0.25 * (0.01**2 + 0.04**2) / 2)
    between = 2.0 * N_STEPS * 0.5 * np.std([0.01, 0.01, 0.04, 0.04], ddof=1)
    assert np.sqrt(np.square(spread.sd_within[:, 1]).mean()) == pytest.approx(by_chance, rel=0.03)
    assert np.sqrt(np.square(spread.sd_between[:, 1]).mean()) == pytest.approx(between, rel=0.03)


def test_intervals_hold_what_they_promise_where_the_data_are_one_more_run() -> None:
    model = drifting(0.02, fire_rate=0.5)
    truth = model.run(START, 3, generator=generator(5))
    found = calibration(NcaEnsemble([model, model]), truth, generator=generator(), n_draws=4, levels=(0.5, 0.9))
    np.testing.assert_allclose(found.coverage, [[0.5] * 3, [0.9] * 3], atol=0.035)
    np.testing.assert_allclose(found.factor, 1.0, atol=0.05)
    # counts of firing are whole numbers, so that the data are often level with the outermost run, which is not outside
    assert (found.outside < found.outside_expected).all() and (found.outside > 0.6 * found.outside_expected).all()
    assert found.outside_expected == 2 / 9 and found.error_by_channel.shape == (3, 1)


def test_an_ensemble_that_is_wrong_of_one_mind_is_told_so() -> None:
    model = drifting(0.02, fire_rate=0.5)
    truth = drifting(0.04, fire_rate=0.5).run(START, 2, generator=generator(5))
    found = calibration(NcaEnsemble([model, model]), truth, generator=generator(), n_draws=4)
    assert (found.factor > 2).all() and (found.coverage[-1] < 0.5).all() and (found.outside > 0.9).all()


def test_the_spread_that_is_large_where_the_error_is_large_is_told_by_its_rank() -> None:
    spread = NcaEnsemble([drifting(0.01), drifting(0.02)]).run(START, 1)
    width = 0.1 + np.random.default_rng(0).random(spread.sd.shape)
    telling = calibration_of(replace(spread, sd=width), replace(START.span(0, 2), values=spread.mean.values + width))
    assert telling.spread_tells_error[0] > 0.999
    assert np.isnan(calibration_of(spread, START.span(0, 2)).spread_tells_error[0])


def test_members_that_run_away_are_named_and_can_be_left_away() -> None:
    wild = drifting(0.0)
    with torch.no_grad():
        wild.automaton.out_weight.fill_(1e6)
    ensemble = NcaEnsemble([drifting(0.01), wild, drifting(0.02)])
    with pytest.raises(FramesInvalid, match=r"without\(1\)"):
        ensemble.run(START, 4)
    assert len(ensemble.without(1).run(START, 4).runs) == 2


def test_members_of_other_images_and_a_single_run_are_refused() -> None:
    with pytest.raises(FramesInvalid, match="units"):
        NcaEnsemble([drifting(0.01), replace(drifting(0.01), units=("A",))])
    with pytest.raises(FramesInvalid, match="no spread"):
        calibration(NcaEnsemble([drifting(0.01)]), START)
    with pytest.raises(FramesInvalid, match="1 to 64"):
        NcaEnsemble([])
