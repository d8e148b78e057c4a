"""`labctl nca fit`: train automata on image sequences or on an equation, judge them, report."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labctl.commands.arguments import check_folder
from labctl.commands.goku_stopped import told_when_stopped
from labctl.commands.nca_arguments import (
    add_force_argument,
    add_image_arguments,
    add_pde_arguments,
    add_seed_argument,
    check_free,
    images_of,
    pde_of,
)
from labctl.commands.nca_options import add_training_arguments, training_of
from labctl.errors import UsageError

if TYPE_CHECKING:
    from labctl.campaign import Campaign
    from labctl.campaigns.fit_nca import FittedAutomata
    from labctl.campaigns.nca_settings import NcaTraining
    from labctl.images import Images

EXIT_NOT_STABLE = 3
_VALIDATION_TRIALS = 2


def add_action(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the action to `labctl nca`."""
    fit = actions.add_parser(
        "fit",
        help="train an automaton on image sequences or an equation, judge it, save it with a report",
        description="Trains on the sequences, or on simulations of --pde; keeps the automaton whose FREE runs on held-out "
        "sequences are best. Results go to stdout as JSON. Options of automaton and training have the names of NcaSpec and "
        "NcaFitSettings; "
        f"what is not given is as the preset has it. Exit status: {EXIT_NOT_STABLE} where the best automaton is not stable.",
    )
    add_image_arguments(fit, nargs="*")
    fit.add_argument(
        "--validation", type=Path, action="append", metavar="SOURCE",
        help="sequences that judge (default: held-out ones; of an equation, unseen initial conditions)",
    )  # fmt: skip
    add_pde_arguments(fit)
    fit.add_argument("--name", default="nca", help="name of the files (default nca)")
    fit.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="where automaton and report go")
    add_force_argument(fit)
    add_seed_argument(fit)
    add_training_arguments(fit, preset="pde for --pde, else images")
    fit.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Fit, with a progress bar; print what the automata are worth."""
    from labctl.campaign import run as run_campaign
    from labctl.console import Console

    check_folder(options.out)
    if (options.pde is None) == (not options.source):
        raise UsageError("give image sequences, or an equation (--pde NAME, labctl nca pdes lists them), one of both")
    training = training_of(options, preset="images" if options.pde is None else "pde")
    training.settings()
    training, padded = _padded_as_the_equation(options, training)
    names = [options.name]
    if training.n_seeds > 1:
        names = [f"{options.name}-{part}" for part in (*range(1, training.n_seeds + 1), "ensemble")]
    files = [options.out / f"{name}.json" for name in names]
    check_free(options, files)
    with told_when_stopped(files, what_file_holds):
        fitted = run_campaign(_fitted(options, training, padded), on_event=Console())
    sys.stdout.write(json.dumps(fitted.as_dict(), indent=2) + "\n")
    sys.stdout.flush()
    sys.stderr.write(_summary(fitted))
    return 0 if fitted.best.evaluation.figures["stable"] else EXIT_NOT_STABLE


def _padded_as_the_equation(options: argparse.Namespace, training: NcaTraining) -> tuple[NcaTraining, tuple[str, ...]]:
    """An automaton of an equation has its padding, unless another was asked for; and what wants saying of that."""
    from labctl.campaigns.nca_settings import PRESETS

    if options.pde is None:
        return training, ()
    wanted, own = pde_of(options).equation().padding, PRESETS[training.preset][0]["padding"]
    given = training.spec.get("padding")
    if given not in (None, wanted):
        return training, (f"the automaton's padding is {given}, the equation's {wanted}: edges will differ",)
    if wanted == own:
        return training, ()
    told = f"the automaton's padding is {wanted}, as the equation's (--padding sets another)"
    return replace(training, spec={**training.spec, "padding": wanted}), (told,)


def _fitted(options: argparse.Namespace, training: NcaTraining, told: tuple[str, ...]) -> Campaign[FittedAutomata]:
    from labctl.campaigns.fit_nca import fit_nca

    images, validation = yield from _data(options)
    if options.max_seconds is None and (budget_s := training.fit.get("max_seconds")):
        told = (*told, f"each training ends after {budget_s:g} s (--epochs, --stage or --max-seconds set another end)")
    images = replace(images, told=(*told, *images.told))
    fit = fit_nca(options.name, images, validation, seed=options.seed, training=training, folder=options.out)
    return (yield from fit)


def _data(options: argparse.Namespace) -> Campaign[tuple[Images, Images | None]]:
    from labctl.campaigns.simulate_nca import simulate_images

    source = None if options.pde is None else pde_of(options)
    images = images_of(options, options.source) if source is None else (yield from simulate_images(source))
    known = images.frames.condition_names
    given = images_of(options, options.validation, conditions=known) if options.validation else None
    if source is None:
        return images, given
    if given is None:
        longer = 2 * source.n_frames - 1
        unseen = source.unseen(_VALIDATION_TRIALS, n_frames=longer)
        given = yield from simulate_images(unseen, what="other initial conditions, which judge")
    return replace(images, told=_said(options, given)), given


def _said(options: argparse.Namespace, validation: Images) -> tuple[str, ...]:
    frames = validation.frames
    if options.validation:
        return ()
    return (
        f"judged on {frames.n_trials} initial conditions that training does not see, to twice its length ({frames.n_frames - 1} "
        "frames)",
    )


def what_file_holds(path: Path) -> str:
    """Of an automaton whose training was stopped."""
    return f"the best automaton as far as training came, not evaluated; labctl nca evaluate {path} SOURCE does that"


def _summary(fitted: FittedAutomata) -> str:
    from labctl.campaigns.evaluate_nca_ensemble import one_line as together_in_words
    from labctl.nca_words import one_line

    lines = [""]
    for one in fitted.automata:
        lines += [
            f"{one.saved.name}: {one_line(one.evaluation.figures)}",
            f"  automaton {one.saved.path}, report {one.report}",
        ]
    if len(fitted.automata) > 1:
        spread = fitted.as_dict()["spread"]
        lines.append(
            f"{spread['stable_seeds']} of {len(fitted.automata)} seeds stable; free-run error {_spread(spread)}; best: "
            f"{fitted.best.saved.path}"
        )
    if fitted.ensemble is not None:
        lines += [
            f"{fitted.ensemble.path.stem}: {together_in_words(fitted.ensemble.evaluation.figures)}",
            f"  ensemble {fitted.ensemble.path}, report {fitted.ensemble.report}",
        ]
    return "\n".join(lines) + "\n"


def _spread(spread: dict[str, Any]) -> str:
    mean, sd = (spread[f"free_run_error_{name}"] for name in ("mean", "sd"))
    return "not finite" if mean is None else f"{mean:.3g}" if sd is None else f"{mean:.3g} ± {sd:.2g}"
