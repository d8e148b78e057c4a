"""Recordings of frames on disk and what is made of them: lossless, open after kill -9, corrected only where asked."""

import errno
import subprocess
import sys
import textwrap
import time
import tracemalloc
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import xarray

from labctl.errors import RecordingError
from labctl.frame_recording import LOST, NOT_TAKEN, TAKEN, FrameBlock, FrameHeader
from labctl.frame_store import FrameWriter, read_frames
from labctl.run_index import RunIndex
from labctl.store import open_recording

RNG = np.random.default_rng(0)


def header(n_trials=2, n_frames=3, size=(4, 6), *, light=True, conditions=("feed",)):
    return FrameHeader(
        shape=(n_trials, n_frames, *size),
        interval_s=2.5,
        names=("u", "v"),
        full_scale=4095,
        black_level=95.0,
        condition_names=conditions,
        condition_units=("Hz",) * len(conditions),
        conditions=np.full((n_trials, len(conditions)), 0.03),
        start="blocks",
        seeds=np.arange(n_trials) + 7,
        light=light,
        simulated=True,
        pixel=0.5,
        pixel_unit="um",
        started_utc="2026-01-31T12:00:00+00:00",
        provenance={"seed": 7, "station": {"text": "τ\n" * 10_000}},
    )


def frame(trial, index, counts=None, *, light=1.0, lost=False):
    if counts is None:
        counts = RNG.integers(0, 65_536, (4, 6, 2), dtype=np.uint16)
    saturated = 0 if lost else int((counts >= 4095).sum())
    return FrameBlock(trial, index, None if lost else counts, 2.5 * index, saturated, light)


def written(path, values, *, readings=None, **changes):
    """A recording of these counts (trial, time, y, x, channel)."""
    n_trials, n_frames, *size, _ = values.shape
    with FrameWriter(path, replace(header(n_trials, n_frames, tuple(size)), **changes)) as writer:
        for trial in range(n_trials):
            writer.begin_trial(trial, np.array([0.03]))
            for index in range(n_frames):
                reading = 1.0 if readings is None else readings[trial, index]
                writer.append(frame(trial, index, values[trial, index].astype(np.uint16), light=reading))
    return read_frames(path)


def test_frames_come_back_as_they_were_written_and_xarray_opens_them(tmp_path):
    blocks = [frame(trial, index) for trial in range(2) for index in range(3)]
    with FrameWriter(tmp_path / "a.h5", header()) as writer:
        for trial in range(2):
            writer.begin_trial(trial, np.array([0.031]))
        for block in blocks:
            writer.append(block)
        writer.note("a remark")
    recording = read_frames(tmp_path / "a.h5")
    assert recording.complete
    assert recording.notes == ("a remark",)
    assert recording.header.provenance["station"]["text"].startswith("τ")
    assert (recording.header.start, recording.header.seeds.tolist()) == ("blocks", [7, 8])
    assert (recording.interval_s, recording.names, recording.header.black_level) == (2.5, ("u", "v"), 95.0)
    for block in blocks:
        np.testing.assert_array_equal(recording.counts[block.trial, block.index], block.counts)
    with xarray.open_dataset(tmp_path / "a.h5") as data:
        assert data["counts"].dims == ("trial", "time", "y", "x", "channel")
        assert data["counts"].dtype == np.uint16
        np.testing.assert_array_equal(data["counts"].values, recording.counts)
        np.testing.assert_array_equal(data["time"].values, [0.0, 2.5, 5.0])
        assert list(data["channel"].values) == ["u", "v"]
        assert data["x"].attrs["units"] == "um"
        assert data["conditions"].sel(condition="feed").values.tolist() == [0.031, 0.031]
    with pytest.raises(ValueError, match="read-only"):
        recording.counts[0, 0, 0, 0, 0] = 1


def test_a_recording_without_conditions_opens_too(tmp_path):
    with FrameWriter(tmp_path / "a.h5", header(1, 1, conditions=())) as writer:
        writer.begin_trial(0, np.zeros(0))
        writer.append(frame(0, 0))
    assert read_frames(tmp_path / "a.h5").conditions.shape == (1, 0)
    with xarray.open_dataset(tmp_path / "a.h5") as data:
        assert data.sizes["condition"] == 0


def test_a_lost_frame_is_marked_and_never_made_up(tmp_path):
    with FrameWriter(tmp_path / "a.h5", header()) as writer:
        writer.append(frame(0, 0))
        writer.append(frame(0, 1, lost=True))
        writer.append(frame(0, 2))
        writer.append(frame(1, 0))
    recording = read_frames(tmp_path / "a.h5")
    assert recording.status.tolist() == [[TAKEN, LOST, TAKEN], [TAKEN, NOT_TAKEN, NOT_TAKEN]]
    assert not recording.complete
    assert recording.lost == [(0, 1)]
    assert recording.valid_frames.tolist() == [3, 1]
    assert np.isnan(recording.signal()[0, 1]).all()
    assert np.isnan(recording.time_s[1, 1])
    with pytest.raises(RecordingError, match=r"2 of 2 trials are not whole \(1 frames lost"):
        recording.frames()
    with pytest.raises(RecordingError, match="no trial is whole"):
        recording.frames(trials="whole")


