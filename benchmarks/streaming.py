"""Device-seconds until a twin passes its gates: fitted while recording, against the fixed plan.

    python benchmarks/streaming.py --quick --json streaming.json

SIMULATED devices: the demo's leaky integrator and double-well Duffing oscillator, behind simulated instruments, each
seed on a bench of its own. The fixed plan is the one of `labctl record` (60 training trials of 600 samples; 16 held-out
inputs of 200 samples, 25 times each), fitted to the end and judged once. Streaming records in rounds, trains meanwhile,
and ends when the gates are passed twice in succession. Both twins are then judged by one more recording that neither has
seen (the fixed plan's held-out design, other inputs), which is not counted: passing early must not mean passing by luck.
Device time is that of the instruments, preparations included.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from measuring import read_options, write_results

from labctl.bench import Bench
from labctl.campaign import Campaign, run
from labctl.campaigns.characterise import CharacterisationDesign, characterise, excitations
from labctl.campaigns.fit_twin import FitSettings, fit_twin
from labctl.campaigns.record import record
from labctl.campaigns.stream_design import StreamBudget, StreamDesign
from labctl.campaigns.stream_twin import stream_twin
from labctl.demo import CONDITIONS, FITS
from labctl.judging import Judgement, judge
from labctl.network_bench import apply_conditions
from labctl.recording import Recording
from labctl.simulation import SimulatedBench, demo_bench, write_demo_station
from twins import DeviceTwin, load_twin

DEVICES = ("leaky", "duffing")
BUDGET_S = 60.0
FIGURES = ("coverage_90", "std_ratio", "energy_relative")


@dataclass(frozen=True, slots=True)
class Outcome:
    """One way on one device with one seed."""

    passed: bool
    device_seconds: float
    training_seconds: float
    heldout_seconds: float
    wall_seconds: float
    cpu_seconds: float
    again: dict[str, Any]  # judged once more on inputs that neither way has seen


def main() -> None:
    """Every seed and device, one way after the other; medians at the end."""
    options = read_options(__doc__)
    seeds = [options.seed] if options.quick else list(range(options.seed, options.seed + 5))
    devices = DEVICES[:1] if options.quick else DEVICES
    runs: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        for seed in seeds:
            for device in devices:
                runs.append(one_run(device, seed, Path(folder) / f"{device}-{seed}"))
                sys.stdout.write(f"{runs[-1]}\n")
                sys.stdout.flush()
                write_results(options, {"simulated": True, "runs": runs, "summary": summary(runs)})
    sys.stdout.write(f"SIMULATED devices\n{summary(runs)}\n")


def one_run(device: str, seed: int, folder: Path) -> dict[str, Any]:
    """Both ways on a bench of its own, whose noise follows from the seed."""
    with SimulatedBench.start(bench_file(folder, seed)) as simulation:
        station = write_demo_station(simulation, folder / "station.toml")
        with Bench.open(station) as bench:
            apply_conditions(bench, CONDITIONS)
            check = run(record_check(bench, device, folder, seed))
            fixed = fixed_plan(bench, device, folder / "fixed", seed, check)
            streamed = streaming(bench, device, folder / "streamed", seed, check)
    saved = 1.0 - streamed.device_seconds / fixed.device_seconds
    ways = {name: plain_outcome(one) for name, one in (("fixed", fixed), ("streamed", streamed))}
    return {"device": device, "seed": seed, **ways, "device_seconds_saved": saved}


def bench_file(folder: Path, seed: int) -> Path:
    """The demo's bench with noise of another seed."""
    folder.mkdir(parents=True, exist_ok=True)
    text = demo_bench().read_text(encoding="utf-8").replace("seed = 7", f"seed = {1000 + seed}")
    path = folder / "bench.toml"
    path.write_text(text, encoding="utf-8")
    return path


def record_check(bench: Bench, device: str, folder: Path, seed: int) -> Campaign[Recording]:
    """Held-out inputs that neither way sees; not counted."""
    _, held = excitations(bench, device, design=CharacterisationDesign(), rng=np.random.default_rng([seed, 99]))
    recording = yield from record(bench, held, path=folder / "check.h5", key="check", title="Check")
    return recording


