"""Facts about the benchmark on measured data: errors where it extrapolates, and intervals that must agree."""

import importlib
from pathlib import Path

import numpy as np
import pytest

from twins.goku.posterior import Posterior
from twins.goku.series import Series

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture(autouse=True)
def scripts(monkeypatch: pytest.MonkeyPatch) -> None:
    """The scripts' folder is on the path, as when one of them runs."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))


def test_an_error_beyond_the_training_counts_only_samples_whose_response_lies_beyond_it() -> None:
    comparison = importlib.import_module("goku_measured_comparison")
    truth = np.full(200, 0.1)
    truth[[100, 150]] = 0.5, -0.6
    made = truth + 1e-3
    made[[100, 150]] += 9e-3
    made[:10] += 1.0  # before the run counts
    found = comparison.errors_beyond(made, truth, 0.3)
    assert found["rmse_mV_beyond"] == pytest.approx(10.0)
    assert (found["samples_beyond"], found["samples_after"]) == (2, 100)
    assert found["rmse_mV_after"] == pytest.approx(np.sqrt((98 * 1.0 + 2 * 100.0) / 100))
    assert 1.0 < found["rmse_mV"] < found["rmse_mV_after"]
    inside = comparison.errors_beyond(made, np.full(200, 0.1), 0.3)
    assert set(inside) == {"rmse_mV", "samples_beyond", "samples_after"}


def test_stretches_agree_within_right_intervals_and_not_within_narrow_ones() -> None:
    agreement_of = importlib.import_module("goku_measured_inference")._agreement_of
    sd = np.random.default_rng(2).uniform(0.5, 2.0, 400)
    mean = 10.0 + sd * np.random.default_rng(3).standard_normal(400)
    right, narrow = agreement_of(mean, sd), agreement_of(mean, 0.4 * sd)
    assert right["spread_by_stated"] == pytest.approx(1.0, abs=0.1)
    assert right["covers90"] == pytest.approx(0.9, abs=0.045)
    assert narrow["spread_by_stated"] == pytest.approx(2.5, abs=0.25)
    assert narrow["covers90"] < 0.6


def test_physical_units_are_those_of_every_draw() -> None:
    data, inference = importlib.import_module("goku_measured_data"), importlib.import_module("goku_measured_inference")
    names = tuple(data.duffing(noisy=True).parameter_names)
    draws = np.random.default_rng(4).uniform(0.1, 0.2, (2, 50, len(names)))
    posterior = Posterior(
        names, ("",) * len(names), draws, np.zeros((2, 50, 2)), np.ones((2, 50, 1)), np.full((2, 50), 0.02), "sampler",
        np.ones(2, dtype=bool),
    )  # fmt: skip
    told = inference.in_physical_units(posterior)
    assert told.parameter_names[0] == "natural_frequency"
    assert told.parameter_units[0] == "Hz"
    wanted = np.median(np.sqrt(draws[..., names.index("stiffness")]), axis=1) / (2.0 * np.pi * 1e-3)
    assert told.median()[:, 0] == pytest.approx(wanted, rel=1e-2)


@pytest.mark.slow
def test_each_autoencoder_goes_on_from_the_same_beginning_with_windows_of_its_own_use() -> None:
    rivals = importlib.import_module("goku_measured_rivals")
    rng = np.random.default_rng(5)
    series = Series(
        rng.standard_normal((3, 700, 1)), 0.1 * np.arange(700), ("x",), ("V",),
        drive=rng.standard_normal((3, 700, 1)), drive_names=("u",), drive_units=("V",),
    )  # fmt: skip
    found, begun = rivals.autoencoders(series, series, seconds=1.0, seed=1)
    assert set(found) == {"forecast", "reconstruction"}
    assert begun.n_updates > 0
    assert all(one.net is not begun.net and np.isfinite(one.validation_error) for one in found.values())
