"""judge_gates: a twin passes within a tolerance or within chance, and never without evidence."""

import json
import math
from dataclasses import replace

import pytest

from twins.calibration import Calibration, ChannelFigures
from twins.errors import CheckpointInvalid
from twins.gates import GateReport, GateThresholds, judge_gates

GOOD = Calibration(
    coverage_90=0.895,
    coverage_90_floor=0.003,
    coverage_90_worst_input=0.87,
    coverage_90_worst_input_expected=0.88,
    coverage_90_worst_input_floor=0.01,
    std_ratio=1.01,
    std_ratio_floor=0.004,
    lag1_autocorrelation_twin=0.893,
    lag1_autocorrelation_device=0.890,
    lag1_autocorrelation_floor=0.001,
    energy_distance=0.001,
    energy_distance_floor=0.001,
    energy_relative=0.004,
    energy_relative_floor=0.001,
    finite_share=1.0,
    largest_excursion=1.1,
    n_inputs=20,
    n_trials=600,
    n_draws=199,
)


def failed(report):
    return {gate.name for gate in report.gates if not gate.passed}


def test_a_good_twin_passes_every_gate():
    report = judge_gates(GOOD)
    assert report.passed and report.judged and not report.reasons
    assert {gate.name for gate in report.gates} >= {
        "coverage_90",
        "coverage_90_worst_input",
        "std_ratio",
        "energy_relative",
    }


@pytest.mark.parametrize(
    "name, change",
    [
        ("coverage_90", {"coverage_90": 0.94}),
        ("coverage_90", {"coverage_90": 0.86}),
        ("coverage_90_worst_input", {"coverage_90_worst_input": 0.78}),
        ("std_ratio", {"std_ratio": 1.05}),
        ("std_ratio", {"std_ratio": None}),
        ("lag1_autocorrelation_difference", {"lag1_autocorrelation_twin": 0.91}),
        ("energy_relative", {"energy_relative": 0.03}),
        ("mean_bias", {"mean_bias": -0.2, "mean_bias_floor": 0.02}),
        ("mean_error", {"mean_error": 0.4, "mean_error_floor": 0.1}),
        ("free_run_excursion", {"finite_share": 0.995}),
        ("free_run_excursion", {"largest_excursion": 40.0}),
    ],
)
def test_each_fault_closes_its_own_gate(name, change):
    report = judge_gates(replace(GOOD, **change))
    assert not report.passed
    assert failed(report) == {name}
    assert len(report.reasons) == 1 and name.split("_")[0] in report.reasons[0].replace("free runs", "free")


def test_three_deviations_by_chance_are_allowed_where_they_exceed_the_tolerance():
    rare_hops = replace(GOOD, std_ratio=1.07, std_ratio_floor=0.026)
    assert judge_gates(rare_hops).passed
    assert "std_ratio" in failed(judge_gates(replace(rare_hops, std_ratio=1.08)))


def test_a_worst_input_of_few_trials_is_judged_against_what_chance_gives_the_worst():
    few = replace(
        GOOD, coverage_90_worst_input=0.72, coverage_90_worst_input_expected=0.78, coverage_90_worst_input_floor=0.03
    )
    assert judge_gates(few).passed
    assert failed(judge_gates(replace(few, coverage_90_worst_input=0.65))) == {"coverage_90_worst_input"}


def test_an_energy_distance_below_zero_is_chance_and_passes():
    assert judge_gates(replace(GOOD, energy_relative=-0.002)).passed


@pytest.mark.parametrize("change", [{"n_inputs": 2}, {"n_trials": 5}, {"n_inputs": 2, "n_trials": 2}])
def test_too_little_evidence_is_one_sentence_that_says_what_to_record(change):
    report = judge_gates(replace(GOOD, **change))
    assert not report.passed and not report.judged
    [reason] = report.reasons
    assert "held-out inputs" in reason and "at least 4 inputs and 10 trials" in reason and "record" in reason


def test_where_chance_would_let_a_wrong_twin_pass_the_spread_is_not_judged_and_the_words_say_how_much_to_record():
    single = replace(GOOD, energy_distance=None, energy_relative=None, std_ratio=1.2, std_ratio_floor=0.1)
    report = judge_gates(single)
    [gate] = [one for one in report.gates if one.name == "std_ratio"]
    assert not gate.judged and not gate.passed and not report.passed
    assert "0.3" in gate.why and "4 times as many held-out inputs or repeats" in gate.why


