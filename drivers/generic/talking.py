"""How the generic driver talks: commands with or without an acknowledgement, answers with or without an echo."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from drivers.blocks import parse_header
from drivers.errors import BadAnswer, InstrumentReported
from drivers.generic.commands import fill, placeholders
from drivers.line import Line
from drivers.scpi import OVERFLOW, parse_number

MOST_LABEL_BYTES = 200
"""A block that has not begun by then is none."""


@dataclass(frozen=True, slots=True)
class Manners:
    """The keys echo, acknowledge, acknowledge_questions and number_pattern of the station file."""

    echo: bool = False
    acknowledge: re.Pattern[str] | None = None
    acknowledge_questions: bool = False
    number_pattern: re.Pattern[str] | None = None

    @property
    def answers_commands(self) -> bool:
        """Whether a command has an answer too."""
        return self.echo or self.acknowledge is not None

    @property
    def plain(self) -> bool:
        """Whether a question has one answer and a command none, as in SCPI."""
        return not self.echo and not self.acknowledge_questions


class Sender:
    """Sends filled-in commands and asks questions in the instrument's manner."""

    def __init__(self, line: Line, manners: Manners) -> None:
        """line: open."""
        self.line = line
        self._manners = manners

    def send(self, command: str, /, **values: Any) -> None:
        """One command."""
        text = fill(command, **values)
        if not self._manners.answers_commands:
            self.line.write(text)
            return
        with self.line.locked():
            self._settle(text, self.line.query(text, idempotent=False))

    def send_bytes(self, before: str, payload: bytes, after: str, *, as_block: bool) -> None:
        """One command with binary data in it: as a block with a header, or as bare bytes."""
        with self.line.locked():
            if as_block:
                self.line.write_block(before, payload, after)
            else:
                end = (after + self.line.write_termination).encode("ascii")
                self.line.write_bytes(before.encode("ascii") + payload + end)
            if self._manners.answers_commands:
                self._settle(before, self.line.read())

    def send_each(self, commands: Iterable[str], terminals: Iterable[str], /, **values: Any) -> None:
        """Several: those with {terminal} once for each terminal, the others once."""
        terminals = tuple(terminals)
        for command in commands:
            if "terminal" in placeholders(command):
                for terminal in terminals:
                    self.send(command, terminal=terminal, **values)
            else:
                self.send(command, **values)

    def ask(self, command: str, *, idempotent: bool = True, timeout_s: float | None = None) -> str:
        """One question, filled in already; its answer."""
        if self._manners.plain:
            return self.line.query(command, idempotent=idempotent, timeout_s=timeout_s)
        with self.line.locked():
            answer = self.line.query(command, idempotent=idempotent, timeout_s=timeout_s)
            if self._manners.echo:
                self._compare_echo(command, answer)
                answer = self.line.read(timeout_s=timeout_s)
            if self._manners.acknowledge_questions:
                self._read_acknowledgement(command)
            return answer

    def ask_block(self, command: str, *, labelled: bool, timeout_s: float) -> bytes:
        """The payload of a binary block. labelled: text stands before it, such as ":CURVE " or "DAT2,"."""
        if self._manners.plain and not labelled:
            return self.line.query_block(command, timeout_s=timeout_s)
        with self.line.locked():
            self._put(command)
            self._skip_label(command, timeout_s=timeout_s, limit=MOST_LABEL_BYTES if labelled else 0)
            header = b"#"
            while (found := parse_header(header)) is None:
                header += self.line.read_bytes(1, timeout_s=timeout_s)
            if found[1] < 0:
                raise BadAnswer(
                    f"{self.line.address}: {command!r}: a block without a length cannot have a label or an echo"
                )
            payload = self.line.read_bytes(found[1], timeout_s=timeout_s)
            self.line.read(timeout_s=timeout_s)  # the end of the line
            if self._manners.acknowledge_questions:
                self._read_acknowledgement(command)
            return payload

    def ask_bytes(self, command: str, count: int, *, timeout_s: float) -> bytes:
        """Bare bytes without a header, as many as are known to come."""
        with self.line.locked():
            self._put(command)
            payload = self.line.read_bytes(count, timeout_s=timeout_s)
            if self._manners.acknowledge_questions:
                self._read_acknowledgement(command)
            return payload

    def number(self, answer: str, command: str) -> float:
        """The number in an answer, by number_pattern if there is one; raises BadAnswer."""
        pattern = self._manners.number_pattern
        if pattern is None:
            return parse_number(answer, self.line.address, command)
        return parse_number(self.found(pattern, answer, command, key="number_pattern"), self.line.address, command)

    @property
    def has_number_pattern(self) -> bool:
        """Whether number_pattern says which part of an answer is the number."""
        return self._manners.number_pattern is not None

    def measurement(self, answer: str, command: str) -> float:
        """Like number(), but overflow and not-a-number are errors too."""
        return self._finite(self.number(answer, command), answer, command)

    def plain_measurement(self, text: str, command: str) -> float:
        """Like measurement(), for text that a pattern of its own found."""
        return self._finite(parse_number(text, self.line.address, command), text, command)

    def _finite(self, number: float, answer: str, command: str) -> float:
        if not abs(number) < OVERFLOW:
            raise BadAnswer(
                f"{self.line.address}: {command!r} was answered {answer[:80]!r}: overflow, or nothing was measured"
            )
        return number

    def found(self, pattern: re.Pattern[str], answer: str, command: str, *, key: str) -> str:
        """The first group of a pattern in an answer; raises BadAnswer that names the key it stands under."""
        match = pattern.search(answer)
        if match is None or match[1] is None:
            raise BadAnswer(
                f"{self.line.address}: {command!r} was answered {answer[:80]!r}, in which {key} {pattern.pattern!r} "
                "finds nothing"
            )
        return match[1]

    def _put(self, question: str) -> None:
        if self._manners.echo:
            self._compare_echo(question, self.line.query(question, idempotent=False))
        else:
            self.line.write(question)

    def _skip_label(self, command: str, *, timeout_s: float, limit: int) -> None:
        label = b""
        while (byte := self.line.read_bytes(1, timeout_s=timeout_s)) != b"#":
            label += byte
            if len(label) > limit:
                raise BadAnswer(
                    f"{self.line.address}: {command!r}: expected a binary block that starts with '#', got {label!r}"
                )

    def _settle(self, command: str, said: str) -> None:
        """What the instrument says to a command: its echo, its "OK"."""
        if self._manners.echo:
            self._compare_echo(command, said)
            if self._manners.acknowledge is None:
                return
            said = self.line.read()
        self._check_acknowledgement(command, said)

    def _compare_echo(self, command: str, echo: str) -> None:
        if not echo.strip().startswith(command.strip()):
            raise BadAnswer(f"{self.line.address}: {command!r} should come back as an echo; {echo[:80]!r} came")

    def _read_acknowledgement(self, command: str) -> None:
        self._check_acknowledgement(command, self.line.read())

    def _check_acknowledgement(self, command: str, said: str) -> None:
        pattern = self._manners.acknowledge
        if pattern is not None and not pattern.search(said):
            raise InstrumentReported(self.line.address, [(0, said)], command)
