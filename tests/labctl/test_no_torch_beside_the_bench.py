"""What runs beside a bench loads no torch: that takes a second of the process that has the instruments, or a window."""

from __future__ import annotations

import subprocess
import sys

LOOP = """
import sys
import numpy as np
import labctl.demo
import labctl.campaigns.reported_loop
import labctl.campaigns.deploy_network
from labctl.campaigns.close_the_loop import close_the_loop
from labctl.campaigns.drive_ranges import allowed_ranges
from labctl.campaigns.optimise_network import OptimisedNetwork, optimise_network
from labctl.campaigns.plans import PLAN_NAMES, plan_for
from labctl.twin_drives import TwinDrives
from twins.network.judged import Promise
import pickle

plans = [plan_for(name, ("leaky", "duffing"), dt_s=5e-4) for name in PLAN_NAMES]
ranges = allowed_ranges({"leaky": TwinDrives(("drive",), ((-1.0, 1.0),), 5e-4)}, None)
promise = Promise((), np.zeros((1, 2, 1)))
again = pickle.loads(pickle.dumps((plans, ranges, promise)))
assert again[0] == plans
print("torch" in sys.modules)
"""


def test_the_closed_loop_sends_and_takes_what_workers_need_without_torch() -> None:
    told = subprocess.run([sys.executable, "-c", LOOP], capture_output=True, text=True, check=False)
    assert told.stdout.strip() == "False", told.stderr
