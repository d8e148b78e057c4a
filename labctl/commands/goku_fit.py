"""`labctl goku fit`: train a model of an equation for measured traces, judge it, report."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from labctl.commands.arguments import check_folder, positive_integer, positive_seconds, seed
from labctl.commands.goku_arguments import (
    add_channel_arguments,
    add_equation_arguments,
    add_share_argument,
    add_traces_arguments,
    equation_of,
    measured_of,
    noise_span,
    reading_of,
    wishes_of,
)
from labctl.commands.goku_stopped import told_when_stopped

if TYPE_CHECKING:
    from labctl.campaigns.fit_goku import FittedModel
    from labctl.goku_series import Measured

DEFAULT_SECONDS = 120.0
EXIT_DESCRIBES_NOT = 3


def add_action(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the action to `labctl goku`."""
    fit = actions.add_parser(
        "fit",
        help="train a model of an equation for traces like these, judge it, save it with a report",
        description="By default the model is trained on simulations of the equation, measured as the traces are, and few traces "
        "suffice; --training measured trains the published networks on the traces themselves. Results go to stdout as JSON, "
        f"the verdict in words to stderr. Exit status: {EXIT_DESCRIBES_NOT} where the equation does not describe the traces.",
    )
    add_equation_arguments(fit)
    add_channel_arguments(fit)
    add_traces_arguments(fit, test_rows=True)
    fit.add_argument("--heldout", type=Path, help="traces to judge it on")
    fit.add_argument("--name", default="goku", help="name of the model's files (default goku)")
    fit.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="where the model and its report go")
    fit.add_argument(
        "--training", choices=("simulated", "measured", "both"), default="simulated", help="default simulated"
    )
    fit.add_argument(
        "--preset",
        choices=("goku_ui", "goku_ui_basic", "goku_2021", "goku_posterior"),
        default="goku_ui",
        help="network that measured traces train (default goku_ui); goku_posterior, ours, gives distributions",
    )
    fit.add_argument(
        "--noise-sd",
        type=noise_span,
        action="append",
        metavar="[CHANNEL=]LOW..HIGH",
        help="standard deviation of the instrument's noise (default: as the traces show, with much room)",
    )
    fit.add_argument(
        "--seconds",
        type=positive_seconds,
        default=DEFAULT_SECONDS,
        help="wall time of all training; the judgement comes on top with at most half of it (10 s at least), and the report "
        f"(default {DEFAULT_SECONDS:g})",
    )
    fit.add_argument(
        "--simulations", type=positive_integer, help="at most so many (default: some 100 000, as time allows)"
    )
    fit.add_argument("--judged", type=positive_integer, default=16, help="traces that it is judged on (default 16)")
    fit.add_argument("--seed", type=seed, default=0, help="seed (default 0)")
    add_share_argument(fit)
    fit.add_argument(
        "--anyway", action="store_true", help="train even where the values are far from all that the equation gives"
    )
    fit.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Fit, with a progress bar; print what the model is worth."""
    from labctl.campaign import run as run_campaign
    from labctl.campaigns.fit_goku import fit_goku, listed
    from labctl.campaigns.goku_settings import GokuSettings
    from labctl.console import Console

    check_folder(options.out)
    settings = GokuSettings(
        training=options.training,
        preset=options.preset,
        noise_sd=dict(options.noise_sd or []),
        max_seconds=options.seconds,
        simulations=options.simulations,
        n_judged=options.judged,
        share=options.share,
        anyway=options.anyway,
    )
    source, wishes = equation_of(options), wishes_of(options)
    measured = measured_of(options, options.data)
    campaign = fit_goku(
        options.name,
        measured,
        _heldout(options),
        source,
        wishes,
        seed=options.seed,
        settings=settings,
        folder=options.out,
        segment=options.segment,
        reading=reading_of(options),
    )
    names = [options.name, f"{options.name}-measured"]
    with told_when_stopped([options.out / f"{name}.json" for name in names], what_model_holds):
        fitted = run_campaign(campaign, on_event=Console())
    sys.stdout.write(json.dumps(listed(fitted), indent=2) + "\n")
    sys.stdout.flush()
    sys.stderr.write(_summary(fitted))
    return 0 if all(one.judgement.describes for one in fitted) else EXIT_DESCRIBES_NOT


def what_model_holds(path: Path) -> str:
    """Of the model of a fit that was stopped."""
    return f"the model as far as it was trained, not judged; labctl goku infer {path} uses it"


def _heldout(options: argparse.Namespace) -> Measured | None:
    if options.heldout is None:
        return None
    whole = argparse.Namespace(**vars(options) | {"rows": None, "test_rows": None})
    return measured_of(whole, [options.heldout])


def _summary(fitted: list[FittedModel]) -> str:
    lines = [""]
    for one in fitted:
        lines += [
            f"{one.model.name}: {one.judgement.in_words()}",
            *(f"  {line}" for line in one.model.wired.in_words()),
        ]
        if one.judgement.verdict:
            lines.append(f"VERDICT: {one.judgement.verdict}")
        lines.append(f"model {one.model.path}, report {one.report}")
    return "\n".join(lines) + "\n"
