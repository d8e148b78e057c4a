"""Does the window keep its frames, its memory and its Stop, however fast points come in?

    python benchmarks/gui_streaming.py --json gui_streaming.json --seconds 10
    python benchmarks/gui_streaming.py --json ten_minutes.json --seconds 600 --rates 1e6 --contenders labctl --rounds 1

Points of a drive and a response (so many a second of each) come in at 1e4, 1e5 and 1e6 a second. Contenders, each in a
process of its own, off screen unless QT_QPA_PLATFORM says otherwise, in turn, round after round:

labctl            the main window with its Record panel, everything on: event box, journal, figures, live plot
pyqtgraph         bare: a ring of the newest points and two curves, at 30 Hz, downsampled to peaks; no more than that
pymeasure         PyMeasure's ManagedWindow as its manual has it
pymeasure_helped  the same, fed by blocks of ready text and looking 30 times a second, downsampled to peaks

For each: fps (paintings of the plot with new data), the longest time without one, CPU (1 = one core), points a second
that really came in, resident memory and its growth, and the time from the click on Stop until the source has ended.
Medians over the rounds. The floor beside them: bare pyqtgraph draws and keeps nothing; a 30 Hz timer gives 30 frames.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from measuring import read_options, write_results

FOLDER = Path(__file__).parent / "streaming"
CONTENDERS: Mapping[str, tuple[str, ...]] = {
    "labctl": ("with_labctl.py",),
    "pyqtgraph": ("with_pyqtgraph.py",),
    "pymeasure": ("with_pymeasure.py", "own"),
    "pymeasure_helped": ("with_pymeasure.py", "helped"),
}
RATES = ("1e4", "1e5", "1e6")
FIGURES = ("fps", "stop_ms", "cpu", "rss_MB", "rss_growth_MB_per_min", "longest_gap_ms", "points_per_s")


def run_once(contender: str, rate: str, seconds: float) -> dict[str, Any]:
    """One contender at one rate, in a process of its own; {"error": ...} where it failed."""
    script, *more = CONTENDERS[contender]
    command = [sys.executable, str(FOLDER / script), rate, str(seconds), *more]
    environment = {"QT_QPA_PLATFORM": "offscreen", "QT_API": "pyside6", **os.environ}
    limit_s = 120.0 + 4.0 * seconds
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=limit_s, env=environment, cwd=FOLDER, check=False
        )
    except subprocess.TimeoutExpired:
        return {"error": f"did not end within {limit_s:g} s"}
    lines = done.stdout.strip().splitlines()
    if done.returncode or not lines:
        return {"error": (done.stderr.strip() or f"exit status {done.returncode}")[-1000:]}
    figures: dict[str, Any] = json.loads(lines[-1])
    return figures


def summary(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Medians over the rounds, and what went wrong in any of them."""
    good = [run for run in runs if "error" not in run]
    errors = [run["error"] for run in runs if "error" in run]
    if not good:
        return {"errors": errors}
    medians: dict[str, Any] = {name: statistics.median(run[name] for run in good) for name in FIGURES}
    medians["worst_stop_ms"] = max(run["stop_ms"] for run in good)
    medians["memory_MB"] = good[-1]["memory_MB"]
    return medians | ({"errors": errors} if errors else {})


def main() -> None:
    """Measure in turn, print, and write the figures: "rates" holds labctl's, "rivals" the others'."""
    options = read_options(
        __doc__,
        more=lambda parser: [
            parser.add_argument("--seconds", type=float, default=10.0, help="how long each is watched (default 10)"),
            parser.add_argument("--rounds", type=int, default=3, help="how often (default 3)"),
            parser.add_argument("--rates", nargs="+", default=RATES, help="points a second"),
            parser.add_argument("--contenders", nargs="+", choices=CONTENDERS, default=list(CONTENDERS)),
        ],
    )
    rounds = 1 if options.quick else options.rounds
    runs: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for number in range(rounds):
        for rate in options.rates:
            for contender in options.contenders:
                figures = run_once(contender, rate, options.seconds)
                runs.setdefault((contender, rate), []).append(figures)
                shown = figures.get("error") or {name: round(figures[name], 2) for name in FIGURES}
                print(f"{number + 1}/{rounds} {rate} {contender}: {shown}", flush=True)
    tables = {
        contender: {rate: summary(runs[contender, rate]) for rate in options.rates} for contender in options.contenders
    }
    ours = tables.pop("labctl", {})
    write_results(options, {"rates": ours, "rivals": tables, "simulated_source": True})


if __name__ == "__main__":
    main()
