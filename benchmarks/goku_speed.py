"""How fast are GOKU's solve and its training step? Beside torchdiffeq as GOKU-net of 2021 uses it, torchsde, jax, diffrax.

    python benchmarks/goku_speed.py --json goku_speed.json [--quick] [--threads 1] [--rivals-python PYTHON]

Solves (SIMULATED, goku_speed_case.py): forward, mean square of the path, gradients with respect to initial states and
parameters of 64 trajectories, float32. Every way takes as many substeps as it needs to be as exact as one step of
Runge-Kutta a sample, or more so; its error against a tight solution is printed beside its time, ways that do not get there
with 128 substeps are named and not timed. Ways that draw noise are judged by their error without it.

ours: solve_system in C (compiled once; not timed); ours_loop: the same in torch, step by step; ours_windows,
ours_loop_windows: the trajectories cut into windows, all in one batch: another problem, which multiple shooting poses.
torchdiffeq_adjoint: odeint_adjoint, parameters in the state, as in 2021. torchdiffeq_plain: odeint, coefficients once.
lax_scan (also with jax.checkpoint): Runge-Kutta, compiled, coefficients once. diffrax: fixed steps of its solvers. *_noisy
and torchsde: with the equation's additive noise, drawn anew. floor: the drift of all stages at once and its gradient.

Training step: networks of the 2021 code on a simulated video of pendulums, 784 channels, 50 samples, batch 64:
goku_speed_step.py. step_ratio_to_goku_2021 is the 2021 way over ours with its own preset.

solve_ratio_to_goku_2021 compares single shooting with single shooting: the implementation alone. Of the ratios with
"windows" in their name a part is due to shorter windows. Each way has its own process, asked in turns; ms are medians of
wall time, ratios medians within rounds; a run is repeated for 20 ms. On a busy machine trust ratios of CPU time (…_cpu).
Rivals are looked for in this Python or --rivals-python, and skipped if missing.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import goku_speed_case
import measuring
import numpy as np
from goku_speed_case import SAMPLES, STOCHASTIC, Case
from measuring import Spent

BATCH = 64
SUBSTEPS = (1, 2, 4, 8, 16, 32, 64, 128)
ALLOWED_OVER_RK4 = 1.05
ROUNDING = 1e-5  # relative error that float32 makes of an exact scheme
LONGEST_TRY_S = 20.0  # of compiling and one run; the next number of substeps takes longer
OURS = ("ours", "ours_loop", "ours_windows", "ours_loop_windows")
RIVALS = {
    "torchdiffeq_adjoint": "torchdiffeq", "torchdiffeq_plain": "torchdiffeq",
    "lax_scan": "jax", "lax_scan_remat": "jax",
    "diffrax_tsit5": "diffrax", "diffrax_bosh3": "diffrax",
}  # fmt: skip
NOISY_OURS = ("ours_noisy", "ours_loop_noisy")
NOISY_RIVALS = {
    **{f"torchsde_{method}": "torchsde" for method in ("euler", "heun", "midpoint", "srk")},
    "lax_scan_noisy": "jax", "diffrax_noisy_heun": "diffrax",
}  # fmt: skip
NOT_QUICK = ("diffrax_bosh3", "torchsde_euler")  # never the best
STEP_WAYS = {
    "step_floor": "",
    "step_floor_onednn": "",
    "step_ours": "",
    "step_ours_windows": "",
    "step_ours_torch_products": "",
    "step_ours_torchdiffeq": "torchdiffeq",
    "step_2021": "torchdiffeq",
}


def add_options(parser: argparse.ArgumentParser) -> None:
    """Beside those that all benchmarks have."""
    parser.add_argument("--threads", type=int, default=1, help="cores for each way (default 1)")
    parser.add_argument(
        "--rivals-python", type=Path, help="a Python that has torch and the rivals, if this one has not"
    )
    parser.add_argument("--parts", default="pendulum,oscillators,step", help="which parts (default all)")


class Worker:
    """One way in its own process."""

    def __init__(self, way: str, case_file: str, options: argparse.Namespace, python: str) -> None:
        self.way = way
        count = str(options.threads)
        environment = dict(os.environ, OMP_NUM_THREADS=count, MKL_NUM_THREADS=count, JAX_PLATFORMS="cpu")
        told = json.dumps({"threads": options.threads, "seed": options.seed})
        script = Path(__file__).with_name("goku_speed_worker.py")
        self._process = subprocess.Popen(
            [python, str(script), way, case_file, told],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment,
        )  # fmt: skip

    def ask(self, command: str) -> dict[str, Any]:
        """Its answer."""
        assert self._process.stdin is not None
        self._process.stdin.write(command + "\n")
        self._process.stdin.flush()
        return self.read()

    def run(self) -> Spent:
        """One run."""
        return Spent(**self.ask("run"))

    def end(self) -> None:
        """Let it go."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(timeout=60)

    def read(self) -> dict[str, Any]:
        """The next answer."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the process of {self.way!r} ended with {self._process.wait()}; see its message above")
        answer: dict[str, Any] = json.loads(line)
        return answer


def rivals_here(options: argparse.Namespace) -> dict[str, str]:
    """Package -> an interpreter that has it."""
    pythons = [sys.executable, *([str(options.rivals_python)] if options.rivals_python else [])]
    found: dict[str, str] = {}
    for package in ("torchdiffeq", "torchsde", "jax", "diffrax"):
        beside = "numpy" if package in ("jax", "diffrax") else "torch"
        for python in pythons:
            tried = subprocess.run([python, "-c", f"import {package}, {beside}"], capture_output=True, check=False)
            if tried.returncode == 0:
                found[package] = python
                break
        else:
            print(f"{package} is not installed: its ways are skipped (pip install it elsewhere, see --rivals-python)")
    return found


def make_case(name: str, seed: int) -> Case:
    """Initial states and parameters from the equation's ranges, and the tight solution."""
    import goku_rivals_torch
    import torch

    generator = torch.Generator().manual_seed(seed)
    case = Case(name, None, None, None)
    system = goku_rivals_torch.system_of(case, noisy=False)
    initial, parameters = (draw(BATCH, generator).numpy() for draw in (system.draw_states, system.draw_parameters))
    return Case(name, initial, parameters, goku_rivals_torch.exact_path(name, initial, parameters, SAMPLES[name] - 1))


