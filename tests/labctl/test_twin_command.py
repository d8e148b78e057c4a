"""`labctl twin`: what is asked on the command line, and what people and scripts read."""

import json
from pathlib import Path

import numpy as np
import pytest

from labctl.campaign import run
from labctl.campaigns.choose_twin import ChosenTwin
from labctl.campaigns.fit_settings import FitSettings
from labctl.campaigns.train_twin import TrainingBudget, train_chosen
from labctl.cli import main
from labctl.grouped import group_similar
from labctl.recording import Recording, RecordingHeader
from labctl.twin_data import TwinData
from twins import DeviceTwinSpec, read_provenance

WORDS = ["--drive", "V1", "--response", "V2", "--rate", "1kHz", "--simulated"]


def write_csv(path: Path, n: int = 6000, *, seed: int = 0) -> Path:
    rng = np.random.default_rng(seed)
    drive = np.repeat(rng.uniform(-1, 1, n // 5), 5)
    response = np.zeros(n)
    for k in range(n - 1):
        response[k + 1] = 0.8 * response[k] + 0.2 * drive[k] + 0.02 * rng.standard_normal()
    np.savetxt(path, np.c_[drive, response], delimiter=",", header="V1,V2", comments="")
    return path


def test_one_file_becomes_a_twin_that_is_judged_and_cannot_be_checked_on_its_training(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, out = write_csv(tmp_path / "one.csv"), tmp_path / "out"
    assert main(["twin", "fit", str(path), *WORDS, "--plain", "--seconds", "1", "--out", str(out)]) == 0
    said = capsys.readouterr()
    told = json.loads(said.out)
    assert told["n_trials"] >= 12
    assert told["ensemble"] is None
    assert "the twin of twin" in said.err.splitlines()[-3]
    assert f"report {out / 'twin.report.html'}" in said.err.splitlines()[-1]
    n_kept = read_provenance(out / "twin.json")["extra"]["calibration"]["n_trials"]
    status = main(["twin", "check", str(out / "twin.json"), str(path), *WORDS, "--store"])
    said = capsys.readouterr()
    if status != 1:  # what was kept from the fit is left, and nothing else
        [checked] = json.loads(said.out).values()
        assert checked["n_trials"] <= n_kept
        assert "they were left out" in said.err
    again = ["twin", "fit", str(path), *WORDS, "--heldout", str(path), "--plain", "--seconds", "1"]
    assert main([*again, "--out", str(tmp_path / "b")]) == 1
    assert "trained on all of its drives" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words", [["--held-out-fraction", "1.5"], ["--held-out-fraction", "x"], ["--group-similar", "0"]]
)
def test_shares_and_tolerances_that_are_none_are_refused(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["twin", "fit", "a.csv", *words, "--out", str(tmp_path / "out")])
    assert "give a" in capsys.readouterr().err


def similar(n_inputs: int = 6, repeats: int = 4) -> Recording:
    rng = np.random.default_rng(0)
    drive = np.repeat(np.repeat(rng.uniform(-1, 1, (n_inputs, 20, 1)), 3, axis=1), repeats, axis=0)
    drive = drive + 0.005 * rng.standard_normal(drive.shape)
    n = len(drive)
    header = RecordingHeader(
        (n, 60), 1e-3, ("u",), ("V",), ("x",), ("V",), 5, np.arange(n), True, conditions={"bias": 0.1}
    )
    return Recording(header, drive, rng.standard_normal(drive.shape), np.full(n, 60), complete=True)


def test_trials_of_similar_drives_are_taken_as_repeats_and_that_is_kept() -> None:
    [grouped] = group_similar([similar()], tolerance=0.05)
    assert len(np.unique(grouped.input_id)) == 6
    assert any("similar inputs taken as repeats" in one for one in TwinData.of([grouped]).treatments)


@pytest.mark.parametrize("ensemble", [1, 3])
def test_all_trainings_share_the_seconds_and_the_first_has_half_or_more(
    ensemble: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = TwinData((similar().traces(),))
    given: list[float] = []

    class Result:
        free_run_score = 1.0

    def fit(*_: object, max_seconds: float, **__: object):  # type: ignore[no-untyped-def]
        given.append(max_seconds)
        yield from ()
        return Result()

    monkeypatch.setattr("twins.fit", fit, raising=False)
    spec = DeviceTwinSpec.for_traces(data.traces, response_delays=1)
    settings, budget = FitSettings(ensemble=ensemble), TrainingBudget(seconds=1000.0)
    run(train_chosen("k", ChosenTwin(spec, ensemble=ensemble), data, settings, seed=0, budget=budget))
    assert given[0] >= 500.0
    assert len(given) == 1 + ensemble  # the plain twin was tried as well
