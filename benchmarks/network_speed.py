"""How fast is a step of backpropagation through time, and what memory does it take? Beside torchsde and lax.scan.

    python benchmarks/network_speed.py --json network_speed.json [--quick] [--threads 1,2] [--nodes 20,50] [--steps 300,1000]

One step: fresh noise and starts, the network forward, the read-out solved by ridge regression, gradients of all W_in, W,
gains and biases; float32, 32 trials. The network: two layers of equal size, all nodes one SIMULATED device whose twin has
the default structure (network_case.py); "steps" are the solver's, HOLD of them an input.

ours: PhysicalNetwork, its twins in C where a compiler is found (`compiled`); ours_torch: in torch alone; ours_checkpointed:
with checkpoint_steps; ours_recurrent: as many nodes in one layer that listens to itself. torchsde: its Euler over the
delay-embedded state, as strong as we could make it (network_rivals_torchsde.py); torchsde_people: f and g apart and its own
Brownian motion. plain_torch: a Python loop under autograd. lax_scan, lax_scan_remat, lax_scan_unrolled: jax, compiled,
without and with jax.checkpoint (network_rivals_jax.py); the least median is the rival. jax is looked for in this Python, or
in the one that --jax-python names, and skipped with a note where there is none. floor: the products alone,
as torch does them.
All formulations give the same loss and gradients on the same noise; that is checked before anything is timed.

Every formulation has a process of its own, asked in turns and in alternating order: ms and ratios are medians of wall time,
ratios within rounds, cpu_ms medians of CPU time. On a busy machine trust ratios of CPU time with one thread. Memory: peak
resident memory of that process over two steps, less what it held before the first.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import measuring
import network_case
import numpy as np
from measuring import Spent
from network_case import HOLD, Case, Size
from network_worker import JAX_WAYS, OUR_WAYS

TOLERANCE = 2e-3  # of gradients, over the largest number of each array: float32 through up to 1000 noisy steps
ROUNDS, ROUNDS_QUICK = 15, 5
LONGEST_S, LONGEST_QUICK_S = 300.0, 25.0  # a size at one number of threads
NOT_QUICK = ("torchsde_people", "lax_scan_unrolled")  # never the best
TORCH_WAYS = (*OUR_WAYS, "torchsde", "torchsde_people", "plain_torch", "floor")
NOT_COMPARED = ("floor", "ours_checkpointed", "ours_recurrent")  # no solution, other draws, another network


def add_options(parser: argparse.ArgumentParser) -> None:
    """Beside those that all benchmarks have."""
    parser.add_argument("--nodes", default="20,50", help="nodes in both layers together (default 20,50)")
    parser.add_argument("--steps", default="300,1000", help=f"solver steps, multiples of {HOLD} (default 300,1000)")
    parser.add_argument("--batch", type=int, default=32, help="trials a step (default 32)")
    parser.add_argument("--threads", default="1,2", help="numbers of cores to use, one after another (default 1,2)")
    parser.add_argument("--ways", help="only these formulations, comma-separated; ours is always among them")
    parser.add_argument("--jax-python", type=Path, help="a Python that has jax and numpy, if this one has not")


class Worker:
    """One formulation in its own process."""

    def __init__(self, way: str, case_file: Path, twin_file: Path, options: dict[str, Any], python: str) -> None:
        self.way = way
        count = str(options["threads"])
        environment = dict(os.environ, OMP_NUM_THREADS=count, MKL_NUM_THREADS=count, JAX_PLATFORMS="cpu")
        script = Path(__file__).with_name("network_worker.py")
        command = [python, str(script), way, str(case_file), str(twin_file), json.dumps(options)]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )

    def wait(self) -> None:
        """Until it has imported and compiled; all begin at once, for nothing is timed yet."""
        self._read()

    def ask(self, command: str) -> dict[str, Any]:
        """Its answer."""
        assert self._process.stdin is not None
        self._process.stdin.write(command + "\n")
        self._process.stdin.flush()
        return self._read()

    def run(self) -> Spent:
        """One step."""
        return Spent(**self.ask("run"))

    def end(self) -> None:
        """Let it go."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(timeout=60)

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the process of {self.way!r} ended with {self._process.wait()}; see its message above")
        answer: dict[str, Any] = json.loads(line)
        return answer


def python_with_jax(asked: Path | None) -> str | None:
    """The interpreter asked for, or this one, if it has jax."""
    python = sys.executable if asked is None else str(asked)
    found = subprocess.run([python, "-c", "import jax, numpy"], capture_output=True, check=False)
    if found.returncode == 0:
        return python
    if asked is not None:
        raise SystemExit(f"--jax-python {asked}: it cannot import jax and numpy: {found.stderr.decode()[-300:]}")
    return None


