"""An automaton that turns picture A into B, B into C, keeps C, and heals it.

    python benchmarks/nca_morph.py --json morph.json --picture morph.png --quick

The pictures are drawn in nca_morph_pictures.py (RGBA, SIMULATED: no camera saw them) and padded. Sequence A, B, C, C: the
repeat teaches that the end stays (Richardson et al. 2024, doi 10.1371/journal.pcbi.1011589). C = 16 channels, half of the
cells fire in a step, observed channels bounded to [0, 1] and hidden ones to [-1, 1]. Beyond the publication: a pool in which
states at the end live on and are damaged (Mordvintsev et al. 2020). What makes it heal: two thirds of the updates go to the
pool, two fifths of which get a new hole every time, discs as large as the pictures' arms and larger; and the squared error, in
which a hole counts for more than a blurred edge. --no-pool leaves the pool away, for comparison.

Of every seed: errors (Euclidean norm over cells and RGBA) of a free run after one and two transitions, beside predicting no
change; error and stability after 10 and 30 times the training's horizon; holes of four kinds (only discs were trained) cut at
random places into C after 10 frames, and how much of each is healed after 20 more. A hole counts as healed where at least
HEALED of what it added to the squared error from C is gone. Stricter is share_back_in_step: at least HEALED of the deviation
(a norm, not its square) from the run left alone is gone, where all cells fire as in that run. stable: finite, within
[-0.5, 1.5], pattern standard deviation 0.5 to 1.5 of C's, all the way, AND the error to C at 10 times the horizon at most KEPT
of the norm of C.

Two seeds at a time, one thread each. --quick ends a seed's training after 480 s, whatever it has done by then; where others
use the machine, --no-limit lets it train all its epochs. Finished seeds are read from --json and not trained again, if they
were trained with the same settings.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from measuring import plain, read_options, read_results, write_results
from nca_morph_pictures import draw_figure, sequence

from twins.nca import (
    Augmentation,
    Automaton,
    Damage,
    Frames,
    NcaFitSettings,
    NcaModel,
    NcaSpec,
    Pool,
    fit_nca,
    half_mask,
    regeneration,
)
from twins.nca import damage as wipe
from twins.nca.free_run import free_run

N_WORKERS = 2
HEALED, KEPT = 0.8, 0.15
HORIZON = 3  # frames of A, B, C, C after the first
LONGER, LONGEST = 10, 30  # times the horizon; the names of figures say so too
FRAMES_BEFORE, FRAMES_AFTER = 10, 20  # of the damage
HOLES = {
    "disc": Damage(kind="disc", share=1.0, radius=(0.12, 0.25), middle=0.6),
    "rectangle": Damage(kind="rectangle", share=1.0, radius=(0.12, 0.25), middle=0.6),
    "half": Damage(kind="half", share=1.0),
    "noise": Damage(kind="noise", share=1.0, radius=(0.2, 0.5)),
}


@dataclass(frozen=True)
class Size:
    """drawn, pad: cells. steps: of a frame. limit_s: of one seed's training, whatever its epochs."""

    n_seeds: int
    drawn: int
    pad: int
    steps: int
    epochs: int
    n_holes: int
    limit_s: float | None


QUICK = Size(n_seeds=2, drawn=20, pad=4, steps=24, epochs=5000, n_holes=8, limit_s=480.0)
FULL = Size(n_seeds=4, drawn=40, pad=8, steps=32, epochs=8000, n_holes=32, limit_s=None)


def main(arguments: Sequence[str] | None = None) -> None:
    """Train every seed, measure, write after each."""
    options = read_options(__doc__, more=add_options, arguments=arguments)
    size = QUICK if options.quick else FULL
    size = replace(size, limit_s=None) if options.no_limit else size
    began_s = time.perf_counter()
    asked = plain({"size": asdict(size), "pool": not options.no_pool, "seed": options.seed})
    earlier = read_results(options.json)
    seeds: dict[str, Any] = earlier.get("by_seed", {}) if earlier.get("asked") == asked else {}
    wanted = range(options.seed, options.seed + size.n_seeds)
    missing = [number for number in wanted if str(number) not in seeds]
    print(f"{len(wanted)} seeds, {len(wanted) - len(missing)} of them measured already", flush=True)
    for number, found in every_seed(missing, size, pool=not options.no_pool, figure=options.picture):
        seeds[str(number)] = found
        in_order = {str(number): seeds[str(number)] for number in wanted if str(number) in seeds}
        figures = summary(in_order) | {"asked": asked, "by_seed": in_order, "simulated": True}
        write_results(options, figures | {"seconds": time.perf_counter() - began_s})
    for name, value in summary(seeds).items():
        print(f"{name:36} {value}")


