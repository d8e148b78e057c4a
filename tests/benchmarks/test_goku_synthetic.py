"""benchmarks/goku_synthetic.py: cells are measured once, and the figures are those of their definition."""

import importlib
import json
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture
def script(monkeypatch):
    """The script as a module; cells run in this process."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    module = importlib.import_module("goku_synthetic")

    def in_turn(jobs, *, n_workers):
        for job in jobs.values():
            yield from job.make(**job.arguments)

    monkeypatch.setattr(module, "side_by_side", in_turn)
    return module


def fake(levels, asked):
    """Stands for training: scores by (method, size), a thousandth more with every seed."""

    def score(method, n_training, seed, size):
        asked.append((method, n_training, seed))
        yield from ()
        value = levels.get((method, n_training), 1.0) * (1.0 + 0.001 * seed)
        by_trace = {f"{kind}_by_trace": [value + 0.01 * i for i in range(6)] for kind in ("reconstruction", "forecast")}
        return {
            "method": method, "n_training": n_training, "seed": seed, "epochs": 3, "seconds": 1.0, "cpu_seconds": 1.0,
            "samples_a_trajectory": 600, "reconstruction": value, "forecast": 2 * value,
            "reconstruction_fitted": 0.5 * value if method in ("goku_ui", "ours") else None,
            "reconstruction_median": value, "forecast_median": value, **by_trace,
        }  # fmt: skip

    return score


def test_a_sweep_goes_on_where_it_was_stopped_and_says_how_small_compares_with_full(script, monkeypatch, tmp_path):
    asked = []
    levels = {
        ("goku_ui", 75): 0.3,
        ("goku_ui", 1200): 0.2,
        ("lstm", 1200): 0.31,
        ("ours", 75): 0.1,
        ("ours", 1200): 0.4,
    }
    monkeypatch.setattr(script, "score", fake(levels, asked))
    file = tmp_path / "out.json"
    common = ["--json", str(file), "--seeds", "7", "--methods", "goku_ui", "lstm", "ours", "naive"]
    script.main([*common, "--sizes", "75"])
    n_first = len(asked)
    script.main([*common, "--sizes", "75", "1200"])
    assert n_first == 4 * 7
    assert len(asked) == len(set(asked)) == 2 * n_first
    results = json.loads(file.read_text())
    assert (results["small_size"], results["full_size"]) == (75, 1200)
    assert results["goku_ui_small_reconstruction"] == pytest.approx(0.3 * 1.004)
    assert results["baselines_full_forecast"] == pytest.approx({"lstm": 0.62 * 1.004, "naive": 2.008})
    assert results["aim_small_goku_ui_at_or_below_baselines"] == {"reconstruction": True, "forecast": True}
    assert results["aim_ours_below_goku_ui_at_every_size"]["reconstruction"] == {"75": True, "1200": False}
    assert len(results["table"]) == 56
    assert results["aim_rests_on"]["sizes_ours_and_goku_ui"] == [75, 1200]
    assert results["aim_rests_on"]["baselines_at_full_size"] == ["lstm", "naive"]
    assert results["reconstruction_fitted_goku_ui_small"] == pytest.approx(0.15 * 1.004)
    assert results["reconstruction_fitted_ours_below_goku_ui"] == {"75": True, "1200": False}
    over_seeds = [row for row in results["statistics"] if (row["n_training"], row["kind"]) == (1200, "forecast")]
    lstm = next(one for one in over_seeds[0]["comparisons"] if one["rival"] == "lstm")
    assert lstm["median_difference"] == pytest.approx(-0.22 * 1.004)
    assert lstm["p_value"] == pytest.approx(2 / 2**7)  # exact: all seven seeds on one side
    assert lstm["p_holm"] > lstm["p_value"]


def test_a_test_over_seeds_is_given_only_where_something_could_come_out(script, monkeypatch, tmp_path):
    figures = importlib.import_module("goku_synthetic_figures")
    assert figures.fewest_seeds(10) == 9  # all methods: ten rivals of GOKU-UI
    assert 10 * 2 / 2**9 < figures.UNLIKELY <= 10 * 2 / 2**8
    monkeypatch.setattr(script, "score", fake({}, []))
    file = tmp_path / "out.json"
    script.main(["--json", str(file), "--seeds", "6", "--methods", "goku_ui", "lstm", "ours", "naive", "--sizes", "75"])
    assert json.loads(file.read_text())["statistics"] == []


def test_another_budget_is_another_experiment(script, monkeypatch, tmp_path):
    asked = []
    monkeypatch.setattr(script, "score", fake({}, asked))
    common = ["--json", str(tmp_path / "out.json"), "--seeds", "1", "--methods", "naive", "--sizes", "75"]
    script.main([*common, "--cpu-s", "5"])
    script.main([*common, "--cpu-s", "6"])
    assert len(asked) == 2


SLOW = [
    pytest.param(name, marks=pytest.mark.slow)
    for name in ("goku_ui", "goku_ui_single_shooting", "lstm_on_components", "latent_ode", "ours")
]


@pytest.mark.parametrize("method", ["goku_basic", "naive", "vector_autoregression", *SLOW])
def test_every_method_trains_and_is_scored(script, method):
    cells = importlib.import_module("goku_synthetic_cell")
    size = cells.Size(n_channels=8, n_samples=70, n_validation=6, n_test=4, max_epochs=1)
    scoring = cells.score(method, 6, 1, size)
    while True:
        try:
            next(scoring)
        except StopIteration as stop:
            result = stop.value
            break
    assert len(result["forecast_by_trace"]) == 4
    assert 0.0 < result["reconstruction"] < 100.0
    fitted = result["reconstruction_fitted"]
    if method.startswith("goku") or method == "ours":
        assert 0.0 < fitted < result["reconstruction"]
    else:
        assert fitted is None
