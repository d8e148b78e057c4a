"""Are the parameters of a known equation recovered from noisy traces, and do the intervals hold the truth?

    python benchmarks/goku_parameters.py --quick --json parameters.json
    python benchmarks/goku_parameters.py --json parameters.json

Every equation of the registry (goku_parameters_cases.py says how each is measured): parameters, initial states and noise
levels (2 to 20 % of each channel's spread, not told to the inference) are drawn from their ranges; a network trained on
other simulations gives each trace's posterior ("amortised"); the likelihood, climbed and sampled from there, gives another
("refined"). The oscillator (goku_parameters_oscillator.py) is the exception: simulated devices of differing parameters,
recorded through generator and oscilloscope. All data are SIMULATED.

quick: 300 traces an equation amortised; the first n_refined of them refined, as many as its time allows (which depends
on the machine, as does the training where simulations are dear). full: 1000 traces, all refined, and further
variants; figures of each equation are kept in FILE.parts/ and are not done again; delete that folder to begin anew.

systems: by equation; relative_error, coverage90 are those of `stage` on n traces (amortised in --quick, refined in full);
cramer_rao_factor: root mean square of (refined error / Cramér-Rao bound); null where there is none (the recorded
oscillator, of which no initial state is known). aims: coverage within max(0.03, 3 sqrt(0.09 / n)) of 0.9, of all
parameters together and of each alone (with an allowance for their number, Holm's); cramer_rao_factor at most 1.5.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict
from pathlib import Path
from typing import Any

import measuring
from goku_parameters_cases import CASES
from goku_parameters_oscillator import NAME as OSCILLATOR

LARGEST_FACTOR = 1.5
N_WORKERS = 2
QUICK_CHUNKS, QUICK_TRAINING_S, QUICK_REFINING_S = 14, 52.0, 20.0
"""Of an equation in --quick: seconds of wall time, at most, so that thirteen of them end within ten minutes in two processes."""


def main() -> int:
    """Run the cells in two processes, print a line each, write the JSON file after every one."""
    options = measuring.read_options(__doc__, more=_more)
    for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[variable] = "1"  # of the workers, which are started anew
    from goku_parameters_cell import Size

    from twins.goku.amortised.settings import AmortisedSettings

    full = Size(n_traces=1000, refine_all=True, n_devices=500, settings=AmortisedSettings(chunks=60, calibration=8192))
    seconds = AmortisedSettings(chunks=QUICK_CHUNKS, max_seconds=QUICK_TRAINING_S)
    quick = Size(n_traces=300, refine_all=False, n_devices=100, settings=seconds, refine_seconds=QUICK_REFINING_S)
    size = quick if options.quick else full
    names = [name for name in _names(options.quick) if not options.system or name in options.system]
    parts = None if options.json is None or options.quick else options.json.with_suffix(".parts")
    figures: dict[str, Any] = {"simulated": True, "size": asdict(size), "systems": []}
    for result in _results(names, options.seed, size, parts):
        figures["systems"].append(result)
        figures["systems"].sort(key=lambda one: names.index(one["name"]))
        figures["aims"] = aims_of(figures["systems"])
        _print(result)
        measuring.write_results(options, figures)
    return 0


def _more(parser: argparse.ArgumentParser) -> None:
    names = _names(quick=False)
    parser.add_argument("--system", action="append", choices=names, help="only this equation; may be given again")


def _names(quick: bool) -> list[str]:
    return [*(case.name for case in CASES if not (quick and case.full_only)), OSCILLATOR]


def _results(names: list[str], seed: int, size: Any, parts: Path | None) -> Iterator[dict[str, Any]]:
    """What earlier runs left, then the others as they come."""
    from goku_parameters_cell import run_cell

    files = {} if parts is None else {name: parts / f"{name}-{seed}.json" for name in names}
    done = {name: measuring.read_results(files.get(name)) for name in names}
    yield from (result for result in done.values() if result)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(N_WORKERS, mp_context=context) as pool:
        # the last of them take longest, and begin
        waiting = {pool.submit(run_cell, name, seed, size): name for name in reversed(names) if not done[name]}
        failed = []
        for finished in as_completed(waiting):
            if finished.exception() is not None:  # the others go on
                failed.append(finished)
                continue
            if files:
                _keep(files[waiting[finished]], finished.result())
            yield finished.result()
        for one in failed:
            one.result()


def _keep(path: Path, result: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(measuring.plain(result), indent=2, allow_nan=False) + "\n")
    partial.replace(path)


def aims_of(systems: list[dict[str, Any]]) -> dict[str, Any]:
    """Which aims are met, by equation."""
    stages = ("amortised", "refined")
    missed = {
        stage: {
            one["name"]: one[stage]["coverages_missed"] or ["all together"]
            for one in systems
            if stage in one and not one[stage]["coverage_within_tolerance"]
        }
        for stage in stages
    }
    factors = {one["name"]: one["cramer_rao_factor"] for one in systems if "cramer_rao_not_computable" not in one}
    too_large = {name: factor for name, factor in factors.items() if factor is None or factor > LARGEST_FACTOR}
    return {
        "coverage_missed": missed,
        "factor_missed": too_large,  # null: nothing was refined, or the data tell no parameter
        "factor_not_computable": [one["name"] for one in systems if one["name"] not in factors],
        "all_met": not any(missed.values()) and not too_large,
    }


def _print(result: dict[str, Any]) -> None:
    factor, refined = result["cramer_rao_factor"], result.get("refined")
    after = "not refined"
    if refined is not None:
        after = f"refined {_figures(refined)}"
    print(
        f"{result['name']:38s} amortised {_figures(result['amortised'])}; {after}; Cramér-Rao factor "
        f"{'-' if factor is None else f'{factor:.2f}'}; {result['cpu_seconds']:.0f} CPU s",
        flush=True,
    )


def _figures(stage: dict[str, Any]) -> str:
    """Of the amortised or the refined answers, for the screen."""
    covered = " ".join(f"{one:.2f}" for one in stage["coverages90"])
    missed = f", missed by {', '.join(stage['coverages_missed'])}" if stage["coverages_missed"] else ""
    return f"n={stage['n']}: error {stage['relative_error']:.4f} coverage {stage['coverage90']:.3f} ({covered}{missed})"


if __name__ == "__main__":
    raise SystemExit(main())
