"""How well an automaton learns Gray-Scott's maze by steps t of a frame and by loss: the publication's sweep, reduced.

    python benchmarks/nca_loss_vs_t.py --quick --json nca_loss_vs_t.json

SIMULATED data: A and B of the maze (alpha = 0.0623, gamma = 0.06258, as in the code of Richardson et al. 2024, doi
10.1371/journal.pcbi.1011589), every t-th Euler step from its four block initial conditions. C = 8, ID_LAP, relu. The
publication sweeps t = 1 … 32 against losses with 4 seeds and tests at twice the horizon trained on. Here too, on initial
conditions that no training saw. Its minibatches of 64 give small t many more updates; here each t has as many
updates and cell-steps as every other, the batch shrinking as t grows, and no first lesson on parts of frames.

cells           of each (t, loss, seed). trained_loss: by that loss, of the epoch kept; trained_loss_to_no_change: over what
                the loss is where nothing changes. transition_ratio_to_no_change: Euclidean, one transition on from true test
                frames, over no change. free_run_error: Euclidean, at n steps, within the horizon and at twice of it;
                null where it ran away. stable_within, stable_beyond: all test runs finite, within [-0.5, 1.5], and
                with 0.5 to 1.5 of the pattern's standard deviation where they end.
curves          medians over seeds, by loss and t, and how many seeds were stable
no_change       the PDE checked: the norm of one transition on 64 × 64 cells beside what was measured before with another
                program, and the largest relative difference

Losses whose name says modified see amplitudes. The weight of the overshoot beyond [0, 1] is proportional to what each loss
is where nothing changes. Losses of different kinds are compared by transitions and free runs, never by their values.
--quick: 32 × 32 cells, 512 steps, four values of t, three losses, one seed. Every cell measured is kept in FILE.parts/ and
not measured again; delete that folder to begin anew.
"""

from __future__ import annotations

import argparse
import math
import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import measuring
from nca_loss_vs_t_cell import Size, cell, no_change_table
from parts import read_part, write_part

from twins.nca.losses import LOSSES

N_WORKERS = 2
FULL = Size(n_cells=64, horizon=1024, epochs=400, updates=16, learning_rate=5e-3)
QUICK = Size(n_cells=32, horizon=512, epochs=300, updates=8, learning_rate=5e-3)
FULL_T, QUICK_T = (1, 2, 4, 8, 16, 32), (1, 4, 16, 32)
FULL_LOSSES = (
    "euclidean", "spectral_euclidean", "spectral", "sliced_wasserstein_channels", "sliced_wasserstein_grid",
    "bhattacharyya_modified", "hellinger_modified", "kl_modified", "sinkhorn",
)  # fmt: skip
QUICK_LOSSES = ("euclidean", "spectral_euclidean", "hellinger_modified")
FULL_SEEDS = 4
KNOWN_NO_CHANGE = {"1": 0.047, "2": 0.094, "4": 0.188, "8": 0.375, "16": 0.747, "32": 1.478, "64": 2.884}
"""Measured before on the same settings, by another program; the pattern's norm was 16.7."""
SHOWN = ("trained_loss_to_no_change", "transition_ratio_to_no_change")


def main(arguments: Sequence[str] | None = None) -> int:
    """Every cell that is not there yet, two at a time; the file of results after each."""
    options = measuring.read_options(__doc__, more=more_options, arguments=arguments)
    size = QUICK if options.quick else FULL
    size = size if options.epochs is None else replace(size, epochs=options.epochs)
    began_s = time.perf_counter()
    checked = {"no_change": checked_no_change()}
    with tempfile.TemporaryDirectory() as scratch:
        parts = options.json.with_suffix(".parts") if options.json is not None else Path(scratch) / "parts"
        parts.mkdir(parents=True, exist_ok=True)
        wanted = planned(options)
        missing = [key for key in wanted if read_part(part_at(parts, key), size) is None]
        print(f"{len(wanted)} cells, {len(wanted) - len(missing)} of them measured already", flush=True)
        with ProcessPoolExecutor(N_WORKERS, mp_context=get_context("spawn")) as pool:
            for done in as_completed([pool.submit(cell, *key, size) for key in missing]):
                found = done.result()
                write_part(part_at(parts, (found["t"], found["loss"], found["seed"])), found, size)
                tell(found)
                write_all(options, parts, wanted, size, checked, began_s)
        figures = write_all(options, parts, wanted, size, checked, began_s)
    print(table(figures))
    return 0


def more_options(parser: argparse.ArgumentParser) -> None:
    """What this script takes beside the common options."""
    parser.add_argument("--t", nargs="+", type=int, help=f"steps of a frame (default {FULL_T}, --quick {QUICK_T})")
    parser.add_argument("--losses", nargs="+", choices=tuple(LOSSES), help=f"--quick {' '.join(QUICK_LOSSES)}")
    parser.add_argument("--seeds", type=int, help=f"how many (default {FULL_SEEDS}, --quick 1)")
    parser.add_argument("--epochs", type=int, help=f"of a training (default {FULL.epochs}, --quick {QUICK.epochs})")


