"""Filming the bundled reaction cell over real TCP: the whole way, every fault on it, and however it ends."""

import numpy as np
import pytest
import xarray

from drivers.transport import open_line
from labctl.bench import Bench
from labctl.bench.film_plan import FilmRequest
from labctl.campaign import run
from labctl.campaigns.characterise import characterise
from labctl.campaigns.record_frames import record_frames
from labctl.cli import main
from labctl.errors import ExcitationError, InstrumentFault, OutOfLimits, SafetyError, StationError
from labctl.events import FrameTaken, Progress, event_from_json, event_to_json
from labctl.frame_recording import LOST, TAKEN
from labctl.frame_store import read_frames
from labctl.plant import collect
from labctl.simulation import bundled_station
from labctl.station import parse_station

MITOSIS = {"feed": 0.0367, "kill": 0.0649}


def test_frames_stream_into_a_file_with_everything_that_is_known_of_them(cell, station, tmp_path):
    path = tmp_path / "a.h5"
    conditions = [MITOSIS, {"feed": 0.05, "kill": 0.06}]
    events = []
    with Bench.open(station) as bench:
        campaign = record_frames(
            bench,
            FilmRequest(device="cell", n_trials=2, n_frames=5, interval_s=16.0, conditions=conditions, seed=3),
            path=path,
        )
        recording = run(campaign, on_event=events.append)
        assert bench.device_seconds == pytest.approx(2 * 5 * 16.0)
    assert cell.safe()
    assert recording.complete
    assert recording.notes == ()
    stored = read_frames(path)
    for name in ("counts", "status", "time_s", "saturated", "light", "conditions"):
        np.testing.assert_array_equal(getattr(stored, name), getattr(recording, name))
    assert stored.conditions.tolist() == [[0.0367, 0.0649], [0.05, 0.06]]
    assert stored.time_s.tolist() == [[0.0, 16.0, 32.0, 48.0, 64.0]] * 2
    assert stored.simulated
    assert "SO-2C" in stored.header.provenance["identities"]["camera"]
    assert stored.header.provenance["settings"]["camera"]["interval_s"] == "16 s"
    assert stored.header.provenance["seed"] == 3
    frames = stored.frames(drift="monitor")
    assert frames.condition_names == ("feed", "kill")
    assert stored.frames(conditions="none").condition_names == ()
    assert (frames.size, frames.names, frames.simulated) == ((24, 32), ("u", "v"), True)
    np.testing.assert_allclose(frames.conditions, stored.conditions)
    assert (np.abs(np.diff(frames.values, axis=1)).mean(axis=(0, 2, 3, 4)) > 0.005).all()  # it moves on
    taken = [event for event in events if isinstance(event, FrameTaken)]
    assert [(event.trial, event.index) for event in taken] == [
        (trial, index) for trial in range(2) for index in range(5)
    ]
    assert taken[0].preview.shape == (24, 32, 2)
    assert np.array_equal(event_from_json(event_to_json(taken[3])).preview, taken[3].preview)
    assert [event.done for event in events if isinstance(event, Progress)][-1] == 10
    with xarray.open_dataset(path) as data:
        assert data["counts"].shape == (2, 5, 24, 32, 2)
        assert data.attrs["simulated"] == 1


def test_a_seed_gives_the_same_start_and_another_another(station):
    with Bench.open(station) as bench:
        first, again, other = (
            collect(bench.film("cell", n_trials=2, n_frames=1, seed=seed)).signal() for seed in (1, 1, 2)
        )
    assert np.abs(first - again).mean() < 0.02
    assert np.abs(first - other).mean() > 0.05
    assert np.abs(first[0] - first[1]).mean() > 0.05


