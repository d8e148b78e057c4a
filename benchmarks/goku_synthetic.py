"""GOKU-UI's synthetic experiment: does it learn from a sixteenth of the data what its rivals do not learn from all?

    python benchmarks/goku_synthetic.py --quick --json goku_synthetic.json

SIMULATED data, as G. Abrevaya et al. describe (TMLR 2024): three coupled noisy Stuart-Landau oscillators, 6 states seen
through one random linear map in 784 channels, 600 samples a trajectory, crops of 46 to reconstruct, the 20 after them to
forecast. Training sets of 75 · 2^i trajectories, i = 0 … 6; test trajectories, parameters and validation are independent.

    goku_ui                        attention, multiple shooting          goku_ui_single_shooting
    goku_basic_multiple_shooting   last outputs, multiple shooting       goku_basic
    lstm                           LSTM autoencoder, 42 numbers          latent_ode   neural ODE of 6 states
    …_on_components                the same on principal components, which lose nothing here and are easier to learn
    vector_autoregression          ridge, on principal components        naive        the mean over time
    ours                           states read off by a learned linear map, parameters by optimisation (twins.goku.direct.fit)

Networks see random crops and have the same CPU time, told as cpu_s; GOKU networks have the optimiser and schedule of the
reference, the rivals the peak rate that served each best, falling along a cosine over that time. The state with the best
validation reconstruction is kept. Scores are NRMSE, lower is better: by trajectory, then the mean (medians beside it).

reconstruction: by what a method infers itself; the aims use it. A GOKU network's windows of 10 samples begin where its
encoder says, ours at the state that the linear map reads off the window's first sample, the autoregression runs free from
its first samples. reconstruction_fitted: with the initial states of the windows fitted to the trace by Gauss-Newton and
all else fixed, for GOKU networks and for ours, so that like is compared with like; in no aim.
aim_rests_on: the sizes, seeds and CPU times behind the aims. --quick: one seed; GOKU-UI and ours at 75 and 1200, and at
1200 the rivals, all for the same CPU time; nothing is said of other sizes or of longer training.

goku_ui_small_…: with 1/16 of the data; baselines_full_…: with all of it. statistics: Wilcoxon's signed-rank tests with Holm's
correction, over seeds; small_against_full: over test trajectories of one seed. samples_a_trajectory: fewer than 600 where
a training set would not fit into memory; in the quick run 150.

The full run writes every cell into FILE.parts/ and goes on from there; delete that folder to begin anew.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import measuring
from goku_synthetic_cell import BASELINES, METHODS, Size, score
from goku_synthetic_figures import FITTED, KINDS, figures_of

from labctl.campaign import Campaign, run
from labctl.events import Event, Reported, Warned
from labctl.workers import Job, side_by_side

N_WORKERS = 2
SIZES = tuple(75 * 2**i for i in range(7))
FULL, FULL_SEEDS = Size(), 10
QUICK = Size(n_samples=150, n_validation=60, n_test=300, cpu_s=130.0, first_patience=8, period=30)
QUICK_CELLS = (
    ("goku_ui", 75), ("goku_ui", 1200), ("lstm", 1200), ("latent_ode", 1200), ("lstm_on_components", 1200),
    ("latent_ode_on_components", 1200), ("ours", 1200), ("ours", 75), ("vector_autoregression", 1200), ("naive", 1200),
)  # fmt: skip
"""The longest first, so that two workers end at about the same time."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Every cell that is not there yet, two at a time; levels, statistics and table at the end."""
    options = measuring.read_options(__doc__, more=_more, arguments=arguments)
    size = QUICK if options.quick else FULL
    size = size if options.cpu_s is None else replace(size, cpu_s=options.cpu_s)
    began_s = time.perf_counter()
    with tempfile.TemporaryDirectory() as scratch:
        keep = options.json is not None and not options.quick
        parts = options.json.with_suffix(".parts") if keep else Path(scratch) / "parts"
        run(all_cells(options, size, parts), on_event=_tell)
        figures = figures_of(read_parts(parts, size))
    figures |= {"size": asdict(size), "wall_seconds": time.perf_counter() - began_s}
    measuring.write_results(options, figures)
    _print(figures)
    return 0


