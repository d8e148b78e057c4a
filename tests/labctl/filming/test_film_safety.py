"""What filming may never do: send what no limit has passed, leave the lamp on, record what was not so."""

import errno

import numpy as np
import pytest

from labctl.bench import Bench
from labctl.errors import InstrumentFault, RecordingError, SafetyError, StationError
from labctl.frame_store import read_frames
from labctl.plant import collect
from labctl.simulation import bundled_station
from labctl.start_commands import sets_output
from labctl.station import parse_station

MITOSIS = {"feed": 0.0367, "kill": 0.0649}
BLOCKS = 'commands = ["INJ BLOC,{seed}", "*OPC?"]'


def begins_with(*commands):
    """A change of the station file: other commands begin a trial."""
    return BLOCKS, f"commands = {list(commands)}".replace("'", '"')


@pytest.mark.parametrize(
    "command", ["PUMP1:RATE 0.19", "INJ BLOC,{seed};:pump:rate 0.19", "PUMP1:STAT OFF;RATE 0.05", "PUMP2:STATE OFF"]
)
def test_a_start_that_sets_an_output_is_refused_with_the_station(command):
    text = bundled_station("reaction_cell").replace("{pump}", "A").replace("{camera}", "B")
    old, new = begins_with(command, "*OPC?")
    with pytest.raises(StationError, match="past every limit; what is set belongs under conditions"):
        parse_station(text.replace(old, new))


@pytest.mark.parametrize(
    "command", ["PUMP1:RATE?", "INJ BLOC,3", "PUMP1:RATE:UNIT 2", "PUMP3:RATE 0.1", "*OPC?", "RATE 1"]
)
def test_other_commands_set_no_output(command):
    assert not sets_output(command, "PUMP1:RATE")


@pytest.mark.parametrize(
    ("commands", "said"),
    [
        (["PUMP1:RATE 0.19"], r"feed: stands at 0.19 Hz after the start of trial 0, outside 0\.\.0\.1"),
        (
            ["PUMP1:RATE 0.05"],
            r"feed: stands at 0.05 Hz and on after the start of trial 0, but 0.0367 Hz and on was set",
        ),
        (["PUMP2:STAT OFF"], r"kill: stands at 0.0649 Hz and off after"),
        (["*RST"], "after the start of trial 0"),
    ],
)
def test_a_start_that_moves_an_output_all_the_same_ends_the_film(cell, station, tmp_path, monkeypatch, commands, said):
    monkeypatch.setattr("labctl.station_checks.output_commands", lambda scpi: [])  # as for a driver of its own
    file = cell.write(tmp_path, begins_with(*commands, "*OPC?"))
    with Bench.open(file) as bench:
        with pytest.raises(InstrumentFault, match=said):
            collect(bench.film("cell", n_trials=2, n_frames=2, conditions=MITOSIS, store=tmp_path / "a.h5"))
        assert cell.safe()
    recording = read_frames(tmp_path / "a.h5")
    assert recording.valid_frames.tolist() == [0, 0]
    assert np.isnan(recording.conditions).all()


def test_a_start_that_switches_a_pump_on_is_made_safe_where_no_condition_was_set(cell, tmp_path, monkeypatch):
    monkeypatch.setattr("labctl.station_checks.output_commands", lambda scpi: [])
    file = cell.write(tmp_path, begins_with("PUMP1:RATE 0.19;STAT ON", "*OPC?"))
    with Bench.open(file) as bench, pytest.raises(InstrumentFault, match="outside"):
        collect(bench.film("cell", n_trials=1, n_frames=1))
    assert cell.safe()


def test_the_lamp_is_off_when_a_film_is_over_closed_or_could_not_begin(cell, station, tmp_path):
    with Bench.open(station) as bench:
        frames = bench.film("cell", n_trials=1, n_frames=3, store=tmp_path / "a.h5")
        next(frames)
        assert not cell.dark()
        collect(frames)
        assert cell.dark()
        frames = bench.film("cell", n_trials=1, n_frames=3)
        next(frames)
        frames.close()
        assert cell.dark()
        with pytest.raises(RecordingError, match="exists already"):
            collect(bench.film("cell", n_trials=1, n_frames=3, store=tmp_path / "a.h5"))
        assert cell.dark()
        frames = bench.film("cell", n_trials=1, n_frames=3)
        next(frames)
        report = bench.make_safe()
        assert report.ok
        assert "light of camera: safe, 0 read back" in str(report)
        assert cell.dark()
        frames.close()


