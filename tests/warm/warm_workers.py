"""Worker processes that are there at once, for tests: forked from one process that has loaded torch before.

The program starts each of them anew, which takes seconds of computing each time; from there on they do the same. How the
program starts them is tested by tests/labctl/test_workers.py, and by every test that runs a command.
"""

from __future__ import annotations

import multiprocessing
import os
from multiprocessing import forkserver
from pathlib import Path
from typing import Any

from labctl.workers import one_thread_each

_usual = multiprocessing.get_context


def context_of_forked(method: str | None = None) -> Any:
    """In place of `multiprocessing.get_context`: what would be started anew is forked from the process beside."""
    if method != "spawn":
        return _usual(method)
    multiprocessing.set_forkserver_preload(["loaded_before"])
    usual_path = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join((str(Path(__file__).parent), *filter(None, (usual_path,))))
    try:
        with one_thread_each():
            forkserver.ensure_running()
    finally:
        if usual_path is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = usual_path
    return _usual("forkserver")