def fixed_plan(bench: Bench, device: str, folder: Path, seed: int, check: Recording) -> Outcome:
    """Characterise as always, fit once, judge once."""
    began, before_s = Clock(), bench.device_seconds
    recorded = run(characterise(bench, device, folder=folder, rng=np.random.default_rng([seed, 1]), seed=seed))
    settings = FitSettings(**fit_fields(device))
    fitted = run(
        fit_twin(device, [recorded.training], recorded.heldout, seed=seed, settings=settings, folder=folder / "twin")
    )
    used_s = bench.device_seconds - before_s
    return Outcome(
        passed=fitted.passed,
        device_seconds=used_s,
        training_seconds=recorded.training.device_seconds,
        heldout_seconds=recorded.heldout.device_seconds,
        wall_seconds=began.wall_s,
        cpu_seconds=began.cpu_s,
        again=again(fitted.load(), check, seed),
    )


def streaming(bench: Bench, device: str, folder: Path, seed: int, check: Recording) -> Outcome:
    """Record and fit at the same time, until the gates are passed."""
    began = Clock()
    streamed = run(
        stream_twin(
            bench,
            device,
            folder=folder,
            rng=np.random.default_rng([seed, 2]),
            seed=seed,
            budget=StreamBudget(device_seconds=BUDGET_S),
            design=StreamDesign(),
            settings=FitSettings(**fit_fields(device)),
        )
    )
    return Outcome(
        passed=streamed.passed,
        device_seconds=streamed.device_seconds,
        training_seconds=sum(one.device_seconds for one in streamed.training),
        heldout_seconds=sum(one.device_seconds for one in streamed.heldout),
        wall_seconds=began.wall_s,
        cpu_seconds=began.cpu_s,
        again=again(load_twin(streamed.fitted.path), check, seed),
    )


def fit_fields(device: str) -> dict[str, Any]:
    """The demo's twin of this device, not limited in time."""
    fit = FITS[device]
    return {
        "choice": fit.choice,
        "response_delays": fit.response_delays,
        "drive_delays": fit.drive_delays,
        "hidden": fit.hidden,
    }


def again(twin: DeviceTwin, check: Recording, seed: int) -> dict[str, Any]:
    """Figures and gates on the recording that neither way has seen."""
    judgement: Judgement = judge(twin, [check.traces()], n_draws=199, seed=seed)
    failed = [one["name"] for one in judgement.gates["gates"] if not one["passed"]]
    return {"passed": judgement.passed, "failed": failed, **{name: judgement.figures[name] for name in FIGURES}}


def plain_outcome(one: Outcome) -> dict[str, Any]:
    """As JSON data."""
    return {name: getattr(one, name) for name in Outcome.__slots__}


class Clock:
    """Wall and processor time since it was made."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    @property
    def wall_s(self) -> float:
        """Wall time."""
        return time.perf_counter() - self._wall

    @property
    def cpu_s(self) -> float:
        """Processor time of this process."""
        return time.process_time() - self._cpu


def summary(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Medians for each device, over seeds; what did not pass counts with all that it spent, and is counted."""
    told = {}
    for device in dict.fromkeys(one["device"] for one in runs):
        same = [one for one in runs if one["device"] == device]
        told[device] = {
            "n_seeds": len(same),
            "device_seconds_fixed": statistics.median(one["fixed"]["device_seconds"] for one in same),
            "device_seconds_streamed": statistics.median(one["streamed"]["device_seconds"] for one in same),
            "device_seconds_saved": statistics.median(one["device_seconds_saved"] for one in same),
            **{
                f"{what}_{way}": sum(
                    one[way]["passed"] if what == "passed" else one[way]["again"]["passed"] for one in same
                )
                for way in ("fixed", "streamed")
                for what in ("passed", "passed_again")
            },
        }
    return told


if __name__ == "__main__":
    main()
