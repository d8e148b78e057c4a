"""A twin is not judged on what it was trained on: not by fit, not by check, not by compare."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from labctl.campaign import run
from labctl.campaigns.check_twin import check_twin
from labctl.campaigns.compare_twins import compare_twins
from labctl.campaigns.fit_twin import FitSettings, FittedTwin, fit_twin
from labctl.errors import RecordingError
from labctl.events import Event, Warned
from labctl.recording import Recording, RecordingHeader
from labctl.twin_data import TwinData
from labctl.unseen_inputs import trained_on
from twins import load_twin, read_provenance, save_twin

SETTINGS = FitSettings(
    choice="plain", response_delays=0, drive_delays=0, hidden=(4,), max_seconds=0.5, n_calibration_draws=20
)


def drives(n_inputs: int, *, seed: int, n_samples: int = 60) -> np.ndarray:
    return np.repeat(np.random.default_rng(seed).uniform(-1, 1, (n_inputs, n_samples // 3, 1)), 3, axis=1)


def recorded(drive: np.ndarray, *, seed: int = 0, repeats: int = 1, **conditions: float) -> Recording:
    """x' = 0.8 x + 0.2 u + 0.02 w, each drive so many times."""
    rng = np.random.default_rng(seed)
    ids = np.tile(np.arange(len(drive)), repeats)
    drive = drive[ids]
    response = np.zeros_like(drive)
    for k in range(drive.shape[1] - 1):
        response[:, k + 1] = 0.8 * response[:, k] + 0.2 * drive[:, k] + 0.02 * rng.standard_normal((len(drive), 1))
    header = RecordingHeader(
        shape=(len(drive), drive.shape[1]),
        dt_s=1e-3,
        drive_names=("u",),
        drive_units=("V",),
        response_names=("x",),
        response_units=("V",),
        n_prepare=5,
        input_id=ids,
        simulated=True,
        conditions=conditions,
    )
    return Recording(header, drive, response, np.full(len(drive), drive.shape[1]), complete=True)


def fitted(folder: Path, training: Recording, heldout: Recording | None, **options: object) -> FittedTwin:
    return run(fit_twin("d", [training], heldout, seed=0, settings=SETTINGS, folder=folder), **options)


def test_a_fit_refuses_to_be_judged_on_its_own_recording_and_on_other_repeats_of_its_drives(tmp_path: Path) -> None:
    drive = drives(10, seed=0)
    training = recorded(drive)
    with pytest.raises(RecordingError, match=r"trained on all of its drives.*record other inputs"):
        fitted(tmp_path, training, training)
    with pytest.raises(RecordingError, match="trained on all of its drives"):
        fitted(tmp_path, training, recorded(drive, seed=1, repeats=3))
    assert not list(tmp_path.iterdir())


def test_inputs_that_were_trained_on_are_left_out_and_that_is_said(tmp_path: Path) -> None:
    drive, other = drives(10, seed=0), drives(6, seed=1)
    events: list[Event] = []
    held = recorded(np.concatenate([drive[:2], other]), seed=1, repeats=3)
    one = fitted(tmp_path, recorded(drive), held, on_event=events.append)
    assert one.figures["n_inputs"] == 6
    assert any("6 of 24 trials" in event.message for event in events if isinstance(event, Warned))
    assert "6 of 24 trials" in read_provenance(one.path)["extra"]["judged_on"]["how"]


def test_too_little_that_is_left_is_refused(tmp_path: Path) -> None:
    drive = drives(10, seed=0)
    held = recorded(np.concatenate([drive, drives(2, seed=1)]), seed=1)
    with pytest.raises(RecordingError, match=r"10 of 12 trials .* too little is left"):
        fitted(tmp_path, recorded(drive), held)


