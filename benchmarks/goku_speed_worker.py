"""One way of goku_speed.py in a process of its own, asked through its standard input.

    python goku_speed_worker.py WAY CASE.npz OPTIONS(JSON: threads, seed)

Lines in: "error SUBSTEPS" (of the path, without noise, relative at the last sample), "prepare SUBSTEPS", "check FILE.npz"
(path and gradients, without noise), "run". Lines out: JSON. Imports torch or jax only as the way asks for.
"""

from __future__ import annotations

import importlib
import json
import math
import os
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from goku_speed_case import Case, load_case

JAX_WAYS = ("lax_scan", "diffrax")
RUN_S = 0.02  # a run is repeated so long, as in training, where one step follows another


def make(way: str, case: Case | None, substeps: int, options: dict[str, Any], *, noisy: bool) -> Callable[[], Any]:
    """The work of this name."""
    if way.startswith("step_"):
        by_step = importlib.import_module("goku_speed_step")
        return by_step.make(way, options["seed"])  # type: ignore[no-any-return]
    assert case is not None
    if way.startswith(JAX_WAYS):
        return importlib.import_module("goku_rivals_jax").make(way, case, substeps, noisy=noisy)  # type: ignore[no-any-return]
    return importlib.import_module("goku_rivals_torch").make(way, case, substeps, noisy=noisy)  # type: ignore[no-any-return]


def serve(way: str, case: Case | None, options: dict[str, Any]) -> None:
    """Answer until the input ends."""
    substeps = repeats = 1
    work: Callable[[], Any] = dict  # nothing yet
    _answer({"ready": way})
    for line in sys.stdin:
        command, _, argument = line.strip().partition(" ")
        if command == "error":
            assert case is not None
            _answer({"error": case.error(np.asarray(make(way, case, int(argument), options, noisy=False)()[0]))})
        elif command == "prepare":
            substeps, began = int(argument), time.perf_counter()
            work = make(way, case, substeps, options, noisy=True)
            work()
            first_s = time.perf_counter() - began
            began = time.perf_counter()
            work()
            repeats = max(1, math.ceil(RUN_S / (time.perf_counter() - began)))
            _answer({"first_s": first_s})
        elif command == "check":
            found = make(way, case, substeps, options, noisy=False)()
            np.savez(argument, **{f"a{number}": np.asarray(one) for number, one in enumerate(found)})
            _answer({"checked": argument})
        elif command == "run":
            wall, cpu = time.perf_counter(), time.process_time()
            for _ in range(repeats):
                work()
            wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
            _answer({"wall_s": wall / repeats, "cpu_s": cpu / repeats})


def _answer(what: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


def use_cores(way: str, threads: int) -> None:
    """Some of the cores; XLA counts those that it may run on."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-threads:])
    if not way.startswith(JAX_WAYS):
        importlib.import_module("torch").set_num_threads(threads)


if __name__ == "__main__":
    asked = json.loads(sys.argv[3])
    use_cores(sys.argv[1], asked["threads"])
    serve(sys.argv[1], load_case(sys.argv[2]) if sys.argv[2] != "-" else None, asked)
