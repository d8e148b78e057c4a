"""An automaton and images of another kind than its own: used where that makes sense, refused with words where it does not."""

from pathlib import Path

import numpy as np
import pytest
import torch

from labctl.cli import main
from labctl.nca_model import save_model
from twins.nca import Automaton, NcaModel, NcaSpec, Scaling


@pytest.fixture
def saved(tmp_path: Path) -> str:
    """Of one channel, trained on 0.1 to 0.9, on a file that had to be told its axes and its times."""
    automaton = Automaton(NcaSpec(n_channels=2, n_observed=1), generator=torch.Generator().manual_seed(0))
    model = NcaModel(automaton, Scaling((0.1,), (0.9,)), 2, 2.0, ("intensity",), ("",))
    about = {"nca": {"reading": {"axes": "nyxt", "dataset": "film", "dt": 2.0, "pixel": 0.5}}}
    return str(save_model(model, tmp_path / "nca", about).path)


def ran(saved: str, path: Path, *words: str) -> tuple[int, Path]:
    out = path.parent / f"{path.stem}-ran.npz"
    return main(["nca", "run", saved, str(path), "--n-frames", "2", "--out", str(out), *words]), out


def test_a_start_far_outside_the_trained_range_is_refused_unless_that_is_wanted(
    tmp_path: Path, saved: str, capsys: pytest.CaptureFixture[str]
) -> None:
    film = np.random.default_rng(0).random((3, 12, 13))
    np.save(tmp_path / "counts.npy", film * 65535)
    counts = tmp_path / "counts.npy"
    code, out = ran(saved, counts, "--axes", "tyx")
    told = capsys.readouterr().err
    assert code == 1 and "trained were 0.1 to 0.9" in told and "--any-range" in told and not out.exists()
    code, out = ran(saved, counts, "--axes", "tyx", "--any-range")
    assert code == 0 and out.exists() and "far outside" in capsys.readouterr().err
    assert main(["nca", "evaluate", saved, str(counts), "--axes", "tyx", "--damage", "none", "--no-readable"]) in (0, 3)
    assert "trained were 0.1 to 0.9" in capsys.readouterr().err
    film[0, 0, 0] = 4000.0  # one hot pixel
    np.save(tmp_path / "film.npy", film)
    assert ran(saved, tmp_path / "film.npy", "--axes", "tyx", "--begin", "first")[0] == 0
