"""Values that no equation of these ranges gives are told before anything is trained; so are units, sizes, lengths."""

import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from labctl.cli import main
from labctl.errors import CampaignError
from labctl.goku_channels import Wired, Wishes, wire
from labctl.goku_equation import EquationSource
from labctl.goku_judging import GokuJudgement
from labctl.goku_plausible import check_plausible, remarks
from labctl.goku_series import Measured
from tests.labctl.goku.conftest import measured_from, relaxing, write_csv
from twins.goku.system import System

READING = ["--response", "x", "--time", "t", "--trial", "trial"]


def scaled(measured: Measured, factor: float) -> Measured:
    return replace(measured, traces=tuple(replace(one, values=factor * one.values) for one in measured.traces))


@pytest.fixture(scope="module")
def relaxing_system(equation: Path) -> System:
    return EquationSource.of(str(equation)).make()


def checked(system: System, measured: Measured, *, anyway: bool = False, wishes: Wishes | None = None) -> None:
    wired: Wired = wire(system, measured, wishes or Wishes())[0]
    series = measured.series(wired.channels, wired.drives)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_plausible(system, wired, series, seed=0, anyway=anyway)


def test_traces_of_the_equation_are_plausible_and_millivolts_for_volts_are_not(
    relaxing_system: System, traces: Path
) -> None:
    measured = measured_from(traces)
    for factor in (0.2, 1.0, 3.0):
        checked(relaxing_system, scaled(measured, factor))
    with pytest.raises(CampaignError, match=r"x goes from -.* V, and relaxing gives .*--gain x=NUMBER.*--range"):
        checked(relaxing_system, scaled(measured, 500.0))
    checked(relaxing_system, scaled(measured, 500.0), anyway=True)
    checked(relaxing_system, scaled(measured, 500.0), wishes=Wishes(gains={"x": 500.0}))


def test_traces_that_move_far_less_than_the_equation_must_are_refused(equation: Path, traces: Path) -> None:
    away = EquationSource.of(str(equation), ranges={"x": (1.0, 2.0)}).make()
    with pytest.raises(CampaignError, match="a trace moves by"):
        checked(away, scaled(measured_from(traces), 1e-3))


def test_values_too_large_to_compute_with_are_refused_in_one_line_without_warnings(
    relaxing_system: System, model: Path, traces: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    huge = scaled(measured_from(traces), 1e200)
    with pytest.raises(CampaignError, match=r"to 1\.\d+e\+200 V, and relaxing gives"):
        checked(relaxing_system, huge)
    with pytest.raises(CampaignError, match="too large to compute with"):
        checked(relaxing_system, huge, anyway=True)
    path = write_csv(tmp_path / "huge.csv", 1e200 * relaxing())
    assert main(["goku", "infer", str(model), str(path)]) == 1
    assert "too large to compute with" in capsys.readouterr().err


def test_data_in_another_unit_than_the_model_was_fitted_to_are_told_what_to_do(
    model: Path, traces: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["goku", "infer", str(model), str(traces), *READING, "--unit", "x=mV"]) == 1
    assert "x is in mV, and goku was fitted to it in V" in (said := capsys.readouterr().err)
    assert "--unit x=V" in said


def test_one_sample_is_no_trace_and_very_short_ones_are_remarked(
    equation: Path, relaxing_system: System, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = write_csv(tmp_path / "one.csv", np.array([[1.0]]))
    assert main(["goku", "fit", str(one), *READING, "--system", str(equation), "--out", str(tmp_path / "out")]) == 1
    assert "a trace needs at least two samples" in capsys.readouterr().err
    short = measured_from(write_csv(tmp_path / "short.csv", relaxing(n=3))).series(("x",), {})
    [said] = remarks(relaxing_system, short)
    assert "3 samples" in said
    assert not remarks(relaxing_system, measured_from(write_csv(tmp_path / "long.csv", relaxing())).series(("x",), {}))


def test_a_noise_level_given_the_wrong_way_round_is_shown_turned_round(
    equation: Path, traces: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["goku", "fit", str(traces), *READING, "--system", str(equation), "--out", "out"]
    for given, told in (("0.1..0.01", "turned round it is 0.01..0.1"), ("0.1..0.1", "a narrow range around it")):
        with pytest.raises(SystemExit):
            main([*words, "--noise-sd", given])
        assert told in capsys.readouterr().err


@pytest.mark.parametrize(
    ("figures", "verdict"),
    [
        ({"coverage_90": 0.0, "foreseen": 40, "forecast_nrmse": 1.0, "naive_nrmse": 1.0}, "does not describe"),
        ({"coverage_90": 0.0, "foreseen": 40, "forecast_nrmse": 0.01, "naive_nrmse": 1.0}, "not within its bands"),
        ({"coverage_90": None, "foreseen": 0, "forecast_nrmse": None, "naive_nrmse": 1.0}, "does not describe"),
        ({"coverage_90": 0.0, "foreseen": 1, "forecast_nrmse": 1.0, "naive_nrmse": 1.0}, ""),
        ({"coverage_90": 0.6, "foreseen": 40, "forecast_nrmse": 1.0, "naive_nrmse": 1.0}, ""),
    ],
)
def test_an_equation_of_whose_forecast_nothing_came_about_does_not_describe_the_traces(
    figures: dict[str, float | int | None], verdict: str
) -> None:
    judgement = GokuJudgement(None, None, None, 3, figures)  # type: ignore[arg-type]
    assert judgement.describes is (verdict == "")
    assert verdict in judgement.verdict
    assert bool(verdict) == bool(judgement.verdict)
