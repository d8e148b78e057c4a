"""labctl nca stability: the change that a run feels most stands beside random ones of its size."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from labctl.cli import main
from labctl.images import read_images, write_frames
from labctl.nca_model import save_model
from twins.nca import Automaton, Frames, NcaModel, NcaSpec, Scaling


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stability")
    values = np.random.default_rng(0).uniform(0.3, 0.7, (2, 4, 6, 6, 1)).astype(np.float32)
    write_frames(folder / "film.npz", Frames(values, 1.0, ("u",), ("",), simulated=True))
    automaton = Automaton(NcaSpec(n_channels=2, n_observed=1), generator=torch.Generator().manual_seed(0))
    draws = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for one in automaton.parameters():
            one.add_(0.1 * torch.randn(one.shape, generator=draws))
    save_model(NcaModel(automaton, Scaling((0.0,), (1.0,)), 2, 1.0, ("u",), ("",)), folder / "nca", {"simulated": True})
    return folder


def sought(place: Path, capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, list[float]]:
    asked = ["--size", "0.2", "--updates", "20", "--starts", "2", *words]
    assert main(["nca", "stability", str(place / "nca.json"), str(place / "film.npz"), *asked]) == 0
    told: dict[str, list[float]] = json.loads(capsys.readouterr().out)
    return told


def test_the_largest_deviates_more_than_random_changes_and_the_least_less(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = [str(place / f"largest{ending}") for ending in (".json", ".png", ".npz")]
    most = sought(place, capsys, *(word for path in out for word in ("--out", path)))
    least = sought(place, capsys, "--seek", "least")
    for trial in range(2):
        assert most["size"][trial] == pytest.approx(0.2, rel=1e-2)
        assert most["deviation_at_end"][trial] > 1.2 * most["random_deviation_at_end"][trial]
        assert least["deviation_at_end"][trial] < 0.9 * least["random_deviation_at_end"][trial]
    kept = json.loads((place / "largest.json").read_text())
    assert kept["deviation"] == most["deviation"]
    assert kept["provenance"]["simulated"]
    start = read_images(place / "largest.npz")
    assert start.simulated
    given = read_images(place / "film.npz").values[:, :1]
    moved = np.sqrt(np.square(start.values - given).sum(axis=(1, 2, 3, 4)))
    np.testing.assert_allclose(moved, 0.2, rtol=1e-2)
    assert (place / "largest.png").read_bytes().startswith(b"\x89PNG")


def test_what_cannot_be_sought_is_told(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model, film = str(place / "nca.json"), str(place / "film.npz")
    for words, told in (
        (["--seek", "least", "--bound", "box"], "no change at all"),
        (["--begin", "9"], "frames 0 to 3"),
        (["--begin", "3"], "--n-frames"),
        (["--out", "a.pdf"], ".png"),
        (["--loss", "none"], "loss"),
    ):
        assert main(["nca", "stability", model, film, *words]) == 1, words
        assert told in capsys.readouterr().err, words
