"""One automaton for a family of Gray-Scott equations: it knows feed and kill, and is tested where it was not trained.

    python benchmarks/nca_family.py --json family.json --quick

SIMULATED data. Automata of 8 channels with ID_LAP are trained on several pairs of feed (alpha) and kill (gamma) rates, one
that is told the rates (NcaSpec.n_conditions) and one that is not, on the same frames for the same time. Then both are run on
unseen initial conditions with pairs between the trained ones and beyond them.

Keys, for each of `conditioned` and `unconditioned`, and there for `trained`, `between` and `beyond`:
transition_ratio_to_no_change, stable (share of the trials), free_run_nrmse, mass_error and sd_error at the end (relative to
the equation's own, mean over pairs).
"""

from __future__ import annotations

import json
import time
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from measuring import read_options, write_results

from twins.errors import TwinError
from twins.nca import Automaton, Frames, NcaFitSettings, NcaModel, NcaSpec, finished, fit_nca
from twins.nca.free_run import free_run
from twins.nca.metrics import mass, pattern_sd
from twins.nca.pde import MAZE, random_blocks, simulate_family

STEPS_PER_FRAME = 16
TRAINED = ((0.0545, 0.0620), (0.0623, 0.0626), (0.0400, 0.0610), (0.0367, 0.0649), (0.0300, 0.0580))
"""(alpha, gamma): mazes, spots that divide, and what lies between; all form patterns from blocks."""
BETWEEN = ((0.0470, 0.0615), (0.0585, 0.0623), (0.0384, 0.0630))
BEYOND = ((0.0660, 0.0628), (0.0260, 0.0550))


def frames_of(pairs: tuple[tuple[float, float], ...], *, n: int, cells: int, n_steps: int, seed: int) -> Frames:
    """Each pair with `n` initial conditions of random blocks."""
    initial = random_blocks(MAZE, n, size=cells, generator=torch.Generator().manual_seed(seed))
    sets = [{"alpha": alpha, "gamma": gamma} for alpha, gamma in pairs]
    return simulate_family(
        MAZE, sets, initial, n_frames=n_steps // STEPS_PER_FRAME + 1, steps_per_frame=STEPS_PER_FRAME
    )


def untold(frames: Frames) -> Frames:
    """The same frames without their conditions."""
    return replace(frames, condition_names=(), conditions=None)


def trained(frames: Frames, judged: Frames, *, seed: int, max_seconds: float) -> NcaModel:
    """An automaton that knows the frames' conditions, if they have any."""
    spec = NcaSpec(n_channels=8, n_observed=2, kernels="ID_LAP", n_conditions=len(frames.condition_names))
    automaton = Automaton(spec, generator=torch.Generator().manual_seed(seed))
    settings = NcaFitSettings(
        steps_per_frame=STEPS_PER_FRAME, epochs=10_000, batches_per_epoch=48, batch=4, max_seconds=max_seconds
    )
    return finished(fit_nca(automaton, frames, judged, seed=seed, settings=settings)).model


def told(model: NcaModel, frames: Frames) -> dict[str, Any]:
    """How it does on them; mass and standard deviation of the last frame, channel by channel, worst channel."""
    run = free_run(model, frames, transitions=True)
    figures: dict[str, Any] = {
        "transition_ratio_to_no_change": run.transition_ratio,
        "stable": float(run.stable_trials.mean()),
        "free_run_nrmse": run.score,
    }
    try:
        ended = model.run(frames, frames.n_frames - 1)
    except TwinError:
        return {**figures, "mass_error": None, "sd_error": None}
    ours, theirs = (np.moveaxis(one.values[:, -1], -1, 1) for one in (ended, frames))
    for name, measure in (("mass_error", mass), ("sd_error", pattern_sd)):
        figures[name] = float(np.abs(measure(ours) / measure(theirs) - 1.0).max(axis=1).mean())
    return figures


def main() -> None:
    """Train both, test both, write what came out."""
    options = read_options(
        __doc__,
        more=lambda parser: parser.add_argument("--seconds", type=float, help="of training, for each automaton"),
    )
    torch.set_num_threads(1)
    cells, n_steps, seconds = (32, 768, 240.0) if options.quick else (48, 1024, 1800.0)
    seconds = options.seconds or seconds
    data = frames_of(TRAINED, n=2, cells=cells, n_steps=n_steps, seed=1000 + options.seed)
    judged = frames_of(TRAINED, n=1, cells=cells, n_steps=n_steps, seed=2000)
    tests = {
        name: frames_of(pairs, n=2, cells=cells, n_steps=n_steps, seed=3000)
        for name, pairs in (("trained", TRAINED), ("between", BETWEEN), ("beyond", BEYOND))
    }
    result: dict[str, Any] = {"simulated": True, "seed": options.seed, "training_seconds": seconds}
    for name, view in (("conditioned", lambda frames: frames), ("unconditioned", untold)):
        began = time.process_time()
        model = trained(view(data), view(judged), seed=options.seed, max_seconds=seconds)
        result[name] = {"training_cpu_seconds": time.process_time() - began}
        result[name] |= {test: told(model, view(frames)) for test, frames in tests.items()}
        print(name, json.dumps(result[name]), flush=True)
        write_results(options, result)


if __name__ == "__main__":
    main()
