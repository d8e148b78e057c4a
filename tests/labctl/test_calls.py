"""Calls, jobs and scripts: one description, performed, stored, sent away, or written as Python."""

from __future__ import annotations

import json
import multiprocessing
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from labctl.apart import apart
from labctl.calls import BENCH, FOLDER, Call, call, call_from_json, call_to_json, needs_bench, perform
from labctl.campaign import run
from labctl.errors import CampaignError, RecordingError, Stopped, UsageError
from labctl.events import Event, StepStarted
from labctl.job import Job, load_job, save_job
from labctl.script import expression_of, script_of, script_of_calls
from labctl.simulation import SimulatedBench


def characterise(folder: Path) -> Call:
    design = call(
        "labctl.campaigns.characterise:CharacterisationDesign", n_trials=3, n_samples=50, n_inputs=2, n_repeats=2
    )
    rng = call("numpy.random:default_rng", 3)
    return call(
        "labctl.campaigns.characterise:characterise", BENCH, "leaky", folder=folder, rng=rng, design=design, seed=3
    )


def test_a_call_survives_json_and_is_the_same() -> None:
    made = call("labctl.job:Job", "a", (1, 2.5), [None, True], path=Path("x/y"), options={"given": {"path": "text"}})
    assert call_from_json(json.loads(json.dumps(call_to_json(made)))) == made


@pytest.mark.parametrize(
    "target", ["os:system", "labctl:x", "labctl.job:_private", "bench._lines", "subprocess.run", "json:loads"]
)
def test_only_public_functions_of_labctl_and_numpy_can_be_called(target: str) -> None:
    with pytest.raises(UsageError, match="cannot be called"):
        call(target)
    with pytest.raises(UsageError, match="cannot be called"):
        call_from_json({"call": target})
    with pytest.raises(UsageError, match="cannot be called"):
        perform(Call(target))


def test_what_is_no_plain_data_is_refused_with_its_name() -> None:
    with pytest.raises(UsageError, match="plain data"):
        call("labctl.job:Job", object())


def test_what_must_be_given_is_found_at_any_depth() -> None:
    assert needs_bench(call("labctl.job:Job", [{"a": (BENCH,)}]))
    assert needs_bench(call("bench.set", "gate", 0.3))
    assert not needs_bench(call("labctl.job:Job", FOLDER))
    with pytest.raises(UsageError, match="needs the bench"):
        perform(call("bench.set", "gate", 0.3))


def test_a_job_is_read_back_from_its_file(tmp_path: Path) -> None:
    job = Job("Characterise", characterise(tmp_path), tmp_path, tmp_path / "station.toml", 3)
    save_job(job, tmp_path / "job.json")
    assert load_job(tmp_path / "job.json") == job
    (tmp_path / "job.json").write_text("{}")
    with pytest.raises(UsageError, match=r"job\.json"):
        load_job(tmp_path / "job.json")


def test_the_script_of_a_job_does_what_the_job_does(shared_sim: SimulatedBench, tmp_path: Path) -> None:
    station = shared_sim.write_station(tmp_path / "station.toml")
    job = Job("Characterise leaky", characterise(tmp_path / "runs"), tmp_path / "runs", station, 3)
    path = tmp_path / "again.py"
    path.write_text(script_of(job))
    done = subprocess.run([sys.executable, str(path)], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "runs" / "leaky-training.h5").exists()
    assert (tmp_path / "runs" / "journal.jsonl").exists()


def test_a_script_of_single_calls_opens_the_bench(shared_sim: SimulatedBench, tmp_path: Path) -> None:
    station = shared_sim.write_station(tmp_path / "station.toml")
    path = tmp_path / "set.py"
    path.write_text(script_of_calls("Set", [call("bench.set", "duffing_bias", 0.1)], station=station))
    done = subprocess.run([sys.executable, str(path)], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr


def test_an_expression_is_python_that_gives_the_same_values() -> None:
    values = [1, 0.1, -2e-9, "it's", 'a "b"', "back\\slash", (1,), [], {"a b": None}, float("inf"), True]
    assert eval(expression_of(values)) == values  # noqa: S307 - our own text
    assert eval(expression_of(values, room=10)) == values  # noqa: S307


def test_what_fails_apart_is_raised_here(tmp_path: Path) -> None:
    opening = call("labctl.store:open_recording", tmp_path / "none.h5")
    with pytest.raises(RecordingError, match=r"none\.h5"):
        run(apart(opening))


def test_a_call_that_needs_the_bench_is_not_run_apart() -> None:
    with pytest.raises(CampaignError, match="needs the bench"):
        run(apart(call("bench.set", "gate", 0.3)))


def simulate(**options: object) -> Call:
    source = call("labctl.nca_pde:PdeSource", pde="heat", **options)
    return call("labctl.campaigns.simulate_nca:simulate_images", source)


def test_a_campaign_apart_says_and_returns_what_it_does_here() -> None:
    events: list[Event] = []
    wanted = simulate(size=(8, 8), n_frames=3, n_trials=1)
    images = run(apart(wanted), on_event=events.append)
    here = run(perform(wanted))
    assert [event.title for event in events if isinstance(event, StepStarted)] == ["Simulate heat"]
    assert (images.frames.values == here.frames.values).all()


def test_a_campaign_apart_is_stopped_and_leaves_no_process() -> None:
    stop = threading.Event()
    with pytest.raises(Stopped):
        run(apart(simulate(size=(64, 64), n_frames=10**6)), on_event=lambda _: stop.set(), stop=stop)
    assert not multiprocessing.active_children()
