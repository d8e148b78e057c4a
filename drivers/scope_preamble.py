"""What an InfiniiVision oscilloscope says of the samples that it hands over: WAVeform:PREamble?."""

from dataclasses import dataclass

from drivers.errors import BadAnswer
from drivers.scpi import parse_number


@dataclass(frozen=True, slots=True)
class Preamble:
    """What WAVeform:PREamble? says of the samples that WAVeform:DATA? gives, as unsigned bytes."""

    n_points: int
    increment_s: float
    origin_s: float
    increment_V: float
    origin_V: float
    reference: float


def parse_preamble(answer: str, address: str, command: str) -> Preamble:
    """Ten numbers: format, type, points, count, x increment, origin and reference, y increment, origin and reference."""
    fields = [parse_number(field, address, command) for field in answer.split(",")]
    if len(fields) != 10 or fields[0] != 0:
        raise BadAnswer(f"{address}: {command!r} was answered {answer[:120]!r}, which is no preamble of bytes")
    return Preamble(int(fields[2]), fields[4], fields[5] - fields[6] * fields[4], fields[7], fields[8], fields[9])
