"""The help of every command: argparse formats it only when it is asked for, so a stray sign breaks it unseen."""

import argparse
from collections.abc import Iterator

from labctl.cli import parser


def every_parser(top: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    yield top
    for action in top._actions:
        if isinstance(action, argparse._SubParsersAction):
            for below in dict.fromkeys(action.choices.values()):
                yield from every_parser(below)


def test_every_command_can_show_its_help() -> None:
    broken, shown = [], set()
    for one in every_parser(parser()):
        try:
            text = one.format_help()
        except (ValueError, TypeError, KeyError) as error:
            broken.append(f"{one.prog}: {error}")
        else:
            assert "%%" not in text, f"{one.prog} shows a doubled per cent sign"
            shown.add(one.prog)
    assert not broken
    assert {"labctl goku", "labctl goku infer", "labctl twin fit"} <= shown
