"""Recordings on disk: whatever happens to the recorder, what was flushed opens."""

import errno
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import h5py
import numpy as np
import pytest
import xarray

from labctl import hdf5_layout
from labctl.errors import RecordingError
from labctl.recording import Block, RecordingHeader, check_alike, traces_of
from labctl.run_index import INDEX_NAME, RunIndex
from labctl.store import RecordingStore, RecordingWriter, open_recording


def header(n_trials: int = 4, n_samples: int = 50, dt_s: float = 1e-3) -> RecordingHeader:
    return RecordingHeader(
        shape=(n_trials, n_samples),
        dt_s=dt_s,
        drive_names=("gate",),
        drive_units=("mV",),
        response_names=("left", "right"),
        response_units=("V", "uA"),
        n_prepare=10,
        input_id=np.arange(n_trials) // 2,
        simulated=True,
        started_utc="2026-01-31T12:00:00.000000+00:00",
        conditions={"bias": 0.25},
        provenance={"seed": 7, "station": {"text": "τ = 1 ms\n" * 20_000}},
    )


def block(trial: int, start: int, count: int) -> Block:
    ramp = np.arange(start, start + count, dtype=float)[:, None]
    return Block(trial, start, ramp + 100 * trial, np.hstack([ramp, -ramp]))


def test_a_recording_comes_back_as_it_was_written(tmp_path: Path) -> None:
    with RecordingWriter(tmp_path / "a.h5", header()) as writer:
        writer.append(block(0, 0, 20))
        writer.append_many([block(0, 20, 30), block(1, 0, 50), block(2, 0, 50), block(3, 0, 50)])
        writer.note("a remark")
    recording = open_recording(tmp_path / "a.h5")
    assert recording.complete
    assert recording.notes == ("a remark",)
    assert recording.response_units == ("V", "uA")
    assert recording.conditions == {"bias": 0.25}
    assert recording.provenance["station"]["text"].startswith("τ = 1 ms")
    assert recording.input_id.tolist() == [0, 0, 1, 1]
    np.testing.assert_array_equal(recording.response[3, :, 1], -np.arange(50.0))
    np.testing.assert_array_equal(recording.drive[2, :, 0], np.arange(50.0) + 200)
    with pytest.raises(ValueError, match="read-only"):
        recording.drive[0, 0, 0] = 1.0


def test_xarray_opens_it_plainly_with_dimensions_units_and_time(tmp_path: Path) -> None:
    with RecordingWriter(tmp_path / "a.h5", header()) as writer:
        writer.append_many([block(trial, 0, 50) for trial in range(4)])
    with xarray.open_dataset(tmp_path / "a.h5") as data:
        assert data["response"].dims == ("trial", "time", "response_channel")
        assert data["drive"].attrs["units"] == "mV"
        assert data["response_channel"].values.tolist() == ["left", "right"]
        assert data["time"].attrs["units"] == "s"
        assert float(data["time"][0]) == pytest.approx(-0.01)
        assert float(data["response"].sel(response_channel="right", trial=1).isel(time=7)) == -7.0


def test_an_interrupted_recording_says_how_far_it_came_and_why(tmp_path: Path) -> None:
    writer = RecordingWriter(tmp_path / "a.h5", header())
    writer.append(block(0, 0, 50))
    writer.append(block(1, 0, 12))
    writer.finish(complete=False, ended="the cable was pulled")
    recording = open_recording(tmp_path / "a.h5")
    assert not recording.complete
    assert recording.valid_samples.tolist() == [50, 12, 0, 0]
    assert np.isnan(recording.response[1, 12:]).all()
    assert recording.notes[-1] == "the cable was pulled"
    assert recording.whole_trials.tolist() == [0]
    assert recording.traces().n_trials == 1


def test_a_recording_is_never_overwritten(tmp_path: Path) -> None:
    RecordingWriter(tmp_path / "a.h5", header()).finish(complete=False, ended="")
    with pytest.raises(RecordingError, match="exists already"):
        RecordingWriter(tmp_path / "a.h5", header())


def test_blocks_of_a_trial_must_follow_each_other(tmp_path: Path) -> None:
    with RecordingWriter(tmp_path / "a.h5", header()) as writer:
        writer.append(block(0, 0, 20))
        with pytest.raises(RecordingError, match="continues at 30, not at 20"):
            writer.append(block(0, 30, 5))
        with pytest.raises(RecordingError, match="there are 4 trials"):
            writer.append(block(4, 0, 5))


def test_another_process_reads_while_it_is_being_written(tmp_path: Path) -> None:
    with RecordingWriter(tmp_path / "a.h5", header()) as writer:
        writer.append(block(0, 0, 50))
        script = f"import xarray; print(int(xarray.open_dataset({str(tmp_path / 'a.h5')!r})['valid_samples'].sum()))"
        seen = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
        assert seen.stdout.strip() == "50"