def substeps_of(worker: Worker, allowed: float, longest_s: float) -> tuple[int | None, float]:
    """(substeps a sample, or None if more than 128 were needed, error)."""
    error = float("nan")
    for substeps in SUBSTEPS:
        began = time.perf_counter()
        error = worker.ask(f"error {substeps}")["error"]
        if error <= allowed:
            return substeps, error
        if time.perf_counter() - began > longest_s:
            break
    return None, error


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


def start(ways: Mapping[str, str], case_file: str, options: argparse.Namespace) -> list[Worker]:
    """All processes, ready."""
    workers = [Worker(way, case_file, options, python) for way, python in ways.items()]
    for worker in workers:
        worker.read()
    return workers


def ways_of(ours: Sequence[str], rivals: Mapping[str, str], here: Mapping[str, str]) -> dict[str, str]:
    """Ways whose package is there, with the interpreter of each."""
    return dict.fromkeys(ours, sys.executable) | {way: here[need] for way, need in rivals.items() if need in here}


def measure(case: Case, folder: Path, here: Mapping[str, str], options: argparse.Namespace) -> dict[str, Any]:
    """All solves of a case: substeps at equal accuracy, times, ratios."""
    case_file = str(folder / f"{case.name}.npz")
    goku_speed_case.save_case(case_file, case)
    ways = ways_of(OURS, RIVALS, here)
    if case.name in STOCHASTIC:
        ways |= ways_of(NOISY_OURS, NOISY_RIVALS, here)
    ways["floor"] = sys.executable
    if options.quick:
        ways = {way: python for way, python in ways.items() if way not in NOT_QUICK}
    workers = start(ways, case_file, options)
    longest_s = LONGEST_TRY_S * (1 if options.quick else 10)
    try:
        by_way = {worker.way: worker for worker in workers}
        rk4 = by_way["ours_loop"].ask("error 1")["error"]
        allowed = ALLOWED_OVER_RK4 * max(rk4, ROUNDING)
        chosen: dict[str, tuple[int | None, float]] = {}
        for way, worker in by_way.items():
            alike = way == "floor" or "windows" in way  # the same steps as ours
            chosen[way] = (1, rk4) if alike else substeps_of(worker, allowed, longest_s)
        timed = [worker for worker in workers if chosen[worker.way][0] is not None]
        first_s = {worker.way: worker.ask(f"prepare {chosen[worker.way][0]}")["first_s"] for worker in timed}
        differ = differences([worker for worker in timed if compared(worker.way)], folder)
        rounds, longest_s = (15, 60.0) if options.quick else (41, 300.0)
        spent = interleaved(timed, rounds=rounds, longest_s=longest_s)
    finally:
        for worker in workers:
            worker.end()
    return figures_of(case, spent, chosen, first_s, differ, allowed)


