"""`labctl nca`: learn the local rule behind image sequences, run it, judge it, hand it to other programs."""

from __future__ import annotations

import argparse

from labctl.commands import (
    nca_characterise,
    nca_evaluate,
    nca_export,
    nca_fit,
    nca_play,
    nca_run,
    nca_simulate,
    nca_stability,
)


def add_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand."""
    nca = commands.add_parser(
        "nca", help="learn the local rule behind image sequences or an equation; run and judge it"
    )
    actions = nca.add_subparsers(title="actions", metavar="ACTION", required=True)
    nca_simulate.add_actions(actions)
    nca_fit.add_action(actions)
    nca_run.add_action(actions)
    nca_play.add_action(actions)
    nca_evaluate.add_action(actions)
    nca_stability.add_action(actions)
    nca_export.add_action(actions)
    nca_characterise.add_action(actions)
