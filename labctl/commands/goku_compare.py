"""`labctl goku compare`: which of several equations says best how measured traces go on."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from labctl.commands.arguments import seed
from labctl.commands.goku_arguments import (
    add_channel_arguments,
    add_equation_arguments,
    add_share_argument,
    add_traces_arguments,
    equation_of,
    measured_of,
    wishes_of,
)
from labctl.errors import UsageError

if TYPE_CHECKING:
    from labctl.goku_channels import Wishes
    from labctl.goku_equation import EquationSource


class _CandidateParser(argparse.ArgumentParser):
    """Of the words of one --candidate: what is wrong with them is an error of labctl's, not the end of the process."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"--candidate: {message}; write for example --candidate 'duffing --option driven=true'")


def add_action(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the action to `labctl goku`."""
    compare = actions.add_parser(
        "compare",
        help="which of several equations says best how the traces go on",
        description="Every candidate is refined on the first 70 % of each trace and judged on the rest, by the density that it "
        "gives to it. Differences come with standard errors.",
    )
    add_traces_arguments(compare)
    compare.add_argument(
        "--candidate",
        action="append",
        required=True,
        metavar="'EQUATION …'",
        help="an equation with its own --option, --range, --fix, --observe, --gain, --offset, --drive-as, in quotes; at least two",
    )
    compare.add_argument("--seed", type=seed, default=0, help="seed (default 0)")
    compare.add_argument("--json", action="store_true", help="print JSON instead of words")
    compare.add_argument("--out", type=Path, metavar="FILE", help="also write a page (.html)")
    add_share_argument(compare)
    compare.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print the verdict and the scores."""
    from labctl.campaign import run as run_campaign
    from labctl.campaigns.compare_goku import compare_goku
    from labctl.campaigns.infer_goku import check_writable
    from labctl.console import Console

    candidates = candidates_of(options.candidate)
    if options.out is not None:
        if options.out.suffix not in (".html", ".htm"):
            raise UsageError(f"--out {options.out}: the report is a page; give FILE.html")
        check_writable([options.out])
    measured = measured_of(options, options.data).cut(options.segment)
    campaign = compare_goku(candidates, measured, seed=options.seed, share=options.share, page=options.out)
    found = run_campaign(campaign, on_event=Console())
    if options.json:
        sys.stdout.write(json.dumps(found.as_dict(), indent=2) + "\n")
    else:
        simulated = "SIMULATED data\n" if found.about["simulated"] else ""
        sys.stdout.write(simulated + "\n".join(found.comparison.lines()) + "\n")
    return 0


def candidates_of(texts: Sequence[str]) -> dict[str, tuple[EquationSource, Wishes]]:
    """Equations and channels by name, from what stands in quotes. Raises UsageError, CampaignError."""
    parser = _CandidateParser(prog="--candidate", add_help=False)
    add_equation_arguments(parser)
    add_channel_arguments(parser)
    found: dict[str, tuple[EquationSource, Wishes]] = {}
    for text in texts:
        try:
            words = shlex.split(text)
        except ValueError as error:
            raise UsageError(f"--candidate {text!r}: {error}") from None
        options = parser.parse_args(["--system", *words])
        name = text if text.split()[0] in found or len(words) > 1 else words[0]
        if name in found:
            raise UsageError(f"--candidate {text!r} is given twice")
        found[name] = (equation_of(options), wishes_of(options))
    if len(found) < 2:
        raise UsageError("a comparison needs at least two candidates: give --candidate once for each equation")
    return found