def _more(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seeds", type=int, help=f"how many (default {FULL_SEEDS}, --quick 1)")
    parser.add_argument(
        "--cpu-s", type=float, help=f"CPU seconds a training (default {FULL.cpu_s:g}, --quick {QUICK.cpu_s:g})"
    )
    parser.add_argument("--methods", nargs="+", choices=METHODS, help="only these")
    parser.add_argument("--sizes", nargs="+", type=int, help=f"only these training sizes (default {SIZES})")


def planned(options: argparse.Namespace) -> list[tuple[str, int, int]]:
    """(method, training size, seed) of every cell, seed by seed, small sizes first."""
    swept = [(method, size) for size in options.sizes or SIZES for method in METHODS]
    pairs = list(QUICK_CELLS) if options.quick else swept
    chosen = [pair for pair in pairs if options.methods is None or pair[0] in options.methods]
    n_seeds = options.seeds or (1 if options.quick else FULL_SEEDS)
    return [(method, size, seed) for seed in range(options.seed, options.seed + n_seeds) for method, size in chosen]


def all_cells(options: argparse.Namespace, size: Size, parts: Path) -> Campaign[None]:
    """What is not in `parts` yet, in worker processes of one thread each."""
    jobs = {
        part_name(method, n_training, seed): Job(
            cell, {"method": method, "n_training": n_training, "seed": seed, "size": size, "parts": parts}
        )
        for method, n_training, seed in planned(options)
        if read_part(parts / part_name(method, n_training, seed), size) is None
    }
    if jobs:
        yield from side_by_side(jobs, n_workers=N_WORKERS)


def part_name(method: str, n_training: int, seed: int) -> str:
    """Of a cell's file."""
    return f"{method}-{n_training}-seed-{seed}.json"


def read_part(path: Path, size: Size) -> dict[str, Any] | None:
    """What an earlier run measured; None if it did not, or with other sizes or another budget."""
    found = measuring.read_results(path)
    return found if found.get("size") == asdict(size) else None


def read_parts(parts: Path, size: Size) -> list[dict[str, Any]]:
    """All cells that are there, in the order of methods, sizes and seeds."""
    found = [one for path in parts.glob("*-seed-*.json") if (one := read_part(path, size)) is not None]
    ordered = sorted(found, key=lambda one: (METHODS.index(one["method"]), one["n_training"], one["seed"]))
    return [{name: value for name, value in one.items() if name != "size"} for one in ordered]


def cell(method: str, n_training: int, seed: int, size: Size, parts: Path) -> Campaign[dict[str, Any]]:
    """Measure one cell; written to `parts` at the end."""
    scored = yield from score(method, n_training, seed, size)
    result: dict[str, Any] = measuring.plain({**scored, "size": asdict(size)})
    parts.mkdir(parents=True, exist_ok=True)
    path = parts / part_name(method, n_training, seed)
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(result, allow_nan=False) + "\n")
    partial.replace(path)
    told = (*KINDS, FITTED, *(f"{kind}_median" for kind in KINDS), "cpu_seconds", "epochs")
    yield Reported(path.stem, {name: result[name] for name in told})
    return result


def _tell(event: Event) -> None:
    if isinstance(event, Reported):
        print(event.key, json.dumps({name: _short(value) for name, value in event.outcome.items()}), flush=True)
    elif isinstance(event, Warned):
        print(f"{event.key}: {event.message}", file=sys.stderr, flush=True)


def _print(figures: Mapping[str, Any]) -> None:
    print("SIMULATED data; mean NRMSE over test trajectories and seeds (median)")
    rests_on = figures["aim_rests_on"]
    print(f"aims rest on sizes {rests_on['sizes_ours_and_goku_ui']}, {rests_on['seeds']} seeds, "
          f"{len(rests_on['baselines_at_full_size'])} baselines")  # fmt: skip
    print(f"windows fitted to the trace: GOKU-UI {_short(figures['reconstruction_fitted_goku_ui_small'])} with "
          f"{figures['small_size']}, ours below it {figures['reconstruction_fitted_ours_below_goku_ui']}")  # fmt: skip
    for kind in KINDS:
        print(f"{kind}: aim with 1/16 of the data {figures['aim_small_goku_ui_at_or_below_baselines'][kind]}, "
              f"ours below GOKU-UI {figures['aim_ours_below_goku_ui_at_every_size'][kind]}")  # fmt: skip
        level, median = (figures[f"goku_ui_small_{kind}{end}"] for end in ("", "_median"))
        print(f"  {'goku_ui':24}{figures['small_size']!s:>6}  {_short(level)} ({_short(median)})")
        rivals, medians = (figures[f"baselines_full_{kind}{end}"] for end in ("", "_median"))
        for name in (name for name in BASELINES if name in rivals):
            print(f"  {name:24}{figures['full_size']!s:>6}  {_short(rivals[name])} ({_short(medians[name])})")
    for one in figures["table"]:
        shown = (_short(one.get(kind)) for kind in (*KINDS, FITTED))
        print("  {method:30}{n_training:6d}  seed {seed}".format(**one), *shown)


def _short(value: Any) -> Any:
    return round(value, 4) if isinstance(value, float) else value


if __name__ == "__main__":
    raise SystemExit(main())