def compared(way: str) -> bool:
    """Whether it solves the same problem as ours, without noise."""
    return way != "floor" and "windows" not in way


def differences(workers: Sequence[Worker], folder: Path) -> dict[str, float]:
    """Largest difference of gradients from ours, relative to the largest number of each: schemes differ, too."""
    found: dict[str, list[np.ndarray]] = {}
    for worker in workers:
        path = folder / f"{worker.way}.npz"
        worker.ask(f"check {path}")
        with np.load(path) as stored:
            found[worker.way] = [stored["a1"], stored["a2"]]
    reference = found.pop("ours")
    return {
        way: max(float(np.abs(a - b).max() / np.abs(a).max()) for a, b in zip(reference, arrays, strict=True))
        for way, arrays in found.items()
    }


def figures_of(
    case: Case,
    spent: Mapping[str, list[Spent]],
    chosen: Mapping[str, tuple[int | None, float]],
    first_s: Mapping[str, float],
    differ: Mapping[str, float],
    allowed: float,
) -> dict[str, Any]:
    """One entry of `solves`."""

    def ratio(slow: str, fast: str) -> float | None:
        return measuring.median_ratio(spent[slow], spent[fast]) if slow in spent and fast in spent else None

    def cpu_ratio(slow: str, fast: str) -> float | None:
        if slow not in spent or fast not in spent:
            return None
        return statistics.median(a.cpu_s / b.cpu_s for a, b in zip(spent[slow], spent[fast], strict=True))

    ms = {way: measuring.median_ms(times) for way, times in spent.items()}
    figures: dict[str, Any] = {
        "case": case.name, "batch": len(case.initial), "steps": case.n_steps, "error_allowed": allowed,
        "rounds": len(spent["ours"]), "ms": ms,
        "cpu_ms": {way: 1000 * statistics.median(one.cpu_s for one in times) for way, times in spent.items()},
        "substeps": {way: count for way, (count, _) in chosen.items()},
        "error": {way: error for way, (_, error) in chosen.items()},
        "not_reached": [way for way, (count, _) in chosen.items() if count is None],
        "first_s": dict(first_s), "gradients_differ_by": dict(differ),
        "ratio_to_goku_2021": ratio("torchdiffeq_adjoint", "ours"),
        "ratio_to_goku_2021_cpu": cpu_ratio("torchdiffeq_adjoint", "ours"),
        "ratio_loop_to_goku_2021": ratio("torchdiffeq_adjoint", "ours_loop"),
        "ratio_windows_to_goku_2021": ratio("torchdiffeq_adjoint", "ours_windows"),
        "ratio_loop_windows_to_goku_2021": ratio("torchdiffeq_adjoint", "ours_loop_windows"),
        "windows_over_single": ratio("ours_windows", "ours"),
        "windows_over_single_loop": ratio("ours_loop_windows", "ours_loop"),
        "ratio_to_torchdiffeq_plain": ratio("torchdiffeq_plain", "ours"),
    }  # fmt: skip
    families = (("lax_scan", False), ("diffrax", False), ("torchsde", True), ("lax_scan", True), ("diffrax", True))
    for family, noisy in families:
        group = [way for way in ms if way.startswith(family) and (noisy == ("noisy" in way or family == "torchsde"))]
        if group:
            best = min(group, key=ms.__getitem__)
            name = f"{family}{'_noisy' if noisy and family != 'torchsde' else ''}"
            figures[f"{name}_best"] = best
            figures[f"ratio_to_{name}"] = ratio(best, "ours_noisy" if noisy else "ours")
            figures[f"ratio_to_{name}_cpu"] = cpu_ratio(best, "ours_noisy" if noisy else "ours")
    return figures