WRITE_FOR_EVER = """
import sys
import numpy as np
from labctl.recording import Block, RecordingHeader
from labctl.store import RecordingWriter
n = 4000
header = RecordingHeader((n, 500), 1e-3, ("gate",), ("V",), ("left", "right"), ("V", "V"), 10, np.arange(n), True)
writer = RecordingWriter(sys.argv[1], header)
for trial in range(n):
    for start in range(0, 500, 100):
        writer.append(Block(trial, start, np.full((100, 1), trial), np.full((100, 2), trial + 0.5)))
        sys.stdout.write(f"{trial * 500 + start + 100}\\n")
        sys.stdout.flush()
"""


@pytest.mark.parametrize("kill_after_s", [0.02, 0.05, 0.11, 0.17])
def test_kill_9_loses_nothing_that_was_flushed(tmp_path: Path, kill_after_s: float) -> None:
    path = tmp_path / "a.h5"
    recorder = subprocess.Popen(
        [sys.executable, "-c", WRITE_FOR_EVER, str(path)], stdout=subprocess.PIPE, text=True, bufsize=1
    )
    assert recorder.stdout is not None
    recorder.stdout.readline()
    time.sleep(kill_after_s)
    recorder.send_signal(signal.SIGKILL)
    told = [int(line) for line in recorder.stdout.read().split("\n") if line]
    recorder.wait()
    recording = open_recording(path)
    measured = int(recording.valid_samples.sum())
    assert measured >= max(told, default=100)
    assert not recording.complete
    assert "killed" in recording.notes[-1]
    for trial in np.flatnonzero(recording.valid_samples):
        assert (recording.response[trial, : recording.valid_samples[trial]] == trial + 0.5).all()
    with xarray.open_dataset(path) as data:
        assert int(np.isfinite(data["response"].values).sum()) >= 2 * measured


