"""Facts about the benchmark of recovered parameters: what it plays is what it says, and it scores as it says."""

import importlib
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from sim_devices.physics.stuart_landau import StuartLandau as Device
from twins.goku.posterior import Posterior
from twins.goku.systems import SYSTEMS, DampedPendulum
from twins.goku.trajectories import solve_system

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture(autouse=True)
def scripts(monkeypatch: pytest.MonkeyPatch) -> None:
    """The scripts' folder is on the path, as when one of them runs."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))


def test_every_equation_of_the_registry_is_in_it_and_is_well_formed() -> None:
    CASES = importlib.import_module("goku_parameters_cases").CASES
    assert {case.system_name or case.name for case in CASES} == set(SYSTEMS)
    for case in CASES:
        design = case.design(1)
        assert design.n_channels == len(case.observed)
        assert (design.drive is None) == (not case.system().drives)


def test_the_simulated_device_follows_the_equation_that_is_fitted_with_the_parameters_of_its_file() -> None:
    oscillator = importlib.import_module("goku_parameters_oscillator")
    system = oscillator.equation()
    parameters = system.draw_parameters(1, torch.Generator().manual_seed(4))
    named = dict(zip(system.parameter_names, parameters[0].tolist(), strict=True))
    values = oscillator.device_values({**named, "noise": 0.0})
    device = Device(**values, initial_real=0.2, initial_imaginary=-0.1)
    bias, step_s = 0.9, oscillator.DT_S
    measured = [device.observe()["voltage"]]
    rng = np.random.default_rng(1)
    for _ in range(150):
        measured.append(device.advance({"drive": np.full(4, bias)}, step_s=step_s / 4, generator=rng)["voltage"][-1])
    states = solve_system(
        system, torch.tensor([[0.2, -0.1]], dtype=torch.float64), parameters, step_s=step_s, n_steps=150,
        drive=torch.full((150, 1, 1), bias, dtype=torch.float64), substeps=4, backend="loop",
    )  # fmt: skip
    expected = system.outputs_of(states, parameters)[:, 0, 0].numpy()
    assert np.ptp(expected) > 0.1
    assert np.array(measured) == pytest.approx(expected, abs=1e-5)


def posterior_at(parameters: np.ndarray, sd: float, n_draws: int = 400) -> Posterior:
    rng = np.random.default_rng(5)
    draws = parameters[:, None] + sd * rng.standard_normal((len(parameters), n_draws, parameters.shape[1]))
    return Posterior(
        DampedPendulum().parameter_names, ("m", "1/s"), draws, np.zeros((*draws.shape[:2], 2)), np.ones((*draws.shape[:2], 1)),
        np.full(draws.shape[:2], 1.0 / n_draws), "sampler", np.ones(len(parameters), dtype=bool),
    )  # fmt: skip


def test_intervals_of_the_right_width_cover_and_narrow_ones_do_not() -> None:
    score = importlib.import_module("goku_parameters_score")
    tolerance = score.tolerance
    rng = np.random.default_rng(6)
    truth = DampedPendulum().draw_parameters(500, torch.Generator().manual_seed(1)).numpy()
    estimate = truth + 1e-3 * rng.standard_normal(truth.shape)
    right = score.scores(DampedPendulum(), score.Answers.of(posterior_at(estimate, 1e-3), truth), truth)
    narrow = score.scores(DampedPendulum(), score.Answers.of(posterior_at(estimate, 5e-4), truth), truth)
    assert right["coverage_within_tolerance"]
    assert right["coverages_missed"] == []
    assert narrow["coverage90"] < 0.75
    assert not narrow["coverage_within_tolerance"]
    assert tolerance(1000) == 0.03
    assert tolerance(100) == pytest.approx(0.09)


def test_the_factor_over_the_bound_is_one_for_an_estimate_at_the_bound() -> None:
    bound_factors = importlib.import_module("goku_parameters_score").bound_factors
    rng = np.random.default_rng(7)
    truth = DampedPendulum().draw_parameters(2000, torch.Generator().manual_seed(1)).numpy()
    bound = rng.uniform(0.5, 2.0, truth.shape) * np.array([0.01, 0.01])
    estimate = truth + bound * rng.standard_normal(truth.shape)
    bound[::2, 1] = np.inf  # of half of the traces the data do not tell the damping
    trusted = np.ones(len(truth), dtype=bool)
    found = bound_factors(DampedPendulum(), estimate, truth, bound, trusted)
    assert found["cramer_rao_factor"] == pytest.approx(1.0, abs=0.05)
    assert found["cramer_rao_factor_median"] == pytest.approx(1.0, abs=0.05)
    assert found["cramer_rao_told_fraction"] == pytest.approx(0.75)
    assert (
        bound_factors(DampedPendulum(), estimate, truth, np.full_like(bound, np.inf), trusted)["cramer_rao_factor"]
        is None
    )


def test_a_parameter_that_is_covered_too_rarely_is_not_hidden_by_one_that_is_covered_too_often() -> None:
    score = importlib.import_module("goku_parameters_score")
    rng = np.random.default_rng(8)
    truth = DampedPendulum().draw_parameters(500, torch.Generator().manual_seed(1)).numpy()
    errors = 1e-3 * rng.standard_normal(truth.shape) * np.array([1.3, 0.4])  # covered 0.79 and 1.00
    found = score.scores(DampedPendulum(), score.Answers.of(posterior_at(truth + errors, 1e-3), truth), truth)
    assert abs(found["coverage90"] - 0.9) < score.tolerance(500)
    assert set(found["coverages_missed"]) == set(DampedPendulum().parameter_names)
    assert not found["coverage_within_tolerance"]


def test_many_right_parameters_are_seldom_missed_and_one_wrong_among_them_is() -> None:
    score = importlib.import_module("goku_parameters_score")
    rng = np.random.default_rng(9)
    n, n_parameters = 300, 15
    covered = rng.binomial(n, 0.9, (4000, n_parameters)) / n
    assert np.mean([bool(score.missed(one, n)) for one in covered]) < 0.012
    covered[:, 3] = 0.8
    assert all(3 in score.missed(one, n) for one in covered)
    assert score.tolerance(n, of=n_parameters) > score.tolerance(n) == pytest.approx(3.0 * np.sqrt(0.09 / n))


def test_an_aim_that_was_missed_is_named_and_so_is_a_factor_that_is_not_there() -> None:
    aims_of = importlib.import_module("goku_parameters").aims_of
    good = {"coverage_within_tolerance": True, "coverages_missed": []}
    bad = {"coverage_within_tolerance": False, "coverages_missed": ["mass"]}
    recorded = {"name": "recorded", "cramer_rao_factor": None, "cramer_rao_not_computable": "why", "amortised": good}
    systems = [
        {"name": "one", "cramer_rao_factor": 1.2, "amortised": good, "refined": good},
        {"name": "two", "cramer_rao_factor": 2.0, "amortised": bad, "refined": good},
        {"name": "not told", "cramer_rao_factor": None, "amortised": good},
        recorded,
    ]
    aims = aims_of(systems)
    assert aims["coverage_missed"] == {"amortised": {"two": ["mass"]}, "refined": {}}
    assert aims["factor_missed"] == {"two": 2.0, "not told": None}
    assert aims["factor_not_computable"] == ["recorded"]
    assert not aims["all_met"]
    assert not aims_of([systems[0], systems[2]])["all_met"]
    assert aims_of([systems[0], recorded])["all_met"]


def test_untrusted_answers_give_way_to_the_others() -> None:
    Answers = importlib.import_module("goku_parameters_score").Answers
    one = Answers(np.ones((2, 1)), np.ones((2, 1), dtype=bool), np.array([True, False]))
    other = Answers(np.zeros((2, 1)), np.zeros((2, 1), dtype=bool), np.array([False, True]))
    both = one.where_trusted_else(other)
    assert both.estimate[:, 0].tolist() == [1.0, 0.0]
    assert both.covered[:, 0].tolist() == [True, False]
    assert both.trusted.tolist() == [True, True]


def test_refining_ends_with_the_lot_in_which_its_time_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    cell = importlib.import_module("goku_parameters_cell")
    case = next(
        case for case in importlib.import_module("goku_parameters_cases").CASES if case.name == "damped_pendulum"
    )
    size = cell.Size(n_traces=120, refine_all=True, n_devices=1, settings=cell.AmortisedSettings())
    material = cell._simulated(case, 3, size)
    found = posterior_at(material.truth, 1e-3, n_draws=60)
    asked = []

    def refined_lot(material: object, found: Posterior, traces: np.ndarray, seed: int) -> SimpleNamespace:
        asked.append(traces.tolist())
        how_many = {"importance": len(traces)}
        return SimpleNamespace(posterior=found.select(traces), converged=np.ones(len(traces)), how_many=how_many)

    monkeypatch.setattr(cell, "_refined_lot", refined_lot)
    short = cell._refined(material, found, 3, 0.0)
    assert asked == [list(range(60))]
    assert (short["n_refined"], short["refined"]["n"]) == (60, 60)
    asked.clear()
    whole = cell._refined(material, found, 3, np.inf)
    assert [trace for lot in asked for trace in lot] == list(range(120))
    assert whole["refined_how_many"] == {"importance": 120}
    assert whole["cramer_rao_factor"] < 1.0  # the posterior stands at the truth
