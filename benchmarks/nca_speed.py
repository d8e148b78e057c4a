"""How many cell-steps a second do neural cellular automata take, forward, and forward and backward? Beside torch and CAX.

    python benchmarks/nca_speed.py --json nca_speed.json [--quick] [--threads 2] [--rivals-python PYTHON]

A cell-step is one cell in one step. c8: 8 channels through ID_LAP, the paper's automaton of PDEs; c16: 16 channels through
ID_DIFF_LAP. relu, 4 hidden units a channel, periodic, every cell fires, float32, random weights and states (SIMULATED). forward:
without gradients. forward_backward: with those of all weights of the network, of the mean square of the last state.

plain: depthwise convolution and 1×1 products, in torch; folded, sliced, native: twins.nca.formulations, of which auto takes
the fastest. cax_conv, cax_dense, cax_moore: CAX (nca_speed_cax.py) on the CPU, compiled, scanned by its own driver, perceiving
by a depthwise convolution, by one dense convolution with the first layer folded in, or by rolled neighbours; cax_products: its
driver around rolls and products of matrices, which JAX does best (it was the fastest throughout, so --quick runs it and
cax_conv alone). All begin with the same weights and state, and their states
and a gradient are compared before anything is timed.

Every way once a round, in turns and alternating order; medians. Ways of CAX that are far behind its fastest
run once only. ratio_to_plain, ratio_to_cax: auto against plain and against
the fastest way of CAX, medians of ratios within rounds; the smallest over the sizes, with every size beside it; …_cpu: of CPU
time, to be trusted on a busy machine. floor: cell-steps a second if this machine did nothing but the multiply-adds of a step, at
the rate that its registers reach. Backward counts those of the network twice more, and what is computed again from the
state. CAX is looked for in this Python or --rivals-python, and skipped if missing.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import measuring
import numpy as np
import torch
from measuring import Spent

from twins.goku.compiled.library import NoLibrary, load
from twins.nca import Automaton, NcaSpec
from twins.nca.formulations import native
from twins.nca.formulations.choice import in_words
from twins.nca.kernels import KERNELS, kernel

SPECS = {
    "c8": NcaSpec(n_channels=8, n_observed=2, kernels="ID_LAP"),
    "c16": NcaSpec(n_channels=16, n_observed=4, kernels="ID_DIFF_LAP"),
}
CELL_STEPS = {"c8": 2_000_000, "c16": 500_000}  # of a run, about
SIZES, QUICK_SIZES = (64, 128, 256, 512), (64, 512)
MOST_STEPS, FEWEST_STEPS = 32, 4
BATCH_CELLS = 16 * 64 * 64
MODES = ("forward", "forward_backward")
OURS = ("auto", "plain", "folded", "sliced", "native")
CAX, QUICK_CAX = ("conv", "dense", "moore", "products"), ("conv", "products")
ALLOWED_ERROR = 1e-4
SHORTEST_RUN_S = 0.02
BEHIND = 3.0
SPIN = """
#if defined(__AVX512F__)
#define LANES 16
#elif defined(__AVX__)
#define LANES 8
#else
#define LANES 4
#endif
typedef float vec __attribute__((vector_size(LANES * sizeof(float))));
volatile float kept;
#define ALL(DO) DO(a) DO(b) DO(c) DO(d) DO(e) DO(f) DO(g) DO(h) DO(i) DO(j) DO(k) DO(l)
#define BEGIN(x) vec x = (float)#x[0] - (vec){0};
#define STEP(x) x = x * by + more;
#define KEEP(x) kept = x[0];
long spin(long n) /* multiply-adds a round */
{
    vec by = 0.999f - (vec){0}, more = 0.002f - (vec){0};
    ALL(BEGIN)
    while (n--) { ALL(STEP) }
    ALL(KEEP)
    return 12 * LANES;
}
"""
RATIOS = ("ratio_to_plain", "ratio_to_cax", "ratio_to_plain_cpu", "ratio_to_cax_cpu")
Work = Callable[[], Spent]


def add_options(parser: argparse.ArgumentParser) -> None:
    """Beside those that all benchmarks have."""
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="cores for each way (default: all)")
    parser.add_argument("--rivals-python", type=Path, help="a Python that has cax, if this one has not")
    parser.add_argument("--cases", default=",".join(SPECS), help="which automata (default all)")


@dataclass(frozen=True, slots=True)
class Case:
    """One automaton on fields of one size."""

    name: str
    automaton: Automaton
    state: torch.Tensor
    n_steps: int

    @classmethod
    def of(cls, name: str, size: int, seed: int) -> Case:
        """As many fields as have BATCH_CELLS cells, and as many steps as make CELL_STEPS."""
        generator = torch.Generator().manual_seed(seed)
        automaton = Automaton(SPECS[name], generator=generator)
        with torch.no_grad():
            automaton.out_weight.normal_(std=0.02, generator=generator)
        batch = max(1, BATCH_CELLS // size**2)
        n_steps = max(FEWEST_STEPS, min(MOST_STEPS, CELL_STEPS[name] // (batch * size**2)))
        return cls(
            name, automaton, torch.rand(batch, automaton.spec.n_channels, size, size, generator=generator), n_steps
        )

    @property
    def cell_steps(self) -> int:
        """Of one run."""
        return self.state[:, 0].numel() * self.n_steps

    def ours(self, formulation: str, mode: str) -> Work:
        """A run of one of our formulations."""

        def forward() -> torch.Tensor:
            with torch.no_grad():
                return self.automaton.unroll(self.state, self.n_steps, formulation=formulation).state  # type: ignore[arg-type]

        def forward_backward() -> tuple[torch.Tensor, ...]:
            after = self.automaton.unroll(self.state, self.n_steps, formulation=formulation).state  # type: ignore[arg-type]
            weights = [one for one in self.automaton.parameters() if one.numel()]
            return torch.autograd.grad(after.square().mean(), weights)

        work: Callable[[], object] = forward if mode == "forward" else forward_backward
        return lambda: measuring.timed(work)

    def checked(self, formulation: str) -> tuple[np.ndarray, np.ndarray]:
        """The last state, and the gradient of the last layer's weights."""
        after = self.automaton.unroll(self.state, self.n_steps, formulation=formulation).state  # type: ignore[arg-type]
        (gradient,) = torch.autograd.grad(after.square().mean(), self.automaton.out_weight)
        return after.detach().numpy(), gradient.numpy()


