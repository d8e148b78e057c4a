"""Campaigns side by side in processes of their own."""

import importlib
import os
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType

import pytest

from labctl.campaign import run
from labctl.errors import CampaignError
from labctl.events import Event, Figures, Waiting
from labctl.workers import AHEAD, Job, side_by_side

JOBS = """
import os
import time
from pathlib import Path

from labctl.events import Figures


def count(name, n, pause_s=0.0):
    for step in range(n):
        time.sleep(pause_s)
        yield Figures(name, step, {"pid": os.getpid()})
    return n * n


def threads(name):
    yield Figures(name, 0, {})
    return os.environ["OMP_NUM_THREADS"]


def fail(name):
    yield Figures(name, 0, {})
    raise ValueError(f"{name} cannot be fitted")


def die(name):
    yield Figures(name, 0, {})
    os._exit(3)


def telling(name, n, marker):
    for step in range(n):
        yield Figures(name, step, {})
        Path(marker).write_text(str(step))
    return n


def endless(name, marker):
    try:
        while True:
            time.sleep(0.01)
            yield Figures(name, 0, {})
    finally:
        Path(marker).write_text("closed")
"""


@pytest.fixture
def jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    (tmp_path / "jobs_for_workers.py").write_text(JOBS)
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.invalidate_caches()
    return importlib.import_module("jobs_for_workers")


def test_every_job_runs_elsewhere_and_its_result_comes_home_by_name(jobs: ModuleType) -> None:
    seen: list[Event] = []
    results = run(
        side_by_side({name: Job(jobs.count, {"name": name, "n": n}) for name, n in (("a", 2), ("b", 3))}),
        on_event=seen.append,
    )
    assert results == {"a": 4, "b": 9}
    figures = [event for event in seen if isinstance(event, Figures)]
    assert sorted(event.key for event in figures) == ["a", "a", "b", "b", "b"]
    assert os.getpid() not in {event.values["pid"] for event in figures}


def test_results_come_in_the_order_of_the_jobs_not_of_their_ends(jobs: ModuleType) -> None:
    slow_first = {"slow": {"n": 2, "pause_s": 0.5}, "quick": {"n": 1}}
    results = run(
        side_by_side({name: Job(jobs.count, {"name": name, **more}) for name, more in slow_first.items()}, n_workers=2)
    )
    assert list(results) == ["slow", "quick"]


def test_a_worker_computes_in_one_thread_and_our_own_setting_stays(
    jobs: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    assert run(side_by_side({"a": Job(jobs.threads, {"name": "a"})})) == {"a": "1"}
    assert os.environ["OMP_NUM_THREADS"] == "2"


def test_the_error_of_a_job_is_raised_here(jobs: ModuleType) -> None:
    with pytest.raises(ValueError, match="bad cannot be fitted"):
        run(side_by_side({"bad": Job(jobs.fail, {"name": "bad"}), "good": Job(jobs.count, {"name": "good", "n": 2})}))


def test_a_worker_that_dies_is_told(jobs: ModuleType) -> None:
    with pytest.raises(CampaignError, match="died"):
        run(side_by_side({"gone": Job(jobs.die, {"name": "gone"})}))


def test_a_worker_does_not_outlive_a_parent_that_was_killed(tmp_path: Path, jobs: ModuleType) -> None:
    program = (
        "import sys; sys.path.insert(0, sys.argv[1]); import jobs_for_workers as jobs\n"
        "from labctl.workers import AHEAD, Job, side_by_side\n"
        "from labctl.events import Figures\n"
        "if __name__ == '__main__':\n"
        "    for event in side_by_side({'a': Job(jobs.count, {'name': 'a', 'n': 10**6, 'pause_s': 0.05})}):\n"
        "        if isinstance(event, Figures): print(int(event.values['pid']), flush=True)\n"
    )
    script = tmp_path / "parent.py"
    script.write_text(program)
    parent = subprocess.Popen([sys.executable, str(script), str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    worker = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    parent.stdout.close()
    assert ended(worker, within_s=30)


def ended(pid: int, *, within_s: float) -> bool:
    """Whether a process that is not our child ends in time (a zombie that nobody reaps has ended)."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        try:
            if not Path(f"/proc/{pid}/cmdline").read_bytes():
                return True
        except (FileNotFoundError, ProcessLookupError):
            return True
        time.sleep(0.05)
    return False


def test_closing_the_campaign_ends_the_jobs(jobs: ModuleType, tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    campaign = side_by_side({"endless": Job(jobs.endless, {"name": "endless", "marker": str(marker)})})
    while not isinstance(next(campaign), Figures):
        pass
    campaign.close()
    deadline = time.monotonic() + 30
    while not marker.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert marker.read_text() == "closed"


def test_while_workers_start_stop_can_act(jobs: ModuleType) -> None:
    campaign = side_by_side({"slow": Job(jobs.count, {"name": "slow", "n": 1, "pause_s": 5.0})})
    assert isinstance(next(campaign), Waiting)
    campaign.close()


def test_a_reader_that_rests_lets_the_workers_rest(jobs: ModuleType, tmp_path: Path) -> None:
    marker, n = tmp_path / "far", 4 * AHEAD
    campaign = side_by_side({"a": Job(jobs.telling, {"name": "a", "n": n, "marker": str(marker)})})
    while not isinstance(next(campaign), Figures):
        pass
    seen, before = "", "nothing yet"
    while seen != before or not seen:
        time.sleep(0.3)  # until it goes no further
        before, seen = seen, marker.read_text() if marker.exists() else ""
    assert int(seen) < n - 1
    assert run(campaign) == {"a": n}