def test_a_disk_without_room_is_noticed_before_anything_is_played(tmp_path: Path) -> None:
    script = f"""
        import resource
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))
        import numpy as np
        from labctl.recording import RecordingHeader
        from labctl.store import RecordingWriter
        header = RecordingHeader((100, 500), 1e-3, ("a",), ("V",), ("b",), ("V",), 0, np.arange(100), True)
        RecordingWriter({str(tmp_path / "a.h5")!r}, header)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "RecordingError" in done.stderr
    assert "no room for this recording of 0.8 MB (File too large)" in done.stderr
    assert not (tmp_path / "a.h5").exists()


@pytest.mark.parametrize("no_more_files", [False, True])
def test_a_disk_that_fills_up_while_recording_leaves_what_was_written(tmp_path: Path, no_more_files: bool) -> None:
    """Space is reserved, but some file systems run out all the same: here writing beyond a limit fails."""
    path = tmp_path / "a.h5"
    script = f"""
        import gc, os, resource, sys
        import numpy as np
        from labctl.errors import RecordingError
        from labctl.recording import Block, RecordingHeader
        from labctl.store import RecordingWriter
        header = RecordingHeader((100, 500), 1e-3, ("a",), ("V",), ("b",), ("V",), 0, np.arange(100), True)
        writer = RecordingWriter({str(path)!r}, header)
        resource.setrlimit(resource.RLIMIT_FSIZE, (600_000, resource.RLIM_INFINITY))
        if {no_more_files}:
            next_one = os.dup(0)
            os.close(next_one)
            resource.setrlimit(resource.RLIMIT_NOFILE, (next_one, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
        try:
            for trial in range(100):
                writer.append(Block(trial, 0, np.ones((500, 1)), np.full((500, 1), trial)))
        except RecordingError as error:
            print(trial, error)
            if not {no_more_files}:
                writer.finish(complete=False, ended="disk full")
        del writer
        gc.collect()
        sys.exit(7)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, check=False)
    assert done.returncode == 7, done.stderr
    assert "cannot be written any more (File too large)" in done.stdout, done
    assert "stay readable" in done.stdout
    failed_trial = int(done.stdout.split()[0])
    recording = open_recording(path)
    assert recording.whole_trials.size == failed_trial > 10
    assert (recording.response[failed_trial - 1] == failed_trial - 1).all()
    assert recording.notes == (hdf5_layout.STILL_OPEN if no_more_files else "disk full",)
    with xarray.open_dataset(path) as data:
        assert data.sizes["trial"] == 100


def test_once_created_a_recording_needs_no_more_space_up_to_its_last_remark(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    writer = RecordingWriter(path, header())
    size = path.stat().st_size
    assert path.stat().st_blocks * 512 >= size
    writer.append_many([block(trial, 0, 50) for trial in range(4)])
    writer.note("a long remark " * 1000)
    writer.finish(complete=True, ended="x" * 10_000)
    assert path.stat().st_size == size
    assert open_recording(path).complete


def test_a_recording_that_another_reader_of_this_process_has_open_opens_too(tmp_path: Path) -> None:
    path = damage(tmp_path)
    with xarray.open_dataset(path) as data:
        assert open_recording(path).complete
        assert data.sizes["trial"] == 4
    with h5py.File(path, "r"):
        assert open_recording(path).complete


def test_an_impossible_place_for_a_recording_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "afile").write_text("no directory")
    for place in ("afile", "afile/deeper"):
        with pytest.raises(RecordingError, match=rf"{place} cannot be a directory for recordings"):
            RecordingWriter(tmp_path / place / "x.h5", header())
        with pytest.raises(RecordingError, match=rf"{place} cannot be a directory for recordings"):
            RecordingStore(tmp_path / place)

    def refuse(self: Path, *_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(self))

    with monkeypatch.context() as patch:  # the test may run as root, who may write everywhere
        patch.setattr(Path, "open", refuse)
        with pytest.raises(RecordingError, match=r"b\.h5 cannot be created \(Permission denied\)"):
            RecordingWriter(tmp_path / "b.h5", header())
        patch.setattr(Path, "mkdir", refuse)
        with pytest.raises(RecordingError, match=r"new cannot be a directory for recordings \(Permission denied\)"):
            RecordingStore(tmp_path / "new")


def damage(tmp_path: Path) -> Path:
    with RecordingWriter(tmp_path / "a.h5", header()) as writer:
        writer.append_many([block(trial, 0, 50) for trial in range(4)])
    return tmp_path / "a.h5"


def test_a_truncated_file_is_told_from_a_foreign_one(tmp_path: Path) -> None:
    path = damage(tmp_path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(RecordingError, match=r"a\.h5 is truncated: \d+ bytes are left"):
        open_recording(path)
    path.write_text("time,volts\n0,1\n")
    with pytest.raises(RecordingError, match=r"a\.h5 is no HDF5 file"):
        open_recording(path)
    path.write_bytes(b"")
    with pytest.raises(RecordingError, match=r"a\.h5"):
        open_recording(path)
    with pytest.raises(RecordingError, match="no such file"):
        open_recording(tmp_path / "b.h5")


def test_a_foreign_hdf5_file_is_named_with_what_it_holds(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "b.h5", "w") as file:
        file["voltages"] = np.zeros(3)
    with pytest.raises(RecordingError, match=r"no labctl recording .*it holds voltages"):
        open_recording(tmp_path / "b.h5")


def test_a_recording_of_another_version_or_with_parts_missing_is_refused(tmp_path: Path) -> None:
    path = damage(tmp_path)
    with h5py.File(path, "a") as file:
        del file["valid_samples"]
    with pytest.raises(RecordingError, match="valid_samples missing"):
        open_recording(path)
    with h5py.File(path, "a") as file:
        file.attrs["format_version"] = 99
    with pytest.raises(RecordingError, match="version 99"):
        open_recording(path)


def test_recordings_of_different_sampling_times_do_not_mix(tmp_path: Path) -> None:
    for name, dt_s in (("a", 1e-3), ("b", 2e-3)):
        with RecordingWriter(tmp_path / f"{name}.h5", header(dt_s=dt_s)) as writer:
            writer.append_many([block(trial, 0, 50) for trial in range(4)])
    first, second = (open_recording(tmp_path / name) for name in ("a.h5", "b.h5"))
    assert len(traces_of([first, first])) == 2
    with pytest.raises(RecordingError, match=r"0\.001 s and 0\.002 s.*a\.h5 and .*b\.h5"):
        traces_of([first, second])
    check_alike([first])


def test_chosen_trials_are_a_recording_of_their_own(tmp_path: Path) -> None:
    recording = open_recording(damage(tmp_path))
    part = recording.trials([3, 1])
    assert part.input_id.tolist() == [1, 0]
    np.testing.assert_array_equal(part.drive[0], recording.drive[3])
    drive, response = part.scored()
    assert drive.shape == (2, 40, 1)
    assert response.shape == (2, 40, 2)


def test_the_index_follows_the_files_and_can_be_thrown_away(tmp_path: Path) -> None:
    store = RecordingStore(tmp_path)
    for label in ("first run", "second run"):
        writer = store.create(header(), label=label)
        writer.append_many([block(trial, 0, 50) for trial in range(2)])
        writer.finish(complete=False, ended="enough")
    with h5py.File(tmp_path / "foreign.h5", "w") as file:
        file["x"] = 1
    (tmp_path / "broken.h5").write_bytes(b"\x89HDF\r\n\x1a\n")
    entries = store.index.entries()
    assert [entry.measured_samples for entry in entries] == [100, 100]
    assert "first-run" in entries[0].file
    assert entries[0].simulated
    assert not entries[0].complete
    store.paths()[-1].unlink(missing_ok=True)
    (tmp_path / INDEX_NAME).write_bytes(b"this is no database, whatever its name says" * 100)
    assert len(store.index.entries()) == len([e for e in entries if (tmp_path / e.file).exists()])
    (tmp_path / INDEX_NAME).unlink()
    assert RunIndex(tmp_path).rebuild() == store.index.entries()