def test_a_lamp_that_stays_on_is_told_and_the_film_is_kept(cell, station, tmp_path, monkeypatch):
    with pytest.raises(SafetyError, match="light of camera: NOT SAFE, 1 read back"), Bench.open(station) as bench:
        monkeypatch.setattr(bench._instruments["camera"].camera, "lit", lambda: True)
        with pytest.raises(InstrumentFault, match=r"light is still on; 2 of 2 frames .* light of camera: NOT SAFE"):
            collect(bench.film("cell", n_trials=1, n_frames=2, conditions=MITOSIS, store=tmp_path / "a.h5"))
        assert cell.safe()
    assert read_frames(tmp_path / "a.h5").complete
    assert "light is still on" in read_frames(tmp_path / "a.h5").notes[-1]


def test_a_disk_that_is_full_at_the_very_end_leaves_everything_safe(cell, station, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with Bench.open(station) as bench:
        frames = bench.film("cell", n_trials=1, n_frames=3, conditions=MITOSIS, store=tmp_path / "a.h5")
        for _ in range(3):
            next(frames)
        monkeypatch.setattr("labctl.hdf5_layout.write_remark", full)
        with pytest.raises(RecordingError, match=r"No space left on device.*3 of 3 frames.*all outputs are safe"):
            collect(frames)
        assert cell.safe()
    assert read_frames(tmp_path / "a.h5").valid_frames.tolist() == [3]


def test_a_pump_whose_line_was_lost_and_found_goes_on_as_it_was_set(cell, tmp_path, relay):
    cable = relay(cell.addresses["pump"])
    file = cell.write(tmp_path, ("{pump}", cable.address))
    with Bench.open(file) as bench:
        frames = bench.film("cell", n_trials=2, n_frames=3, conditions=MITOSIS)
        next(frames)
        cable.pull(for_good=False)
        recording = collect(frames)
    assert recording.complete
    assert recording.notes[0] == "feed: the line was reopened; read back as it was set at the end of trial 0"
    np.testing.assert_allclose(recording.conditions, [[0.0367, 0.0649]] * 2)
    assert cell.safe()


@pytest.mark.parametrize("meddling", ["PUMP1:STAT OFF", "PUMP1:RATE 0.02", "*RST"])
def test_a_pump_that_did_not_keep_what_was_set_ends_the_film_with_its_frames_kept(cell, station, tmp_path, meddling):
    with Bench.open(station) as bench:
        frames = bench.film("cell", n_trials=2, n_frames=3, conditions=MITOSIS, store=tmp_path / "a.h5")
        next(frames)
        cell.ask("pump", meddling)
        with pytest.raises(
            InstrumentFault, match=r"feed: stands at .* at the end of trial 0, but 0.0367 Hz and on was"
        ):
            collect(frames)
        assert cell.safe()
    recording = read_frames(tmp_path / "a.h5")
    assert recording.valid_frames.tolist() == [3, 0]
    assert "at the end of trial 0" in recording.notes[-1]


def test_counts_are_in_the_file_and_not_in_memory(station, tmp_path, monkeypatch):
    monkeypatch.setattr("labctl.bench.running_film.MOST_IN_MEMORY_BYTES", 2 * 24 * 32 * 2 * 2 - 1)
    with Bench.open(station) as bench:
        recording = collect(bench.film("cell", n_trials=1, n_frames=2, store=tmp_path / "a.h5"))
        assert isinstance(recording.counts, np.memmap)
        assert recording.counts.min() > 50
        with pytest.raises(RecordingError, match="is kept in a file and not in memory"):
            collect(bench.film("cell", n_trials=1, n_frames=2))
