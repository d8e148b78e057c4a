"""`labctl goku identifiability`: which parameters the data tell, and which only in combination."""

from __future__ import annotations

import argparse
import json
import sys

from labctl.commands.goku_asked import add_inference, asked
from labctl.errors import UsageError

EXIT_NOT_TOLD = 3


def add_action(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the action to `labctl goku`."""
    parser = actions.add_parser(
        "identifiability",
        help="which parameters the data tell, and which only in combination",
        description="Infers the traces and says how much narrower than its range each parameter became, and which parameters trade "
        f"off against each other. Exit status: 0 all are told, {EXIT_NOT_TOLD} some are not.",
    )
    add_inference(parser)
    parser.add_argument("--json", action="store_true", help="print JSON instead of words")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print what the data tell; 3 where they do not tell all."""
    from labctl.campaign import run as run_campaign
    from labctl.campaigns.finish_twin import plain
    from labctl.campaigns.infer_goku import infer_goku, what_can_be_told
    from labctl.console import Console

    if not options.refine:
        raise UsageError("what the data tell is asked of the likelihood: leave out --no-refine")
    model, measured, settings = asked(options)
    inferred = run_campaign(infer_goku(model, measured, seed=options.seed, settings=settings), on_event=Console())
    told = what_can_be_told(inferred, seed=options.seed)
    if options.json:
        findings = {
            "simulated": bool(inferred.about["simulated"]),
            "identifiability": [{"traces": traces, **one.as_dict()} for traces, one in told],
        }
        sys.stdout.write(json.dumps(plain(findings), indent=2) + "\n")
    else:
        sys.stdout.write("SIMULATED data\n" if inferred.about["simulated"] else "")
        for traces, one in told:
            sys.stdout.write("\n".join([f"{traces}:", *(f"  {line}" for line in one.lines())]) + "\n")
    return 0 if told and all(one.identifiable for _, one in told) else EXIT_NOT_TOLD
