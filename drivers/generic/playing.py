"""Playing waveforms with the generic driver."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drivers.errors import DriverError, NoReadBack, OutOfRange
from drivers.generic.commands import fill, placeholders
from drivers.generic.options import PlayerTable
from drivers.generic.polling import wait_until
from drivers.generic.rates import apply_rate, check_rate, fitting_length
from drivers.generic.samples import encode, to_text
from drivers.generic.stepped import SteppedTerminal
from drivers.generic.talking import Sender
from drivers.waveforms import check_waveforms

_BLOCK_MARK = "\x00"


@dataclass(frozen=True, slots=True)
class Law:
    """number sent = number_per_V · volts + number_at_zero; the instrument's amplitude and offset that go with it."""

    number_per_V: float
    number_at_zero: float
    peak_V: float
    offset_V: float


def law_for(volts: NDArray[np.float64], table: PlayerTable, *, where: str) -> Law:
    """How one waveform (time,) in volts is sent; raises OutOfRange when it does not fit a fixed amplitude."""
    if table.values == "volts":
        return Law(table.scale, table.code_offset, 1.0, 0.0)
    lowest, highest = float(volts.min()), float(volts.max())
    offset_V = table.offset_V
    if offset_V is None:
        offset_V = (lowest + highest) / 2 if table.peak_V is None else 0.0
    reach_V = max(highest - offset_V, offset_V - lowest)
    peak_V = table.peak_V if table.peak_V is not None else max(reach_V, table.smallest_peak_V)
    if reach_V > peak_V * (1 + 1e-12):
        raise OutOfRange(
            f"{where}: {lowest:g} … {highest:g} V does not fit the fixed amplitude of {offset_V:g} ± {peak_V:g} V"
        )
    full_scale = float(table.full_scale) if table.values == "full_scale" else 1.0
    return Law(full_scale / peak_V, -offset_V * full_scale / peak_V, peak_V, offset_V)


