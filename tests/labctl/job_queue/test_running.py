"""Queues that run: order, failures, a crash in the middle, what another process asks of a running job."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from labctl.bench import Bench
from labctl.cli import main
from labctl.errors import QueueError
from labctl.job import Job, load_job, save_job
from labctl.job_queue import editing
from labctl.job_queue.doing import fresh_folder, keep_job
from labctl.job_queue.entry import DONE, FAILED, HOLD, INTERRUPTED, PAUSED, RUNNING, STOPPED, WAITING, Queue
from labctl.job_queue.owner import Owner, living_owners
from labctl.job_queue.queue_file import QueueFile
from labctl.job_queue.runner import QueueRunner

Make = Callable[[str], Job]
PATIENCE_S = 30.0


@pytest.fixture
def file(tmp_path: Path) -> QueueFile:
    return QueueFile(tmp_path)


def fill(file: QueueFile, *jobs: Job) -> Queue:
    for job in jobs:
        file.change(lambda queue, job=job: editing.add(queue, job))  # type: ignore[misc]
    return file.read()


def until(file: QueueFile, number: int, state: str) -> None:
    ends = time.monotonic() + PATIENCE_S
    while file.read().entry(number).state != state:
        assert time.monotonic() < ends, f"job {number} is {file.read().entry(number)}, not {state}"
        time.sleep(0.02)


def states(queue: Queue) -> list[str]:
    return [entry.state for entry in queue.entries]


def test_a_failing_job_lets_the_next_go_on_and_both_keep_job_and_journal(
    file: QueueFile, failing: Make, short: Make
) -> None:
    fill(file, failing("a"), short("b"))
    told: list[str] = []
    queue = QueueRunner(file, told=told.append).run(threading.Event())
    assert states(queue) == [FAILED, DONE]
    assert "no such file" in queue.entry(1).reason
    assert [line.split(":")[0] for line in told] == ["job 1 begins", "job 1 failed", "job 2 begins", "job 2 done"]
    assert load_job(file.folder / "b" / "job.json") == short("b")
    last = json.loads((file.folder / "a" / "journal.jsonl").read_text().splitlines()[-1])
    assert (last["event"], last["error"]) == ("Failed", "RecordingError")


def test_a_failing_job_holds_the_queue_where_that_was_chosen(file: QueueFile, failing: Make, short: Make) -> None:
    fill(file, failing("a"), short("b"))
    file.change(lambda queue: replace(queue, after_failure=HOLD))
    queue = QueueRunner(file).run(threading.Event())
    assert states(queue) == [FAILED, WAITING]
    assert "job 1 (a) failed" in queue.held


def test_a_crash_in_the_middle_leaves_a_queue_that_can_be_started_again(
    file: QueueFile, long: Make, short: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(file, long("a"), short("b"))
    runner = subprocess.Popen([sys.executable, "-m", "labctl.cli", "queue", "run", str(file.folder)])
    until(file, 1, RUNNING)
    os.kill(runner.pid, signal.SIGKILL)
    runner.wait()
    assert states(file.read()) == [INTERRUPTED, WAITING]
    assert main(["queue", "list", str(file.folder)]) == 0
    assert "interrupted" in capsys.readouterr().out
    assert main(["queue", "again", str(file.folder), "1"]) == 0
    assert states(file.read()) == [WAITING, WAITING]
    assert main(["queue", "remove", str(file.folder), "1"]) == 0
    assert main(["queue", "run", str(file.folder)]) == 0
    assert states(file.read()) == [DONE]


def test_another_process_can_pause_resume_and_stop_a_running_job(file: QueueFile, long: Make) -> None:
    fill(file, long("a"))
    runner = threading.Thread(target=QueueRunner(file).run, args=(threading.Event(),))
    runner.start()
    until(file, 1, RUNNING)
    for action, state in (("pause", PAUSED), ("resume", RUNNING), ("stop", STOPPED)):
        assert main(["queue", action, str(file.folder), "1"]) == 0
        until(file, 1, state)
    runner.join(PATIENCE_S)
    assert not runner.is_alive()


def test_a_job_with_a_bench_runs_headless_and_leaves_it_safe(
    file: QueueFile, on_bench: Make, demo_station: Path
) -> None:
    path = file.folder / "mine.json"
    save_job(on_bench("a"), path)
    folder = str(file.folder)
    assert main(["queue", "add", folder, str(path), "--station", str(demo_station)]) == 0
    assert main(["queue", "run", folder]) == 0
    assert (file.folder / "a" / "leaky-training.h5").is_file()
    again = fresh_folder(file.folder / "a")
    assert again == file.folder / "a-2"  # nothing measured is ever overwritten


def test_a_job_that_was_cut_off_on_the_bench_has_it_made_safe_before_the_next(
    file: QueueFile, on_bench: Make, demo_station: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = replace(on_bench("a"), station=demo_station)
    fill(file, job, replace(on_bench("b"), station=demo_station))
    file.change(lambda queue: editing.began(queue, 1, "dead"))
    assert "how it left the outputs is unknown" in file.read().bench_unsafe[str(demo_station)]
    opened: list[str] = []
    for name in ("open_for_safety", "open"):
        real = getattr(Bench, name)
        monkeypatch.setattr(Bench, name, lambda *a, real=real, name=name: (opened.append(name), real(*a))[1])
    queue = QueueRunner(file).run(threading.Event())
    assert states(queue) == [INTERRUPTED, DONE]
    assert opened == ["open_for_safety", "open"]
    assert not queue.bench_unsafe


def test_an_unsafe_bench_keeps_its_jobs_waiting_and_lets_the_others_run(
    file: QueueFile, on_bench: Make, short: Make
) -> None:
    nowhere = replace(on_bench("a"), station=file.folder / "none.toml")
    fill(file, nowhere, short("b"))
    file.change(lambda queue: replace(queue, bench_unsafe={str(nowhere.station): "gate: NOT SAFE"}))
    queue = QueueRunner(file).run(threading.Event())
    assert states(queue) == [WAITING, DONE]


def test_a_bench_job_without_a_station_fails_and_says_what_to_give(file: QueueFile, on_bench: Make) -> None:
    fill(file, on_bench("a"))
    queue = QueueRunner(file).run(threading.Event())
    assert "--station" in queue.entry(1).reason


def test_an_owner_lives_as_long_as_its_process_holds_its_lock(tmp_path: Path) -> None:
    owner = Owner(tmp_path)
    assert living_owners(tmp_path) == {owner.name}
    owner.release()
    assert living_owners(tmp_path) == frozenset()


def test_a_file_that_is_no_queue_is_told_and_left_alone(file: QueueFile, short: Make) -> None:
    file.path.write_text('{"format": "labctl queue 1"')
    with pytest.raises(QueueError, match=r"queue\.json.*move it away"):
        fill(file, short("a"))
    assert file.path.read_text() == '{"format": "labctl queue 1"'


def test_another_job_in_the_same_folder_keeps_the_first(short: Make, failing: Make) -> None:
    assert keep_job(short("a")) == keep_job(short("a"))
    assert keep_job(failing("a")).name == "job-2.json"
