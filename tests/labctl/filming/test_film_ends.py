"""However filming ends: the pumps and the lamp off, the frames kept."""

import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import xarray

from labctl.bench import Bench
from labctl.bench.film_plan import FilmRequest
from labctl.campaign import run
from labctl.campaigns.record_frames import record_frames
from labctl.errors import InstrumentFault, MadeSafe, SafetyError, Stopped
from labctl.events import FrameTaken, Waiting
from labctl.frame_recording import TAKEN
from labctl.frame_store import read_frames
from labctl.plant import collect

MITOSIS = {"feed": 0.0367, "kill": 0.0649}


def test_a_cable_pulled_for_good_leaves_the_pumps_safe_and_the_frames_readable(cell, tmp_path, relay):
    cable = relay(cell.addresses["camera"])
    file = cell.write(
        tmp_path, ("{camera}", cable.address), ('driver = "simoptics', 'reconnect_s = 0.2\ndriver = "simoptics')
    )
    with pytest.raises(SafetyError, match="light of camera: NOT SAFE"), Bench.open(file) as bench:
        frames = bench.film("cell", n_trials=1, n_frames=6, conditions=MITOSIS, store=tmp_path / "a.h5")
        for _ in range(3):
            next(frames)
        cable.pull(for_good=True)
        with pytest.raises(InstrumentFault, match=r"3 of 6 frames were taken and are readable in .*") as caught:
            collect(frames)
        for said in ("light of camera: NOT SAFE", "feed: safe, 0 Hz", "kill: safe, 0 Hz"):
            assert said in str(caught.value)
        assert cell.safe()
    recording = read_frames(tmp_path / "a.h5")
    assert recording.valid_frames.tolist() == [3]
    assert "LineLost" in recording.notes[-1]


def test_making_safe_ends_it_and_the_bench_can_film_again(cell, station, tmp_path):
    with Bench.open(station) as bench:
        frames = bench.film("cell", n_trials=1, n_frames=6, conditions=MITOSIS, store=tmp_path / "a.h5")
        next(frames)
        assert bench.make_safe().ok
        with pytest.raises(MadeSafe, match="1 of 6 frames"):
            collect(frames)
        assert cell.safe()
        assert collect(bench.film("cell", n_trials=1, n_frames=2)).complete


def test_a_campaign_that_is_closed_keeps_its_frames_and_stops_the_camera(cell, station, tmp_path):
    with Bench.open(station) as bench:
        campaign = record_frames(
            bench, FilmRequest(device="cell", n_trials=3, n_frames=400, interval_s=200.0), path=tmp_path / "a.h5"
        )
        for event in campaign:
            if isinstance(event, FrameTaken) and event.index == 2:
                break
        campaign.close()
        assert not (int(bench._instruments["camera"].line.query("STAT:OPER:COND?")) & 48)
    recording = read_frames(tmp_path / "a.h5")
    assert recording.valid_frames.tolist() == [3, 0, 0]
    assert recording.notes == ("stopped before its end",)


def test_it_can_be_stopped_while_it_waits_for_a_frame(cell, station, tmp_path, monkeypatch):
    with Bench.open(station) as bench:
        monkeypatch.setattr(bench._instruments["camera"].camera, "frames_ready", lambda: 0)
        stop = threading.Event()
        waited = []

        def on_event(event):
            waited.extend([event] if isinstance(event, Waiting) else [])
            if len(waited) == 3:
                stop.set()

        campaign = record_frames(
            bench, FilmRequest(device="cell", n_trials=1, n_frames=2, conditions=MITOSIS), path=tmp_path / "a.h5"
        )
        with pytest.raises(Stopped) as caught:
            run(campaign, on_event=on_event, stop=stop)
        assert cell.safe()
    assert "0 of 2 frames were taken" in "".join(caught.value.__notes__)
    assert len(waited) == 3
    assert read_frames(tmp_path / "a.h5").notes == ("stopped before its end",)


def start_recording(station: Path, folder: Path) -> subprocess.Popen[str]:
    """`labctl record` of many frames as a process; returns when a quarter is there."""
    command = [sys.executable, "-m", "labctl.cli", "record", str(station), "--device", "cell", "--out", str(folder)]
    process = subprocess.Popen(
        [*command, "--trials", "8", "--frames", "100", "--interval-s", "4", "--condition", "feed=0.03"],
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    for line in process.stderr:
        if "25 %" in line:
            return process
    raise AssertionError("it ended before a quarter was there")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_keeps_what_was_filmed_and_leaves_pumps_and_lamp_off(cell, station, tmp_path, number):
    process = start_recording(station, tmp_path)
    assert not cell.dark()
    process.send_signal(number)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 128 + number
    assert "frames were taken and are readable in" in errors
    assert cell.safe()
    recording = read_frames(tmp_path / "cell-frames.h5")
    assert 200 <= recording.valid_frames.sum() < 800
    assert not recording.complete


def test_kill_9_leaves_a_file_that_opens_with_every_frame_that_was_taken(cell, station, tmp_path):
    process = start_recording(station, tmp_path)
    process.kill()
    process.communicate(timeout=30)
    with xarray.open_dataset(tmp_path / "cell-frames.h5") as data:
        status, counts = data["status"].values.ravel(), data["counts"].values
    taken = int((status == TAKEN).sum())
    assert taken >= 200
    assert (status[:taken] == TAKEN).all()
    assert (counts.reshape(-1, 24 * 32 * 2)[:taken].min(axis=1) > 50).all()
    with Bench.open(station) as bench:  # what SIGKILL left on, the next one makes safe
        assert bench.get("feed") == pytest.approx(0.03)
        assert bench.make_safe().ok
    assert cell.safe()
