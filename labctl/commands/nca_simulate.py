"""`labctl nca pdes` and `labctl nca simulate`: the equations there are, and image sequences out of them."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from labctl.commands.nca_arguments import add_force_argument, add_pde_arguments, add_seed_argument, check_free, pde_of


def add_actions(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add both actions to `labctl nca`."""
    pdes = actions.add_parser("pdes", help="the equations there are, with fields and parameters")
    pdes.add_argument("--json", action="store_true", help="print JSON instead of words")
    pdes.set_defaults(run=run_pdes)
    simulate = actions.add_parser("simulate", help="write a sequence of an equation")
    add_pde_arguments(simulate, positional=True)
    simulate.add_argument(
        "--out", type=Path, action="append", required=True, metavar="FILE",
        help="FILE.npz (all of it, read again as it was), .tif, .gif, or .png (a folder of pictures); repeatable",
    )  # fmt: skip
    add_force_argument(simulate)
    add_seed_argument(simulate)
    simulate.set_defaults(run=run_simulate)


def run_pdes(options: argparse.Namespace) -> int:
    """Print the list."""
    from labctl.nca_pde import initial_conditions, listed

    found = listed()
    if options.json:
        sys.stdout.write(json.dumps(found, indent=2) + "\n")
        return 0
    for one in found:
        parameters = ", ".join(f"{name}={value:g}" for name, value in one["parameters"].items())
        sys.stdout.write(
            f"{one['name']}: {one['about']}\n    fields: {', '.join(one['fields'])}; padding {one['padding']}; dt {one['dt']:g}\n"
            f"    parameters: {parameters or 'none'}\n"
        )
    sys.stdout.write(f"\ninitial conditions: {', '.join(initial_conditions())}\n")
    return 0


def run_simulate(options: argparse.Namespace) -> int:
    """Simulate and write."""
    from labctl.campaign import run as run_campaign
    from labctl.campaigns.simulate_nca import simulate_images
    from labctl.console import Console
    from labctl.images.writing import check_can_write, targets, write_frames
    from labctl.nca_model import origin

    source = pde_of(options)
    for path in options.out:
        check_can_write(path, source.n_sequences)
        check_free(options, targets(path, source.n_sequences) if path.suffix.lower() != ".png" else ())
    images = run_campaign(simulate_images(source), on_event=Console())
    about = origin([images], seed=options.seed, simulated=True, told={})
    for path in options.out:
        for written in write_frames(path, images.frames, provenance=about):
            sys.stdout.write(f"{written}\n")
    return 0
