"""`labctl nca evaluate`: judge an automaton on image sequences."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from labctl.commands.arguments import positive_integer
from labctl.commands.nca_arguments import (
    add_force_argument,
    add_image_arguments,
    add_pde_arguments,
    add_seed_argument,
    check_free,
    images_of,
    pde_of,
)
from labctl.errors import UsageError

if TYPE_CHECKING:
    from labctl.images import Images
    from labctl.nca_model import SavedNca

EXIT_NOT_STABLE = 3


def add_action(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the action to `labctl nca`."""
    evaluate = actions.add_parser(
        "evaluate",
        help="free runs, transitions, patterns, symmetry, healing; JSON and a page with pictures",
        description="Runs the automaton from the first frame of every sequence, left to itself. Figures go to stdout as JSON. "
        "Of an ensemble: its spread, and whether it knows how wrong it is, to the end of the data. "
        f"Exit status: {EXIT_NOT_STABLE} where it is not stable.",
    )
    evaluate.add_argument("model", type=Path, help="the automaton, or an ensemble (.json or .safetensors)")
    add_image_arguments(evaluate, nargs="*")
    add_pde_arguments(evaluate)
    add = evaluate.add_argument
    add(
        "--run-frames", type=positive_integer, metavar="N", help="frames to run (default: twice the length of the data)"
    )
    add(
        "--damage",
        choices=("disc", "rectangle", "half", "noise", "none"),
        default="disc",
        help="what is wiped (default disc)",
    )
    add("--holes", type=positive_integer, default=2, help="of every sequence (default 2)")
    add(
        "--readable",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="fit reaction and diffusion terms to the rule",
    )
    add("--window", action=argparse.BooleanOptionalAction,
        help="weigh images by a Hann window before their spectrum (default: where the padding is not periodic)")  # fmt: skip
    add("--out", type=Path, metavar="FILE", help="also write FILE.html (with pictures) or FILE.json; repeatable",
        action="append", default=[])  # fmt: skip
    add_force_argument(evaluate)
    add_seed_argument(evaluate)
    evaluate.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Evaluate, print JSON, write the page."""
    from labctl.campaign import run as run_campaign
    from labctl.campaigns.evaluate_nca import EvaluationSettings, evaluate_nca
    from labctl.campaigns.infer_goku import check_writable
    from labctl.campaigns.simulate_nca import simulate_images
    from labctl.console import Console
    from labctl.nca_model import load_members
    from labctl.nca_words import one_line

    if (options.pde is None) == (not options.source):
        raise UsageError("give image sequences, or an equation (--pde NAME), one of both")
    files = {kind: [path for path in options.out if path.suffix in endings] for kind, endings in
             (("report", (".html", ".htm")), ("data", (".json",)))}  # fmt: skip
    if sum(map(len, files.values())) != len(options.out) or max(map(len, files.values())) > 1:
        raise UsageError("--out: give one FILE.html, one FILE.json, or one of each")
    check_writable(options.out)
    check_free(options, options.out)
    settings = EvaluationSettings(
        n_frames=options.run_frames, damage=options.damage, n_holes=options.holes, readable=options.readable,
        window=options.window,
    )  # fmt: skip
    saved, *others = load_members(options.model)
    if options.pde is None:
        images = images_of(options, options.source, saved)
    else:
        images = run_campaign(simulate_images(pde_of(options)), on_event=Console())
    report, data = (next(iter(found), None) for found in files.values())
    if others:
        return _together(options, [saved, *others], images, report, data)
    done = run_campaign(
        evaluate_nca(saved, images, seed=options.seed, settings=settings, report=report, data=data), on_event=Console()
    )
    sys.stdout.write(json.dumps(done.figures, indent=2) + "\n")
    sys.stdout.flush()
    sys.stderr.write(f"{saved.name}: {one_line(done.figures)}\n")
    return 0 if done.figures["stable"] else EXIT_NOT_STABLE


def _together(
    options: argparse.Namespace, members: list[SavedNca], images: Images, report: Path | None, data: Path | None
) -> int:
    from labctl.campaign import run as run_campaign
    from labctl.campaigns.evaluate_nca_ensemble import evaluate_nca_ensemble, one_line
    from labctl.console import Console

    if options.run_frames is not None:
        raise UsageError("--run-frames: an ensemble is judged to the end of the data; beyond it, labctl nca run")
    name = options.model.stem
    campaign = evaluate_nca_ensemble(name, members, images, seed=options.seed, report=report, data=data)
    done = run_campaign(campaign, on_event=Console())
    sys.stdout.write(json.dumps(done.figures, indent=2) + "\n")
    sys.stdout.flush()
    sys.stderr.write(f"{name}: {one_line(done.figures)}\n")
    return 0