def planned(options: argparse.Namespace) -> list[tuple[int, str, int]]:
    """(t, loss, seed) of every cell, seed by seed; the slowest loss last."""
    all_t = options.t or (QUICK_T if options.quick else FULL_T)
    losses = options.losses or (QUICK_LOSSES if options.quick else FULL_LOSSES)
    seeds = range(options.seed, options.seed + (options.seeds or (1 if options.quick else FULL_SEEDS)))
    return [(t, loss, seed) for seed in seeds for loss in losses for t in all_t]


def part_at(parts: Path, key: tuple[int, str, int]) -> Path:
    """The file of one cell."""
    return parts / part_name(key)


def part_name(key: tuple[int, str, int]) -> str:
    """Of a cell's file."""
    t, loss, seed = key
    return f"{loss}-t-{t}-seed-{seed}.json"


def write_all(
    options: argparse.Namespace, parts: Path, wanted: Sequence[tuple[int, str, int]], size: Size,
    checked: Mapping[str, Any], began_s: float,
) -> dict[str, Any]:  # fmt: skip
    """The file of results, from all cells that are there."""
    found = [part for key in wanted if (part := read_part(part_at(parts, key), size)) is not None]
    cells = [{name: value for name, value in part.items() if name != "size"} for part in found]
    figures = {
        "simulated": True, "curves": curves_of(cells), "cells": cells, "n_cells_missing": len(wanted) - len(cells),
        "size": asdict(size), "seeds": sorted({seed for _, _, seed in wanted}),
        "wall_seconds": time.perf_counter() - began_s, **checked,
    }  # fmt: skip
    measuring.write_results(options, figures)
    return figures


def curves_of(cells: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, dict[str, Any]]]:
    """By loss and t, over seeds: medians (null where a training failed or most runs ran away) and counts."""
    curves: dict[str, dict[str, dict[str, Any]]] = {}
    for loss, t in dict.fromkeys((one["loss"], one["t"]) for one in cells):
        here = [one for one in cells if (one["loss"], one["t"]) == (loss, t)]
        point: dict[str, Any] = {"n_seeds": len(here), "n_failed": sum(one["failed"] is not None for one in here)}
        for name in SHOWN:
            point[name] = median([one.get(name) for one in here])
        steps = next((list(one["free_run_error"]) for one in here if "free_run_error" in one), [])
        point["free_run_error"] = {
            n: median([one["free_run_error"][n] if "free_run_error" in one else None for one in here]) for n in steps
        }
        for name in ("stable_within", "stable_beyond"):
            point[f"seeds_{name}"] = sum(bool(one.get(name)) for one in here)
        curves.setdefault(loss, {})[str(t)] = point
    return curves


def median(values: Sequence[float | None]) -> float | None:
    """With what is missing or infinite counted as larger than everything."""
    found = statistics.median_high([float("inf") if value is None else value for value in values])
    return None if found == float("inf") else found


def checked_no_change() -> dict[str, Any]:
    """The table of predicting no change beside the known one."""
    found = no_change_table()
    differences = [abs(found["per_transition"][t] / known - 1.0) for t, known in KNOWN_NO_CHANGE.items()]
    return {**found, "known_per_transition": KNOWN_NO_CHANGE, "largest_relative_difference": max(differences)}


def tell(measured: Mapping[str, Any]) -> None:
    """One line of a cell."""
    name = f"{measured['loss']:28} t {measured['t']:2d} seed {measured['seed']}"
    if measured["failed"] is not None:
        print(f"{name}  {measured['failed']}", flush=True)
        return
    errors = " ".join(f"{n}:{short(error)}" for n, error in measured["free_run_error"].items())
    print(
        f"{name}  transition {short(measured['transition_ratio_to_no_change'])}  free run {errors}  stable "
        f"{measured['stable_within']} beyond {measured['stable_beyond']}  {measured['cpu_seconds']:.0f} s",
        flush=True,
    )


def table(figures: Mapping[str, Any]) -> str:
    """Medians by loss and t."""
    off = figures["no_change"]["largest_relative_difference"]
    lines = [f"SIMULATED data; no change as measured before to {100 * off:.1f} %; medians over seeds"]
    for loss, by_t in figures["curves"].items():
        for t, point in by_t.items():
            errors = "  ".join(f"n={n} {short(error)}" for n, error in point["free_run_error"].items())
            lines.append(
                f"{loss:28} t {t:>2}  loss/no change {short(point[SHOWN[0]])}  transition/no change {short(point[SHOWN[1]])}  "
                f"{errors}  stable {point['seeds_stable_within']} beyond {point['seeds_stable_beyond']} of {point['n_seeds']}"
            )
    return "\n".join(lines)


def short(value: float | None) -> str:
    """Four digits."""
    return "ran away" if value is None or not math.isfinite(value) else f"{value:.4g}"


if __name__ == "__main__":
    raise SystemExit(main())
