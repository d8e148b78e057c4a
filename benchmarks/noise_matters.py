"""Does knowing the noise matter? Four baselines, optimised on models of a noisy device and measured ON the device.

    python benchmarks/noise_matters.py --quick --json noise_matters.json

SIMULATED device: a leaky integrator whose noise depends on drive and state, of three scales, behind simulated instruments
over TCP, a bench of its own for each scale and seed. Each time: record, fit a twin, optimise NARMA-10 on 6 + 6 nodes
that the device plays one after another (input taps 0 to 9) with every knowledge of its noise,

    sde             the fitted twin: noise that depends on state and drive
    constant_noise  the same drift with Gaussian noise of one size, the likeliest for the training data
    ode             the same drift without noise
    ode_fitted      an ODE of the same size fitted by its own objective, free runs without noise
    reservoir       random networks, the best of many; only a read-out is fitted, on the sde twin

from the same starts, at two ridges of the read-out, and play each network several times on the device, with the read-out
of its model and with one of the same ridge refitted on measured data. The score is NRMSE; lower is better.

levels: medians over seeds at the WEAKER ridge with each model's OWN read-out; ode_… there is the better of the two
ODEs, ode_is says which. gap: measured less promised by its own model.
repeat_spread: standard deviation over plays of the whole measurement of the sde network. training_spread: standard
deviation over seeds of the difference between sde and its best rival, which is what another start and other training
examples do to the comparison; best, or not, by the larger of the two. table: all ridges and read-outs, seed by seed.

The same held-out examples are promised, played and repeated, so that their choice cancels in gap, spread and ranking; the
score's own level is uncertain by what so many held-out steps leave (heavy-tailed: about 12 % at 1,000 steps, falling
as the root of their number).

The full run writes every scale and seed into FILE.parts/ and goes on from there; delete that folder to begin anew.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import measuring
from noise_cell import ODE_FITTED, RIDGES, Size, on_own_bench

from labctl.campaign import Campaign, run
from labctl.events import Event, Reported, Warned
from labctl.workers import Job, side_by_side

NOISES = (0.02, 0.05, 0.1)
KNOWLEDGES = {"sde": "sde", "ode": "ode", "constant_noise": "constant_noise", "reservoir": "readout_only"}
"""name in the figures: name in the comparison"""
READOUTS = {"own": ("measured", "repeat_spread"), "refitted": ("refitted", "refitted_spread")}
N_WORKERS = 2
QUICK = Size(
    n_seeds=3, n_iterations=300, n_trials=64, n_training_trials=30, n_heldout_trials=40, n_repeats=8, n_starts=6,
    n_reservoir_draws=40, n_promise_draws=16, ode_fitted=True,
)  # fmt: skip
FULL = Size(n_seeds=5, n_iterations=600, n_trials=96, n_repeats=12, ode_fitted=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Every noise level and seed, two at a time; levels and table at the end."""
    options = measuring.read_options(__doc__, more=_more, arguments=arguments)
    size = replace(QUICK if options.quick else FULL, **({} if options.seeds is None else {"n_seeds": options.seeds}))
    began_s = time.perf_counter()
    with tempfile.TemporaryDirectory() as scratch:
        keep = options.json is not None and not options.quick
        parts = options.json.with_suffix(".parts") if keep else Path(scratch) / "parts"
        run(all_cells(options, size, parts), on_event=_tell)
        figures = figures_of(read_parts(parts, size, range(options.seed, options.seed + size.n_seeds)), size)
    figures["wall_seconds"] = time.perf_counter() - began_s
    measuring.write_results(options, figures)
    _print(figures)
    return 0


def _more(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seeds", type=int, help=f"how many (default {FULL.n_seeds}, --quick {QUICK.n_seeds})")


def all_cells(options: argparse.Namespace, size: Size, parts: Path) -> Campaign[None]:
    """What is not in `parts` yet, in worker processes, seed by seed."""
    seeds = range(options.seed, options.seed + size.n_seeds)
    jobs = {
        part_name(noise, seed): Job(cell, {"noise": noise, "seed": seed, "size": size, "parts": parts})
        for seed in seeds
        for noise in NOISES
        if read_part(parts, size, noise, seed) is None
    }
    if jobs:
        yield from side_by_side(jobs, n_workers=N_WORKERS)


def part_name(noise: float, seed: int) -> str:
    """Of the file of one noise level and seed."""
    return f"noise-{noise:g}-seed-{seed}.json"


def read_part(parts: Path, size: Size, noise: float, seed: int) -> dict[str, Any] | None:
    """What an earlier run measured; None if it did not, or with other sizes."""
    found = measuring.read_results(parts / part_name(noise, seed))
    same = {**asdict(size), "n_seeds": None} == {**found.get("size", {}), "n_seeds": None}
    return found if found and same else None


def read_parts(parts: Path, size: Size, seeds: Sequence[int]) -> list[dict[str, Any]]:
    """All that is there, noise level by noise level."""
    found = (read_part(parts, size, noise, seed) for noise in NOISES for seed in seeds)
    return [one for one in found if one is not None]


def cell(noise: float, seed: int, size: Size, parts: Path) -> Campaign[dict[str, Any]]:
    """Measure one noise level and seed; written to `parts` at the end."""
    began_s, cpu_s = time.perf_counter(), _cpu_s()
    result = yield from on_own_bench(noise, seed, size)
    spent = {"wall_seconds": time.perf_counter() - began_s, "cpu_seconds": _cpu_s() - cpu_s}  # simulator and all
    result = measuring.plain({"noise": noise, "seed": seed, "size": asdict(size), **result, **spent})
    parts.mkdir(parents=True, exist_ok=True)
    path = parts / part_name(noise, seed)
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(result, indent=2, allow_nan=False) + "\n")
    partial.replace(path)
    weak = [one for one in result["outcomes"] if one["regularisation"] == min(RIDGES)]
    scores = {one["knowledge"]: round(one["measured"], 4) for one in weak}
    yield Reported(path.stem, {**scores, **{name: round(value, 1) for name, value in spent.items()}})
    return result


