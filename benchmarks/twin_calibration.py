"""Can a twin's noise be trusted? Twins of two simulated devices beside 300 repeats of inputs they never saw.

    python benchmarks/twin_calibration.py --quick --json calibration.json
    python benchmarks/twin_calibration.py --json calibration.json [--published]

Four cases (calibration_devices.py): leaky integrator and Duffing (position only), each with process noise alone and with
observation noise of 0.05 added. Training: 400 trials of 150 samples, no repeats. Judged on 20 held-out inputs (90 of the
Duffing, whose hops are rare) by 300 repeats each, beside 299 draws of one twin, whose samples include observation noise.

quick: the default objective, that is structure and phases which the diagnosis of the training data recommends, one seed.
full: three seeds, and every objective: "one_step", "filter", "windows", and the reference's "adversarial" (rollout mean
squared error, then WGAN-GP) at the CPU seconds that the default took; with --published also at its published length.
A full run keeps each fit's figures in FILE.parts/ and goes on from there; delete that folder to begin anew.

std_ratio: twin's spread over the device's; std_ratio_floor_sd: what chance does to it, from halves of the repeats.
energy_relative: energy distance over the mean pairwise distance, unbiased; energy_z: its permutation z.
cpu_seconds: of diagnosis and fit, all threads. All data are SIMULATED.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import measuring
import numpy as np
import torch
from calibration_devices import CASES, Case, record

import twins
from twins.calibration import calibrate
from twins.diagnosis import diagnose, recommend
from twins.presets import preset

N_TRAINED, N_REPEATS, N_DRAWS, N_SEEDS = 400, 300, 299, 3
ONE_STEP = {
    "observation": False, "observation_columns": 0, "warm_up": 0,
    "auxiliaries": 0, "noise_columns": 0, "noise_diagonal": True,
}  # fmt: skip
REFERENCE = "adversarial"


@dataclass(frozen=True, slots=True)
class Cell:
    """One fit: a case, what is trained, and a seed."""

    case: Case
    objective: str
    seed: int

    @property
    def file(self) -> str:
        """Of its figures."""
        return f"{self.case.name}-{self.objective}-{self.seed}.json"


def main() -> int:
    """Fit, judge, print a line a fit, write the JSON file."""
    options = measuring.read_options(__doc__, more=_more)
    torch.set_num_threads(1)
    objectives = ["default"]
    if not options.quick:
        objectives += ["one_step", "filter", "windows", REFERENCE]
        objectives += [f"{REFERENCE}_published"] * options.published
    seeds = [options.seed] if options.quick else list(range(options.seed, options.seed + N_SEEDS))
    parts = None if options.json is None or options.quick else options.json.with_suffix(".parts")
    figures: dict[str, Any] = {"simulated": True, "cases": [], "objectives": {}}
    for seed in seeds:
        for case in [one for one in CASES if not options.case or one.name in options.case]:
            _run_case(case, objectives, seed, parts, figures)
            measuring.write_results(options, figures)
    return 0


def _more(parser: argparse.ArgumentParser) -> None:
    names = [case.name for case in CASES]
    parser.add_argument("--case", action="append", choices=names, help="only this case; may be given again")
    parser.add_argument("--published", action="store_true", help="the reference at its published length as well (days)")


def _run_case(case: Case, objectives: list[str], seed: int, parts: Path | None, figures: dict[str, Any]) -> None:
    """Every objective of a case, on the same data; the default first, whose seconds the reference is given."""
    data: tuple[twins.Traces, twins.Traces] | None = None
    default: dict[str, Any] = {}
    for objective in objectives:
        cell = Cell(case, objective, seed)
        path = None if parts is None else parts / cell.file
        result = measuring.read_results(path)
        if not result:
            data = data or _data(case, seed)
            result = _fit_and_judge(cell, *data, seconds=default.get("cpu_seconds"))
            if path is not None:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(json.dumps(measuring.plain(result), indent=2, allow_nan=False) + "\n")
        if objective == "default":
            default = result
            figures["cases"].append(result)
        else:
            figures["objectives"].setdefault(objective, []).append(result)
        _print(result)


def _data(case: Case, seed: int) -> tuple[twins.Traces, twins.Traces]:
    number = [one.name for one in CASES].index(case.name)
    rng = np.random.default_rng([seed, number])
    trained = record(case, rng, n_inputs=N_TRAINED, n_repeats=1)
    return trained, record(case, rng, n_inputs=case.n_judged_inputs, n_repeats=N_REPEATS)


def _fit_and_judge(cell: Cell, trained: twins.Traces, judged: twins.Traces, *, seconds: float | None) -> dict[str, Any]:
    began = time.process_time()
    twin, phases = _fit(cell, trained, seconds)
    cpu_seconds = time.process_time() - began
    generator = torch.Generator().manual_seed(cell.seed)
    # held-out responses are steeper here and there than any that was seen; that is for the figures to judge
    calibration = calibrate(twin, judged, n_draws=N_DRAWS, generator=generator, check_range=False)
    head = twin.spec.observation
    noise = float(twin.observation_log_std.detach().exp() * twin.response_scale) if head else 0.0
    return {
        "name": cell.case.name,
        "objective": cell.objective,
        "seed": cell.seed,
        "phases": phases,
        "std_ratio": calibration.std_ratio,
        "std_ratio_floor_sd": calibration.std_ratio_floor,
        "coverage90": calibration.coverage_90,
        "coverage90_worst_input": calibration.coverage_90_worst_input,
        "lag1_acf": calibration.lag1_autocorrelation_twin,
        "lag1_acf_true": calibration.lag1_autocorrelation_device,
        "energy_relative": calibration.energy_relative,
        "energy_relative_floor_sd": calibration.energy_relative_floor,
        "energy_z": calibration.energy_permutation_z,
        "cpu_seconds": cpu_seconds,
        "observation_noise": noise,
        "observation_noise_true": cell.case.observation_noise,
    }


def _fit(cell: Cell, trained: twins.Traces, seconds: float | None) -> tuple[twins.DeviceTwin, list[str]]:
    """A fitted twin and the phases it went through."""
    if cell.objective.startswith(REFERENCE):
        return _fit_reference(cell, trained, seconds)
    recommended = recommend(diagnose([trained]), [trained])
    structure, phases = dict(recommended.spec_options), recommended.phases
    if cell.objective == "one_step":
        structure, phases = structure | ONE_STEP, ("likelihood",)
    elif cell.objective == "filter":
        structure, phases = {"warm_up": 16} | structure | {"observation": True}, ("likelihood", "filter")
    elif cell.objective == "windows":
        phases = ("likelihood", "windows")
    twin = twins.DeviceTwin(twins.DeviceTwinSpec.for_traces(trained, **structure))
    for _ in twins.fit(twin, [trained], seed=cell.seed, phases=phases):
        pass
    return twin, list(phases)


def _fit_reference(cell: Cell, trained: twins.Traces, seconds: float | None) -> tuple[twins.DeviceTwin, list[str]]:
    """As published, or, at equal seconds, the same two phases with this library's own shorter settings."""
    device = "leaky_integrator" if cell.case.device == "leaky" else "duffing"
    reference = preset(device, [trained])
    twin, phases = twins.DeviceTwin(reference.spec), reference.fit_options["phases"]
    whole = cell.objective.endswith("published")
    fitting = twins.fit(
        twin,
        [trained],
        seed=cell.seed,
        max_seconds=None if whole else seconds,
        **(reference.fit_options if whole else {"phases": phases}),
    )
    for _ in fitting:
        pass
    return twin, list(phases)


def _print(result: dict[str, Any]) -> None:
    shown = {key: round(value, 4) if isinstance(value, float) else value for key, value in result.items()}
    print(json.dumps(measuring.plain(shown)), flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
