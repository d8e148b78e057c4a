"""benchmarks/noise_matters.py: what was measured is never measured again, and the figures are those of their definition."""

import importlib
import json
import statistics
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture
def noise_matters(monkeypatch):
    """The script as a module; nothing is optimised, and cells run in this process."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    module = importlib.import_module("noise_matters")

    def in_turn(jobs, *, n_workers):
        assert n_workers <= 2
        for job in jobs.values():
            yield from job.make(**job.arguments)

    monkeypatch.setattr(module, "side_by_side", in_turn)
    monkeypatch.setattr(module, "on_own_bench", Measuring())
    return module


class Measuring:
    """Stands for the measurement of a cell; fails once it was asked `patience` times."""

    def __init__(self):
        self.asked, self.patience = [], 1000

    def __call__(self, noise, seed, size):
        if len(self.asked) >= self.patience:
            raise RuntimeError("the power failed")
        self.asked.append((noise, seed))
        yield from ()
        worse = {"sde": 0.0, "constant_noise": 0.1, "ode": 1.0, "readout_only": 0.3, "ode_fitted": 0.8}
        names = list(worse)[: 4 + size.ode_fitted]
        outcomes = [
            {
                "knowledge": name,
                "regularisation": ridge,
                "promised": 0.2,
                "foreseen": 0.25,
                "measured": 0.2 + noise * (1 + worse[name]) + 0.001 * seed + ridge,
                "repeat_spread": 0.002,
                "refitted": 0.19 + noise * (1 + worse[name]),
                "refitted_spread": 0.003,
            }
            for ridge in (1e-5, 1e-3)
            for name in names
        ]
        return {"outcomes": outcomes, "linear_same_taps": 0.58, "linear_20_taps": 0.39}


def test_an_interrupted_run_goes_on_with_what_is_missing(noise_matters, tmp_path, capsys):
    words = ["--json", str(tmp_path / "out.json"), "--seeds", "2"]
    measuring = noise_matters.on_own_bench
    measuring.patience = 4
    with pytest.raises(RuntimeError, match="power"):
        noise_matters.main(words)
    assert not (tmp_path / "out.json").exists()
    measuring.patience = 1000
    noise_matters.main(words)
    assert sorted(measuring.asked) == sorted((noise, seed) for noise in noise_matters.NOISES for seed in (1, 2))
    first = json.loads((tmp_path / "out.json").read_text())
    noise_matters.main(words)
    assert len(measuring.asked) == 6, "nothing is measured twice"
    again = json.loads((tmp_path / "out.json").read_text())
    assert again["levels"] == first["levels"]
    assert len(again["cells"]) == 6


def test_a_part_of_another_size_is_measured_again(noise_matters, tmp_path, monkeypatch, capsys):
    words = ["--json", str(tmp_path / "out.json"), "--seeds", "1"]
    noise_matters.main(words)
    monkeypatch.setattr(noise_matters, "FULL", noise_matters.replace(noise_matters.FULL, n_iterations=7))
    noise_matters.main(words)
    assert len(noise_matters.on_own_bench.asked) == 6
    noise_matters.main([*words[:-1], "2"])
    assert len(noise_matters.on_own_bench.asked) == 9, "more seeds take only those that are new"


def test_quick_runs_begin_anew_and_have_three_levels_and_three_seeds(noise_matters, tmp_path, capsys):
    for _ in range(2):
        noise_matters.main(["--quick", "--json", str(tmp_path / "out.json")])
    assert len(noise_matters.on_own_bench.asked) == 2 * 9
    assert list(tmp_path.iterdir()) == [tmp_path / "out.json"]


def test_levels_are_medians_at_the_weaker_ridge_with_the_models_own_read_out(noise_matters, tmp_path, capsys):
    noise_matters.main(["--quick", "--json", str(tmp_path / "out.json"), "--seed", "5"])
    figures = json.loads((tmp_path / "out.json").read_text())
    assert figures["simulated"] is True
    assert [one["noise"] for one in figures["levels"]] == list(noise_matters.NOISES)
    loudest = figures["levels"][-1]
    expected = statistics.median(0.2 + 0.1 + 0.001 * seed + 1e-5 for seed in (5, 6, 7))
    assert loudest["sde_measured"] == pytest.approx(expected)
    assert loudest["sde_gap"] == pytest.approx(expected - 0.2)
    assert loudest["ode_measured"] == pytest.approx(expected + 0.08), "the better of the two"
    assert loudest["ode_is"] == "ode_fitted"
    assert loudest["reservoir_measured"] == pytest.approx(expected + 0.03)
    assert loudest["best_rival"] == "constant_noise"
    assert loudest["sde_less_best_rival"] == pytest.approx(-0.01)
    assert loudest["repeat_spread"] == 0.002
    assert loudest["sde_best_or_within_spread"] is True
    assert loudest["sde_clearly_best"] is True
    assert loudest["sde_gap_within_repeat_spread"] is False
    assert len(figures["table"]) == 3 * 2 * 2 * 5
    [row] = [
        one
        for one in figures["table"]
        if (one["noise"], one["ridge"], one["readout"], one["knowledge"]) == (0.05, 1e-3, "refitted", "ode")
    ]
    assert row["measured_by_seed"] == pytest.approx([0.29] * 3)
    assert row["seeds"] == [5, 6, 7]
    assert "SIMULATED" in capsys.readouterr().out


def test_both_equations_stand_in_the_table(noise_matters, tmp_path, capsys):
    noise_matters.main(["--json", str(tmp_path / "out.json"), "--seeds", "1"])
    figures = json.loads((tmp_path / "out.json").read_text())
    assert {"ode", "ode_fitted"} < {row["knowledge"] for row in figures["table"]}
