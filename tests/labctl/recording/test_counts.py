"""Samples lost, late and reached are counted as each way of recording knows them."""

from __future__ import annotations

from pathlib import Path

import pytest

from labctl.acquisition import Acquisition
from labctl.bench import Bench
from labctl.bench.film_plan import FilmRequest
from labctl.campaign import run
from labctl.campaigns.record_designed import record_designed
from labctl.campaigns.record_frames import record_frames
from labctl.design_options import RandomSteps
from labctl.errors import InstrumentFault
from labctl.events import Acquired, Event
from labctl.simulation import SimulatedBench, bundled_bench, bundled_station, demo_bench, write_demo_station
from labctl.store import RecordingWriter, open_recording


def last_count(events: list[Event]) -> Acquired:
    return [event for event in events if isinstance(event, Acquired)][-1]


def faulty(bench: Path, instrument: str, faults: str, folder: Path) -> Path:
    """A bench file with faults in one of its instruments."""
    path = folder / "bench.toml"
    path.write_text(f"{bench.read_text()}\n[instruments.{instrument}.faults]\n{faults}\n")
    return path


def test_samples_from_memory_are_all_there_and_that_is_told(demo: Path, tmp_path: Path) -> None:
    events: list[Event] = []
    with Bench.open(demo) as bench:
        (path,) = run(
            record_designed(bench, "leaky", RandomSteps(n_trials=4, n_samples=100), folder=tmp_path),
            on_event=events.append,
        )
    found, counted = open_recording(path), last_count(events)
    assert (found.lost_samples, found.late_samples) == (0, 0)
    assert (counted.samples, counted.wanted) == (found.response[..., 0].size,) * 2
    assert (counted.trials, counted.n_trials, counted.left_s, counted.file) == (4, 4, 0.0, str(path))
    assert counted.sample_rate_Hz == pytest.approx(5000.0)
    assert "own clock" in counted.rate_is


def test_samples_read_one_by_one_come_late_from_a_slow_line_and_are_counted(tmp_path: Path) -> None:
    """Every answer comes after 0.07 s, at a sampling time of 0.04 s."""
    bench_file = faulty(bundled_bench("closed_loop"), "smu_3", "reply_delay_s = 0.07", tmp_path)
    events: list[Event] = []
    with SimulatedBench.start(bench_file) as sim:
        station = sim.write_station(tmp_path / "station.toml", bundled_station("closed_loop"))
        with Bench.open(station) as bench:
            rate_Hz = bench.station.device("leaky_3").sample_rate_Hz
            design = RandomSteps(n_trials=1, n_samples=8)
            try:
                run(record_designed(bench, "leaky_3", design, folder=tmp_path), on_event=events.append)
            except InstrumentFault as fault:
                assert "too slow" in str(fault)
            counts = bench.acquisition
    assert counts is not None
    assert counts.late > 0
    assert counts.sample_rate_Hz < 0.95 * rate_Hz
    assert counts.lost == 0
    assert open_recording(tmp_path / "leaky_3-random-steps.h5").late_samples == counts.late


def test_a_block_that_comes_damaged_ends_the_recording_instead_of_being_skipped(tmp_path: Path) -> None:
    bench_file = faulty(demo_bench(), "digitiser", "cut_after = 60\nunplugged_s = 60.0", tmp_path)
    with SimulatedBench.start(bench_file) as sim, pytest.raises(InstrumentFault) as fault:
        station = write_demo_station(sim, tmp_path / "station.toml")
        with Bench.open(station) as bench:
            run(record_designed(bench, "leaky", RandomSteps(), folder=tmp_path, max_play_s=0.2))
    assert "samples were measured and are readable in" in str(fault.value)
    found = open_recording(tmp_path / "leaky-random-steps.h5")
    assert not found.complete
    assert 0 < found.valid_samples.sum() < found.response[..., 0].size
    assert found.lost_samples == 0, "none is missing among those that were measured"


def test_frames_that_the_camera_lost_or_took_late_are_counted(tmp_path: Path) -> None:
    bench_file = faulty(bundled_bench("reaction_cell"), "camera", "lost_frame = 2\nlate_frame = 4", tmp_path)
    events: list[Event] = []
    with SimulatedBench.start(bench_file) as sim:
        station = sim.write_station(tmp_path / "station.toml", bundled_station("reaction_cell"))
        with Bench.open(station) as bench:
            device = next(iter(bench.station.devices))
            request = FilmRequest(device=device, n_trials=2, n_frames=5)
            run(record_frames(bench, request, path=tmp_path / "film.h5"), on_event=events.append)
    counted = last_count(events)
    assert (counted.samples, counted.wanted, counted.trials) == (10, 10, 2)
    assert (counted.lost, counted.late) == (2, 2)
    assert "camera" in counted.how


def test_a_recorder_that_was_killed_leaves_the_count_unknown(demo: Path, tmp_path: Path) -> None:
    with Bench.open(demo) as bench:
        (path,) = run(record_designed(bench, "leaky", RandomSteps(n_trials=1, n_samples=50), folder=tmp_path))
    header = open_recording(path).header
    RecordingWriter(tmp_path / "killed.h5", header)  # never finished
    assert open_recording(tmp_path / "killed.h5").lost_samples is None


def test_the_rate_is_measured_within_trials_only() -> None:
    counts = Acquisition("stepped", (2, 3), 10.0)
    assert counts.rate_is == "as asked for; not measured yet"
    for trial_began_s in (0.0, 100.0):
        for sample in range(3):
            counts.stepped(trial_began_s + 0.2 * sample, late=sample == 2, first=sample == 0)
    assert counts.sample_rate_Hz == pytest.approx(5.0)
    assert counts.late == 2
