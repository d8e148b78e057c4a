"""Which sample of the drive acts between two samples of the response: as asked for, or as the data tell."""

import argparse
import json

import numpy as np
import pytest

from labctl.campaign import run
from labctl.campaigns.diagnose_twin import diagnose_twin
from labctl.cli import main
from labctl.commands.data_arguments import add_data_arguments, align_as, recordings_of
from labctl.errors import UsageError
from labctl.outside_data import OutsideDataError, as_recordings, read_traces
from labctl.recording import Recording

OPTIONS = {"drive": "V1", "response": "V2", "rate_Hz": 1000}
WORDS = ("--drive", "V1", "--response", "V2", "--rate", "1kHz")
FINE = 8  # steps of the simulation in a sample


def resonator(*, held: bool, n_samples: int = 3000, cubic: float = 0.0, seed: int = 3):
    """A simulated driven resonator whose drive moves on smoothly between samples, or is held from its sample on."""
    rng = np.random.default_rng(seed)
    spectrum = np.fft.rfft(rng.standard_normal(n_samples * FINE))
    spectrum[int(0.25 * n_samples) :] = 0.0
    smooth = np.fft.irfft(spectrum, n_samples * FINE)
    smooth /= smooth.std()
    sampled = smooth[::FINE]
    force = np.repeat(sampled, FINE) if held else smooth
    response = np.empty(n_samples)
    position = velocity = 0.0
    step = 0.6 / FINE
    for k in range(n_samples):
        response[k] = position
        for at in range(k * FINE, (k + 1) * FINE):
            velocity += step * (force[at] - 0.4 * velocity - position - cubic * position**3)
            position += step * velocity
    return {"V1": sampled, "V2": response + 1e-3 * rng.standard_normal(n_samples)}