def test_a_check_judges_on_what_was_kept_from_the_fit_only(tmp_path: Path) -> None:
    training = recorded(drives(12, seed=0), repeats=4)
    one = fitted(tmp_path, training, None)
    n_kept = one.figures["n_inputs"]
    assert n_kept is not None and n_kept < 12
    checked = run(check_twin(one.path, {"again": [training]}, n_draws=20))
    assert checked.judgements["again"].figures["n_inputs"] == n_kept
    trained = trained_on(read_provenance(one.path))
    assert trained is not None
    seen = trained.seen(training.traces())
    few = recorded(training.drive[:12][seen[:12]][:3], seed=1, repeats=4)
    other = recorded(drives(6, seed=3), repeats=3)
    with pytest.raises(RecordingError, match="trained on"):
        run(check_twin(one.path, {"other": [other], "few": [few]}, n_draws=20, store=True))
    assert read_provenance(one.path)["gates"] == one.gates


def test_a_long_recording_split_by_time_is_not_checked_on_its_beginning(tmp_path: Path) -> None:
    whole = recorded(drives(1, seed=0, n_samples=3000))
    one = fitted(tmp_path, whole, None)
    with pytest.raises(RecordingError, match="trained on all"):
        run(check_twin(one.path, {"again": [whole]}, n_draws=20, store=True))
    with pytest.raises(RecordingError, match="trained on all"):  # the same drive, measured once more
        run(check_twin(one.path, {"repeat": [recorded(drives(1, seed=0, n_samples=3000), seed=1)]}, n_draws=20))


def test_the_same_drive_at_another_condition_is_another_input(tmp_path: Path) -> None:
    drive = drives(10, seed=0)
    one = fitted(tmp_path, recorded(drive, bias=0.1), recorded(drives(6, seed=1), repeats=3, bias=0.1))
    trained = trained_on(read_provenance(one.path))
    assert trained is not None
    [again], [elsewhere] = (TwinData.of([recorded(drive, seed=1, bias=bias)]).traces for bias in (0.1, 0.2))
    assert trained.seen(again).all()
    assert not trained.seen(elsewhere).any()


def test_a_comparison_leaves_out_what_any_twin_was_trained_on(tmp_path: Path) -> None:
    held = recorded(drives(6, seed=9), repeats=3)
    one = fitted(tmp_path / "a", recorded(drives(10, seed=0)), held)
    two = fitted(tmp_path / "b", recorded(drives(10, seed=1)), held)
    mixed = np.concatenate([drives(10, seed=0)[:2], drives(10, seed=1)[:3], drives(6, seed=9)])
    compared = run(compare_twins([one.path, two.path], [recorded(mixed, seed=4, repeats=2)], n_draws=20))
    assert compared.n_inputs == 6
    with pytest.raises(RecordingError, match="trained on all of its drives"):
        run(compare_twins([one.path, two.path], [recorded(drives(10, seed=1), seed=4)], n_draws=20))


def test_a_drive_that_comes_again_and_again_cannot_clear_a_twin(tmp_path: Path) -> None:
    period = drives(1, seed=0, n_samples=150)
    one = fitted(tmp_path, recorded(np.tile(period, (1, 20, 1))), None)
    assert not one.passed
    assert "trained on all of its drives" in one.gates["gates"][0]["why"]


def test_a_twin_that_does_not_say_what_it_was_trained_on_is_refused_its_recordings(tmp_path: Path) -> None:
    one = fitted(tmp_path, recorded(drives(10, seed=0)), None)
    file = tmp_path / "mine.csv"
    file.write_text("u,x\n", encoding="utf-8")
    provenance = read_provenance(one.path)
    extra = {name: value for name, value in provenance["extra"].items() if name != "trained_on"}
    held = replace(recorded(drives(6, seed=2), repeats=3), path=file)
    sources = [dict(source) for source in TwinData.of([held]).sources]
    old = save_twin(
        load_twin(one.path),
        tmp_path / "old",
        provenance={**provenance, "extra": {**extra, "recordings": sources, "judged_on": {"recordings": sources}}},
    )
    with pytest.raises(RecordingError, match="does not say to which part"):
        run(check_twin(old, {"mine": [held]}, n_draws=20))
