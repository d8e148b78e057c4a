"""One formulation of network_case.py in a process of its own, asked by network_speed.py through its standard input.

    python network_worker.py WAY CASE.npz TWIN OPTIONS(JSON)

Lines in: "run", "check FILE.npz" (the case's own starts and noise: loss and gradients are written there), "memory", "end".
Lines out: JSON. Imports torch or jax only as the way asks for, so the ways in jax run where there is no torch.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any

import measuring
import network_case
import numpy as np
from network_case import Case, Size

Pass = Callable[[], Any]
OUR_WAYS: dict[str, dict[str, Any]] = {
    "ours": {},
    "ours_torch": {},
    "ours_checkpointed": {"checkpoint_steps": network_case.CHECKPOINT_EVERY},
    "ours_recurrent": {},
}
JAX_WAYS = ("lax_scan", "lax_scan_remat", "lax_scan_unrolled")


def make_pass(way: str, case: Case, options: dict[str, Any], *, given: bool = False) -> Pass:
    """The work of this name: one of OUR_WAYS or JAX_WAYS, "plain_torch", "torchsde", "torchsde_people", "floor"."""
    if way in JAX_WAYS:
        by_jax = importlib.import_module("network_rivals_jax")
        unroll = 4 if way == "lax_scan_unrolled" else 1
        return by_jax.by_scan(case, remat=way == "lax_scan_remat", unroll=unroll, given=given)  # type: ignore[no-any-return]
    if way == "ours_torch":
        os.environ["LABCTL_NATIVE"] = "0"
    by_torch = importlib.import_module("network_rivals_torch")
    by_torch.torch.set_num_threads(options["threads"])
    if way == "floor":
        return by_torch.gemm_floor(case)  # type: ignore[no-any-return]
    if way == "ours_checkpointed":
        importlib.import_module("torch._dynamo")  # torch's checkpoints import it: 70 MB that are no step's
    if way in OUR_WAYS:
        return by_torch.ours(case, given=given, **OUR_WAYS[way])  # type: ignore[no-any-return]
    if way == "plain_torch":
        return by_torch.by_layers(case, by_torch.plain_loop, given=given)  # type: ignore[no-any-return]
    by_torchsde = importlib.import_module("network_rivals_torchsde")
    people = by_torchsde.as_people_do_with_drawn if given else by_torchsde.as_people_do
    solve = {"torchsde": by_torchsde.best, "torchsde_people": people}[way]
    return by_torch.by_layers(case, solve, given=given)  # type: ignore[no-any-return]


def load_case(way: str, path: str, twin: str, options: dict[str, Any]) -> Case:
    """From the arrays; ours makes its wiring of the twin again, from the same seed."""
    with np.load(path) as stored:
        arrays = dict(stored)
    size = Size(**options["size"])
    if way not in OUR_WAYS:
        return Case(size, arrays)
    import twins

    recurrent = way == "ours_recurrent"
    return network_case.make_case(twins.load_twin(twin), size, options["seed"], recurrent=recurrent)


def serve(way: str, case: Case, options: dict[str, Any]) -> None:
    """Answer until "end"."""
    work = make_pass(way, case, options)
    measuring.forget_peak_memory()
    before = measuring.peak_memory_MB()
    _answer({"ready": way})
    for line in sys.stdin:
        command, _, argument = line.strip().partition(" ")
        if command == "run":
            wall, cpu = time.perf_counter(), time.process_time()
            work()
            _answer({"wall_s": time.perf_counter() - wall, "cpu_s": time.process_time() - cpu})
        elif command == "memory":
            _answer({"MB": measuring.peak_memory_MB() - before, "process_MB": measuring.peak_memory_MB()})
        elif command == "check":
            loss, gradients = make_pass(way, case, options, given=True)()
            np.savez(argument, loss=np.asarray(loss), **{f"g{k}": np.asarray(one) for k, one in enumerate(gradients)})
            _answer({"checked": argument})
        else:
            return


def _answer(what: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


def use_cores(threads: int) -> None:
    """Some of the cores; XLA counts those that it may run on."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-threads:])


if __name__ == "__main__":
    asked = json.loads(sys.argv[4])
    use_cores(asked["threads"])
    serve(sys.argv[1], load_case(sys.argv[1], sys.argv[2], sys.argv[3], asked), asked)
