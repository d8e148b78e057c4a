"""`labctl nca play`: run an automaton step for step, with what is done to it meanwhile: painted, damaged, turned."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from labctl.commands.arguments import positive_integer
from labctl.commands.nca_arguments import (
    add_force_argument,
    add_image_arguments,
    add_pde_arguments,
    add_seed_argument,
    check_free,
    checked,
    pde_of,
    treatments_of,
)
from labctl.errors import UsageError

_from_zero = checked(int, lambda value: value >= 0, "a whole number of at least 0")


def add_action(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the action to `labctl nca`."""
    play = actions.add_parser(
        "play",
        help="run an automaton step for step and do things to it meanwhile: paint, wipe, turn",
        description="From image sequences, or from an equation (--pde), which then runs beside the automaton and has the same done "
        'to it. Actions are JSON: [{"at_step": 40, "do": "paint", "y": 20, "x": 30, "radius": 4}, ...]; do is paint, erase, '
        "wipe, turn, flip, reset, jump or resize (labctl/nca_actions.py). The window writes such a list of what its user did.",
    )
    play.add_argument("model", type=Path, help="the automaton (.json or .safetensors)")
    add_image_arguments(play, nargs="*")
    add_pde_arguments(play)
    add = play.add_argument
    add("--steps", type=positive_integer, required=True, help="how many steps")
    add("--actions", type=Path, metavar="FILE", help="what is done to it (JSON)")
    add(
        "--picture-every",
        type=positive_integer,
        metavar="STEPS",
        help="from picture to picture (default: the steps of a frame)",
    )
    add("--trial", type=_from_zero, default=0, help="which of the sequences (default 0)")
    add("--begin", type=_from_zero, default=0, metavar="FRAME", help="at which of its frames (default 0)")
    add("--out", type=Path, action="append", default=[], metavar="FILE",
        help="FILE.npz, .tif, .gif, .png (a folder of pictures), or .json (figures of every picture); repeatable")  # fmt: skip
    add_force_argument(play)
    add_seed_argument(play)
    play.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run, write, print the figures of the last picture."""
    from labctl.campaign import run as run_campaign
    from labctl.campaigns.play_nca import actions_in, play_nca
    from labctl.console import Console
    from labctl.images import ImageTreatments
    from labctl.nca_data import NcaData
    from labctl.nca_live_frames import LiveSource

    if (options.pde is None) == (not options.source):
        raise UsageError("give image sequences, or an equation (--pde NAME, labctl nca pdes lists them), one of both")
    check_free(options, options.out)
    asked = treatments_of(options)
    treatments = None if asked == ImageTreatments() else asked
    pde = None if options.pde is None else pde_of(options)
    data = NcaData(images=options.source, treatments=None if pde else treatments, pde=pde)
    source = LiveSource(model=options.model, data=data, trial=options.trial, begin=options.begin, seed=options.seed)
    actions = actions_in(options.actions) if options.actions else ()
    campaign = play_nca(source, n_steps=options.steps, actions=actions, every=options.picture_every, files=options.out)
    played = run_campaign(campaign, on_event=Console())
    sys.stdout.write(json.dumps(played["last"], indent=2) + "\n")
    return 0