def test_what_does_not_belong_into_the_file_is_refused(tmp_path):
    with pytest.raises(RecordingError, match="conditions of shape"):
        replace(header(), conditions=np.zeros((3, 1)))
    writer = FrameWriter(tmp_path / "a.h5", header())
    with pytest.raises(RecordingError, match="exists already"):
        FrameWriter(tmp_path / "a.h5", header())
    with pytest.raises(RecordingError, match="frame 1 of trial 0 is not the next one"):
        writer.append(frame(0, 1))
    with pytest.raises(RecordingError, match="a frame of shape"):
        writer.append(frame(0, 0, np.zeros((4, 6, 1), np.uint16)))
    writer.finish(complete=False, ended="enough")
    with pytest.raises(RecordingError, match="closed already"):
        writer.append(frame(0, 0))
    assert read_frames(tmp_path / "a.h5").notes == ("enough",)
    with pytest.raises(RecordingError, match="no labctl recording"):
        open_recording(tmp_path / "a.h5")
    (tmp_path / "b.h5").write_text("no")
    with pytest.raises(RecordingError, match="no HDF5 file"):
        read_frames(tmp_path / "b.h5")


def test_no_room_on_the_disk_is_told_before_anything_is_filmed(tmp_path, monkeypatch):
    def full(descriptor, offset, length):
        assert length > 2 * 10 * 100 * 64 * 64 * 2
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.posix_fallocate", full)
    with pytest.raises(RecordingError, match=r"no room for this recording of 16\.4 MB"):
        FrameWriter(tmp_path / "a.h5", header(10, 100, (64, 64)))
    assert not (tmp_path / "a.h5").exists()


def test_the_index_lists_frames(tmp_path):
    written(tmp_path / "a.h5", np.full((2, 3, 4, 6, 2), 500))
    (entry,) = RunIndex(tmp_path).entries()
    assert (entry.pixels, entry.n_trials, entry.n_samples, entry.measured_samples) == ("6 x 4", 2, 3, 6)
    assert (entry.response_channels, entry.drive_channels, entry.simulated, entry.complete) == (
        "u, v",
        "feed",
        True,
        True,
    )


RECORDER = """
import sys
import numpy as np
sys.path.insert(0, {folder!r})
from labctl.frame_recording import FrameBlock
from labctl.frame_store import FrameWriter
from test_frame_store import header

writer = FrameWriter({path!r}, header(20, 100, (64, 64)))
for trial in range(20):
    writer.begin_trial(trial, np.array([0.03]))
    for index in range(100):
        counts = np.full((64, 64, 2), 1 + 100 * trial + index, np.uint16)
        writer.append(FrameBlock(trial, index, counts, 2.5 * index, 0, 1.0))
        print(100 * trial + index + 1, flush=True)
"""


@pytest.mark.parametrize("after_s", [0.03, 0.11])
def test_kill_9_leaves_every_frame_that_was_written(tmp_path: Path, after_s: float) -> None:
    path = tmp_path / "a.h5"
    code = textwrap.dedent(RECORDER).format(folder=str(Path(__file__).parent), path=str(path))
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    first = process.stdout.readline()
    time.sleep(after_s)
    process.kill()
    told = int([first, *process.stdout.read().splitlines(keepends=True)][-1])
    process.wait()
    with xarray.open_dataset(path) as data:
        counts, status = data["counts"].values, data["status"].values
    taken = int((status == TAKEN).sum())
    assert told <= taken <= told + 1
    assert (status.ravel()[:taken] == TAKEN).all()
    whole = counts.reshape(-1, 64 * 64 * 2)[:taken]
    assert (whole == np.arange(1, taken + 1)[:, None]).all()
    recording = read_frames(path)
    assert not recording.complete
    assert "killed" in recording.notes[-1]


def scene(n_trials=2, n_frames=6):
    """True shares of full scale (trial, time, y, x, channel), the field of light (y, x), the lamp (trial, time)."""
    truth = 0.2 + 0.5 * RNG.random((n_trials, n_frames, 4, 6, 2))
    field = 1.0 - 0.4 * RNG.random((4, 6))
    return truth, field / field.mean(), 1.0 + 0.1 * RNG.random((n_trials, n_frames))


def counts_of(truth, black=95.0):
    return np.rint(black + truth * (4095 - 95.0))


def test_nothing_is_corrected_unless_asked_for(tmp_path):
    truth, _, _ = scene()
    recording = written(tmp_path / "a.h5", counts_of(truth))
    frames = recording.frames()
    np.testing.assert_allclose(frames.values, truth, atol=2e-4)
    np.testing.assert_allclose(recording.signal(), truth, atol=2e-4)
    assert (frames.names, frames.dt_s, frames.condition_names, frames.simulated) == (("u", "v"), 2.5, (), True)
    assert (frames.pixel, frames.pixel_unit) == (0.5, "um")
    frames = recording.frames(conditions="all")
    assert frames.condition_names == ("feed",)
    np.testing.assert_allclose(frames.condition_values, 0.03)
    with pytest.raises(RecordingError, match="'varied', 'all' or 'none'"):
        recording.frames(conditions="some")


