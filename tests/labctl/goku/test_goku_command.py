"""`labctl goku`: from traces in a file to parameters, forecast and report, and what is told of what is wrong."""

import csv
import json
from pathlib import Path

import h5py
import numpy as np
import pytest

from labctl.cli import main

RATES = (0.5, 1.0, 1.5, 2.0)
READING = ["--response", "x", "--time", "t", "--trial", "trial"]


def test_a_model_says_what_it_is_of_and_keeps_the_equation_whole(model: Path, equation: Path) -> None:
    about = json.loads(model.read_text(encoding="utf-8"))["provenance"]
    assert about["goku"]["equation"]["text"] == equation.read_text(encoding="utf-8")
    assert about["goku"]["observed"]["outputs"] == ["x"]
    assert about["simulated"] is True
    assert about["seed"] == 0
    assert about["training"]["judged"]["n_traces"] == 2
    page = model.with_name("goku.report.html").read_text(encoding="utf-8")
    assert "SIMULATED" in page
    assert "90 % intervals" in page


def test_inferred_parameters_hold_the_truth_in_the_table_and_in_every_file(
    model: Path, traces: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [tmp_path / f"found{ending}" for ending in (".json", ".csv", ".h5")]
    status = main(["goku", "infer", str(model), str(traces), *(word for one in files for word in ("--out", str(one)))])
    said = capsys.readouterr()
    assert status == 0, said.out
    assert "read as what goku was fitted to: --response x" in said.err
    assert said.out.startswith("SIMULATED data\n")
    assert "rate" in said.out
    told = json.loads(files[0].read_text(encoding="utf-8"))
    estimates = [one["parameters"]["rate"] for one in told["traces"]]
    assert [one["estimate"] for one in estimates] == pytest.approx(RATES, rel=0.05)
    assert all(one["low"] < one["estimate"] < one["high"] and one["unit"] == "1/s" for one in estimates)
    assert told["data"][0]["sha256"]
    with files[1].open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["estimate"]) for row in rows] == pytest.approx([one["estimate"] for one in estimates])
    with h5py.File(files[2]) as file:
        assert file.attrs["simulated"]
        assert file["parameters"].shape[::2] == (4, 1)


def test_traces_that_share_their_parameters_have_one_estimate(
    model: Path, alike: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["goku", "infer", str(model), str(alike), "--share", "file", "--json", "--identifiability"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert {row["group"] for row in told["traces"]} == {0}
    [estimate] = {row["parameters"]["rate"]["estimate"] for row in told["traces"]}
    assert estimate == pytest.approx(1.2, rel=0.03)
    [found] = told["identifiability"]
    assert found["n_traces"] == 3
    assert found["parameters"][0]["verdict"] == "learned"


def test_a_forecast_goes_on_as_the_equation_does(model: Path, traces: Path, tmp_path: Path) -> None:
    path = tmp_path / "ahead.json"
    assert main(["goku", "forecast", str(model), str(traces), "--samples", "5", "--out", str(path)]) == 0
    told = json.loads(path.read_text(encoding="utf-8"))
    one = told["traces"][0]
    assert one["times_s"] == pytest.approx(0.1 * np.arange(30, 35))
    expected = -1.5 * np.exp(-0.5 * np.array(one["times_s"]))
    assert one["expected"]["x"] == pytest.approx(expected, abs=0.03)
    assert all(low < high for low, high in zip(one["low"]["x"], one["high"]["x"], strict=True))


def test_traces_that_end_at_different_times_are_each_forecast_from_their_own_end(
    model: Path, traces: Path, tmp_path: Path
) -> None:
    lines = traces.read_text(encoding="utf-8").splitlines()
    cut = tmp_path / "cut.csv"  # the second of four traces is shorter by six samples
    cut.write_text("\n".join(lines[:55] + lines[61:]) + "\n", encoding="utf-8")
    path = tmp_path / "ahead.json"
    assert main(["goku", "forecast", str(model), str(cut), "--samples", "5", "--no-refine", "--out", str(path)]) in (
        0,
        3,
    )
    told = json.loads(path.read_text(encoding="utf-8"))["traces"]
    assert [one["times_s"][0] for one in told] == pytest.approx([3.0, 2.4, 3.0, 3.0])
    assert [one["trace"].partition("trial ")[2][0] for one in told] == list("0123")
    ends = [one["expected"]["x"][-1] for one in told]
    rates, starts = np.array([0.5, 1.0, 1.5, 2.0]), np.array([-1.5, 1.5, -1.5, 1.5])
    expected = starts * np.exp(-rates * np.array([one["times_s"][-1] for one in told]))
    assert ends == pytest.approx(expected, abs=0.15)


def test_the_systems_are_listed_and_explained(equation: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["goku", "systems"]) == 0
    assert "stuart_landau" in capsys.readouterr().out
    assert main(["goku", "systems", "duffing", "--option", "driven=true", "--fix", "damping=0.1"]) == 0
    said = capsys.readouterr().out
    assert "drive_gain" in said
    assert "damping" not in said.partition("parameters:")[2].partition("states")[0]
    assert main(["goku", "systems", str(equation), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["parameters"][0]["unit"] == "1/s"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--system", "pendulm"], "no equation named 'pendulm'; there are pendulum"),
        (["--system", "pendulum", "--option", "mass=2"], "no option 'mass'"),
        (["--system", "pendulum", "--range", "length=2..1"], "turned round it is 1..2"),
        (["--system", "pendulum", "--range", "width=1..2"], "no 'width' to give a range; it has length"),
        (["--system", "pendulum", "--fix", "length=1"], "nothing to infer"),
        (["--system", "pendulum", "--fix", "length"], "expected NAME=VALUE"),
        (["--system", "pendulum"], "--observe CHANNEL=OUTPUT, with the channels x and the outputs angle, rate"),
        (["--system", "pendulum", "--observe", "x=angel"], "its outputs are angle, rate"),
        (["--system", "pendulum", "--observe", "linear"], "--training measured"),
        (["--system", "pendulum", "--observe", "x=angle", "--training", "measured"], "traces are too few"),
        (["--system", "driven_pendulum", "--observe", "x=angle"], "nothing says what torque was"),
        (["--system", "nowhere.toml"], "cannot be read"),
        (["--system", "pendulum", "--observe", "x=angle", "--noise-sd", "y=0.1..1"], "observed are x"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_trained(
    words: list[str], told: str, traces: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["goku", "fit", str(traces), *READING, *words, "--out", str(tmp_path / "out")]) == 1
    assert told in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_files_that_are_no_model_and_endings_that_say_nothing_are_refused(
    model: Path, traces: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "other.json").write_text('{"format": "else"}', encoding="utf-8")
    assert main(["goku", "infer", str(tmp_path / "other.json"), str(traces)]) == 1
    assert "is no model of an equation" in capsys.readouterr().err
    assert main(["goku", "infer", str(model), str(traces), "--out", str(tmp_path / "found.txt")]) == 1
    assert ".json, .csv, .h5" in capsys.readouterr().err
    assert main(["goku", "forecast", str(model), str(traces), "--samples", "5", "--hold-drive"]) == 1
    assert "no drive" in capsys.readouterr().err