def add_options(parser: argparse.ArgumentParser) -> None:
    """What this benchmark alone takes."""
    parser.add_argument("--picture", type=Path, metavar="FILE", help="PNG of the run and of its healing, FILE_seed.png")
    parser.add_argument(
        "--no-limit", action="store_true", help="train all epochs, however long that takes a busy machine"
    )
    parser.add_argument("--no-pool", action="store_true", help="train by propagation alone, without pool and damage")


def every_seed(
    seeds: Sequence[int], size: Size, *, pool: bool, figure: Path | None
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Each with what was measured of it, as they are done: N_WORKERS side by side, of one thread each."""
    if N_WORKERS == 1 or len(seeds) < 2:
        yield from ((seed, one_seed(seed, size, pool=pool, figure=figure)) for seed in seeds)
        return
    with ProcessPoolExecutor(N_WORKERS, mp_context=get_context("spawn")) as workers:
        running = {workers.submit(one_seed, seed, size, pool=pool, figure=figure): seed for seed in seeds}
        for done in as_completed(running):
            yield running[done], done.result()


def one_seed(seed: int, size: Size, *, pool: bool, figure: Path | None) -> dict[str, Any]:
    """Train, measure, draw."""
    torch.set_num_threads(1)
    model, trained = trained_model(seed, size, pool=pool)
    found = trained | measured(model, size, seed)
    if figure is not None:
        draw(model, size, figure.with_stem(f"{figure.stem}_{seed}"))
    return found


def trained_model(seed: int, size: Size, *, pool: bool) -> tuple[NcaModel, dict[str, Any]]:
    """The model of one seed, and how its training went."""
    spec = NcaSpec(n_channels=16, n_observed=4, kernels="ID_DIFF_LAP", padding="zero", fire_rate=0.5, bounds="clip")
    holes = Damage(kind="disc", share=0.4, radius=(0.08, 0.45), middle=0.8)
    settings = NcaFitSettings(
        steps_per_frame=size.steps, epochs=size.epochs, max_seconds=size.limit_s, replicas=8, batch=12, warm_start=0.0,
        learning_rate=5e-3, schedule="cosine", loss="squared_euclidean", state_weight=0.0, injection=0.1,
        augmentation=Augmentation(pad=size.pad),
        pool=Pool(kept=1.0, renewed=0.1, share=0.67, damage=holes, damage_after=0.15) if pool else None,
        validate_every=max(1, size.epochs // 20), beyond=2.0, warm_up=0.8,
    )  # fmt: skip
    automaton = Automaton(spec, generator=torch.Generator().manual_seed(seed))
    began_cpu_s = time.process_time()
    events = fit_nca(automaton, sequence(size.drawn, 4), sequence(size.drawn, 16), seed=seed, settings=settings)
    while True:
        try:
            event = next(events)
        except StopIteration as finished:
            fitted = finished.value
            return fitted.model, {
                "epochs": fitted.n_epochs, "best_epoch": fitted.best_epoch, "train_s": fitted.seconds,
                "train_cpu_s": time.process_time() - began_cpu_s,
            }  # fmt: skip
        if event.validation is not None:
            print(
                f"seed {seed}: epoch {event.epoch}, {event.seconds:.0f} s, loss {event.train_loss:.3g}, free run "
                f"{event.validation:.3g}{'' if event.stable else ', unstable'}", flush=True,
            )  # fmt: skip


def measured(model: NcaModel, size: Size, seed: int) -> dict[str, Any]:
    """Errors of a free run, stability, healing."""
    draws = torch.Generator().manual_seed(1000 + seed)
    frames = Augmentation(pad=size.pad).padded(sequence(size.drawn, 1 + LONGEST * HORIZON))
    with torch.no_grad():
        run = free_run(model, frames, generator=draws)
    error = run.error[0]
    norm_of_c = float(np.linalg.norm(frames.values[0, -1]))
    first, second = (float(np.linalg.norm(np.diff(frames.values[0, n : n + 2], axis=0))) for n in (0, 1))
    kept = bool(error[LONGER * HORIZON - 1] <= KEPT * norm_of_c)
    return {
        "transition_error": {"A_B": error[0], "B_C": error[1], "C_C": error[2]},
        "no_change_error": {"A_B": first, "B_C": second},
        "transition_ratio_to_no_change": {"A_B": error[0] / first, "B_C": error[1] / second},
        "norm_of_c": norm_of_c,
        "error_after_10_horizons": error[LONGER * HORIZON - 1],
        "error_after_30_horizons": error[-1],
        "stable": bool(run.stable) and kept,
        "regeneration": {name: healing(model, frames, holes, size, draws) for name, holes in HOLES.items()},
    }


def healing(model: NcaModel, frames: Frames, holes: Damage, size: Size, draws: torch.Generator) -> dict[str, Any]:
    """Of many holes of one kind. Steps are counted in steps of the automaton."""
    n_holes = 4 if holes.kind == "half" else size.n_holes
    masks = (
        holes.mask(n_holes, frames.size, model.automaton.spec, generator=draws)
        if holes.kind != "half"
        else halves(frames)
    )
    found = regeneration(
        model, frames, masks, n_before=FRAMES_BEFORE, n_after=FRAMES_AFTER, every=size.steps // 4, generator=draws
    )
    healed = found.healed[..., -1]
    healed = healed[~np.isnan(healed)]  # a hole beside the picture adds nothing to the error
    first = (found.healed >= HEALED).argmax(axis=-1)
    steps = np.where((found.healed >= HEALED).any(axis=-1), found.steps[first], np.inf)
    return {
        "n_holes": n_holes,
        "n_holes_that_hit_something": len(healed),
        "share_healed": float((healed >= HEALED).mean()) if len(healed) else 0.0,
        "median_share_of_the_hole_healed": float(np.median(healed)) if len(healed) else 0.0,
        "share_back_in_step": found.share_recovered(HEALED)
        if (found.deviation[..., 0] > 0).any()
        else 0.0,  # nothing left
        "error_of_the_hole": float(np.median(found.error[..., 0])),
        "error_healed": float(np.median(found.error[..., -1])),
        "error_undamaged": float(found.undamaged_error[0, -1]),
        "median_steps_to_heal": float(np.median(steps)),  # to the first time
    }


def halves(frames: Frames) -> torch.Tensor:
    """Upper, lower, left, right."""
    return torch.stack(
        [half_mask(frames.size, axis=axis, first=first) for axis in ("y", "x") for first in (True, False)]
    )


def summary(seeds: dict[str, Any]) -> dict[str, Any]:
    """Over the seeds."""
    every = list(seeds.values())

    def mean(*keys: str) -> float:
        return float(np.mean([float(_inside(one, keys)) for one in every]))

    return {
        "seeds": len(every),
        "stable_seeds": sum(one["stable"] for one in every),
        "transition_ratio_A_B": mean("transition_ratio_to_no_change", "A_B"),
        "transition_ratio_B_C": mean("transition_ratio_to_no_change", "B_C"),
        "error_after_10_horizons_of_norm": float(
            np.mean([one["error_after_10_horizons"] / one["norm_of_c"] for one in every])
        ),
        "error_after_30_horizons_of_norm": float(
            np.mean([one["error_after_30_horizons"] / one["norm_of_c"] for one in every])
        ),
        "regeneration_share": {name: mean("regeneration", name, "share_healed") for name in HOLES},
        "median_share_of_the_hole_healed": {
            name: mean("regeneration", name, "median_share_of_the_hole_healed") for name in HOLES
        },
        "share_back_in_step": {name: mean("regeneration", name, "share_back_in_step") for name in HOLES},
        "median_steps_to_heal": {name: mean("regeneration", name, "median_steps_to_heal") for name in HOLES},
    }


def _inside(one: dict[str, Any], keys: Sequence[str]) -> Any:
    for key in keys:
        one = one[key]
    return float("nan") if one is None else one


def draw(model: NcaModel, size: Size, path: Path) -> None:
    """The free run, and two of its healings."""
    draws = torch.Generator().manual_seed(7)
    frames = Augmentation(pad=size.pad).padded(sequence(size.drawn, 4))
    state = model.start(frames)
    rows, titles = {"run": [picture(state)]}, {"run": ["A"]}
    shown = (1, 2, 3, 10, 30, 90)
    for number, state in enumerate(model.states(frames, shown[-1], generator=draws), start=1):
        if number in shown:
            rows["run"].append(picture(state))
            titles["run"].append(f"{number * size.steps} steps")
    for name, holes in HOLES.items():
        mask = holes.mask(1, frames.size, model.automaton.spec, generator=draws)
        healing_state = wipe(state, mask, model.automaton.spec)
        rows[name], titles[name] = [picture(healing_state)], [f"{name}, 0 steps"]
        for n_steps in (8, 16, 32, 64, 256, 512):
            last = 0 if len(titles[name]) == 1 else int(titles[name][-1].split()[0])
            healing_state = next(
                iter(model.automaton.trajectory(healing_state, n_steps - last, every=n_steps - last, generator=draws))
            )
            rows[name].append(picture(healing_state))
            titles[name].append(f"{n_steps} steps")
    draw_figure(path, rows, titles)


def picture(state: torch.Tensor) -> np.ndarray:
    """(y, x, RGBA)."""
    return np.asarray(state[0, :4].permute(1, 2, 0).cpu().numpy())


if __name__ == "__main__":
    main()
