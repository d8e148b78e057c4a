"""Does an automaton learn Gray-Scott's rule, from initial conditions it never saw and far beyond its training?

    python benchmarks/nca_gray_scott.py --quick --json nca_gray_scott.json

SIMULATED data: maze (alpha = 0.0623, gamma = 0.06258) and mitosis (0.0367, 0.0649), D = (0.1, 0.05), Euler steps of 1 with the
nine-point Laplacian, periodic. C = 8 channels, kernels ID_LAP, relu, 32 steps a frame, trained to n = 1024 steps, chosen by
the free-run error on two further initial conditions. All tests begin at others again (random blocks).

stable: finite, within [-0.5, 1.5] and with 0.5 to 1.5 of the equation's standard deviation at n = 2048; in the full run at
n = 12,000 as well. transition_ratio_to_no_change: error of one frame ahead from every true frame up to n = 2048, over that of
predicting no change; mean over seeds. free_run_error, by n: Euclidean norm over cells and channels in units of the data's
range (…_nrmse: in standard deviations), beside no_change_error. wavelength_error, mass_error (full): |automaton / equation - 1|
at 128 × 128 and n = 12,000 on the mean of three initial conditions, the worse of A and B, mean over seeds (…_largest: the worst
seed), beside …_spread, the equation's own standard deviation between initial conditions. diverged_seeds: lost ones, in none
of the means; aim_met is false for every aim where there is one.

--quick: maze alone, 2 seeds, trained on 32 × 32 cells, tested on 64 × 64. Full: both patterns, 4 seeds, 64 × 64; it writes every
cell into FILE.parts/ and goes on from there: delete that folder to begin anew.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import measuring
from nca_gray_scott_cell import AIM, PATTERNS, Size, measured, summary
from parts import read_part, write_part

from labctl.campaign import Campaign, run
from labctl.events import Event, Reported, Warned
from labctl.workers import Job, side_by_side

N_WORKERS = 2
QUICK_SEEDS, FULL_SEEDS = 2, 4
QUICK = Size(cells=32, epochs=500, batch=2, batches_per_epoch=96, max_seconds=400.0, n_tested=2, far_cells=0)
FULL = Size(epochs=600)


def main(arguments: Sequence[str] | None = None) -> int:
    """Every cell that is not there yet, two at a time; then the figures."""
    options = measuring.read_options(__doc__, more=_more, arguments=arguments)
    size = QUICK if options.quick else FULL
    began_s = time.perf_counter()
    with tempfile.TemporaryDirectory() as scratch:
        keep = options.json is not None and not options.quick
        parts = options.json.with_suffix(".parts") if keep else Path(scratch) / "parts"
        run(all_cells(options, size, parts), on_event=_tell)
        cells = [one for name in planned(options) if (one := read_part(_part(parts, *name), size)) is not None]
    figures: dict[str, Any] = {
        "simulated": True,
        "aim": {**AIM, "stable": "every seed"},
        **summary(cells),
        "patterns": {
            pattern: summary([cell for cell in cells if cell["pattern"] == pattern])
            for pattern in PATTERNS
            if any(cell["pattern"] == pattern for cell in cells)
        },
        "cells": [{name: value for name, value in cell.items() if name != "size"} for cell in cells],
        "size": asdict(size),
        "wall_seconds": time.perf_counter() - began_s,
    }
    measuring.write_results(options, figures)
    _print(figures)
    return 0


def _more(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seeds", type=int, help=f"how many (default {FULL_SEEDS}, --quick {QUICK_SEEDS})")
    parser.add_argument("--patterns", nargs="+", choices=tuple(PATTERNS), help="only these")


def planned(options: argparse.Namespace) -> list[tuple[str, int]]:
    """(pattern, seed) of every cell, seed by seed."""
    n_seeds = options.seeds or (QUICK_SEEDS if options.quick else FULL_SEEDS)
    patterns = options.patterns or (["maze"] if options.quick else list(PATTERNS))
    return [(pattern, seed) for seed in range(options.seed, options.seed + n_seeds) for pattern in patterns]


def all_cells(options: argparse.Namespace, size: Size, parts: Path) -> Campaign[None]:
    """What is not in `parts` yet, in worker processes of one thread each."""
    jobs = {
        f"{pattern}-{seed}": Job(cell, {"pattern": pattern, "seed": seed, "size": size, "parts": parts})
        for pattern, seed in planned(options)
        if read_part(_part(parts, pattern, seed), size) is None
    }
    if jobs:
        yield from side_by_side(jobs, n_workers=N_WORKERS)


def cell(pattern: str, seed: int, size: Size, parts: Path) -> Campaign[dict[str, Any]]:
    """Measure one cell; written to `parts` at the end."""
    found = yield from measured(pattern, seed, size)
    path = _part(parts, pattern, seed)
    result = write_part(path, found, size)
    told = ("stable", "transition_ratio_to_no_change", "wavelength_error", "mass_error", "training_seconds")
    yield Reported(path.stem, {name: result.get(name) for name in told})
    return result


def _part(parts: Path, pattern: str, seed: int) -> Path:
    return parts / f"{pattern}-seed-{seed}.json"


def _tell(event: Event) -> None:
    if isinstance(event, Reported):
        print(event.key, json.dumps(event.outcome), flush=True)
    elif isinstance(event, Warned):
        print(f"{event.key}: {event.message}", file=sys.stderr, flush=True)


def _print(figures: dict[str, Any]) -> None:
    for name, one in figures["patterns"].items():
        print(f"{name} (SIMULATED): {one['stable_seeds']} of {one['seeds']} seeds stable; transition error over that of no "
              f"change {one['transition_ratio_to_no_change']:.3f} (aim 0.2)")  # fmt: skip
        if one["diverged_seeds"]:
            print(f"  LOST, in none of the means, so that no aim is met: {', '.join(one['diverged_seeds'])}")
        print("  free-run NRMSE", {n: round(value, 3) for n, value in one["free_run_nrmse"].items()})
        if "wavelength_error" in one:
            print(f"  wavelength error {one['wavelength_error']:.3f} (the equation's own spread "
                  f"{one['wavelength_spread']:.3f}), mass error {one['mass_error']:.3f} ({one['mass_spread']:.3f})")  # fmt: skip


if __name__ == "__main__":
    raise SystemExit(main())