def test_a_flat_field_and_the_monitor_take_vignetting_and_drift_out(station):
    with Bench.open(station) as bench:
        flat = collect(bench.film("cell", n_trials=6, n_frames=1, start="uniform"))
        dark = collect(bench.film("cell", n_trials=1, n_frames=2, start="", light=False))
        recording = collect(bench.film("cell", n_trials=1, n_frames=1, start="spots", seed=5))
    raw, corrected = (one.values[0, 0, :, :, 0] for one in (recording.frames(), recording.frames(dark=dark, flat=flat)))
    fresh = recording.frames().values[0, 0, :, :, 1] < 0.1  # where the reaction has not begun u is 1
    assert corrected[fresh].std() < 0.6 * raw[fresh].std()


@pytest.mark.parametrize(
    ("asked", "error", "said"),
    [
        ({"conditions": {"feed": 0.11}}, OutOfLimits, "feed: 0.11 Hz in trial 0 is outside 0..0.1"),
        ({"conditions": [MITOSIS, {"feed": float("nan"), "kill": 0.06}]}, OutOfLimits, "in trial 1"),
        ({"conditions": [MITOSIS]}, ExcitationError, "1 sets of conditions for 2 trials"),
        ({"conditions": [MITOSIS, {"feed": 0.04}]}, ExcitationError, "trial 1 has the conditions feed"),
        ({"conditions": {"layer": 1.0}}, ExcitationError, "layer is no condition of cell; it has feed, kill"),
        ({"interval_s": -1.0}, ExcitationError, "positive number of seconds"),
        ({"start": "rose"}, ExcitationError, "no start 'rose'; it has blocks"),
        ({"n_frames": 0}, ExcitationError, "at least one of each"),
        ({"interval_s": 1e-3}, InstrumentFault, "longer than the interval of 0.001 s; nothing was filmed"),
        ({"n_frames": 200_000}, InstrumentFault, "nothing was filmed"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_moves(cell, station, asked, error, said, tmp_path):
    camera = open_line(cell.addresses["camera"])
    before = camera.query("ACQ:NUMB?")
    with Bench.open(station) as bench, pytest.raises(error, match=said):
        collect(bench.film("cell", **{"n_trials": 2, "n_frames": 2, "store": tmp_path / "a.h5", **asked}))
    assert camera.query("ACQ:NUMB?") == before
    camera.close()
    assert cell.safe()
    assert not (tmp_path / "a.h5").exists()


@pytest.mark.parametrize("what", ["cut_after,5", "flip_after,5", "half_reply_after,5", "close_after,5"])
def test_a_frame_cut_or_damaged_on_the_way_is_healed(station, fault, what, tmp_path):
    with Bench.open(station) as bench:
        frames = bench.film("cell", n_trials=1, n_frames=12, conditions=MITOSIS, store=tmp_path / "a.h5")
        next(frames)
        assert bench._instruments["camera"].line.query("*OPC?") == "1"  # so that the fifth question is for a frame
        fault(what)
        recording = collect(frames)
    assert recording.complete
    assert (recording.status == TAKEN).all()
    assert (np.abs(np.diff(recording.signal(), axis=1)).mean(axis=(2, 3, 4)) < 0.1).all()


def test_lost_late_and_saturated_frames_are_noted_and_never_hidden(cell, fault, tmp_path):
    fault("lost_frame,2")
    fault("late_frame,3")
    file = cell.write(tmp_path, ("exposure_s = 0.02", "exposure_s = 0.03"))
    with Bench.open(file) as bench:
        recording = collect(bench.film("cell", n_trials=1, n_frames=4, store=tmp_path / "a.h5"))
    assert recording.status.tolist() == [[TAKEN, LOST, TAKEN, TAKEN]]
    said = read_frames(tmp_path / "a.h5").notes
    assert said[:2] == ("trial 0, frame 1: lost by the camera", "trial 0, frame 2: taken +16 s off its time")
    assert "at full scale (4095)" in said[2]
    assert recording.saturated.sum() == (recording.counts == 4095).sum() > 0


def test_a_frame_that_never_comes_is_told(station, monkeypatch):
    monkeypatch.setattr("labctl.bench.filming.FRAME_PATIENCE_S", -1.0)
    with Bench.open(station) as bench:
        monkeypatch.setattr(bench._instruments["camera"].camera, "frames_ready", lambda: 0)
        with pytest.raises(InstrumentFault, match=r"frame 0 did not come, .* 0.6 s apart"):
            collect(bench.film("cell", n_trials=1, n_frames=2, interval_s=0.6))


def test_what_is_filmed_cannot_be_played_on(station, tmp_path):
    with Bench.open(station) as bench:
        assert bench.way_of("cell") == "filmed"
        for play in (
            lambda: run(characterise(bench, "cell", folder=tmp_path, rng=np.random.default_rng(0))),
            lambda: bench.loop_rate(["cell"]),
            lambda: bench.read("layer"),
        ):
            with pytest.raises(StationError, match=r"is filmed and has no drive|cannot be measured singly"):
                play()


def test_a_set_point_is_held_while_it_films(station):
    with Bench.open(station) as bench:
        frames = bench.film("cell", n_trials=1, n_frames=3, conditions=MITOSIS)
        next(frames)
        with pytest.raises(SafetyError, match="condition of the recording of cell"):
            bench.set("feed", 0.01)
        frames.close()


def test_another_serial_number_is_refused(cell, tmp_path):
    file = cell.write(tmp_path, ('serial = "SIM-SO2C-031"', 'serial = "SIM-SO2C-032"'))
    with pytest.raises(StationError, match="SIM-SO2C-031"):
        Bench.open(file)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('terminal = "sensor"', 'terminal = "sensor"\nrange = 2.0', "a 'image' channel has no range"),
        ("image = {", "# image = {", "a 'image' channel must have image"),
        ('response = ["layer"]', 'response = ["layer"]\ndrive = ["feed"]', "a filmed device is not played on"),
        ('commands = ["INJ HOLE,{seed}", "*OPC?"]', 'commands = ["INJ HOLE,{number}"]', "only {seed} is filled in"),
        ('starts.hole]\ninstrument = "pump"', 'starts.hole]\ninstrument = "pomp"', "no instrument 'pomp'"),
    ],
)
def test_a_station_file_that_contradicts_itself_is_refused(old, new, said):
    text = bundled_station("reaction_cell").replace("{pump}", "A").replace("{camera}", "B")
    parse_station(text)
    assert old in text
    with pytest.raises(StationError) as caught:
        parse_station(text.replace(old, new))
    assert said in str(caught.value)


def test_a_plane_that_the_camera_lacks_is_refused(cell, tmp_path):
    with pytest.raises(StationError, match="camera has no plane '3'; it has 1, 2"):
        Bench.open(cell.write(tmp_path, ('v = "2"', 'v = "3"')))


def test_the_commands_check_film_and_list(station, tmp_path, capsys):
    assert main(["station", "check", str(station)]) == 0
    assert "32 x 24 pixels; u = plane 1, v = plane 2" in capsys.readouterr().out
    film = ["record", str(station), "--device", "cell", "--out", str(tmp_path / "out")]
    assert (
        main([*film, "--trials", "3", "--frames", "2", "--condition", "feed=0.03,0.04", "--condition", "kill=0.06"])
        == 0
    )
    recording = read_frames(tmp_path / "out" / "cell-frames.h5")
    assert recording.conditions.tolist() == [[0.03, 0.06], [0.04, 0.06], [0.03, 0.06]]
    assert main([*film, "--frames", "2", "--trials", "1", "--dark"]) == 0
    assert main(["runs", str(tmp_path / "out")]) == 0
    assert (
        "3 trials x 2 frames of 32 x 24 pixels every 32 s  feed, kill -> u, v  cell-frames.h5"
        in capsys.readouterr().out
    )
    assert main([*film, "--samples", "7"]) == 1
    assert "cell is filmed" in capsys.readouterr().err
    assert main([*film, "--condition", "feed=x"]) == 1
    assert main([*film, "--trials", "1", "--condition", "feed=0.1,0.2"]) == 1