def figures_of(cells: Sequence[Mapping[str, Any]], size: Size) -> dict[str, Any]:
    """Levels and the full table of what was measured, and how the parts of the aim fared."""
    names = [*KNOWLEDGES, *([ODE_FITTED] if size.ode_fitted else [])]
    table = [
        row(cells, noise, ridge, readout, name)
        for noise in dict.fromkeys(one["noise"] for one in cells)
        for ridge in RIDGES
        for readout in READOUTS
        for name in names
    ]
    return {
        "simulated": True,
        "task": "narma10",
        "metric": "nrmse",
        "levels_are": f"medians over seeds, ridge {min(RIDGES):g}, each model's own read-out",
        "levels": [level(table, noise) for noise in dict.fromkeys(one["noise"] for one in cells)],
        "table": table,
        "size": asdict(size),
        "linear_same_taps": _median(cells, "linear_same_taps"),
        "linear_20_taps": _median(cells, "linear_20_taps"),
        "cells": list(cells),
        "cpu_seconds": sum(one["cpu_seconds"] for one in cells),
    }


def row(cells: Sequence[Mapping[str, Any]], noise: float, ridge: float, readout: str, name: str) -> dict[str, Any]:
    """One network's scores, seed by seed."""
    score, spread = READOUTS[readout]
    here = [one for one in cells if one["noise"] == noise]
    found = [outcome(one, KNOWLEDGES.get(name, name), ridge) for one in here]
    scores = [one[score] for one in found]
    gaps = [one[score] - one["promised"] for one in found]
    return {
        "noise": noise,
        "ridge": ridge,
        "readout": readout,
        "knowledge": name,
        "measured": statistics.median(scores),
        "promised": statistics.median(one["promised"] for one in found),
        "foreseen_by_sde": statistics.median(one["foreseen"] for one in found),
        "gap": statistics.median(gaps),
        "repeat_spread": statistics.median(one[spread] for one in found),
        "seeds": [one["seed"] for one in here],
        "measured_by_seed": scores,
        "gap_by_seed": gaps,
    }


def outcome(one: Mapping[str, Any], knowledge: str, ridge: float) -> Mapping[str, Any]:
    """Of one network in a cell."""
    return next(
        found for found in one["outcomes"] if (found["knowledge"], found["regularisation"]) == (knowledge, ridge)
    )


def level(table: Sequence[Mapping[str, Any]], noise: float) -> dict[str, Any]:
    """The figures of one noise level, and what becomes of the aim there."""
    rows = {
        one["knowledge"]: one
        for one in table
        if (one["noise"], one["ridge"], one["readout"]) == (noise, min(RIDGES), "own")
    }
    sde, odes = rows["sde"], [rows.pop(name) for name in ("ode", ODE_FITTED) if name in rows]
    rows["ode"] = min(odes, key=lambda one: one["measured"])
    rival = min((one for name, one in rows.items() if name != "sde"), key=lambda one: one["measured"])
    behind = [ours - theirs for ours, theirs in zip(sde["measured_by_seed"], rival["measured_by_seed"], strict=True)]
    training_spread = statistics.stdev(behind) if len(behind) > 1 else 0.0
    spread, median = max(training_spread, sde["repeat_spread"]), statistics.median(behind)
    return {
        "noise": noise,
        **{f"{name}_measured": one["measured"] for name, one in rows.items()},
        **{f"{name}_gap": one["gap"] for name, one in rows.items()},
        "ode_is": rows["ode"]["knowledge"],
        "repeat_spread": sde["repeat_spread"],
        "best_rival": rival["knowledge"],
        "sde_less_best_rival": median,
        "training_spread": training_spread,
        "sde_best_or_within_spread": median <= spread,
        "sde_clearly_best": median < -spread,
        "sde_gap_within_repeat_spread": abs(sde["gap"]) <= sde["repeat_spread"],
    }


def _median(cells: Sequence[Mapping[str, Any]], name: str) -> float:
    return statistics.median(one[name] for one in cells)


def _cpu_s() -> float:
    """Of this process and those of its children that have ended."""
    spent = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in spent)


def _tell(event: Event) -> None:
    if isinstance(event, Reported) and event.key.startswith("noise-"):
        print(event.key, json.dumps(dict(event.outcome)), flush=True)
    elif isinstance(event, Warned):
        print(f"{event.key}: {event.message}", file=sys.stderr, flush=True)


def _print(figures: Mapping[str, Any]) -> None:
    print(f"SIMULATED device; {figures['levels_are']}")
    for one in figures["levels"]:
        print(json.dumps({name: round(value, 4) if isinstance(value, float) else value for name, value in one.items()}))
    rows = figures["table"]
    names = list(dict.fromkeys(one["knowledge"] for one in rows))
    print("noise  ridge    read-out  " + "".join(f"{name:>16}" for name in names))
    for place in range(0, len(rows), len(names)):
        scores = "".join(f"{one['measured']:16.4f}" for one in rows[place : place + len(names)])
        print("{noise:<6g} {ridge:<8g} {readout:<10}".format(**rows[place]) + scores)
    print(f"linear, same taps {figures['linear_same_taps']:.4f}; 20 taps {figures['linear_20_taps']:.4f}")


if __name__ == "__main__":
    raise SystemExit(main())
