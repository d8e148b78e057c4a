"""benchmarks/silverbox.py runs from file to figures, on simulated data of the same shape as the measured ones."""

import importlib
import json
from pathlib import Path

import numpy as np
import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
SMALL = {
    "ARROW": (0, 300),
    "FIRST_REALISATION": 310,
    "REALISATION": 310,
    "USED": 300,
    "SEGMENT": 150,
    "DELAYS": ((1, 1),),
    "PHASES": ("simulation",),
    "LINEAR_DELAYS": ((1, 1),),
}


@pytest.fixture
def silverbox(monkeypatch):
    """The script as a module, for records a thirtieth as long."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    module = importlib.import_module("silverbox")
    for name, value in SMALL.items():
        monkeypatch.setattr(module, name, value)
    return module


def record(n_samples):
    """V1, V2 of a simulated weakly cubic resonator that shows the drive of its own sample; the arrow grows."""
    rng = np.random.default_rng(0)
    drive = np.convolve(rng.standard_normal(n_samples + 4), np.ones(5) / 5, mode="valid")
    drive[:300] *= np.linspace(0.0, 1.5, 300)
    response = np.zeros(n_samples)
    for k in range(1, n_samples - 1):
        law = 1.6 * response[k] - 0.8 * response[k - 1] - 0.02 * response[k] ** 3 + 0.2 * drive[k + 1]
        response[k + 1] = law + 1e-3 * rng.standard_normal()
    return np.stack([drive, response], axis=1)


def written(path, table):
    np.savetxt(path, table, delimiter=",", header="V1,V2", comments="")
    return path


def test_every_figure_is_written_and_the_twin_beats_the_guess_of_zero(silverbox, tmp_path, capsys):
    table = record(310 * 11)
    data = written(tmp_path / "data.csv", table)
    words = ["--data", str(data), "--json", str(tmp_path / "out.json"), "--quick", "--members", "1", "--draws", "8"]
    silverbox.main([*words, "--lstm-seconds", "0.2"])
    figures = json.loads((tmp_path / "out.json").read_text())
    spread_mV = 1e3 * table[20:300, 1].std()
    assert 0.0 < figures["rmse_mV_arrow"] < 0.3 * spread_mV
    for name in ("rmse_mV_inside_range", "linear_rmse_mV_arrow", "lstm_rmse_mV_arrow"):
        assert figures[name] > 0.0
    assert 0.0 <= figures["coverage90"] <= 1.0
    assert figures["lstm_training_seconds"] >= figures["twin_training_seconds"]


def test_a_file_that_cannot_be_the_silverbox_is_refused(silverbox, tmp_path):
    with pytest.raises(SystemExit, match="must hold at least 3410 samples"):
        silverbox.read_silverbox(written(tmp_path / "short.csv", record(400)))
    with pytest.raises(SystemExit, match="takes SNLS80mV"):
        silverbox.read_silverbox(tmp_path / "missing.csv")
