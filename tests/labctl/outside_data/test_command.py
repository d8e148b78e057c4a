"""`labctl twin fit data.csv --drive V1 --response V2 --rate 610.35Hz`, from file to twin."""

import argparse
import json
from pathlib import Path

import numpy as np
import pytest

from labctl.cli import main
from labctl.commands.data_arguments import add_data_arguments, heldout_of, outside_data_of, recordings_of
from labctl.errors import UsageError
from labctl.outside_data import OutsideDataError
from labctl.outside_data.quantities import name_and_unit, rate_Hz_of, seconds_of, span_of
from twins import read_provenance


def parsed(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(exit_on_error=False)
    add_data_arguments(parser)
    return parser.parse_args(words)


def test_a_csv_becomes_a_twin_that_knows_where_it_comes_from(write_csv, one, tmp_path: Path, capsys) -> None:
    path = write_csv({"V1": one.drive[0], "V2": one.response[0]})
    words = ["twin", "fit", str(path), "--drive", "V1", "--response", "V2", "--rate", "610.35Hz", "--unit", "V1=mV"]
    words += [
        "--test-rows",
        "300:",
        "--plain",
        "--ensemble",
        "1",
        "--seconds",
        "0.5",
        "--simulated",
        "--out",
        str(tmp_path / "out"),
    ]
    assert main(words) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["simulated"] is True
    assert 0 <= printed["coverage_90"] <= 1
    provenance = read_provenance(printed["twin"])
    data = provenance["extra"]["recordings"][0]["outside_data"]
    assert data["sha256"] == provenance["extra"]["recordings"][0]["sha256"]
    assert data["mapping"]["units"] == {"V1": "mV"}
    assert data["rate_Hz"] == pytest.approx(610.35)
    assert data["treatments"][-1]["treatment"] == "cut to segments"


def test_what_is_wrong_is_told_on_one_line(write_csv, one, tmp_path: Path, capsys) -> None:
    path = write_csv(one.columns)
    assert main(["twin", "fit", str(path), "--drive", "V9", "--response", "V2", "--out", str(tmp_path / "out")]) == 1
    assert capsys.readouterr().err == "error: data.csv has no column 'V9' (did you mean 'V2'?); it has t, V1, V2\n"
    assert main(["twin", "fit", str(path), "--out", str(tmp_path / "out")]) == 1
    assert "--drive NAME and --response NAME; it has t, V1, V2" in capsys.readouterr().err


def test_every_option_reaches_the_data(write_csv, one) -> None:
    columns = {"ms": one.time_s * 1000, "u": one.drive[0], "y": one.response[0], "bias": one.drive[0] * 0 + 2}
    options = parsed(
        "--drive", "u", "--response", "y", "--time", "ms:ms", "--condition", "bias", "--condition", "T=4.2",
        "--rows", ":320", "--test-rows", "256:", "--segment", "32", "--unit", "u=V",
    )  # fmt: skip
    training, test = recordings_of(options, [write_csv(columns)])
    assert training[0].traces().drive.shape == (8, 32, 1)
    assert test[0].traces().drive.shape == (2, 32, 1)
    assert training[0].conditions == {"bias": 2.0, "T": 4.2}
    assert training[0].drive_units == ("V",)
    assert training[0].dt_s == 1e-3


def test_a_file_to_judge_on_is_read_whole(write_csv, one) -> None:
    path = write_csv(one.columns)
    words = (
        "--drive",
        "V1",
        "--response",
        "V2",
        "--time",
        "t",
        "--rows",
        ":200",
        "--test-rows",
        "100:",
        "--segment",
        "0",
    )
    (recording,) = heldout_of(parsed(*words), path)
    assert np.array_equal(recording.drive[0, :, 0], one.drive[0])


def test_several_channels_by_commas_or_by_repetition(write_csv, one) -> None:
    columns = {"a": one.drive[0], "b": one.drive[0] ** 2, "y": one.response[0]}
    for words in (("--drive", "a,b"), ("--drive", "a", "--drive", "b")):
        data = outside_data_of(parsed(*words, "--response", "y", "--dt", "1ms"), write_csv(columns))
        assert data.traces[0].drive_names == ("a", "b")


@pytest.mark.parametrize(
    "words", [("--gaps", "interpolate"), ("--gaps", "fill"), ("--rate", "5V"), ("--rows", "9:3"), ("--dt", "-1ms")]
)
def test_options_that_mean_nothing_are_refused(words: tuple[str, ...]) -> None:
    with pytest.raises(argparse.ArgumentError):
        parsed(*words)


def test_rate_and_time_step_exclude_each_other(write_csv, one) -> None:
    options = parsed("--drive", "V1", "--response", "V2", "--rate", "1kHz", "--dt", "1ms")
    with pytest.raises(UsageError, match="not both"):
        outside_data_of(options, write_csv(one.columns))


def test_declared_treatments_reach_the_data(write_csv, one) -> None:
    values = one.response[0].copy()
    values[50] = float("nan")
    path = write_csv(one.columns | {"V2": values})
    mapping = ("--drive", "V1", "--response", "V2", "--rate", "1kHz")
    with pytest.raises(OutsideDataError, match="--gaps split"):
        outside_data_of(parsed(*mapping), path)
    for gaps in ("split", "interpolate:1"):
        options = parsed(*mapping, "--gaps", gaps, "--clipped", "accept", "--resample", "--time", "t")
        recorded = outside_data_of(options, path).provenance["options"]
        assert (recorded["gaps"], recorded["clipped"], recorded["resample"]) == (gaps.split(":")[0], "accept", True)


def test_quantities() -> None:
    assert [rate_Hz_of(text) for text in ("610.35Hz", "1kHz", "2.5e3", " 1 MHz")] == [610.35, 1e3, 2.5e3, 1e6]
    assert [seconds_of(text) for text in ("1.6ms", "20us", "2")] == [pytest.approx(1.6e-3), pytest.approx(2e-5), 2.0]
    assert [span_of(text) for text in ("3:9", ":9", "3:", ":")] == [(3, 9), (0, 9), (3, None), (0, None)]
    assert name_and_unit("Gate voltage [mV]") == ("Gate voltage", "mV")
    assert name_and_unit("f(x)") == ("f", "x")
    for refused in ("fast", "1ms", "0Hz", "-1kHz", "nan"):
        with pytest.raises(UsageError):
            rate_Hz_of(refused)