def report(figures: Mapping[str, Any]) -> None:
    """A few lines for the reader."""
    print(f"\n{figures['case']}: batch {figures['batch']}, {figures['steps']} samples on, {figures['rounds']} rounds, "
          f"error allowed {figures['error_allowed']:.2g}")  # fmt: skip
    print("  way                     ms  (CPU ms)  substeps  error     first run s")
    for way, value in sorted(figures["ms"].items(), key=lambda item: item[1]):
        error = "" if way == "floor" else f"{figures['error'][way]:.1e}"
        print(f"  {way:20s} {value:8.2f} ({figures['cpu_ms'][way]:7.2f}) {figures['substeps'][way]:5d}     {error:8s}"
              f"  {figures['first_s'][way]:6.2f}")  # fmt: skip
    if figures["not_reached"]:
        reached = ", ".join(f"{way} ({figures['error'][way]:.1e})" for way in figures["not_reached"])
        print(f"  not as exact with any number of substeps tried: {reached}")
    ratios = {name: value for name, value in figures.items() if "ratio" in name or "_over_" in name}
    print("  " + ", ".join(f"{name} {value:.2f}" for name, value in ratios.items() if value is not None), flush=True)


def measure_step(here: Mapping[str, str], options: argparse.Namespace) -> dict[str, Any]:
    """The training step of all ways whose packages are here."""
    ways = {way: here.get(need, sys.executable) for way, need in STEP_WAYS.items() if not need or need in here}
    workers = start(ways, "-", options)
    try:
        for worker in workers:
            worker.ask("prepare 1")
        spent = interleaved(
            workers, rounds=9 if options.quick else 31, longest_s=100.0 if options.quick else 400.0
        )  # fmt: skip
    finally:
        for worker in workers:
            worker.end()
    figures: dict[str, Any] = {f"{way}_ms": measuring.median_ms(times) for way, times in spent.items()}
    figures["cpu_ms"] = {way: 1000 * statistics.median(one.cpu_s for one in times) for way, times in spent.items()}
    if "step_2021" in spent:
        figures["ratio_to_goku_2021"] = measuring.median_ratio(spent["step_2021"], spent["step_ours"])
        figures["ratio_windows_to_goku_2021"] = measuring.median_ratio(spent["step_2021"], spent["step_ours_windows"])
        cpu_ms = figures["cpu_ms"]
        figures["ratio_to_goku_2021_cpu"] = cpu_ms["step_2021"] / cpu_ms["step_ours"]
        figures["ratio_windows_to_goku_2021_cpu"] = cpu_ms["step_2021"] / cpu_ms["step_ours_windows"]
        figures["ratio_torch_products_to_goku_2021_cpu"] = cpu_ms["step_2021"] / cpu_ms["step_ours_torch_products"]
        figures["ratio_of_the_solve_alone"] = measuring.median_ratio(spent["step_ours_torchdiffeq"], spent["step_ours"])
    print("\ntraining step: " + ", ".join(f"{name} {value:.2f}" for name, value in figures.items() if name != "cpu_ms"))
    print(f"  CPU ms: {figures['cpu_ms']}", flush=True)
    return figures


def main() -> int:
    """All parts asked for."""
    options = measuring.read_options(__doc__, more=add_options)
    os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = str(options.threads)
    here, parts = rivals_here(options), options.parts.split(",")
    figures: dict[str, Any] = {"simulated": True, "aim_solve": 5.0, "aim_step": 2.0, "solves": []}
    with tempfile.TemporaryDirectory() as folder:
        for name in (part for part in parts if part in SAMPLES):
            found = measure(make_case(name, options.seed), Path(folder), here, options)
            report(found)
            figures["solves"].append(found)
            figures[f"solve_ratio_to_goku_2021_{name}"] = found["ratio_to_goku_2021"]
            if name == "pendulum":  # the system of 2021
                figures["solve_ratio_to_goku_2021"] = found["ratio_to_goku_2021"]
                figures["solve_ratio_windows_to_goku_2021"] = found["ratio_windows_to_goku_2021"]
            measuring.write_results(options, figures)
        if "step" in parts:
            figures["step"] = measure_step(here, options)
            figures["step_ratio_to_goku_2021"] = figures["step"].get("ratio_to_goku_2021")
            measuring.write_results(options, figures)
    return 0


if __name__ == "__main__":
    sys.exit(main())