def test_references_and_the_monitor_take_black_field_and_lamp_out(tmp_path):
    truth, field, lamp = scene()
    black = np.rint(95.0 + 60.0 * RNG.random((4, 6, 2)))
    seen = truth * field[..., None] * lamp[..., None, None, None]
    recording = written(tmp_path / "a.h5", np.rint(black + seen * (4095 - 95)), readings=lamp)
    dark = written(tmp_path / "dark.h5", np.broadcast_to(black, (1, 4, 4, 6, 2)), light=False)
    uniform = np.rint(black + 0.5 * field[..., None] * (4095 - 95))
    flat = written(tmp_path / "flat.h5", np.broadcast_to(uniform, (1, 1, 4, 6, 2)))
    corrected = recording.frames(dark=dark, flat=flat, drift="monitor")
    np.testing.assert_allclose(corrected.values, truth, atol=2e-3)
    for less in ({"flat": flat, "drift": "monitor"}, {"dark": dark, "drift": "monitor"}, {"dark": dark, "flat": flat}):
        assert np.abs(recording.frames(**less).values - truth).max() > 0.01


def test_mean_normalisation_takes_the_lamp_out_of_a_scene_of_constant_mean(tmp_path):
    truth, _, lamp = scene()
    truth /= truth.mean(axis=(2, 3), keepdims=True) / 0.4
    recording = written(tmp_path / "a.h5", counts_of(truth * lamp[..., None, None, None]))
    steady = recording.frames(drift="mean").values
    scale = lamp.mean(axis=1)[:, None, None, None, None]
    np.testing.assert_allclose(steady, truth * scale, atol=2e-3)


def test_binning_averages_pixels(tmp_path):
    truth, _, _ = scene()
    recording = written(tmp_path / "a.h5", counts_of(truth))
    frames = recording.frames(binning=2)
    assert (frames.size, frames.pixel) == ((2, 3), 1.0)
    np.testing.assert_allclose(frames.values[..., 0, 0, :], truth[..., :2, :2, :].mean(axis=(-3, -2)), atol=2e-4)
    with pytest.raises(RecordingError, match="do not divide by 4"):
        recording.frames(binning=4)


def test_references_that_are_none_are_refused(tmp_path):
    truth, _, lamp = scene()
    truth[0, 0, 0, 0, 0] = 1.0
    recording = written(tmp_path / "a.h5", counts_of(truth), readings=lamp * np.nan)
    dark = written(tmp_path / "dark.h5", np.full((1, 1, 4, 6, 2), 95), light=False)
    other = written(tmp_path / "other.h5", np.full((1, 1, 4, 4, 2), 500))
    black = written(tmp_path / "black.h5", np.full((1, 1, 4, 6, 2), 90))
    for options, said in (
        ({"dark": recording}, "recorded with light"),
        ({"flat": dark}, "recorded without light"),
        ({"flat": other}, r"its images are \(4, 4, 2\)"),
        ({"flat": black}, "48 values are not above the dark"),
        ({"flat": recording}, "saturated values"),
        ({"drift": "monitor"}, "the lamp monitor was not read"),
        ({"drift": "linear"}, "drift must be one of none, monitor, mean"),
    ):
        with pytest.raises(RecordingError, match=said):
            recording.frames(**options)
    with pytest.raises(RecordingError, match="holds dark frames"):
        dark.frames()


def test_a_file_that_claims_more_than_it_holds_takes_no_memory(tmp_path):
    written(tmp_path / "a.h5", np.full((1, 2, 4, 6, 2), 500))
    cases = {
        "counts": lambda file: file.create_dataset(
            "counts", (1, 2, 100_000, 100_000, 2), np.uint16, chunks=(1, 1, 64, 64, 2)
        ),
        "status": lambda file: file.create_dataset("status", (100_000, 1_000_000), np.int8, chunks=(64, 64)),
        "ended": lambda file: file.create_dataset("ended", (), h5py.string_dtype("utf-8", 500_000_000)),
        "light": lambda file: file.__setitem__("light", h5py.ExternalLink("other.h5", "/light")),
    }
    for name, claim in cases.items():
        path = tmp_path / f"{name}.h5"
        path.write_bytes((tmp_path / "a.h5").read_bytes())
        with h5py.File(path, "r+") as file:
            del file[name]
            claim(file)
        tracemalloc.start()
        with pytest.raises(RecordingError, match=rf"damaged recording of frames: .*{name} (claims|lies elsewhere)"):
            read_frames(path)
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
        tracemalloc.stop()


def test_a_recording_is_looked_at_without_being_read_into_memory(tmp_path):
    recording = written(tmp_path / "a.h5", np.full((1, 2, 4, 6, 2), 500))
    assert isinstance(recording.counts, np.memmap)
    assert not recording.counts.flags.writeable
