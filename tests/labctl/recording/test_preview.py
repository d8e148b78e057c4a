"""What is drawn of a drive before it is played is what will be played."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from labctl.design_options import Characterise, Chirp, Multisine, RandomSteps
from labctl.designed import excitations_of
from labctl.dry_run import planned
from labctl.preview import preview_of
from labctl.station import Station, load_station


@pytest.fixture
def station(demo: Path) -> Station:
    return load_station(demo)


def test_the_trial_that_is_drawn_is_the_one_that_will_be_played(station: Station, tmp_path: Path) -> None:
    design = Characterise(n_trials=4, n_samples=50, n_inputs=2, n_repeats=2, n_heldout_samples=30)
    for part, trial in (("training", 3), ("heldout", 1)):
        found = preview_of(station, "leaky", design, seed=5, folder=tmp_path, part=part, trial=trial)
        plan = planned(station, excitations_of(station, "leaky", design, seed=5)[part])
        assert (found.parts, found.part, found.trial, found.n_trials) == (("training", "heldout"), part, trial, 4)
        np.testing.assert_array_equal(found.drives[0].values, plan.drive[trial, :, 0])
        assert found.time_s[plan.n_prepare] == 0.0
        assert found.time_s.shape == found.drives[0].values.shape


def test_shares_and_powers_add_up(station: Station, tmp_path: Path) -> None:
    design = RandomSteps(n_trials=10, n_samples=400)
    (drive,) = preview_of(station, "leaky", design, seed=1, folder=tmp_path).drives
    (excitation,) = excitations_of(station, "leaky", design, seed=1).values()
    assert drive.share.sum() == pytest.approx(1.0)
    assert drive.power.sum() == pytest.approx(excitation.drive[:, :, 0].var(axis=1).mean(), rel=0.02)


def test_a_multisine_has_power_in_its_band_only(station: Station, tmp_path: Path) -> None:
    design = Multisine(n_trials=2, lowest_Hz=100.0, highest_Hz=500.0)
    (drive,) = preview_of(station, "leaky", design, seed=1, folder=tmp_path).drives
    inside = (drive.frequency_Hz > 99.0) & (drive.frequency_Hz < 501.0)
    assert drive.power[~inside].max() < 1e-9 * drive.power[inside].min()


def test_of_several_trials_the_first_that_would_be_refused_is_shown(station: Station, tmp_path: Path) -> None:
    design = RandomSteps(n_trials=30, n_samples=5, holds=(5,), high=2.2)
    found = preview_of(station, "leaky", design, seed=1, folder=tmp_path)
    refused = next(problem for problem in found.dry.problems if problem.trial is not None)
    assert found.trial == refused.trial
    assert refused.value is not None and refused.value > 2.0
    assert found.drives[0].values.max() > 2.0


def test_options_that_make_no_drive_are_told_and_nothing_is_drawn(station: Station, tmp_path: Path) -> None:
    found = preview_of(station, "leaky", Chirp(end_Hz=1e9), seed=1, folder=tmp_path)
    assert found.drives == ()
    assert not found.dry.ok


def test_a_drive_too_large_to_be_looked_at_is_not_built_and_that_is_said(station: Station, tmp_path: Path) -> None:
    found = preview_of(station, "leaky", RandomSteps(n_trials=10**5, n_samples=1000), seed=1, folder=tmp_path)
    assert "too many" in found.left_out
    assert found.drives == ()
