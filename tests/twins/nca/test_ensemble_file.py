"""An ensemble comes back from disk as it was, or not at all."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from twins.errors import CheckpointInvalid
from twins.nca import Automaton, Frames, NcaModel, NcaSpec, Scaling
from twins.nca.ensemble import NcaEnsemble
from twins.nca.ensemble_file import load_any_nca, load_nca_ensemble, read_nca_ensemble_provenance, save_nca_ensemble


def model(seed: int) -> NcaModel:
    automaton = Automaton(NcaSpec(n_channels=3 + seed, n_observed=1), generator=torch.Generator().manual_seed(seed))
    with torch.no_grad():
        automaton.out_weight.normal_(std=0.01, generator=torch.Generator().manual_seed(seed))
    return NcaModel(automaton, Scaling((0.0,), (2.0,)), 2, 1.0, ("a",), ("V",))


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    return save_nca_ensemble(NcaEnsemble([model(0), model(1)]), tmp_path / "both", provenance={"seed": 3})


def test_an_ensemble_runs_the_same_after_it_was_saved(saved: Path) -> None:
    start = Frames(np.random.default_rng(0).random((1, 2, 8, 8, 1)), 1.0, ("a",), ("V",))
    runs = [
        ensemble.run(start, 2).mean.values for ensemble in (NcaEnsemble([model(0), model(1)]), load_nca_ensemble(saved))
    ]
    np.testing.assert_array_equal(*runs)
    assert isinstance(load_any_nca(saved.with_suffix("")), NcaEnsemble)
    assert isinstance(load_any_nca(saved.with_name("both.member1.json")), NcaModel)
    assert read_nca_ensemble_provenance(saved) == {"seed": 3}


def test_a_member_that_was_changed_or_is_gone_is_refused(saved: Path) -> None:
    member = saved.with_name("both.member1.json")
    member.write_text(member.read_text().replace('"steps_per_frame": 2', '"steps_per_frame": 3'))
    with pytest.raises(CheckpointInvalid, match="sha256"):
        load_nca_ensemble(saved)
    member.unlink()
    with pytest.raises(CheckpointInvalid):
        load_nca_ensemble(saved)


def test_a_list_of_another_kind_or_pointing_elsewhere_is_refused(saved: Path) -> None:
    document = json.loads(saved.read_text())
    for change in ({"format_version": 2}, {"members": []}, {"members": [{"file": "../x.json", "sha256": ""}]}):
        saved.write_text(json.dumps(document | change))
        with pytest.raises(CheckpointInvalid):
            load_nca_ensemble(saved)
    saved.write_text("{")
    with pytest.raises(CheckpointInvalid, match="JSON"):
        load_any_nca(saved)