def interleaved(workers: Sequence[Worker], *, rounds: int, longest_s: float) -> dict[str, list[Spent]]:
    """As measuring.interleaved, over processes."""
    spent: dict[str, list[Spent]] = {worker.way: [] for worker in workers}
    began = time.perf_counter()
    for number in range(rounds):
        for worker in workers if number % 2 == 0 else reversed(workers):
            spent[worker.way].append(worker.run())
        if time.perf_counter() - began > longest_s and number >= 2:
            break
    return spent


def differences(workers: Sequence[Worker], folder: Path) -> dict[str, float]:
    """Largest difference of loss and gradients from ours, relative to the largest number of each array."""
    found: dict[str, list[np.ndarray]] = {}
    for worker in workers:
        if worker.way in NOT_COMPARED:
            continue
        path = folder / f"{worker.way}.npz"
        worker.ask(f"check {path}")
        with np.load(path) as stored:
            found[worker.way] = [stored[name] for name in sorted(stored.files)]
    reference = found.pop("ours")
    return {way: _difference(reference, arrays) for way, arrays in found.items()}


def _difference(reference: Sequence[np.ndarray], found: Sequence[np.ndarray]) -> float:
    worst = 0.0
    for ours, theirs in zip(reference, found, strict=True):
        if ours.shape != theirs.shape:
            return math.inf
        worst = max(worst, float(np.abs(ours - theirs).max() / np.abs(ours).max()))
    return worst


def ratio(spent: Mapping[str, list[Spent]], rival: str, *, cpu: bool = False) -> float:
    """Median over rounds of the rival's time over ours: above 1, ours is faster."""
    if cpu:
        return statistics.median(a.cpu_s / b.cpu_s for a, b in zip(spent[rival], spent["ours"], strict=True))
    return measuring.median_ratio(spent[rival], spent["ours"])


def measure(
    case: Case, threads: int, ways: Mapping[str, str], options: argparse.Namespace, folder: Path
) -> dict[str, Any]:
    """One size at one number of threads; ways: name -> interpreter."""
    case_file = folder / "case.npz"
    np.savez(case_file, **case.arrays)
    told = {"size": asdict(case.size), "seed": options.seed, "threads": threads}
    workers = [Worker(way, case_file, folder / "twin", told, python) for way, python in ways.items()]
    try:
        memory = {}
        for worker in workers:
            worker.wait()
        for worker in workers:
            for _ in range(2):  # these are the warm-up, too
                worker.run()
            memory[worker.way] = worker.ask("memory")["MB"]
        differ = differences(workers, folder)
        wrong = {way: one for way, one in differ.items() if not one < TOLERANCE}
        if wrong:
            raise SystemExit(f"{case.size}: loss or gradients differ from ours by {wrong}; allowed is {TOLERANCE}")
        rounds, longest_s = (ROUNDS_QUICK, LONGEST_QUICK_S) if options.quick else (ROUNDS, LONGEST_S)
        spent = interleaved(workers, rounds=rounds, longest_s=longest_s)
    finally:
        for worker in workers:
            worker.end()
    return figures_of(case.size, threads, spent, memory, differ)


def figures_of(
    size: Size, threads: int, spent: Mapping[str, list[Spent]], memory: Mapping[str, float], differ: Mapping[str, float]
) -> dict[str, Any]:
    """One entry of `cases`."""
    ms = {way: measuring.median_ms(times) for way, times in spent.items()}
    figures: dict[str, Any] = {"nodes": size.nodes, "steps": size.steps, "batch": size.batch, "threads": threads}
    figures |= {f"{way}_ms": value for way, value in ms.items()}
    figures |= {f"{way}_MB": value for way, value in memory.items() if way != "floor"}
    scans = [way for way in JAX_WAYS if way in ms]
    rivals = {"torchsde": "torchsde", "plain_torch": "plain_torch"}
    if scans:
        rivals["lax_scan"] = figures["lax_scan_best"] = min(scans, key=ms.__getitem__)
    for name, way in rivals.items():
        if way in spent:
            figures[f"ratio_{name}"] = ratio(spent, way)
            figures[f"ratio_{name}_cpu"] = ratio(spent, way, cpu=True)
    cpu_ms = {way: 1000 * statistics.median(one.cpu_s for one in times) for way, times in spent.items()}
    return figures | {"cpu_ms": cpu_ms, "rounds": len(spent["ours"]), "gradients_differ_by": dict(differ)}


