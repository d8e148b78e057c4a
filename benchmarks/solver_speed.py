"""How fast is the solver? Forward and backward, float32, Itô Euler, diagonal noise, against its rivals.

    python benchmarks/solver_speed.py --json solver_speed.json [--quick] [--threads 1] [--sizes S1,S2,S3]

S1: state 4, hidden 64×2, batch 64, 200 steps. S2: state 8, hidden 128×3, batch 256, 500 steps. S3: 20 coupled frozen
twins (each as S1, and an input), batch 32, 300 steps, only the coupling trained. Drift and diffusion are separate nets.

ours: solve(PairedSDE), by its hand-written adjoint; ours_loop: the same equation by the general loop. torchsde: all
its configurations in solver_rivals.py, the best of which (least median) is the rival; "dt" is Brownian motion with its
step told, "drawn" increments drawn beforehand, "people" f and g apart with everything at its default. jax's lax.scan
and diffrax join where they are installed (labctl does not need them). The GEMM floor is the matrix products alone, as
torch's bmm does them: an implementation with better products can go below it.

Runs are interleaved; ms and ratios are medians of wall time, ratios within rounds. On a busy machine trust the ratios
of CPU time (ratio_…_cpu) with --threads 1. Memory: peak resident memory of a process that does one kind of run, less
what it held before the first.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import measuring
from measuring import Spent

NAMES = ("S1", "S2", "S3")
AIMS = {"S1": 1.7, "S2": 1.3, "S3": 1.5}
ROUNDS = {"S1": 15, "S2": 5, "S3": 9}
LONGEST_S = 100.0  # a size, quick
MEMORY_OF = ("ours", "ours_loop", "torchsde_dt", "scan", "scan_remat")
TORCHSDE_BEST_OF = ("torchsde_drawn", "torchsde_drawn_tanh", "torchsde_dt", "torchsde_dt_tanh")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Ours beside those that all benchmarks have."""
    parser.add_argument("--sizes", default=",".join(NAMES), help="which sizes (default S1,S2,S3)")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="cores to use (default: all)")
    parser.add_argument("--only", help="run this implementation once and print its peak memory (used by the script)")


def limit_threads(threads: int) -> None:
    """For torch, its BLAS and XLA alike; has to come before they are imported."""
    os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = str(threads)
    if hasattr(os, "sched_setaffinity"):  # XLA counts the cores that it may run on
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-threads:])


def has_jax() -> bool:
    """Whether jax is here."""
    return importlib.util.find_spec("jax") is not None


def contenders(case: Any, *, quick: bool) -> dict[str, Callable[[], Any]]:
    """All implementations by name."""
    import solver_rivals as rivals

    works = {
        "ours": rivals.ours(case, "auto"),
        "ours_loop": rivals.ours(case, "loop"),
        "torchsde_drawn": rivals.by_torchsde(case, sigmoid=True, brownian="drawn"),
        "torchsde_drawn_tanh": rivals.by_torchsde(case, sigmoid=False, brownian="drawn"),
        "torchsde_dt": rivals.by_torchsde(case, sigmoid=True, brownian="dt"),
        "torchsde_dt_tanh": rivals.by_torchsde(case, sigmoid=False, brownian="dt"),
        "torchsde_default": rivals.by_torchsde(case, sigmoid=True, brownian="default"),
        "torchsde_people": rivals.by_torchsde(case, sigmoid=False, brownian="default", fused=False),
        "floor": rivals.gemm_floor(case),
    }
    if has_jax():
        import solver_rivals_jax as by_jax

        works["scan"] = by_jax.by_scan(case, remat=False)
        works["scan_remat"] = by_jax.by_scan(case, remat=True)
        if importlib.util.find_spec("diffrax") is not None:
            works["diffrax"] = by_jax.by_diffrax(case, tree=False)
            if not quick:
                works["diffrax_tree"] = by_jax.by_diffrax(case, tree=True)
    return works


def agreement(case: Any) -> dict[str, float]:
    """Largest difference of gradients through one noise, over the largest gradient, from ours."""
    import solver_rivals as rivals
    import torch

    noise = torch.randn(case.noise_shape, generator=case.generator)
    runs = {
        "ours_loop": rivals.ours(case, "loop", noise),
        "torchsde": rivals.by_torchsde(case, sigmoid=False, brownian="drawn", noise=noise),
    }
    if has_jax():
        import solver_rivals_jax as by_jax

        runs["scan"] = by_jax.by_scan(case, remat=True, noise=noise)
    reference = rivals.ours(case, "auto", noise)()
    return {name: difference(reference, run()) for name, run in runs.items()}


def difference(reference: Sequence[Any], found: Any) -> float:
    """Of two sets of gradients, relative to the largest number of each tensor."""
    import numpy as np

    if not isinstance(found, tuple) or isinstance(found[0], list):  # jax: (weights, biases) or the coupling
        flat = [*found[0], *found[1]] if isinstance(found, tuple) else [found]
        found = flat
    worst = 0.0
    for ours, other in zip(reference, found, strict=True):
        a, b = ours.numpy(), np.asarray(other).reshape(tuple(ours.shape))
        worst = max(worst, float(np.abs(a - b).max() / np.abs(a).max()))
    return worst


