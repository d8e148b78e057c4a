"""Scripts of what was done on a simulated bench start that bench themselves."""

from __future__ import annotations

import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from labctl.calls import BENCH, FOLDER, call
from labctl.errors import SimulationError
from labctl.job import Job, load_job, save_job, unused_folder
from labctl.job_queue.doing import do_job
from labctl.job_queue.entry import DONE, FAILED
from labctl.script import script_of, script_of_calls
from labctl.simulation import SimulatedBench, bundled_like


def ran(path: Path, text: str) -> str:
    path.write_text(text)
    return subprocess.run(
        [sys.executable, str(path)], capture_output=True, text=True, check=True, cwd=path.parent
    ).stdout


def test_a_script_of_a_job_runs_on_a_bench_of_its_own(tmp_path: Path) -> None:
    design = call("labctl.campaigns.characterise:CharacterisationDesign", n_trials=3, n_inputs=2, n_repeats=2)
    rng = call("numpy.random:default_rng", 1)
    target = "labctl.campaigns.characterise:characterise"
    job = Job(
        "It", call(target, BENCH, "leaky", folder=FOLDER, rng=rng, design=design), tmp_path / "run", simulated="demo"
    )
    text = script_of(job)
    assert 'with simulated_station("demo") as station, Bench.open(station) as bench, ' in text
    ran(tmp_path / "script.py", text)
    assert (tmp_path / "run" / "leaky-training.h5").exists()
    assert (tmp_path / "run" / "journal.jsonl").exists()


def test_a_script_of_calls_runs_on_a_bench_of_its_own(tmp_path: Path) -> None:
    text = script_of_calls("Set it", [call("bench.set", "duffing_bias", 0.05)], simulated="demo")
    ran(tmp_path / "script.py", text)
    assert "Bench.open_available(station)" in text


def test_a_job_that_needs_no_bench_starts_none(tmp_path: Path) -> None:
    job = Job("Look", call("labctl.loop_files:loop_files", tmp_path), tmp_path)
    assert script_of(replace(job, simulated="demo")) == script_of(job)


def test_a_script_leaves_a_station_file_of_the_lab_alone(tmp_path: Path) -> None:
    real = tmp_path / "station.toml"
    real.write_text("# the lab's own")
    hold = call("labctl.campaigns.hold_outputs:hold_outputs", BENCH, {"duffing_bias": 0.05}, seconds=0.2)
    ran(tmp_path / "hold.py", script_of(Job("Hold it", hold, tmp_path, simulated="demo")))
    ran(tmp_path / "set.py", script_of_calls("Set it", [call("bench.set", "duffing_bias", 0.05)], simulated="demo"))
    assert real.read_text() == "# the lab's own"


def test_a_station_file_that_is_there_is_never_written_over(shared_sim: SimulatedBench, tmp_path: Path) -> None:
    real = tmp_path / "station.toml"
    real.write_text("# the lab's own")
    with pytest.raises(SimulationError, match="exists already"):
        shared_sim.write_station(real)
    assert real.read_text() == "# the lab's own"


def test_a_station_of_a_bundled_bench_is_known_by_what_it_says(shared_sim: SimulatedBench, tmp_path: Path) -> None:
    text = shared_sim.write_station(tmp_path / "station.toml").read_text()
    assert bundled_like(text) == "demo"
    assert bundled_like(text.replace("limits = [-1", "limits = [-0.5", 1)) == ""
    assert bundled_like("") == bundled_like("instruments = 3") == bundled_like("no TOML") == ""


def test_a_queued_job_of_a_simulated_bench_is_done_when_that_bench_is_gone(tmp_path: Path) -> None:
    hold = call("labctl.campaigns.hold_outputs:hold_outputs", BENCH, {"duffing_bias": 0.05}, seconds=0.1)
    gone = tmp_path / "gone.toml"
    for simulated, state in (("demo", DONE), ("", FAILED)):
        job = Job("Hold it", hold, tmp_path / f"run-{simulated}", gone, simulated=simulated)
        save_job(job, tmp_path / "job.json")
        outcome = do_job(
            load_job(tmp_path / "job.json"), on_event=lambda _: None, stop=threading.Event(), pause=threading.Event()
        )
        assert outcome.state == state, outcome


def test_a_script_never_writes_over_the_run_that_it_repeats(tmp_path: Path) -> None:
    run_folder = tmp_path / "run"
    assert unused_folder(run_folder) == run_folder, "an empty folder is as good as none"
    assert unused_folder(run_folder) == run_folder
    (run_folder / "twin.json").write_text("kept")
    assert unused_folder(run_folder) == tmp_path / "run_2"
    (tmp_path / "run_2" / "twin.json").write_text("kept, too")
    assert unused_folder(run_folder) == tmp_path / "run_3"
    (tmp_path / "file").write_text("no folder")
    assert unused_folder(tmp_path / "file") == tmp_path / "file_2"
    job = Job("Look", call("labctl.recording_cards:recordings_below", FOLDER), run_folder)
    assert f'folder = unused_folder(Path("{run_folder}"))' in script_of(job)


def test_a_station_file_of_an_earlier_simulation_is_brought_up_to_date_unless_somebody_changed_it(
    shared_sim: SimulatedBench, tmp_path: Path
) -> None:
    path = shared_sim.write_station(tmp_path / "station.toml")
    written = path.read_text()
    path.write_text(written.replace(next(iter(shared_sim.addresses.values())), "TCPIP::127.0.0.1::1::SOCKET"))
    assert shared_sim.write_station(path).read_text() == written
    path.write_text(written + "# my own line\n")
    with pytest.raises(SimulationError, match="nothing is overwritten"):
        shared_sim.write_station(path)
