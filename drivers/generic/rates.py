"""Sample rates and lengths, the same for playing and recording."""

import math
from collections.abc import Sequence

from drivers.errors import OutOfRange
from drivers.generic.commands import fill
from drivers.generic.parts import Rates
from drivers.generic.talking import Sender

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


def apply_rate(
    table: Rates, rate_Hz: float, n_samples: int, terminals: Sequence[str], sender: Sender, *, where: str
) -> None:
    """Set the sample rate and the number of samples, which is a length that the instrument takes.

    Raises OutOfRange when the instrument then says that it has another rate.
    """
    duration_s = n_samples / rate_Hz
    places = {
        "rate_Hz": rate_Hz,
        "period_s": 1.0 / rate_Hz,
        "count": n_samples,
        "end": n_samples - 1,
        "duration_s": duration_s,
        "s_per_div": duration_s / table.divisions_s,
    }
    sender.send_each(table.sample_rate, terminals, **places)
    sender.send_each(table.sample_count, terminals, **places)
    if table.sample_rate_query is None:
        return
    for terminal in terminals:
        command = fill(table.sample_rate_query, terminal=terminal)
        found = sender.number(sender.ask(command), command)
        if table.sample_rate_answer == "period_s":
            found = 1.0 / found if found else math.inf
        if not math.isclose(found, rate_Hz, rel_tol=max(table.sample_rate_tolerance, EXACT)):
            raise OutOfRange(
                f"{where}: a sample rate of {rate_Hz:.9g} Hz was asked for, the instrument took {found:.9g} Hz: give the "
                "device a sample_rate_Hz that all its instruments have, and list theirs in sample_rates_Hz"
            )


def fitting_length(table: Rates, n_samples: int, *, where: str) -> int:
    """The shortest length of at least n_samples that the instrument takes; raises OutOfRange if there is none."""
    multiple = table.samples_multiple
    length = -(-max(n_samples, table.min_samples) // multiple) * multiple
    if table.sample_counts is not None:
        longer = [count for count in table.sample_counts if count >= length]
        if not longer:
            listed = ", ".join(map(str, table.sample_counts))
            raise OutOfRange(f"{where}: {n_samples} samples; there are lengths of {listed}")
        length = min(longer)
    if n_samples < 1 or length > table.max_samples:
        longer_text = "" if length == n_samples else f", which become {length}"
        raise OutOfRange(f"{where}: {n_samples} samples{longer_text}; there are 1 … {table.max_samples}")
    return length