def parsed(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(exit_on_error=False)
    add_data_arguments(parser)
    return parser.parse_args([*WORDS, *words])


def test_a_drive_ahead_takes_the_place_of_the_one_before_it(write_csv, one) -> None:
    data = read_traces(write_csv(one.columns), **OPTIONS, test_rows=(300, 400), segment_samples=0, drive_ahead=2)
    assert np.array_equal(data.traces[0].drive[0, :, 0], one.drive[0, 2:300])
    assert np.array_equal(data.traces[0].response[0, :, 0], one.response[0, :298])
    assert np.array_equal(data.test[0].drive[0, :, 0], one.drive[0, 302:400])
    assert data.provenance["drive_ahead"] == 2
    assert {"treatment": "drive taken ahead", "samples": 2, "decided": "asked for"} in data.provenance["treatments"]


def test_every_piece_between_gaps_loses_its_last_samples(write_csv, one) -> None:
    values = one.response[0].copy()
    values[200] = np.nan
    columns = one.columns | {"V2": values}
    data = read_traces(write_csv(columns), **OPTIONS, gaps="split", segment_samples=0, drive_ahead=1)
    assert [part.n_samples for part in data.traces] == [199, 198]
    assert np.array_equal(data.traces[1].drive[0, :, 0], one.drive[0, 202:])


def test_whole_trials_stay_whole(write_csv, ten) -> None:
    columns = {"run": np.repeat(np.arange(10), 60), "V1": ten.drive.ravel(), "V2": ten.response.ravel()}
    data = read_traces(write_csv(columns), **OPTIONS, trial="run", segment_samples=60, drive_ahead=1)
    assert data.traces[0].drive.shape == (10, 59, 1)


def test_trials_must_be_longer_than_that(write_csv, one) -> None:
    with pytest.raises(OutsideDataError, match="no trial has more than the 400 samples"):
        read_traces(write_csv(one.columns), **OPTIONS, drive_ahead=400)
    with pytest.raises(UsageError, match="not -1"):
        read_traces(write_csv(one.columns), **OPTIONS, drive_ahead=-1)


@pytest.mark.parametrize("cubic", [0.0, 0.01])
def test_a_drive_that_moved_on_between_samples_is_taken_ahead(write_csv, cubic) -> None:
    data = read_traces(write_csv(resonator(held=False, cubic=cubic)), **OPTIONS)
    assert data.provenance["drive_ahead"] == 1
    (record,) = [one for one in data.provenance["treatments"] if one["treatment"] == "drive taken ahead"]
    assert record["decided"] == "by the data" and record["channel"] == "V2"
    assert record["one_step_error_as_it_stands"] > 1.25 * record["one_step_error"]


@pytest.mark.parametrize("cubic", [0.0, 0.3])
def test_a_drive_that_was_held_stays_as_it_is(write_csv, cubic) -> None:
    columns = resonator(held=True, cubic=cubic)
    data = read_traces(write_csv(columns), **OPTIONS, segment_samples=0)
    assert data.provenance["drive_ahead"] == 0
    assert np.array_equal(data.traces[0].drive[0, :, 0], columns["V1"])


def test_steps_of_a_held_drive_stay_as_they_are(write_csv, one, ten) -> None:
    assert read_traces(write_csv(one.columns), **OPTIONS).provenance["drive_ahead"] == 0
    columns = {"run": np.repeat(np.arange(10), 60), "V1": ten.drive.ravel(), "V2": ten.response.ravel()}
    assert read_traces(write_csv(columns), **OPTIONS, trial="run").provenance["drive_ahead"] == 0


def test_zero_forces_the_drive_as_it_stands_and_the_diagnosis_warns(write_csv) -> None:
    path = write_csv(resonator(held=False))
    forced = as_recordings(read_traces(path, **OPTIONS, drive_ahead=0, rows=(0, 1500)))
    found = run(diagnose_twin("circuit", forced), on_event=lambda event: None)
    (warning,) = [one for one in found.diagnosis.warnings if "--drive-ahead 1" in one]
    assert "V2" in warning and "instead of" in warning
    told = as_recordings(read_traces(path, **OPTIONS, rows=(0, 1500)))
    found = run(diagnose_twin("circuit", told), on_event=lambda event: None)
    assert not [one for one in found.diagnosis.warnings if "--drive-ahead" in one]


def test_recordings_of_our_own_are_never_asked(write_csv) -> None:
    (outside,) = as_recordings(read_traces(write_csv(resonator(held=False, n_samples=1500)), **OPTIONS, drive_ahead=0))
    own = Recording(
        header=outside.header.__class__(**{**_fields(outside.header), "provenance": {}}),
        drive=outside.drive,
        response=outside.response,
        valid_samples=outside.valid_samples,
        complete=True,
    )
    found = run(diagnose_twin("device", [own]), on_event=lambda event: None)
    assert found.diagnosis.drive_errors is None
    assert not [one for one in found.diagnosis.warnings if "--drive-ahead" in one]


def _fields(header):
    return {name: getattr(header, name) for name in header.__dataclass_fields__}


def test_the_first_file_decides_for_all_and_says_so_once(write_csv, capsys) -> None:
    smooth = write_csv(resonator(held=False), "smooth.csv")
    short = write_csv({name: values[:300] for name, values in resonator(held=False).items()}, "short.csv")
    options = parsed("--segment", "100")
    recordings_of(options, [smooth, short])
    again, _ = recordings_of(options, [short])
    assert again[0].provenance["outside_data"]["drive_ahead"] == 1
    said = capsys.readouterr().err
    assert said.count("smooth.csv: the drive is taken 1 sample ahead") == 1 and "short.csv" not in said


def test_data_to_check_a_twin_on_are_aligned_as_its_own(write_csv, tmp_path, capsys) -> None:
    path = write_csv(resonator(held=False, n_samples=1500))
    fit = ["twin", "fit", str(path), *WORDS, "--plain", "--ensemble", "1", "--seconds", "0.5", "--simulated"]
    assert main([*fit, "--out", str(tmp_path / "ahead"), "--drive-ahead", "1"]) == 0
    assert main([*fit, "--out", str(tmp_path / "held"), "--drive-ahead", "0"]) == 0
    assert "drive taken ahead" in (tmp_path / "ahead" / "twin.report.html").read_text(encoding="utf-8")
    options = parsed()
    align_as(options, [tmp_path / "held" / "twin.json"])
    recordings, _ = recordings_of(options, [path])
    assert recordings[0].provenance["outside_data"]["drive_ahead"] == 0
    with pytest.raises(UsageError, match="differently aligned"):
        align_as(parsed(), [tmp_path / "held" / "twin.json", tmp_path / "ahead" / "twin.json"])
    capsys.readouterr()
    other = write_csv(resonator(held=False, n_samples=1500, seed=4), "other.csv")
    main(["twin", "check", str(tmp_path / "ahead" / "twin.json"), str(other), *WORDS, "--draws", "20"])
    said = capsys.readouterr()
    assert said.out and json.loads(said.out), said.err


@pytest.mark.parametrize("text", ["-1", "1.5", "soon"])
def test_numbers_of_samples_that_mean_nothing_are_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentError):
        parsed(f"--drive-ahead={text}")