class GenericPlayer:
    """The role Player over the commands of the station file."""

    def __init__(
        self,
        table: PlayerTable,
        sender: Sender,
        *,
        set_points: Mapping[str, SteppedTerminal],
        check_errors: Callable[[str], None],
    ) -> None:
        """set_points: the terminals that can also be set; they return to their level after a play."""
        self._table = table
        self._sender = sender
        self._where = sender.line.address
        self._set_points = set_points
        self._check_errors = check_errors
        self._loaded: tuple[str, ...] = ()
        self._levels: dict[str, float] = {}

    @property
    def terminals(self) -> tuple[str, ...]:
        """Those of the station file."""
        return self._table.terminals

    @property
    def max_samples(self) -> int:
        """The longest waveform."""
        return self._table.max_samples

    def load(self, waveforms: Mapping[str, NDArray[np.float64]], *, sample_rate_Hz: float) -> None:
        """See roles.Player. The order: prepare, clear, sample_rate, sample_count, load, amplitude, offset, after_load."""
        table, sender, where = self._table, self._sender, self._where
        volts = {terminal: np.asarray(waveform, dtype=np.float64) for terminal, waveform in waveforms.items()}
        n_given = check_waveforms(
            volts,
            where=where,
            terminals=table.terminals,
            limits=dict.fromkeys(table.terminals, table.limits),
            fewest=1,
            most=table.max_samples,
        )
        check_rate(table, sample_rate_Hz, where=where)
        n_samples = fitting_length(table, n_given, where=f"{where}: a waveform")
        volts = {
            terminal: np.pad(waveform, (0, n_samples - n_given), mode="edge") for terminal, waveform in volts.items()
        }
        laws = {terminal: law_for(waveform, table, where=f"{where} {terminal}") for terminal, waveform in volts.items()}
        with sender.line.locked():
            self._loaded = ()
            self._remember_levels(volts)
            sender.send_each(table.prepare, volts)
            sender.send_each(table.clear, volts)
            apply_rate(table, sample_rate_Hz, n_samples, tuple(volts), sender, where=where)
            self._send_samples(volts, laws)
            for terminal, law in laws.items():
                self._send_amplitude(terminal, law)
            sender.send_each(table.after_load, volts, count=n_samples)
            self._check_errors("loading waveforms")
            self._loaded = tuple(volts)

    def _remember_levels(self, terminals: Mapping[str, object]) -> None:
        for terminal in terminals:
            if terminal in self._set_points and terminal not in self._levels:
                try:
                    self._levels[terminal] = self._set_points[terminal].read_back()
                except NoReadBack:
                    continue  # never set: there is no level to return to

    def _send_samples(self, volts: Mapping[str, NDArray[np.float64]], laws: Mapping[str, Law]) -> None:
        table = self._table
        numbers = {
            terminal: encode(
                waveform, table.data, scale=laws[terminal].number_per_V, offset=laws[terminal].number_at_zero
            )
            for terminal, waveform in volts.items()
        }
        if "terminal" in placeholders(table.load):
            for terminal, column in numbers.items():
                self._send_chunks(column, terminal, 1)
            return
        missing = [terminal for terminal in table.terminals if terminal not in numbers]
        if missing:
            raise OutOfRange(f"{self._where}: all terminals are loaded together; no waveform for {', '.join(missing)}")
        together = np.stack([numbers[terminal] for terminal in table.terminals], axis=1)
        interleaved = together.astype(table.data.numpy_dtype)  # stacking has put the bytes into this machine's order
        self._send_chunks(interleaved.reshape(-1), "", len(table.terminals))

    def _send_chunks(self, numbers: NDArray[np.generic], terminal: str, width: int) -> None:
        """width: numbers of one sample (more than one when terminals are interleaved)."""
        table = self._table
        n_samples = len(numbers) // width
        step = table.chunk_samples or n_samples
        for start in range(0, n_samples, step):
            count = min(step, n_samples - start)
            chunk = numbers[start * width : (start + count) * width]
            values = {"terminal": terminal, "start": start, "count": count}
            load = table.load_last if table.load_last and start + count == n_samples else table.load
            if table.data.format == "ascii":
                self._sender.send(load, data=to_text(chunk, table.data), **values)
            else:
                before, after = fill(load, data=_BLOCK_MARK, **values).split(_BLOCK_MARK)
                self._sender.send_bytes(before, chunk.tobytes(), after, as_block=table.data.format == "block")

    def _send_amplitude(self, terminal: str, law: Law) -> None:
        peak_V, offset_V = law.peak_V, law.offset_V
        self._sender.send_each(
            self._table.amplitude,
            [terminal],
            peak_V=peak_V,
            amplitude_Vpp=2 * peak_V,
            high_V=offset_V + peak_V,
            low_V=offset_V - peak_V,
        )
        self._sender.send_each(self._table.offset, [terminal], offset_V=offset_V)

    def arm(self) -> None:
        """Switch on outputs that are off, send the arm commands, and wait until the instrument says that it waits."""
        self._need_loaded("arm")
        for terminal in self._loaded:
            if terminal in self._set_points and not self._set_points[terminal].enabled():
                self._set_points[terminal].enable(True)
        self._sender.send_each(self._table.arm, self._loaded)
        if self._table.armed is not None:
            wait_until(self._sender, self._table.armed, what="the player does not wait for its trigger")

    def trigger(self) -> None:
        """Send the trigger command; nothing if something else starts the play."""
        self._need_loaded("trigger")
        self._sender.send_each(self._table.trigger, self._loaded)

    def stop(self) -> None:
        """Send the stop commands; terminals that are set-points return to their level before the load."""
        terminals = self._loaded or self._table.terminals
        self._loaded = ()
        levels, self._levels = self._levels, {}
        with self._sender.line.locked():
            self._sender.send_each(self._table.stop, terminals)
            for terminal, level in levels.items():
                self._set_points[terminal].set_value(level)

    def forget(self) -> None:
        """After a reconnection nothing is known to be loaded."""
        self._loaded = ()
        self._levels = {}

    def _need_loaded(self, verb: str) -> None:
        if not self._loaded:
            raise DriverError(f"{self._where}: nothing to {verb}: load() waveforms first (after a reconnection, again)")
