"""Whether automata commute with turns and reflections, and what that is worth on pictures turned by 90°.

    python benchmarks/nca_symmetry.py --quick --json symmetry.json
    python benchmarks/nca_symmetry.py --json symmetry.json          four seeds; goes on where an earlier run stopped

equivariance: run(turn(x)) against turn(run(x)), over the eight turns and reflections and three translations, for automata
of random weights with ID_LAP_AV, with ID_DIFF_LAP, and with ID_DIFF_LAP made symmetric, in float32 and float64.

turned: the experiment of Richardson et al. (PLOS Comput. Biol. 2024), reduced: each kind is trained on pictures and tested
on unseen ones, as they are and turned by 90°. "maze" is Gray-Scott begun at bars that all lie along the rows: the rule is
isotropic, the pictures are not. "drift" carries its field along the rows: no isotropic rule can do that, so that nothing
is to be gained by symmetry there. Errors are those of free runs, in standard deviations of the pictures.

All data are SIMULATED.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from measuring import read_options, read_results, write_results

from twins.nca import Automaton, Frames, NcaModel, NcaSpec, equivariance, symmetrised
from twins.nca.free_run import free_run
from twins.nca.pde.advection_diffusion import AdvectionDiffusion
from twins.nca.pde.gray_scott import MAZE
from twins.nca.pde.initial import seeded
from twins.nca.pde.simulate import simulate
from twins.nca.spec import Bounds
from twins.nca.training.fit import fit_nca
from twins.nca.training.settings import NcaFitSettings

TOLERANCE = 1e-6
N_STEPS = (1, 30, 300)
N_TRAINED_STEPS = 100
STEPS_PER_FRAME = 16
KINDS: dict[str, tuple[str, bool, int]] = {
    "ID_LAP_AV": ("ID_LAP_AV", False, 4),
    "ID_DIFF_LAP": ("ID_DIFF_LAP", False, 4),
    "ID_DIFF_LAP symmetrised": ("ID_DIFF_LAP", True, 1),
}
"""Kernels, whether made symmetric, and hidden units a channel: made symmetric, there are eight times as many, tied."""
QUICK_TRAINING_S, FULL_TRAINING_S = 60.0, 900.0


def main() -> None:
    """Equivariance first, then every training that an earlier run has not done."""
    options = read_options(__doc__, more=_arguments)
    torch.set_num_threads(1)
    earlier = {} if options.quick else read_results(options.json)
    figures: dict[str, Any] = {
        "simulated": True, "tolerance": TOLERANCE, "equivariance": measured(options.seed),
        "turned": earlier.get("turned", {}),
    }  # fmt: skip
    _say(equivariance_table(figures["equivariance"]))
    seconds = options.train_seconds or (QUICK_TRAINING_S if options.quick else FULL_TRAINING_S)
    _say(
        f"\n{'pictures':10}{'automaton':26}{'seed':>5}{'error':>9}{'turned':>9}{'ratio':>9}{'float32':>10}{'float64':>10}\n"
    )
    for pictures, kind, seed in runs(options):
        key = f"{pictures}/{kind}/{seed}"
        if key not in figures["turned"]:
            figures["turned"][key] = trained(pictures, kind, seed, seconds=seconds, size=24 if options.quick else 48)
            write_results(options, figures)
        _say(line(pictures, kind, seed, figures["turned"][key]))
    figures["holds"] = verdict(figures)
    _say(f"\n{figures['holds']}\n")
    write_results(options, figures)


def runs(options: argparse.Namespace) -> Iterator[tuple[str, str, int]]:
    """(pictures, kind of automaton, seed)."""
    for seed in range(options.seed, options.seed + (1 if options.quick else 4)):
        for pictures in PICTURES:
            for kind in KINDS:
                yield pictures, kind, seed


def made(kind: str, *, n_channels: int, n_observed: int, seed: int, scale: float = 0.0) -> Automaton:
    """An automaton of this kind; scale: standard deviation of the last layer's weights, which usually begin at zero."""
    kernels, tied, units = KINDS[kind]
    generator = torch.Generator().manual_seed(seed)
    bounds: Bounds = "none" if scale else "clip"  # what is trained for a minute only may run away
    spec = NcaSpec(
        n_channels=n_channels, n_observed=n_observed, kernels=kernels, bounds=bounds, hidden_per_channel=units
    )
    automaton = Automaton(spec, generator=generator)
    if scale:
        with torch.no_grad():
            automaton.out_weight.normal_(std=scale, generator=generator)
    return symmetrised(automaton) if tied else automaton


def measured(seed: int) -> dict[str, Any]:
    """Equivariance of automata with random weights, by kind, precision and number of steps."""
    found: dict[str, Any] = {}
    generator = torch.Generator().manual_seed(seed)
    states = torch.rand(1, 8, 32, 40, generator=generator, dtype=torch.float64)
    for kind in KINDS:
        for dtype in (torch.float32, torch.float64):
            automaton = made(kind, n_channels=8, n_observed=2, seed=seed, scale=0.003).to(dtype)
            for n_steps in N_STEPS:
                one = equivariance(automaton, states.to(dtype), n_steps=n_steps)
                found[f"{kind}/{str(dtype).removeprefix('torch.')}/{n_steps}"] = {
                    "turns": max(one.turns.values()), "translations": max(one.translations.values()),
                }  # fmt: skip
    return found


