"""`labctl nca run`: go on from a frame of a sequence with an automaton."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from labctl.commands.arguments import positive_integer
from labctl.commands.goku_arguments import number
from labctl.commands.nca_arguments import (
    add_force_argument,
    add_image_arguments,
    add_seed_argument,
    check_free,
    checked,
    images_of,
)

EXIT_RAN_AWAY = 3
_from_zero = checked(int, lambda value: value >= 0, "a whole number of at least 0")


def _begin(text: str) -> Any:
    return text if text in ("first", "last") else _from_zero(text)


def add_action(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the action to `labctl nca`."""
    run_action = actions.add_parser(
        "run",
        help="go on from a frame: beyond the end, on another size, turned, damaged",
        description="The images are read as the automaton's own were, unless options say otherwise. Fields of any size will do. "
        f"Exit status: {EXIT_RAN_AWAY} where the values ran away (what came before is written).",
    )
    run_action.add_argument("model", type=Path, help="the automaton, or an ensemble (.json or .safetensors)")
    add_image_arguments(run_action)
    add = run_action.add_argument
    add("--n-frames", type=positive_integer, required=True, help="how many frames to run")
    add("--out", type=Path, action="append", default=[], required=True, metavar="FILE",
        help="FILE.npz, .tif, .gif, or .png (a folder of pictures); repeatable")  # fmt: skip
    add("--begin", type=_begin, default="last", metavar="FRAME", help="first, last (default), or a number")
    add("--turn", type=int, choices=(0, 90, 180, 270), default=0, help="turn the frame first, counterclockwise")
    add("--mirror", action="store_true", help="mirror the frame first, left to right")
    add(
        "--damage",
        choices=("none", "disc", "rectangle", "half", "noise"),
        default="none",
        help="wipe a part of the field",
    )
    add("--damage-after", type=_from_zero, default=0, metavar="FRAMES", help="when (default at once)")
    add("--damage-radius", type=checked(number, lambda value: 0.0 < value <= 1.0, "a share from 0 to 1"), default=0.2,
        help="share of the shorter side (default 0.2)")  # fmt: skip
    add("--hidden", action="store_true", help="write the hidden channels too (.npz)")
    add("--ensemble", type=Path, action="append", default=[], metavar="MODEL",
        help="run together with this one: mean, and standard deviation (.npz); repeatable")  # fmt: skip
    add("--any-range", action="store_true",
        help="begin even at values far outside of what the automaton was trained on (default: refuse)")  # fmt: skip
    add_force_argument(run_action)
    add_seed_argument(run_action)
    run_action.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run and write."""
    from labctl.campaign import run as run_campaign
    from labctl.campaigns.infer_goku import check_writable
    from labctl.campaigns.run_nca import RunSettings, run_nca
    from labctl.console import Console
    from labctl.images.writing import check_can_write, check_ending, targets
    from labctl.nca_model import load_members

    for path in options.out:
        check_ending(path)
    check_writable([path for path in options.out if path.suffix.lower() != ".png"])
    settings = RunSettings(
        n_frames=options.n_frames, begin=options.begin, turn_deg=options.turn, flip=options.mirror, damage=options.damage,
        damage_after=options.damage_after, damage_radius=options.damage_radius, hidden=options.hidden,
        any_range=options.any_range,
    )  # fmt: skip
    saved, *others = (one for path in (options.model, *options.ensemble) for one in load_members(path))
    images = images_of(options, options.source, saved)
    for path in options.out:
        check_can_write(path, images.frames.n_trials)
        check_free(options, targets(path, images.frames.n_trials) if path.suffix.lower() != ".png" else ())
    campaign = run_nca(saved, images, seed=options.seed, settings=settings, files=options.out, others=others)
    ran = run_campaign(campaign, on_event=Console())
    for path in ran.files:
        sys.stdout.write(f"{path}\n")
    return 0 if ran.finite else EXIT_RAN_AWAY
