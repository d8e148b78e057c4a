"""`labctl twin list`: the twins below a folder, with the verdict of their gates; or all gates of one, with what to do."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from labctl.twin_cards import TwinCard


def add_action(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the action to `labctl twin`."""
    listed = actions.add_parser("list", help="the twins below a folder, and whether they passed their gates")
    listed.add_argument(
        "folder", type=Path, nargs="?", default=Path(), help="a folder (default: here), or a twin's file"
    )
    listed.add_argument("--json", action="store_true", help="print JSON instead of a table")
    listed.set_defaults(run=run_list)


def run_list(options: argparse.Namespace) -> int:
    """Print one line a twin; for a single file its gates."""
    from labctl.errors import UsageError
    from labctl.twin_cards import twins_below

    folder: Path = options.folder
    if not folder.exists():
        raise UsageError(f"{folder}: no such folder, nor a twin's file")
    cards = twins_below(folder) if folder.is_dir() else twins_below(folder / "none", extra=[folder])
    if options.json:
        told = [{**card.as_dict(), "gates": [asdict(row) for row in card.rows]} for card in cards]
        sys.stdout.write(json.dumps(told, indent=2) + "\n")
        return 0
    lines = [_line(card) for card in cards]
    if not folder.is_dir():
        lines += [line for card in cards for line in _gates(card)]
    sys.stdout.write("".join(f"{line}\n" for line in lines) or f"no twins below {folder}\n")
    return 0


def _line(card: TwinCard) -> str:
    marks = " SIMULATED" if card.simulated else ""
    channels = f"{', '.join(card.drives)} -> {', '.join(card.responses)}"
    return f"{card.made_utc[:19]:19}  {card.verdict:10}  {card.device or '?':12}  {channels}  {card.path}{marks}"


def _gates(card: TwinCard) -> list[str]:
    lines = [card.in_words]
    for row in card.rows:
        lines.append(f"{row.verdict:10}  {row.title:24} {row.value:>9}  allowed {row.allowed}  ({row.meaning})")
        if row.remedy:
            lines.append(f"{'':12}{row.remedy}")
    return lines