def trained(pictures: str, kind: str, seed: int, *, seconds: float, size: int) -> dict[str, Any]:
    """Train one automaton and test it on unseen pictures, as they are and turned."""
    frames = PICTURES[pictures](seed, size)
    training, test = frames.select([0, 1, 2, 3]), frames.select([5, 6])
    automaton = made(kind, n_channels=8, n_observed=frames.n_channels, seed=seed)
    settings = NcaFitSettings(
        steps_per_frame=STEPS_PER_FRAME, epochs=100_000, max_seconds=seconds, batch=16, validate_every=20
    )
    fit = fit_nca(automaton, training, frames.select([4]), seed=seed, settings=settings)
    while True:
        try:
            next(fit)
        except StopIteration as stopped:
            fitted = stopped.value
            break
    straight, turned = (free_run(fitted.model, one) for one in (test, turned_frames(test)))
    return {
        "error": straight.score, "error_turned": turned.score, "ratio": turned.score / straight.score,
        "stable": straight.stable, "stable_turned": turned.stable, "epochs": fitted.n_epochs,
        "validation": fitted.validation, "equivariance": trained_equivariance(fitted.model, test),
    }  # fmt: skip


def trained_equivariance(model: NcaModel, frames: Frames) -> dict[str, float]:
    """Of the trained rule over some steps, float32 and float64, from the first pictures."""
    start = model.start(frames)
    single = equivariance(model, start, n_steps=N_TRAINED_STEPS)
    automaton = model.automaton.double()
    double = equivariance(automaton, start.double(), n_steps=N_TRAINED_STEPS)
    automaton.float()
    return {"float32": max(single.turns.values()), "float64": max(double.turns.values())}


def turned_frames(frames: Frames) -> Frames:
    """By 90°."""
    return replace(frames, values=np.rot90(frames.values, axes=(2, 3)).copy())


def maze(seed: int, size: int) -> Frames:
    """Gray-Scott from bars that lie along the rows."""
    inside = bars(seed, size, size)
    return simulate(MAZE, seeded(MAZE, inside), n_frames=17, steps_per_frame=STEPS_PER_FRAME, discard=STEPS_PER_FRAME)


def drift(seed: int, size: int) -> Frames:
    """Bars that spread and are carried along the rows."""
    equation = AdvectionDiffusion(diffusion=0.1, velocity_x=0.1, velocity_y=0.0)
    inside = bars(seed, size, size // 2)
    return simulate(equation, seeded(equation, inside), n_frames=9, steps_per_frame=STEPS_PER_FRAME, discard=8)


def bars(seed: int, size: int, longest: int) -> torch.Tensor:
    """Seven trials of three bars along the rows, three cells high, at random places: (trial, y, x)."""
    rng = np.random.default_rng(seed)
    inside = torch.zeros(7, size, size, dtype=torch.bool)
    for trial in inside:
        for _ in range(3):
            top, left = (int(place) for place in rng.integers(size, size=2))
            length = int(rng.integers(longest // 2, longest + 1))
            rows, columns = (top + torch.arange(3)) % size, (left + torch.arange(length)) % size
            trial[rows[:, None], columns] = True
    return inside


PICTURES: dict[str, Callable[[int, int], Frames]] = {"maze": maze, "drift": drift}


def verdict(figures: dict[str, Any]) -> dict[str, bool]:
    """Which kinds commute to 1e-6: with random weights in both precisions, and trained ones in float64.

    A trained rule may amplify any small difference, that of rounding as well; what grows from 1e-16 is no asymmetry.
    """
    holds = {}
    for kind in KINDS:
        drawn = [one for key, one in figures["equivariance"].items() if key.startswith(f"{kind}/")]
        trained_ones = [one for key, one in figures["turned"].items() if key.split("/")[1] == kind]
        found = [max(one["turns"], one["translations"]) for one in drawn]
        holds[kind] = max(found + [one["equivariance"]["float64"] for one in trained_ones]) <= TOLERANCE
    return holds


def equivariance_table(found: dict[str, Any]) -> str:
    """A line a kind and precision."""
    lines = [f"{'random weights':26}{'':9}" + "".join(f"{f'{n} steps':>12}" for n in N_STEPS)]
    for kind in KINDS:
        for precision in ("float32", "float64"):
            values = [found[f"{kind}/{precision}/{n}"]["turns"] for n in N_STEPS]
            lines.append(f"{kind:26}{precision:9}" + "".join(f"{value:12.1e}" for value in values))
    return "\n".join(lines) + "\n"


def line(pictures: str, kind: str, seed: int, row: dict[str, Any]) -> str:
    """One training."""
    numbers = f"{row['error']:9.4f}{row['error_turned']:9.4f}{row['ratio']:9.3f}"
    commutes = "".join(f"{row['equivariance'][precision]:10.1e}" for precision in ("float32", "float64"))
    return f"{pictures:10}{kind:26}{seed:5d}{numbers}{commutes}\n"


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--train-seconds", type=float, metavar="S", help="of each training (quick 60, else 900)")


def _say(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


if __name__ == "__main__":
    main()
