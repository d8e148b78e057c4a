"""A process that is stopped while work runs in the background ends with the code of the stop."""

import subprocess
import sys

ENDLESS = """
import sys, time
from labctl.background import in_background, leave_with
campaign = in_background(lambda: time.sleep({seconds}), key="test")
next(campaign)
leave_with(143)
time.sleep(2.0)
sys.exit(7)
"""


def code_of(seconds: float) -> int:
    return subprocess.run([sys.executable, "-c", ENDLESS.format(seconds=seconds)], check=False, timeout=60).returncode


def test_work_that_still_runs_does_not_change_the_code_of_a_stop() -> None:
    assert code_of(30.0) == 143


def test_work_that_is_done_leaves_the_code_alone() -> None:
    assert code_of(1.0) == 7
