"""Scripts of what was done on a simulated bench start that bench themselves."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from labctl.calls import BENCH, FOLDER, call
from labctl.job import Job
from labctl.script import script_of, script_of_calls


def ran(path: Path, text: str) -> str:
    path.write_text(text)
    return subprocess.run(
        [sys.executable, str(path)], capture_output=True, text=True, check=True, cwd=path.parent
    ).stdout


def test_a_script_of_a_job_runs_on_a_bench_of_its_own(tmp_path: Path) -> None:
    design = call("labctl.campaigns.characterise:CharacterisationDesign", n_trials=3, n_inputs=2, n_repeats=2)
    rng = call("numpy.random:default_rng", 1)
    target = "labctl.campaigns.characterise:characterise"
    job = Job("It", call(target, BENCH, "leaky", folder=FOLDER, rng=rng, design=design), tmp_path / "run")
    text = script_of(job, simulated="demo")
    assert 'with SimulatedBench.start(bundled_bench("demo")) as simulation:' in text
    ran(tmp_path / "script.py", text)
    assert (tmp_path / "run" / "leaky-training.h5").exists()
    assert (tmp_path / "run" / "journal.jsonl").exists()


def test_a_script_of_calls_runs_on_a_bench_of_its_own(tmp_path: Path) -> None:
    text = script_of_calls("Set it", [call("bench.set", "duffing_bias", 0.05)], simulated="demo")
    ran(tmp_path / "script.py", text)
    assert "Bench.open(station)" in text


def test_a_job_that_needs_no_bench_starts_none(tmp_path: Path) -> None:
    job = Job("Look", call("labctl.loop_files:loop_files", tmp_path), tmp_path)
    assert script_of(job, simulated="demo") == script_of(job)
