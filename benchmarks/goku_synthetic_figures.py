"""What the cells of goku_synthetic.py say together: levels, aims, the table, statistics."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from goku_synthetic_cell import BASELINES, METHODS

from twins.goku.scoring.statistics import compare

KINDS = ("reconstruction", "forecast")
FITTED = "reconstruction_fitted"
RATIO = 16
UNLIKELY = 0.05
UNBOUNDED = 1e6
"""Stands for an infinite score (a forecast that ran away) where scores are only ranked."""

Cells = Sequence[Mapping[str, Any]]


def figures_of(cells: Cells) -> dict[str, Any]:
    """All that the results hold, from the cells there are."""
    small, full = compared_sizes(cells)
    levels = {kind: _level(cells, kind, small, full) for kind in KINDS}
    return {
        "simulated": True,
        "metric": "nrmse: root of the mean squared error over the mean absolute value, trajectory by trajectory; then means",
        "small_size": small,
        "full_size": full,
        **{f"goku_ui_small_{kind}": levels[kind]["goku_ui"] for kind in KINDS},
        **{f"baselines_full_{kind}": levels[kind]["baselines"] for kind in KINDS},
        **{f"goku_ui_small_{kind}_median": _level(cells, f"{kind}_median", small, full)["goku_ui"] for kind in KINDS},
        **{
            f"baselines_full_{kind}_median": _level(cells, f"{kind}_median", small, full)["baselines"] for kind in KINDS
        },
        "aim_small_goku_ui_at_or_below_baselines": {kind: _at_or_below(levels[kind]) for kind in KINDS},
        "aim_ours_below_goku_ui_at_every_size": {kind: _ours_below(cells, kind) for kind in KINDS},
        "aim_rests_on": _rests_on(cells),
        f"{FITTED}_goku_ui_small": _level(cells, FITTED, small, full)["goku_ui"],
        f"{FITTED}_ours_below_goku_ui": _ours_below(cells, FITTED),
        "small_against_full": _by_trace(cells, small, full),
        "statistics": _over_seeds(cells),
        "table": [{name: value for name, value in cell.items() if not name.endswith("_by_trace")} for cell in cells],
        "cells": list(cells),
    }


def compared_sizes(cells: Cells) -> tuple[int | None, int | None]:
    """(small, full): the largest pair, a factor 16 apart, for which GOKU-UI and some baseline have been trained."""
    sizes = {method: {cell["n_training"] for cell in cells if cell["method"] == method} for method in METHODS}
    at_full = set().union(*(sizes[name] for name in BASELINES))
    pairs = [(size, RATIO * size) for size in sizes["goku_ui"] if RATIO * size in at_full]
    return max(pairs) if pairs else (None, None)


def _scores(cells: Cells, method: str, size: int | None, kind: str) -> list[float]:
    found = [cell.get(kind) for cell in cells if (cell["method"], cell["n_training"]) == (method, size)]
    return [score for score in found if score is not None]


def _mean(values: Sequence[float]) -> float | None:
    return statistics.fmean(values) if values else None


def _level(cells: Cells, kind: str, small: int | None, full: int | None) -> dict[str, Any]:
    baselines = {name: _mean(_scores(cells, name, full, kind)) for name in BASELINES}
    return {
        "goku_ui": _mean(_scores(cells, "goku_ui", small, kind)),
        "baselines": {name: value for name, value in baselines.items() if value is not None},
    }


def _at_or_below(level: Mapping[str, Any]) -> bool | None:
    if level["goku_ui"] is None or not level["baselines"]:
        return None
    return bool(level["goku_ui"] <= min(level["baselines"].values()))


def _ours_below(cells: Cells, kind: str) -> dict[str, bool]:
    """Size by size, where both were trained: the mean over the seeds that both have."""
    below = {}
    for size in sorted({cell["n_training"] for cell in cells}):
        pairs = _paired(cells, size, ("ours", "goku_ui"), kind)
        if len(pairs["ours"]):
            below[str(size)] = bool(pairs["ours"].mean() < pairs["goku_ui"].mean())
    return below


def _rests_on(cells: Cells) -> dict[str, Any]:
    """What the aims have been judged by: sizes where ours and GOKU-UI were both trained, seeds, CPU seconds a training."""
    trained = [cell for cell in cells if cell["epochs"]]
    return {
        "sizes_ours_and_goku_ui": [int(size) for size in _ours_below(cells, KINDS[0])],
        "seeds": len({cell["seed"] for cell in cells}),
        "baselines_at_full_size": [
            name for name in BASELINES if _scores(cells, name, compared_sizes(cells)[1], KINDS[0])
        ],
        "cpu_seconds": {f"{cell['method']}-{cell['n_training']}": cell["cpu_seconds"] for cell in trained},
    }


def _paired(cells: Cells, size: int, methods: Sequence[str], kind: str) -> dict[str, np.ndarray]:
    """Scores by method over the seeds that all of them have."""
    found = {
        method: {
            cell["seed"]: cell[kind]
            for cell in cells
            if (cell["method"], cell["n_training"]) == (method, size) and cell.get(kind) is not None
        }
        for method in methods
    }
    seeds = sorted(set.intersection(*(set(by_seed) for by_seed in found.values())))
    return {method: np.array([by_seed[seed] for seed in seeds], dtype=float) for method, by_seed in found.items()}


def _over_seeds(cells: Cells) -> list[dict[str, Any]]:
    """Wilcoxon's signed-rank test of GOKU-UI against every other method over seeds, Holm's correction, size by size.

    Only where there are seeds enough that something could come out.
    """
    rows = []
    for size in sorted({cell["n_training"] for cell in cells}):
        for kind in KINDS:
            counts = {name: len(_scores(cells, name, size, kind)) for name in METHODS}
            names = [name for name in METHODS if counts[name]]
            if "goku_ui" not in names or len(names) < 2:
                continue
            pairs = _paired(cells, size, names, kind)
            if len(pairs["goku_ui"]) >= fewest_seeds(len(names) - 1):
                rows.append({"n_training": size, "kind": kind, "over": "seeds", "comparisons": _compared(pairs)})
    return rows


def fewest_seeds(n_rivals: int) -> int:
    """With fewer pairs no outcome could be called unlikely: n pairs all on one side have p = 2 / 2^n, which Holm's
    correction multiplies by the number of rivals. 5 for one rival would be 0.06; 9 are needed for ten."""
    n = 1
    while n_rivals * 2.0 / 2.0**n >= UNLIKELY:
        n += 1
    return n


def _by_trace(cells: Cells, small: int | None, full: int | None) -> list[dict[str, Any]]:
    """GOKU-UI with the small set against each baseline with the full one, over the test trajectories they share."""
    rows = []
    for seed in sorted({cell["seed"] for cell in cells}):
        for kind in KINDS:
            own = _of_traces(cells, "goku_ui", small, seed, kind)
            others = {name: _of_traces(cells, name, full, seed, kind) for name in BASELINES}
            rivals = {name: scores for name, scores in others.items() if scores is not None}
            if own is not None and rivals:
                pairs = {"goku_ui": own, **rivals}
                rows.append({"seed": seed, "kind": kind, "over": "test trajectories", "comparisons": _compared(pairs)})
    return rows


def _of_traces(cells: Cells, method: str, size: int | None, seed: int, kind: str) -> np.ndarray | None:
    for cell in cells:
        if (cell["method"], cell["n_training"], cell["seed"]) == (method, size, seed):
            return np.array([UNBOUNDED if value is None else value for value in cell[f"{kind}_by_trace"]], dtype=float)
    return None


def _compared(pairs: Mapping[str, np.ndarray]) -> list[dict[str, Any]]:
    bounded = {name: np.nan_to_num(scores, posinf=UNBOUNDED) for name, scores in pairs.items()}
    return [asdict(one) for one in compare(bounded, "goku_ui")]
