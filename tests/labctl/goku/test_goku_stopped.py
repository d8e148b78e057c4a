"""Work that is stopped says what is left of it, in the files and on standard error."""

import csv
import json
from pathlib import Path
from typing import Any, NoReturn

import pytest

from labctl.cli import main


@pytest.fixture
def stopped_refinement(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C arrives while the traces are refined."""

    def stop(*_: Any, **__: Any) -> NoReturn:
        raise KeyboardInterrupt

    monkeypatch.setattr("twins.goku.inference.refine.refine", stop)


@pytest.mark.usefixtures("stopped_refinement")
def test_an_interrupted_refinement_leaves_files_that_say_so(
    model: Path, traces: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = tmp_path / "found.json", tmp_path / "found.csv"
    words = [word for one in files for word in ("--out", str(one))]
    assert main(["goku", "infer", str(model), str(traces), *words]) == 130
    said = capsys.readouterr().err
    assert f"{files[0]}: what the network says of every trace, NOT refined" in said
    assert str(files[1]) in said
    assert json.loads(files[0].read_text(encoding="utf-8"))["refinement"] == "asked for, not finished"
    with files[1].open(encoding="utf-8") as file:
        assert {(row["how"], row["refinement"]) for row in csv.DictReader(file)} == {
            ("amortised", "asked for, not finished")
        }


@pytest.mark.usefixtures("stopped_refinement")
def test_an_interrupted_refinement_without_files_says_that_nothing_was_written(
    model: Path, traces: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["goku", "infer", str(model), str(traces)]) == 130
    assert "nothing was written" in capsys.readouterr().err


def test_a_refinement_that_is_out_of_time_gives_what_there_is_and_trusts_none_of_it(
    model: Path, traces: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "found.json"
    assert main(["goku", "infer", str(model), str(traces), "--seconds", "1e-9", "--out", str(path)]) == 3
    assert "out of time" in capsys.readouterr().out
    told = json.loads(path.read_text(encoding="utf-8"))
    assert told["refinement"] == "out of time in 4 of 4 traces"
    assert not any(row["trusted"] for row in told["traces"])
    assert all("out of time" in row["why"] for row in told["traces"])


def test_a_training_that_is_stopped_says_that_nothing_was_written(
    equation: Path, traces: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: Any, **__: Any) -> NoReturn:
        raise KeyboardInterrupt

    monkeypatch.setattr("twins.goku.amortised.fit.fit_amortised", stop)
    reading = ["--response", "x", "--time", "t", "--trial", "trial"]
    out = tmp_path / "out"
    assert main(["goku", "fit", str(traces), *reading, "--system", str(equation), "--out", str(out)]) == 130
    assert "nothing was written" in capsys.readouterr().err
    assert not out.exists()
