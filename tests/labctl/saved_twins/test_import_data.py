"""Data of other programs kept as recordings hold what the file held, and say where they come from."""

from pathlib import Path

import numpy as np
import pytest

from labctl.campaign import run
from labctl.campaigns.import_data import import_data, write_recording
from labctl.cli import main
from labctl.errors import RecordingError, UsageError
from labctl.recording_cards import recordings_below
from labctl.store import open_recording


@pytest.fixture
def table(tmp_path: Path) -> tuple[Path, np.ndarray]:
    rng = np.random.default_rng(0)
    drive = np.repeat(rng.uniform(-1, 1, 240), 5)
    response = np.convolve(drive, 0.2 * 0.8 ** np.arange(30))[: len(drive)] + 0.01 * rng.standard_normal(len(drive))
    columns = np.c_[drive, response]
    path = tmp_path / "lab.csv"
    np.savetxt(path, columns, delimiter=",", header="V1,V2", comments="", fmt="%.9g")
    return path, columns


def test_rows_come_back_as_trials_and_test_rows_are_held_out(table: tuple[Path, np.ndarray], tmp_path: Path) -> None:
    path, columns = table
    files = run(
        import_data(
            path, folder=tmp_path / "out", drive=["V1"], response=["V2"], rate_Hz=500.0, units={"V1": "V", "V2": "mV"},
            segment_samples=100, test_rows=(1000, 1200), drive_ahead=0,
        )
    )  # fmt: skip
    assert [file.name for file in files] == ["lab.h5", "lab-heldout.h5"]
    recording = open_recording(files[0])
    assert (recording.dt_s, recording.drive_units, recording.response_units) == (0.002, ("V",), ("mV",))
    assert recording.drive.shape == (10, 100, 1)
    np.testing.assert_allclose(recording.drive[..., 0], columns[:1000, 0].reshape(10, 100), rtol=1e-8)
    np.testing.assert_allclose(recording.response[..., 0], columns[:1000, 1].reshape(10, 100), rtol=1e-7, atol=1e-9)
    assert recording.complete
    assert not recording.simulated
    assert recording.provenance["outside_data"]["path"].endswith("lab.csv")
    np.testing.assert_allclose(open_recording(files[1]).drive[..., 0].ravel(), columns[1000:1200, 0], rtol=1e-8)
    heldout = next(card for card in recordings_below(tmp_path / "out") if card.for_judging)
    assert heldout.drives == ("V1",)


def test_nothing_is_written_twice_and_own_recordings_need_no_import(shelf, table, tmp_path: Path) -> None:
    options = {"drive": ["V1"], "response": ["V2"], "rate_Hz": 500.0}
    run(import_data(table[0], folder=tmp_path / "out", **options))
    with pytest.raises(RecordingError, match="exists already"):
        run(import_data(table[0], folder=tmp_path / "out", **options))
    with pytest.raises(UsageError, match="own already"):
        run(import_data(shelf.training, folder=tmp_path / "out", **options))


def test_a_recording_is_written_with_what_was_not_measured_left_away(shelf, tmp_path: Path) -> None:
    whole = open_recording(shelf.training)
    write_recording(whole.trials([3, 1]), tmp_path / "two.h5")
    back = open_recording(tmp_path / "two.h5")
    np.testing.assert_array_equal(back.response, whole.response[[3, 1]])


def test_the_command_names_the_columns_there_are(
    table: tuple[Path, np.ndarray], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = ["--out", str(tmp_path / "out")]
    assert main(["twin", "import", str(table[0]), *out]) == 1
    assert "it has V1, V2" in capsys.readouterr().err
    assert main(["twin", "import", str(table[0]), "--drive", "V1", "--response", "V2", "--rate", "500Hz", *out]) == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / "out" / "lab.h5")