def memory_MB(name: str, size: str, options: argparse.Namespace) -> float | None:
    """Peak memory of one implementation, in a process of its own."""
    command = [sys.executable, str(Path(__file__)), "--only", name, "--sizes", size, "--threads", str(options.threads)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    return float(done.stdout.split()[-1]) if done.returncode == 0 else None


def print_memory(name: str, size: str, seed: int) -> None:
    """In the child: run twice, print what the peak was above the state before."""
    import solver_rivals as rivals

    work = contenders(rivals.make_case(size, seed), quick=True)[name]
    measuring.forget_peak_memory()
    before = measuring.peak_memory_MB()
    work()
    work()
    print(measuring.peak_memory_MB() - before)


def ratio(spent: dict[str, list[Spent]], rival: str, *, cpu: bool = False) -> float:
    """Median over rounds of the rival's time over ours."""
    if cpu:
        return statistics.median(a.cpu_s / b.cpu_s for a, b in zip(spent[rival], spent["ours"], strict=True))
    return measuring.median_ratio(spent[rival], spent["ours"])


def measure(name: str, options: argparse.Namespace) -> dict[str, Any]:
    """One size: times, ratios, memory, agreement."""
    import solver_rivals as rivals

    case = rivals.make_case(name, options.seed)
    figures: dict[str, Any] = {"gradients_differ_by": agreement(case)}
    works = contenders(case, quick=options.quick)
    spent = measuring.interleaved(
        works, rounds=ROUNDS[name] * (1 if options.quick else 3), longest_s=LONGEST_S if options.quick else 600.0
    )
    ms = {key: measuring.median_ms(times) for key, times in spent.items()}
    best = min(TORCHSDE_BEST_OF, key=ms.__getitem__)
    figures |= {
        "rounds": len(spent["ours"]),
        "ms": ms,
        "cpu_ms": {key: 1000 * statistics.median(one.cpu_s for one in times) for key, times in spent.items()},
        "floor_ms": ms["floor"],
        "torchsde_best": best,
        "ratio_to_torchsde_best": ratio(spent, best),
        "ratio_to_torchsde_best_cpu": ratio(spent, best, cpu=True),
        "ratio_to_torchsde_dt": ratio(spent, min(("torchsde_dt", "torchsde_dt_tanh"), key=ms.__getitem__)),
        "ratio_to_torchsde_default": ratio(spent, "torchsde_people"),
        "aim": AIMS[name],
    }
    scans = [key for key in ("scan", "scan_remat") if key in ms]
    figures["ratio_to_scan"] = ratio(spent, min(scans, key=ms.__getitem__)) if scans else None
    figures["ratio_to_diffrax"] = ratio(spent, "diffrax") if "diffrax" in ms else None
    figures["memory_MB"] = {key: memory_MB(key, name, options) for key in MEMORY_OF if key in works}
    return figures


def report(name: str, figures: dict[str, Any]) -> None:
    """A few lines for the reader."""
    print(f"\n{name}: {figures['rounds']} rounds, ms (CPU ms)")
    for key, value in sorted(figures["ms"].items(), key=lambda item: item[1]):
        memory = figures["memory_MB"].get(key)
        print(
            f"  {key:20s} {value:9.1f} ({figures['cpu_ms'][key]:.1f})"
            + (f"  {memory:.0f} MB" if memory is not None else "")
        )
    print(
        f"  torchsde's best ({figures['torchsde_best']}) takes {figures['ratio_to_torchsde_best']:.2f} times ours "
        f"({figures['ratio_to_torchsde_best_cpu']:.2f} in CPU time; aim {figures['aim']}), gradients differ by "
        + ", ".join(f"{value:.1e} ({key})" for key, value in figures["gradients_differ_by"].items()),
        flush=True,
    )


def main() -> int:
    """Measure the sizes asked for."""
    options = measuring.read_options(__doc__, more=add_options)
    limit_threads(options.threads)
    names = options.sizes.split(",")
    if options.only is not None:
        print_memory(options.only, names[0], options.seed)
        return 0
    if not has_jax():
        print("jax is not installed: lax.scan and diffrax are skipped (pip install jax diffrax to compare)")
    sizes: dict[str, Any] = {}
    for name in names:
        sizes[name] = measure(name, options)
        report(name, sizes[name])
        keys = ("ratio_to_torchsde_best", "ratio_to_torchsde_best_cpu", "ratio_to_torchsde_dt",
                "ratio_to_torchsde_default", "ratio_to_scan",
                "ratio_to_diffrax", "ms", "cpu_ms", "floor_ms", "memory_MB", "torchsde_best", "gradients_differ_by",
                "rounds", "aim")  # fmt: skip
        measuring.write_results(options, {key: {size: figures[key] for size, figures in sizes.items()} for key in keys})
    return 0


if __name__ == "__main__":
    sys.exit(main())
