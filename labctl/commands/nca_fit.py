"""`labctl nca fit`: train automata on image sequences or on an equation, judge them, report."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from labctl.commands.arguments import check_folder
from labctl.commands.goku_stopped import told_when_stopped
from labctl.commands.nca_arguments import (
    add_image_arguments,
    add_pde_arguments,
    add_seed_argument,
    images_of,
    pde_of,
)
from labctl.commands.nca_options import add_training_arguments, training_of
from labctl.errors import UsageError

if TYPE_CHECKING:
    from labctl.campaigns.fit_nca import FittedAutomata
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
    add_seed_argument(fit)
    add_training_arguments(fit, preset="pde for --pde, else images")
    fit.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Fit, with a progress bar; print what the automata are worth."""
    from labctl.campaign import run as run_campaign
    from labctl.campaigns.fit_nca import fit_nca
    from labctl.console import Console

    check_folder(options.out)
    if (options.pde is None) == (not options.source):
        raise UsageError("give image sequences, or an equation (--pde NAME, labctl nca pdes lists them), one of both")
    training = training_of(options, preset="images" if options.pde is None else "pde")
    training.settings()
    images, validation = _data(options)
    names = [options.name, *(f"{options.name}-{number + 1}" for number in range(training.n_seeds))]
    with told_when_stopped([options.out / f"{name}.json" for name in names], what_file_holds):
        campaign = fit_nca(options.name, images, validation, seed=options.seed, training=training, folder=options.out)
        fitted = run_campaign(campaign, on_event=Console())
    sys.stdout.write(json.dumps(fitted.as_dict(), indent=2) + "\n")
    sys.stdout.flush()
    sys.stderr.write(_summary(fitted))
    return 0 if fitted.best.evaluation.figures["stable"] else EXIT_NOT_STABLE


def _data(options: argparse.Namespace) -> tuple[Images, Images | None]:
    given = None if not options.validation else images_of(options, options.validation)
    if options.pde is None:
        return images_of(options, options.source), given
    source = pde_of(options)
    images = source.simulated()
    if given is None:
        longer = 2 * source.n_frames - 1
        unseen = source.unseen(_VALIDATION_TRIALS, n_frames=longer)
        given = unseen.simulated()
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
    from labctl.campaigns.evaluate_nca import one_line
    from labctl.campaigns.evaluate_nca_ensemble import one_line as together_in_words

    lines = [""]
    for one in fitted.automata:
        lines += [
            f"{one.saved.name}: {one_line(one.evaluation.figures)}",
            f"  automaton {one.saved.path}, report {one.report}",
        ]
    if len(fitted.automata) > 1:
        spread = fitted.as_dict()["spread"]
        lines.append(
            f"{spread['stable_seeds']} of {len(fitted.automata)} seeds stable; free-run error {spread['free_run_error_mean']:.3g} "
            f"± {spread['free_run_error_sd']:.2g}; best: {fitted.best.saved.path}"
        )
    if fitted.ensemble is not None:
        lines += [
            f"{fitted.ensemble.path.stem}: {together_in_words(fitted.ensemble.evaluation.figures)}",
            f"  ensemble {fitted.ensemble.path}, report {fitted.ensemble.report}",
        ]
    return "\n".join(lines) + "\n"