class Rival:
    """One way of CAX on one case, in a process of its own."""

    def __init__(self, way: str, case: Case, folder: Path, python: str, threads: int) -> None:
        arrays, self._result = folder / "arrays.npz", folder / f"{way}.npz"
        spec, automaton = case.automaton.spec, case.automaton
        kernels = np.stack([kernel(name).numpy() for name in spec.features])
        names = {"first": automaton.hidden_weights[0], "last": automaton.out_weight, "last_bias": automaton.out_bias}
        given = {name: one.detach().numpy() for name, one in names.items()}
        np.savez(arrays, kernels=kernels, state=case.state.numpy(), **given)
        environment = dict(os.environ, JAX_PLATFORMS="cpu", PYTHONWARNINGS="ignore")
        for limit in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
            environment.pop(limit, None)
        command = [python, str(Path(__file__).with_name("nca_speed_cax.py")), str(arrays), way, str(case.n_steps)]
        self._process = subprocess.Popen(
            [*command, str(self._result)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        if hasattr(os, "sched_setaffinity"):  # XLA takes all cores that it is given
            os.sched_setaffinity(self._process.pid, sorted(os.sched_getaffinity(0))[:threads])

    def wait(self) -> None:
        """Until it has compiled all."""
        self._read()

    def run(self, mode: str) -> Spent:
        """One run, CPU seconds of its process."""
        began = time.perf_counter()
        cpu_s = self.ask(mode)
        return Spent(time.perf_counter() - began, cpu_s)

    def ask(self, command: str) -> float:
        """Its CPU seconds, when it is done."""
        assert self._process.stdin is not None
        self._process.stdin.write(command + "\n")
        self._process.stdin.flush()
        return self._read()

    def checked(self) -> tuple[np.ndarray, np.ndarray]:
        """As Case.checked."""
        self.ask("check")
        with np.load(self._result) as file:
            return file["state"], file["last"]

    def end(self) -> None:
        """Let it go."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(timeout=60)

    def _read(self) -> float:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"CAX ended with {self._process.wait()}; see its message above")
        return float(json.loads(line)["cpu_s"])


def cax_python(options: argparse.Namespace) -> str | None:
    """An interpreter that has CAX."""
    for python in (sys.executable, *([str(options.rivals_python)] if options.rivals_python else [])):
        if subprocess.run([python, "-c", "import cax.core, numpy"], capture_output=True, check=False).returncode == 0:
            return python
    print("cax is not installed: its ways are skipped (pip install cax elsewhere, see --rivals-python)")
    return None


def multiply_adds(spec: NcaSpec, mode: str) -> int:
    """Of a cell in a step, at the least: kernels by their weights, the network by its products; backward everything but the
    last layer is computed again from the state, and each product has two adjoints."""
    seen = spec.n_channels * sum(int(np.count_nonzero(KERNELS[name])) for name in spec.features if name != "ID")
    first, last = spec.n_features * spec.hidden[0], spec.hidden[0] * spec.n_channels
    forward = seen + first + last
    return forward if mode == "forward" else forward + (seen + first) + seen + 2 * (first + last)


def peak_multiply_adds_per_s(threads: int) -> float:
    """Of so many threads: what one reaches in registers alone, the best of several by CPU time; without a C compiler, what
    torch's product of large matrices reaches."""
    try:
        spin = load(SPIN).spin
    except NoLibrary:
        a, b = torch.rand(1536, 1536), torch.rand(1536, 1536)
        return 1536**3 * threads / min(measuring.timed(lambda: a @ b).cpu_s for _ in range(8))
    spin.argtypes, spin.restype = [ctypes.c_long], ctypes.c_long
    rounds = 2_000_000
    lanes = spin(1)
    return threads * rounds * lanes / min(measuring.timed(lambda: spin(rounds)).cpu_s for _ in range(8))


def works_of(case: Case, rivals: dict[str, Rival], mode: str) -> dict[str, Work]:
    """Every way that can be used here."""
    ours = [way for way in OURS if way != "native" or not native.why_not(case.automaton, case.state)]
    works = {way: case.ours(way, mode) for way in ours}
    return works | {f"cax_{way}": lambda rival=rival: rival.run(mode) for way, rival in rivals.items()}


def errors_of(case: Case, rivals: dict[str, Rival]) -> dict[str, float]:
    """Of state and gradient against plain's, relative to the largest value of each."""
    state, gradient = case.checked("plain")
    found = {way: case.checked(way) for way in works_of(case, {}, "forward")}
    found |= {f"cax_{way}": rival.checked() for way, rival in rivals.items()}
    errors = {}
    for way, (ours, slope) in found.items():
        errors[way] = max(
            float(np.abs(ours - state).max() / np.abs(state).max()),
            float(np.abs(slope - gradient).max() / np.abs(gradient).max()),
        )
        if errors[way] > ALLOWED_ERROR:
            raise SystemExit(f"{way} does not compute the same automaton: error {errors[way]:.1e}")
    return errors


def interleaved(works: dict[str, Work], *, rounds: int, longest_s: float) -> dict[str, list[Spent]]:
    """As measuring.interleaved, of works that time themselves: the mean of as many runs as take SHORTEST_RUN_S."""

    def mean(work: Work, count: int) -> Spent:
        every = [work() for _ in range(count)]
        return Spent(sum(one.wall_s for one in every) / count, sum(one.cpu_s for one in every) / count)

    first: dict[str, Spent] = {}
    for way, work in works.items():
        work()
        first[way] = work()
    repeats = {way: max(1, int(SHORTEST_RUN_S / one.wall_s)) for way, one in first.items()}
    hopeless = far_behind(first)
    spent: dict[str, list[Spent]] = {way: [first[way]] if way in hopeless else [] for way in works}
    racing = [way for way in works if way not in hopeless]
    began = time.perf_counter()
    for number in range(rounds):
        for way in racing if number % 2 == 0 else reversed(racing):
            spent[way].append(mean(works[way], repeats[way]))
        if time.perf_counter() - began > longest_s:
            break
    return spent


def far_behind(first: dict[str, Spent]) -> set[str]:
    """Ways of CAX that take BEHIND times as long as its fastest: one run of these is told, and no round waits for them."""
    of_cax = {way: one.wall_s for way, one in first.items() if way.startswith("cax_")}
    return {way for way, wall_s in of_cax.items() if wall_s > BEHIND * min(of_cax.values())}


def cpu_ratio(slow: list[Spent], fast: list[Spent]) -> float:
    """As measuring.median_ratio, of CPU time."""
    return statistics.median(a.cpu_s / b.cpu_s for a, b in zip(slow, fast, strict=True))


def measure(case: Case, mode: str, rivals: dict[str, Rival], options: argparse.Namespace) -> dict[str, Any]:
    """Rates and ratios of one case and mode."""
    rounds, longest_s = (9, 22.0) if options.quick else (15, 90.0)
    spent = interleaved(works_of(case, rivals, mode), rounds=rounds, longest_s=longest_s)
    rates = {way: case.cell_steps / statistics.median(one.wall_s for one in every) for way, every in spent.items()}
    found: dict[str, Any] = {"cell_steps_per_s": rates}
    of_cax = [way for way in spent if way.startswith("cax_")]
    against = {"plain": "plain"} | ({"cax": max(of_cax, key=lambda way: rates[way])} if of_cax else {})
    for name, way in against.items():
        found[f"ratio_to_{name}"] = measuring.median_ratio(spent[way], spent["auto"])
        found[f"ratio_to_{name}_cpu"] = cpu_ratio(spent[way], spent["auto"])
    if of_cax:
        found["fastest_of_cax"] = against["cax"]
    found["rounds"] = len(spent["auto"])
    print(f"  {mode:16s} " + "  ".join(f"{way} {rate / 1e6:.2f}" for way, rate in rates.items()), flush=True)
    return found


def sweep(options: argparse.Namespace, earlier: dict[str, Any]) -> dict[str, Any]:
    """{case: {size: {mode: …, errors, went_by}}}; a size that an earlier full run measured is not measured again."""
    python = cax_python(options)
    found: dict[str, Any] = {}
    for name in options.cases.split(","):
        found[name] = {}
        for size in QUICK_SIZES if options.quick else SIZES:
            known = earlier.get("cases", {}).get(name, {}).get(str(size))
            if known is not None and not options.quick:
                found[name][str(size)] = known
                continue
            case = Case.of(name, size, options.seed)
            print(f"{name}, {len(case.state)} × {size}², {case.n_steps} steps: million cell-steps a second", flush=True)
            with tempfile.TemporaryDirectory() as folder:
                ways = () if python is None else QUICK_CAX if options.quick else CAX
                rivals = {way: Rival(way, case, Path(folder), str(python), options.threads) for way in ways}
                for rival in rivals.values():
                    rival.wait()
                one: dict[str, Any] = {
                    "batch": len(case.state),
                    "n_steps": case.n_steps,
                    "errors": errors_of(case, rivals),
                }
                one |= {mode: measure(case, mode, rivals, options) for mode in MODES}
                for rival in rivals.values():
                    rival.end()
            one["auto_went_by"] = in_words(case.automaton)
            found[name][str(size)] = one
            measuring.write_results(options, {"cases": found})
    return found


def summary(cases: dict[str, Any], peak: float) -> dict[str, Any]:
    """The keys that are compared with the aims."""
    figures: dict[str, Any] = {"aim_ratio_to_plain": 1.45, "aim_ratio_to_cax": 1.0, "floor": {}, "multiply_adds": {}}
    figures["cell_steps_per_s"] = {
        f"{mode}_{name}": {size: one[mode]["cell_steps_per_s"] for size, one in sizes.items()}
        for name, sizes in cases.items() for mode in MODES
    }  # fmt: skip
    for ratio in RATIOS:
        by_size = {
            f"{mode}_{name}": {size: one[mode][ratio] for size, one in sizes.items() if ratio in one[mode]}
            for name, sizes in cases.items() for mode in MODES
        }  # fmt: skip
        figures[ratio] = {key: min(every.values()) for key, every in by_size.items() if every}
        figures[f"{ratio}_by_size"] = by_size
    for name in cases:
        for mode in MODES:
            count = multiply_adds(SPECS[name], mode)
            figures["multiply_adds"][f"{mode}_{name}"] = count
            figures["floor"][f"{mode}_{name}"] = peak / count
    figures["peak_multiply_adds_per_s"] = peak
    return figures


def main() -> None:
    """Measure, print, write."""
    options = measuring.read_options(__doc__, more=add_options)
    torch.set_num_threads(options.threads)
    began = time.perf_counter()
    peak = peak_multiply_adds_per_s(options.threads)
    earlier = {} if options.quick else measuring.read_results(options.json)
    if earlier.get("options", {}).get("threads") != options.threads:
        earlier = {}
    cases = sweep(options, earlier)
    figures = {**summary(cases, peak), "cases": cases, "simulated": True, "took_s": time.perf_counter() - began}
    shown = (*RATIOS, "floor", "multiply_adds", "peak_multiply_adds_per_s")
    print(json.dumps({key: figures[key] for key in shown}, indent=2))
    measuring.write_results(options, figures)


if __name__ == "__main__":
    main()
