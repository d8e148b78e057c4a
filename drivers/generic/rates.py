"""Sample rates and lengths, the same for playing and recording."""

import math
from collections.abc import Sequence

from drivers.errors import OutOfRange
from drivers.generic.commands import Sender
from drivers.generic.options import Rates
from drivers.scpi import parse_number

EXACT = 1e-9
"""Two sample rates that differ by less than this part of them are the same."""


def check_rate(table: Rates, rate_Hz: float, *, where: str) -> None:
    """Raises OutOfRange for a rate that the station file does not allow."""
    if not (math.isfinite(rate_Hz) and rate_Hz > 0):
        raise OutOfRange(f"{where}: a sample rate of {rate_Hz!r} Hz")
    if table.sample_rates_Hz is not None and not any(
        math.isclose(rate_Hz, allowed, rel_tol=EXACT) for allowed in table.sample_rates_Hz
    ):
        listed = ", ".join(f"{allowed:g}" for allowed in table.sample_rates_Hz)
        raise OutOfRange(f"{where}: a sample rate of {rate_Hz:g} Hz cannot be set; there are {listed}")
    if table.sample_rate_range_Hz is not None:
        lowest, highest = table.sample_rate_range_Hz
        if not lowest * (1 - EXACT) <= rate_Hz <= highest * (1 + EXACT):
            raise OutOfRange(f"{where}: a sample rate of {rate_Hz:g} Hz is outside {lowest:g} … {highest:g} Hz")


def apply_rate(table: Rates, rate_Hz: float, terminals: Sequence[str], sender: Sender, *, where: str) -> None:
    """Set the sample rate; raises OutOfRange when the instrument then says that it has another one."""
    sender.send_each(table.sample_rate, terminals, rate_Hz=rate_Hz, period_s=1.0 / rate_Hz)
    if table.sample_rate_query is None:
        return
    for terminal in terminals:
        command = table.sample_rate_query.format(terminal=terminal)
        found_Hz = parse_number(sender.line.query(command), sender.line.address, command)
        if not math.isclose(found_Hz, rate_Hz, rel_tol=1e-6):
            raise OutOfRange(
                f"{where}: a sample rate of {rate_Hz:g} Hz was asked for, the instrument took {found_Hz:g} Hz"
            )


def fitting_length(table: Rates, n_samples: int) -> int:
    """The shortest length of at least n_samples that the instrument takes."""
    multiple = table.samples_multiple
    return -(-max(n_samples, table.min_samples) // multiple) * multiple
