"""benchmarks/nca_morph.py: its pictures are what they are said to be, and finished seeds are not trained again."""

import importlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture
def nca_morph(monkeypatch):
    """The script as a module, for pictures of 10 cells and a training of 2 epochs."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    module = importlib.import_module("nca_morph")
    small = module.Size(n_seeds=2, drawn=8, pad=1, steps=4, epochs=2, n_holes=2, limit_s=None)
    for name, value in {"QUICK": small, "FRAMES_BEFORE": 2, "FRAMES_AFTER": 2, "N_WORKERS": 1}.items():
        monkeypatch.setattr(module, name, value)
    return module


def test_the_three_pictures_differ_and_the_last_has_an_up_and_a_left(nca_morph):
    frames = nca_morph.sequence(32, 5)
    a, b, *rest = frames.values[0]
    assert frames.simulated and a.shape == (32, 32, 4) and all((rest[0] == other).all() for other in rest)
    assert min(np.linalg.norm(a - b), np.linalg.norm(b - rest[0])) > 10
    for turned in (rest[0][::-1], rest[0][:, ::-1], rest[0].swapaxes(0, 1), np.rot90(rest[0])):
        assert np.linalg.norm(turned - rest[0]) > 3
    for picture in frames.values[0]:
        assert set(np.unique(picture[..., 3])) == {0.0, 1.0} and (picture[picture[..., 3] == 0.0] == 0.0).all()


def test_every_seed_is_measured_and_a_finished_one_is_not_trained_again(nca_morph, tmp_path, monkeypatch):
    path = tmp_path / "morph.json"
    asked = ["--json", str(path), "--quick"]
    nca_morph.main(asked)
    first = json.loads(path.read_text())
    assert first["seeds"] == 2 and first["simulated"] and set(first["by_seed"]) == {"1", "2"}
    assert set(first["regeneration_share"]) == {"disc", "rectangle", "half", "noise"}

    def train(*_, **__):
        raise AssertionError("trained again")

    monkeypatch.setattr(nca_morph, "trained_model", train)
    nca_morph.main(asked)
    with pytest.raises(AssertionError, match="trained again"):
        nca_morph.main([*asked, "--no-pool"])


def test_a_model_that_stays_at_a_is_as_wrong_as_no_change_and_heals_nothing(nca_morph, tmp_path):
    from twins.nca import Automaton, NcaModel, NcaSpec, Scaling

    spec = NcaSpec(n_channels=5, n_observed=4, padding="zero")
    automaton = Automaton(spec, generator=torch.Generator().manual_seed(0))
    one = (0.0,) * 4, (1.0,) * 4
    model = NcaModel(automaton, Scaling(*one), 4, 1.0, nca_morph.sequence(8, 2).names, ("",) * 4, "frame")
    figures = nca_morph.measured(model, nca_morph.QUICK, 1)
    assert figures["transition_ratio_to_no_change"]["A_B"] == pytest.approx(1.0)
    assert not figures["stable"] and figures["error_after_10_horizons"] > figures["norm_of_c"]
    assert all(kind["share_healed"] == 0.0 for kind in figures["regeneration"].values())
    assert figures["regeneration"]["half"]["n_holes"] == 4
    nca_morph.draw(model, nca_morph.QUICK, tmp_path / "run.png")
    assert (tmp_path / "run.png").stat().st_size > 1000
