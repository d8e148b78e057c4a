"""What a twin foresees beside what was measured: the arrays against numbers that were computed another way."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy import signal, stats

from labctl.campaign import run
from labctl.campaigns.predict_twin import predict_twin
from labctl.cli import main
from labctl.errors import CampaignError, RecordingError
from labctl.events import Event, Progress, Reported
from labctl.store import open_recording
from labctl.twin_evidence import FreeRuns, free_runs
from labctl.twin_prediction import BANDS, TwinPrediction, load_prediction, save_prediction
from twins import load_twin
from twins.errors import TracesMismatch


@pytest.fixture(scope="module")
def told() -> list[Event]:
    return []


@pytest.fixture(scope="module")
def prediction(shelf, told: list[Event]) -> TwinPrediction:
    return run(predict_twin(shelf.twin, [open_recording(shelf.heldout)], n_draws=99, seed=3), on_event=told.append)


@pytest.fixture(scope="module")
def cases(shelf) -> list[FreeRuns]:
    """The same free runs, asked for again."""
    return free_runs(load_twin(shelf.twin), open_recording(shelf.heldout).traces(), n_draws=99, seed=3)


def test_bands_are_order_statistics_of_the_free_runs(prediction: TwinPrediction, cases: list[FreeRuns]) -> None:
    assert len(prediction.inputs) == len(cases) == prediction.n_inputs == 6
    for one, case in zip(prediction.inputs, cases, strict=True):
        ordered = np.sort(case.twin, axis=0)
        for level, band in zip(BANDS, one.bands, strict=True):  # 99 draws: quantile p is draw number 100 p
            np.testing.assert_allclose(band, ordered[round(100 * level) - 1], rtol=1e-9, atol=1e-12)
        np.testing.assert_array_equal(one.measured, case.device)
        np.testing.assert_allclose(one.mean, case.twin.sum(0) / 99, atol=1e-12)
    assert prediction.inputs[0].time_s[0] == pytest.approx((cases[0].start - 4) * 1e-3)


def test_coverage_counts_measured_values_between_order_statistics(
    prediction: TwinPrediction, cases: list[FreeRuns]
) -> None:
    by_hand = np.empty((len(prediction.levels), len(cases)))
    for number, case in enumerate(cases):
        ordered = np.sort(case.twin, axis=0)
        for row, level in enumerate(prediction.levels):
            tail = round(50 * (1 - level), 6)  # of 99 draws, a whole number or half of one
            low = 0.5 * (ordered[int(np.floor(tail)) - 1] + ordered[int(np.ceil(tail)) - 1])
            high = 0.5 * (ordered[int(np.floor(100 - tail)) - 1] + ordered[int(np.ceil(100 - tail)) - 1])
            by_hand[row, number] = np.mean((case.device >= low) & (case.device <= high))
    np.testing.assert_allclose(prediction.covered[:, 0], by_hand.mean(1), atol=1e-3)
    error = by_hand.std(1, ddof=1) / np.sqrt(len(cases))
    np.testing.assert_allclose(prediction.covered_error[:, 0], error, atol=1e-3)
    # A linear device and a backbone that is linear: the intervals hold what they promise.
    assert np.abs(prediction.covered[:, 0] - prediction.levels).max() < 0.08


def test_residuals_are_those_of_a_known_law(prediction: TwinPrediction, cases: list[FreeRuns]) -> None:
    residual = [(case.device - case.twin.mean(0)) / case.twin.std(0, ddof=1) for case in cases]
    np.testing.assert_allclose(prediction.inputs[2].residuals, residual[2], atol=1e-9)
    width = np.diff(prediction.edges)[0]
    assert width * prediction.density.sum() + prediction.beyond[0] == pytest.approx(1.0, abs=1e-9)
    centres = 0.5 * (prediction.edges[1:] + prediction.edges[:-1])
    assert np.abs(prediction.density[:, 0] - stats.norm.pdf(centres)).max() < 0.1
    # x' = 0.8 x + ...: deviations forget by 0.8 a sample.
    np.testing.assert_allclose(prediction.own_acf[:4, 0], 0.8 ** np.arange(4), atol=0.08)
    lag3 = np.mean([(one[:, :-3] * one[:, 3:]).mean() for one in residual])
    assert prediction.acf[3, 0] == pytest.approx(lag3 / np.mean([(one**2).mean() for one in residual]), rel=1e-9)
    assert prediction.lags[3] == 3


def test_spectra_agree_with_scipy(prediction: TwinPrediction, cases: list[FreeRuns]) -> None:
    n = cases[0].device.shape[1]
    window = np.hanning(n + 2)[1:-1]
    measured, residual, drawn = (
        np.mean([signal.periodogram(one, 1e3, window, detrend=False, axis=1)[1].mean(0) for one in many], axis=0)
        for many in (
            [case.device - case.device.mean(1, keepdims=True) for case in cases],
            [case.device - case.twin.mean(0) for case in cases],
            [case.twin - case.twin.mean(1, keepdims=True) for case in cases],
        )
    )
    np.testing.assert_allclose(prediction.power_measured, measured, rtol=1e-9)
    np.testing.assert_allclose(prediction.power_residual, residual, rtol=1e-9)
    np.testing.assert_allclose(prediction.power_predicted, drawn, rtol=1e-9)
    np.testing.assert_allclose(prediction.frequency_Hz, np.fft.rfftfreq(n, 1e-3))


@pytest.mark.parametrize("ending", [".npz", ".h5"])
def test_a_prediction_comes_back_from_its_file(prediction: TwinPrediction, tmp_path: Path, ending: str) -> None:
    path = save_prediction(prediction, tmp_path / f"p{ending}")
    back = load_prediction(path)
    assert back.as_dict() == prediction.as_dict()
    assert back.response_units == ("V",)
    np.testing.assert_array_equal(back.inputs[-1].bands, prediction.inputs[-1].bands)
    np.testing.assert_array_equal(back.power_own, prediction.power_own)


def test_other_files_are_no_predictions(prediction: TwinPrediction, tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match=r"\.npz or \.h5"):
        save_prediction(prediction, tmp_path / "p.csv")
    (tmp_path / "p.npz").write_bytes(b"PK not at all")
    with pytest.raises(RecordingError, match="cannot be read as a prediction"):
        load_prediction(tmp_path / "p.npz")


def test_every_input_is_told_and_the_figures_are_plain_data(prediction: TwinPrediction, told: list[Event]) -> None:
    assert [event.done for event in told if isinstance(event, Progress)] == [1, 2, 3, 4, 5, 6]
    [outcome] = [event.outcome for event in told if isinstance(event, Reported)]
    assert json.loads(json.dumps(outcome))["n_trials"] == 60
    assert prediction.simulated


def test_a_twin_is_not_asked_about_its_training_or_another_device(shelf, recorded, tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="trained on all of its drives"):
        run(predict_twin(shelf.twin, [open_recording(shelf.training)]))
    other = recorded(tmp_path / "other.h5", n_inputs=4, n_repeats=3, response="y")
    with pytest.raises(TracesMismatch, match="response_names differ"):
        run(predict_twin(shelf.twin, [open_recording(other)]))
    with pytest.raises(CampaignError, match="39 or more"):
        run(predict_twin(shelf.twin, [open_recording(shelf.heldout)], n_draws=20))


def test_the_command_prints_coverage_and_writes_the_arrays_once(
    shelf, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "p.h5"
    asked = ["twin", "predict", str(shelf.twin), str(shelf.heldout), "--out", str(out), "--json", "--seed", "3"]
    assert main(asked) == 0
    assert json.loads(capsys.readouterr().out) == load_prediction(out).as_dict()
    assert main(asked) == 1
    assert "exists already" in capsys.readouterr().err
    assert main(["twin", "predict", str(shelf.twin), str(shelf.heldout)]) == 0
    assert "SIMULATED" in capsys.readouterr().out


def test_what_a_window_reads_loads_no_torch() -> None:
    program = (
        "import sys, labctl.twin_prediction, labctl.twin_cards, labctl.recording_cards, labctl.campaigns.compare_twins, "
        "labctl.campaigns.check_twin, labctl.campaigns.finish_twin, labctl.campaigns.stream_design, labctl.judgement; "
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
