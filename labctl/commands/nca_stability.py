"""`labctl nca stability`: the change of a start that an automaton's run feels most, or least."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

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
from labctl.errors import UsageError

_ENDINGS = (".json", ".png", ".npz")
_from_zero = checked(int, lambda value: value >= 0, "a whole number of at least 0")
_positive = checked(number, lambda value: value > 0.0, "a number above 0")


def add_action(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the action to `labctl nca`."""
    stability = actions.add_parser(
        "stability",
        help="seek the change of a start that the run feels most, or least",
        description="The automaton is frozen; a frame of every sequence is changed within a bound, by gradients through the run. "
        "Beside it stand random changes of the same size. Figures go to stdout as JSON.",
    )
    stability.add_argument("model", type=Path, help="the automaton (.json or .safetensors)")
    add_image_arguments(stability)
    add = stability.add_argument
    add("--seek", choices=("largest", "least"), default="largest", help="deviation (default largest)")
    add("--begin", type=_from_zero, default=0, metavar="FRAME", help="the frame that is changed (default 0)")
    add("--n-frames", type=positive_integer, metavar="N", help="frames to run (default: all that follow in the data)")
    add("--size", type=_positive, default=1.0, help="of the change, where the data fill 0 to 1 (default 1)")
    add("--bound", choices=("norm", "box"), default="norm",
        help="the size is that of the whole change (Euclidean norm; default), or of every value's")  # fmt: skip
    add(
        "--change",
        choices=("observed", "all"),
        default="observed",
        help="which channels: observed (default), or hidden too",
    )
    add("--beyond-range", action="store_true", help="values may leave the range of the data")
    add("--against", choices=("unperturbed", "frames"), default="unperturbed",
        help="deviation from the run of the start as it is (default), or from the frames")  # fmt: skip
    add(
        "--judged",
        choices=("last", "mean"),
        default="last",
        help="at the last frame (default), or the mean over frames",
    )
    add("--loss", default="euclidean", help="how deviations are measured (default euclidean)")
    add("--updates", type=positive_integer, default=60, help="steps of the search (default 60)")
    add(
        "--starts", type=positive_integer, default=4, help="random changes it begins at, for every sequence (default 4)"
    )
    add("--out", type=Path, action="append", default=[], metavar="FILE",
        help="FILE.json (figures), FILE.png (a picture), FILE.npz (the starts, to run on from); repeatable")  # fmt: skip
    add_force_argument(stability)
    add_seed_argument(stability)
    stability.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Seek, print JSON, write the files."""
    from labctl.campaign import run as run_campaign
    from labctl.campaigns.infer_goku import check_writable
    from labctl.campaigns.seek_nca import SeekSettings, one_line, seek_nca
    from labctl.console import Console
    from labctl.nca_model import load_model

    for path in options.out:
        if path.suffix.lower() not in _ENDINGS:
            raise UsageError(f"{path}: give a name that ends in {', '.join(_ENDINGS)}")
    check_writable(options.out)
    check_free(options, options.out)
    settings = SeekSettings(
        seek=options.seek, begin=options.begin, n_frames=options.n_frames,
        bound={"size": options.size, "kind": options.bound, "channels": options.change, "in_range": not options.beyond_range},
        search={"against": options.against, "judged": options.judged, "loss": options.loss, "n_updates": options.updates,
                "n_starts": options.starts},
    )  # fmt: skip
    settings.made()
    saved = load_model(options.model)
    images = images_of(options, options.source, saved)
    campaign = seek_nca(saved, images, seed=options.seed, settings=settings, files=options.out)
    done = run_campaign(campaign, on_event=Console())
    sys.stdout.write(json.dumps(done.figures, indent=2) + "\n")
    sys.stdout.flush()
    sys.stderr.write(f"{saved.name}: {one_line(done.figures)}\n")
    return 0
