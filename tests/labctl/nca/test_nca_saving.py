"""What was trained is not lost where its folder cannot be written."""

from pathlib import Path

import numpy as np
import pytest
import torch

from labctl import nca_model
from labctl.cli import main
from labctl.errors import CampaignError
from labctl.images import write_frames
from labctl.nca_model import load_model, save_in_any_case
from twins.nca import Automaton, Frames, NcaModel, NcaSpec, Scaling


@pytest.fixture
def model() -> NcaModel:
    spec = NcaSpec(n_channels=2, n_observed=1)
    automaton = Automaton(spec, generator=torch.Generator().manual_seed(0))
    return NcaModel(automaton, Scaling((0.0,), (1.0,)), 2, 1.0, ("u",), ("",))


def blocked(folder: Path) -> Path:
    """A name in a folder that cannot be, even for root: where it should be lies a file."""
    (folder / "gone").write_text("a file, no folder")
    return folder / "gone" / "nca"


def test_an_automaton_goes_to_the_current_folder_where_its_own_cannot_be_written(
    model: NcaModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    for name in ("nca-rescued.json", "nca-rescued-2.json"):  # an older one is not written over
        with pytest.raises(CampaignError, match="was saved as") as told:
            save_in_any_case(model, blocked(tmp_path), {"simulated": True})
        assert str(tmp_path / "here" / name) in str(told.value)
        assert load_model(tmp_path / "here" / name).simulated


def test_else_it_goes_to_a_temporary_folder_and_that_is_said(
    model: NcaModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    monkeypatch.setattr(Path, "cwd", lambda: blocked(tmp_path).parent)
    with pytest.raises(CampaignError, match="was saved as"):
        save_in_any_case(model, blocked(tmp_path), {})
    [kept] = (tmp_path / "temporary").glob("*/nca-rescued.json")
    assert load_model(kept).model.names == ("u",)


def test_what_cannot_be_written_anywhere_is_called_lost(
    model: NcaModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(nca_model, "save_model", full)
    with pytest.raises(CampaignError, match=r"No space left.*is lost"):
        save_in_any_case(model, tmp_path / "nca", {})


def test_a_training_whose_folder_is_full_at_the_end_leaves_its_automaton_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    save = nca_model.save_model

    def full(model: NcaModel, path: Path, about: dict[str, object]) -> nca_model.SavedNca:
        if path.parent.name == "fitted":
            raise OSError(28, "No space left on device", str(path))
        return save(model, path, about)

    values = np.random.default_rng(0).random((2, 3, 6, 6, 1)).astype(np.float32)
    write_frames(tmp_path / "film.npz", Frames(values, 1.0, ("u",), ("",), simulated=True))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(nca_model, "save_model", full)
    words = ["--preset", "pde", "--steps-per-frame", "2", "--epochs", "2", "--validate-every", "1", "--out", "fitted"]
    assert main(["nca", "fit", "film.npz", *words]) == 1
    told = capsys.readouterr().err
    assert "No space left" in told
    assert "nca-rescued.json" in told
    saved = load_model(tmp_path / "nca-rescued.json")
    assert saved.simulated
    assert saved.about["nca"]["fit"]["epochs"] == 2
