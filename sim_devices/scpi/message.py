"""A program message taken apart: units between ';', each a header and its parameters between ','."""

import re
from dataclasses import dataclass

from sim_devices.scpi.errors import ScpiError

_DELIMITERS = re.compile(rb"[;,#\"'(]")
_HEADER = re.compile(rb"\s*(:?\*?[A-Za-z0-9_:]+\??)")
_BLANK_OR_EMPTY_UNIT = re.compile(rb"\s*;?")


@dataclass(frozen=True, slots=True)
class Unit:
    """One command or query: header as sent (upper case) and raw parameters."""

    header: str
    parameters: tuple[bytes, ...]


def split_units(message: bytes) -> list[Unit]:
    """The units of one program message.

    Raises:
        ScpiError: -161 for a block that is cut off, -151 for a string that does not end, -102 for what is no header.
    """
    units: list[Unit] = []
    position, end = 0, len(message)
    while position < end:
        match = _HEADER.match(message, position)
        if match is None:
            blank = _BLANK_OR_EMPTY_UNIT.match(message, position)
            if blank is None or blank.end() == position:
                raise ScpiError(-102)
            position = blank.end()
            continue
        parameters, position = _parameters(message, match.end())
        units.append(Unit(match.group(1).decode("ascii").upper(), tuple(parameters)))
    return units


def _parameters(message: bytes, position: int) -> tuple[list[bytes], int]:
    """Parameters from `position` to the end of the unit; also the position after its ';'."""
    parameters: list[bytes] = []
    start, protected = position, position  # white space before `protected` belongs to a block
    while True:
        match = _DELIMITERS.search(message, position)
        at = match.start() if match else len(message)
        byte = message[at : at + 1]
        if byte in (b",", b";", b""):
            content = message[start:protected] + message[max(start, protected) : at].rstrip()
            parameters.append(content.lstrip())
            start = protected = position = at + 1
            if byte == b",":
                continue
            return ([] if parameters == [b""] else parameters), position
        if byte == b"(":
            position = _after(message, at, b")", ScpiError(-102))
        elif byte == b"#":
            position = protected = after_block(message, at)
        else:
            position = _after(message, at, byte, ScpiError(-151))


def _after(message: bytes, at: int, closing: bytes, error: ScpiError) -> int:
    end = message.find(closing, at + 1)
    if end < 0:
        raise error
    return end + 1


def after_block(message: bytes, at: int) -> int:
    """Index behind the block or non-decimal number that opens at `at`."""
    kind = message[at + 1 : at + 2]
    if kind == b"0":
        return len(message)
    if not kind.isdigit():
        return at + 1
    digits = int(kind)
    length = message[at + 2 : at + 2 + digits]
    if len(length) != digits or not length.isdigit() or at + 2 + digits + int(length) > len(message):
        raise ScpiError(-161)
    return at + 2 + digits + int(length)