def growth(cases: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Exponents of time and memory with nodes and with steps, between the extremes measured, at the first number of threads."""
    first = [case for case in cases if case["threads"] == cases[0]["threads"]]
    found: dict[str, Any] = {}
    for along, other in (("nodes", "steps"), ("steps", "nodes")):
        for fixed in sorted({case[other] for case in first}):
            row = sorted((case for case in first if case[other] == fixed), key=lambda case: case[along])
            if row[0][along] == row[-1][along]:
                continue
            span = math.log(row[-1][along] / row[0][along])
            names = [name for name in row[0] if name.endswith(("_ms", "_MB")) and name != "cpu_ms"]
            exponents = {name: math.log(max(row[-1][name], 1e-3) / max(row[0][name], 1e-3)) / span for name in names}
            ways = row[0]["cpu_ms"]
            exponents |= {f"{way}_cpu": math.log(row[-1]["cpu_ms"][way] / row[0]["cpu_ms"][way]) / span for way in ways}
            found[f"with_{along}_at_{fixed}_{other}"] = exponents
    return found


def report(figures: Mapping[str, Any]) -> None:
    """A few lines for the reader."""
    print(
        f"\n{figures['nodes']} nodes, {figures['steps']} steps, {figures['threads']} thread(s), {figures['rounds']} rounds"
    )
    ways = sorted(figures["cpu_ms"], key=lambda way: figures[f"{way}_ms"])
    for way in ways:
        memory = figures.get(f"{way}_MB")
        line = f"  {way:18s} {figures[f'{way}_ms']:9.1f} ms ({figures['cpu_ms'][way]:.1f} CPU)"
        print(line + (f" {memory:7.0f} MB" if memory is not None else ""))
    ratios = [(name, figures[f"ratio_{name}"], figures[f"ratio_{name}_cpu"])
              for name in ("torchsde", "plain_torch", "lax_scan") if f"ratio_{name}" in figures]  # fmt: skip
    print("  over ours: " + ", ".join(f"{name} {wall:.2f} ({cpu:.2f} CPU)" for name, wall, cpu in ratios), flush=True)


def numbers(text: str) -> list[int]:
    """ "20,50" -> [20, 50]."""
    return [int(part) for part in text.split(",")]


def chosen_ways(options: argparse.Namespace) -> dict[str, str]:
    """Formulations by name, with the interpreter of each."""
    ways = dict.fromkeys(TORCH_WAYS, sys.executable)
    python = python_with_jax(options.jax_python)
    if python is None:
        print("jax is not installed here: lax.scan is skipped (pip install jax elsewhere and name it by --jax-python)")
    else:
        ways |= dict.fromkeys(JAX_WAYS, python)
    if options.ways is None:
        return {way: python for way, python in ways.items() if not (options.quick and way in NOT_QUICK)}
    asked = {"ours", *options.ways.split(",")}
    unknown = asked - {*TORCH_WAYS, *JAX_WAYS}
    if unknown:
        raise SystemExit(f"--ways {sorted(unknown)} are unknown; known are {[*TORCH_WAYS, *JAX_WAYS]}")
    return {way: interpreter for way, interpreter in ways.items() if way in asked}


def main() -> int:
    """All sizes at all numbers of threads."""
    options = measuring.read_options(__doc__, more=add_options)
    ways = chosen_ways(options)
    os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = "1"  # of this process, which only fits the twin
    import twins
    from twins.device import native

    cases: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        twin = network_case.fitted_twin(options.seed)
        twins.save_twin(twin, folder / "twin", provenance={"simulated": True})
        for threads, nodes, steps in sizes(options):
            case = network_case.make_case(twin, Size(nodes, steps, options.batch), options.seed)
            cases.append(measure(case, threads, ways, options, folder))
            report(cases[-1])
            figures = {"simulated": True, "cases": cases, "growth": growth(cases), "hold": HOLD}
            measuring.write_results(options, figures | {"compiled": native.library() is not None})
    return 0


def sizes(options: argparse.Namespace) -> list[tuple[int, int, int]]:
    """(threads, nodes, steps); quick: all with the first number of threads, the smallest and the largest with the others."""
    threads = numbers(options.threads)
    every = [(nodes, steps) for nodes in numbers(options.nodes) for steps in numbers(options.steps)]
    others = [every[0], every[-1]] if options.quick and len(every) > 1 else every
    return [(one, *size) for number, one in enumerate(threads) for size in (others if number else every)]


if __name__ == "__main__":
    sys.exit(main())
