"""Recording with the generic driver."""

import math
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from drivers.errors import BadAnswer, DriverError, OutOfRange, UnknownTerminal
from drivers.generic.commands import fill, placeholders
from drivers.generic.options import DigitiserTable
from drivers.generic.polling import field_of, says_yes, wait_until
from drivers.generic.rates import apply_rate, check_rate, fitting_length
from drivers.generic.samples import from_block, from_text
from drivers.generic.talking import Sender

PATIENCE_S = 10.0
"""How much longer than its record an instrument may take to say that it is ready."""


class GenericDigitiser:
    """The role Digitiser over the commands of the station file."""

    def __init__(self, table: DigitiserTable, sender: Sender, *, check_errors: Callable[[str], None]) -> None:
        """check_errors: asks the instrument, raises what it reports."""
        self._table = table
        self._sender = sender
        self._line = sender.line
        self._where = sender.line.address
        self._check_errors = check_errors
        names = placeholders(table.fetch)
        self._in_parts = bool(names & {"start", "count", "end"})
        self._interleaved = "terminal" not in names and len(table.terminals) > 1
        self._inputs: dict[str, float] = {}
        self._n_samples = 0
        self._length = 0
        self._rate_Hz = 0.0
        self._applied = False
        self._done = False
        self._waits_in_fetch = table.ready is None and table.progress is None
        self._kept: dict[tuple[object, ...], NDArray[np.float64]] = {}

    @property
    def terminals(self) -> tuple[str, ...]:
        """Those of the station file."""
        return self._table.terminals

    @property
    def max_samples(self) -> int:
        """The longest record of one input."""
        return self._table.max_samples

    def configure(self, inputs: Mapping[str, float], *, sample_rate_Hz: float, n_samples: int) -> None:
        """See roles.Digitiser. The order: configure, range, sample_rate, sample_count."""
        table = self._table
        for terminal, range_V in inputs.items():
            if terminal not in table.terminals:
                listed = ", ".join(table.terminals)
                raise UnknownTerminal(f"{self._where}: input {terminal!r} does not record; {listed} do")
            if table.ranges_V is not None and not any(math.isclose(range_V, known) for known in table.ranges_V):
                listed = ", ".join(f"{known:g}" for known in table.ranges_V)
                raise OutOfRange(f"{self._where} input {terminal}: no range of {range_V:g} V; there are {listed}")
        length = fitting_length(table, n_samples, where=f"{self._where}: a record")
        check_rate(table, sample_rate_Hz, where=self._where)
        self._inputs = {terminal: float(range_V) for terminal, range_V in inputs.items()}
        self._n_samples, self._length, self._rate_Hz = int(n_samples), length, float(sample_rate_Hz)
        with self._line.locked():
            self._apply()
            self._check_errors("configuring the record")

    def _apply(self) -> None:
        table, sender = self._table, self._sender
        sender.send_each(table.configure, self._inputs)
        for terminal, range_V in self._inputs.items():
            sender.send_each(table.range, [terminal], range_V=range_V, V_per_div=2 * range_V / table.divisions_V)
        apply_rate(table, self._rate_Hz, self._length, tuple(self._inputs), sender, where=self._where)
        self._applied = True
        self._kept.clear()

    def arm(self) -> None:
        """Send the arm commands, and wait until the instrument says that it waits."""
        if not self._n_samples:
            raise DriverError(f"{self._where}: configure() before arm()")
        with self._line.locked():
            if not self._applied:
                self._apply()
            self._done = False
            self._kept.clear()
            self._sender.send_each(self._table.arm, self._inputs)
            if self._table.armed is not None:
                wait_until(self._sender, self._table.armed, what="the digitiser does not wait for its trigger")

    def samples_ready(self) -> int:
        """From `progress`, else all or nothing from `ready`; without either, all (fetch() then waits)."""
        table = self._table
        if self._done or self._waits_in_fetch:
            return self._n_samples
        limit_s = PATIENCE_S + self._length / self._rate_Hz if self._rate_Hz else PATIENCE_S
        if table.ready is not None and says_yes(self._sender, table.ready, limit_s=limit_s):
            self._done = True
            return self._n_samples
        if table.progress is None or not self._in_parts:
            return 0
        said = self._sender.ask(table.progress)
        text = field_of(said, table.progress_field, address=self._where, command=table.progress)
        ready = min(self._n_samples, int(self._sender.number(text, table.progress)))
        self._done = table.ready is None and ready == self._n_samples
        return ready

    def fetch(self, terminal: str, start: int, count: int) -> NDArray[np.float64]:
        """Samples start … start+count-1 (count,) in volts; BadAnswer for an overload if the station file says so."""
        if terminal not in self._inputs:
            raise UnknownTerminal(f"{self._where}: input {terminal!r} was not configured")
        if start < 0 or count < 1 or start + count > self._n_samples:
            raise OutOfRange(f"{self._where}: samples {start} … {start + count - 1} of a record of {self._n_samples}")
        with self._line.locked():
            numbers = self._numbers(terminal, start, count)
            volts = self._to_volts(numbers, terminal)
        self._check_overload(volts, terminal, start)
        return volts

    def _numbers(self, terminal: str, start: int, count: int) -> NDArray[np.float64]:
        """One input's raw numbers (count,), from the instrument or from an answer that held them already."""
        key = ("" if self._interleaved else terminal, *((start, count) if self._in_parts else ()))
        answer = self._kept.get(key)
        if answer is None:
            answer = self._ask(terminal, start, count)
            if self._in_parts:
                self._kept.clear()  # parts are not asked for twice, except for another input of the same answer
            if self._interleaved or not self._in_parts:
                self._kept[key] = answer
        if self._interleaved:
            width = len(self._table.terminals)
            answer = answer[: len(answer) // width * width].reshape(-1, width)[:, self._table.terminals.index(terminal)]
        if not self._in_parts:
            answer = answer[start : start + count]
        if len(answer) < count or (self._in_parts and len(answer) != count):
            raise BadAnswer(
                f"{self._where}: {count} samples of input {terminal} from {start} on were asked for, {len(answer)} came "
                "(are dtype, skip, sample_count and the fetch command right?)"
            )
        return answer

    def _ask(self, terminal: str, start: int, count: int) -> NDArray[np.float64]:
        table = self._table
        first = start + table.first_index
        self._sender.send_each(table.select, [terminal])
        command = fill(table.fetch, terminal=terminal, start=first, count=count, end=first + count - 1)
        where = f"{self._where}: {command!r}"
        timeout_s = table.fetch_timeout_s + (self._length / self._rate_Hz if self._waits_in_fetch else 0.0)
        if table.data.format == "ascii":
            return from_text(self._sender.ask(command, timeout_s=timeout_s), table.data, where=where)
        if table.data.format == "raw":
            n_numbers = count if self._in_parts else self._length
            n_numbers = n_numbers * (len(table.terminals) if self._interleaved else 1) + table.data.skip
            n_bytes = n_numbers * table.data.numpy_dtype.itemsize
            return from_block(self._sender.ask_bytes(command, n_bytes, timeout_s=timeout_s), table.data, where=where)
        try:
            payload = self._sender.ask_block(command, labelled=table.data.labelled, timeout_s=timeout_s)
        except BadAnswer as error:
            raise BadAnswer(
                f"{error}: if text stands before its blocks, write data.labelled = true; if it sends text or bare bytes, "
                'data.format = "ascii" or "raw"'
            ) from error
        return from_block(payload, table.data, where=where)

    def _to_volts(self, numbers: NDArray[np.float64], terminal: str) -> NDArray[np.float64]:
        table = self._table
        scale = table.scale * (self._asked(table.scale_query, terminal) if table.scale_query else 1.0)
        zero = table.zero + sum(self._asked(query, terminal) for query in table.zero_query)
        offset = table.offset
        if table.offset_query:
            offset += table.offset_factor * self._asked(table.offset_query, terminal)
        if table.scale_of_range:
            scale *= self._inputs[terminal]
        if (scale, zero, offset) == (1.0, 0.0, 0.0):
            return numbers
        return scale * (numbers - zero) + offset

    def _asked(self, query: str, terminal: str) -> float:
        command = fill(query, terminal=terminal)
        return self._sender.measurement(self._sender.ask(command), command)

    def _check_overload(self, volts: NDArray[np.float64], terminal: str, start: int) -> None:
        if self._table.overload is not None:
            limit_V = self._table.overload * self._inputs[terminal]
            n_over = int(np.count_nonzero(np.abs(volts) >= limit_V))
            if n_over:
                raise BadAnswer(
                    f"{self._where} input {terminal}: {n_over} samples from {start} on reach {limit_V:g} V, which is an "
                    "overload: choose a larger range"
                )

    def abort(self) -> None:
        """Send the abort commands."""
        self._sender.send_each(self._table.abort, self._inputs or self._table.terminals)

    def forget(self) -> None:
        """After a reconnection the set-up is unknown; it is applied again before the next record."""
        self._applied = False
        self._kept.clear()