def test_what_is_beyond_even_a_wide_allowance_is_wrong_rather_than_not_judged():
    report = judge_gates(replace(GOOD, std_ratio=1.4, std_ratio_floor=0.1))
    [gate] = [one for one in report.gates if not one.passed]
    assert gate.judged and gate.name == "std_ratio"


def test_several_figures_that_cannot_be_told_share_one_sentence():
    vague = replace(GOOD, coverage_90_floor=0.04, std_ratio_floor=0.1, lag1_autocorrelation_floor=0.05)
    report = judge_gates(vague)
    assert sum(not gate.judged for gate in report.gates) == 3
    [reason] = report.reasons
    assert all(name in reason for name in ("coverage_90", "std_ratio", "lag1_autocorrelation_difference"))


def test_with_repeats_a_well_known_coverage_and_the_energy_carry_an_uncertain_spread():
    hopping = replace(GOOD, std_ratio=1.1, std_ratio_floor=0.07)
    report = judge_gates(hopping)
    assert report.passed
    assert any("energy distance" in gate.why for gate in report.gates if gate.name == "std_ratio")
    assert not judge_gates(replace(hopping, energy_relative=0.03)).passed
    for vague in ({"coverage_90_floor": 0.018}, {"energy_relative_floor": 0.15}):
        report = judge_gates(replace(hopping, **vague))
        assert not report.passed and not report.judged


def test_the_worst_channel_is_judged_and_named():
    good = ChannelFigures(
        channel="x",
        coverage_90=0.9,
        coverage_90_floor=0.002,
        std_ratio=1.0,
        std_ratio_floor=0.004,
        lag1_difference=0.0,
        lag1_floor=0.001,
        mean_bias=0.01,
        mean_bias_floor=0.01,
        mean_error=0.05,
        mean_error_floor=0.05,
    )
    assert judge_gates(replace(GOOD, channels=(good, replace(good, channel="y")))).passed
    for change, name in (
        ({"coverage_90": 0.95}, "coverage_90"),
        ({"std_ratio": 0.9}, "std_ratio"),
        ({"lag1_difference": 0.02}, "lag1_autocorrelation_difference"),
        ({"mean_bias": 0.2}, "mean_bias"),
        ({"mean_error": 0.3}, "mean_error"),
    ):
        report = judge_gates(replace(GOOD, channels=(good, replace(good, channel="y", **change), good)))
        assert failed(report) == {name} and f"{name} of y" in report.reasons[0]


def test_a_constant_channel_is_left_out_and_named():
    good = ChannelFigures(channel="x", coverage_90=0.9, std_ratio=1.0, lag1_difference=0.0)
    report = judge_gates(replace(GOOD, channels=(good, ChannelFigures(channel="flat", varies=False))))
    assert report.passed
    assert any("constant: flat" in gate.why for gate in report.gates)


def test_more_channels_are_allowed_more_deviations_so_that_all_pass_as_often_as_one():
    allowed = GateThresholds()
    assert allowed.floors_of(1) == 3.0
    assert allowed.floors_of(60) == pytest.approx(4.08, abs=0.02)
    inside = 1.0 - math.erfc(allowed.floors_of(60) / math.sqrt(2.0))
    assert inside**60 == pytest.approx(1.0 - math.erfc(3.0 / math.sqrt(2.0)))


def test_single_shot_data_are_judged_without_energy_distance():
    single = replace(
        GOOD, energy_distance=None, energy_distance_floor=None, energy_relative=None, energy_relative_floor=None
    )
    report = judge_gates(single)
    assert report.passed and "energy_relative" not in {gate.name for gate in report.gates}


def test_thresholds_can_be_tightened():
    assert not judge_gates(GOOD, thresholds=GateThresholds(std_ratio=0.005, floors=1.0)).passed


def test_a_report_survives_json():
    for calibration in (GOOD, replace(GOOD, n_trials=3, std_ratio=2.0)):
        report = judge_gates(calibration)
        again = GateReport.from_dict(json.loads(json.dumps(report.as_dict(), allow_nan=False)))
        assert again == report and again.passed == report.passed


def test_a_stored_passed_does_not_outweigh_its_gates():
    stored = judge_gates(replace(GOOD, std_ratio=2.0)).as_dict()
    assert not GateReport.from_dict({**stored, "passed": True}).passed
    with pytest.raises(CheckpointInvalid, match="GateReport"):
        GateReport.from_dict({"passed": True})
    assert not GateReport.from_dict({"gates": []}).passed
