"""How the simulated oscilloscope hands over a record: source, format, number of points, preamble, data."""

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from sim_devices.instruments.scope_inputs import CHANNELS, DIVISIONS_HIGH, MEMORY_POINTS, ScopeInputs
from sim_devices.plays import Input, Record
from sim_devices.scpi import Parameters, ScpiError, command
from sim_devices.scpi.settings import Setting, boolean, choice
from sim_devices.signals import Array

LEVELS = 256
MIDDLE, LOWEST, HIGHEST = 128, 1, 255
"""Codes of an eight-bit sample: the middle of the screen, and beyond its lower and upper edge. 0 is a hole: no sample."""
TRANSFERRED_POINTS = (100, 250, 500, 1000, 2000, 5000, 10_000, 20_000, 50_000, 100_000)
NORMAL_POINTS = 62_500
"""The measurement record, which POINts:MODE NORMal reads."""
_WAVE = "WAVeform"
_FORMAT, _ORDER, _UNSIGNED, _MODE = (_WAVE + end for end in (":FORMat", ":BYTeorder", ":UNSigned", ":POINts:MODE"))
_MOST = 0


@dataclass(slots=True, eq=False, kw_only=True)
class ScreenInput(Input):
    """One channel in a record: eight bits over the screen.

    Args:
        scale_V, offset_V: volts a division and at the middle, as read.
        probe: what the voltage at the input is multiplied by in a reading.
    """

    scale_V: float
    offset_V: float
    probe: float

    @property
    def level_V(self) -> float:
        """Volts a code."""
        return self.scale_V * DIVISIONS_HIGH / LEVELS

    def take(self, volts: Array) -> None:
        """Append samples: noise of the input, then eight bits, cut at the edges of the screen."""
        noisy = volts + self.noise_V * self.generator.standard_normal(volts.size) if self.noise_V else volts
        codes = np.rint((noisy * self.probe - self.offset_V) / self.level_V) + MIDDLE
        self.overloaded = self.overloaded or bool(np.any((codes <= LOWEST) | (codes >= HIGHEST)))
        end = self.ready + volts.size
        self.counts[self.ready : end] = np.clip(codes, LOWEST, HIGHEST)
        self.ready = end


@dataclass(frozen=True, slots=True)
class Trace:
    """The part of one channel's record that is transferred."""

    codes: NDArray[np.int16]
    increment_s: Fraction
    start_s: Fraction
    level_V: float
    offset_V: float


class ScopeWaveform(ScopeInputs):
    """Part of the front end: WAVeform and what follows from it."""

    record: Record | None
    inputs: dict[int, ScreenInput]

    def reset_waveform(self) -> None:
        """As after *RST."""
        self._source, self._wanted = 1, _MOST

    def settings(self) -> list[Setting]:
        """And those of the transfer."""
        return [
            *super().settings(),
            choice(_FORMAT, "BYTE", "WORD", "ASCii"),
            choice(_ORDER, "MSBFirst", "LSBFirst"),
            boolean(_UNSIGNED, default=True),
            choice(_MODE, "NORMal", "MAXimum", "RAW"),
        ]

    @command(_WAVE + ":SOURce", parameters=1)
    def set_source(self, parameters: Parameters) -> None:
        """CHANnel1 to CHANnel4."""
        self._source = int(parameters.choice(0, *(f"CHANnel{channel}" for channel in CHANNELS))[-1])

    @command(_WAVE + ":SOURce?")
    def source(self, _: Parameters) -> str:
        """The channel that is read."""
        return f"CHAN{self._source}"

    @command(_WAVE + ":POINts", parameters=1)
    def set_points(self, parameters: Parameters) -> None:
        """100, 250, 500, 1000, 2000, 5000 ... 100 000, or MAX; others are refused (-224)."""
        wanted = parameters.integer(0, {"MAXIMUM": _MOST})
        if wanted != _MOST and wanted not in TRANSFERRED_POINTS:
            raise ScpiError(-224, detail=" ".join(str(points) for points in TRANSFERRED_POINTS) + " MAX")
        self._wanted = wanted

    @command(_WAVE + ":POINts?", parameters=(0, 1))
    def transferred_points(self, _: Parameters) -> int:
        """Points that DATA? gives: as many as were asked for, or all if there are fewer."""
        return self._points(self.record.n_samples if self.record is not None else self.points)

    def _points(self, acquired: int) -> int:
        most = min(acquired, NORMAL_POINTS if self.value(_MODE) == "NORM" else MEMORY_POINTS)
        return min(most, self._wanted or most)

    async def _trace(self) -> Trace:
        """What would be transferred now; -230 where there is nothing."""
        record = self.record
        if record is None or self.running:
            raise ScpiError(-230, detail="no record is there")
        entry = self.inputs.get(self._source)
        if entry is None:
            raise ScpiError(-230, detail=f"channel {self._source} was not on the screen")
        if entry.ready < record.n_samples and not record.aborted:
            await self.compute(entry.device)
        points = self._points(record.n_samples)
        every = record.n_samples // points
        increment_s = every / record.rate_Hz
        return Trace(entry.counts[: points * every : every], increment_s, record.delay_s, entry.level_V, entry.offset_V)

    async def compute(self, device: str) -> None:
        """See to it that a record that was put off is there."""
        raise NotImplementedError

    @property
    def _finer(self) -> int:
        """Codes of the chosen format for each of the eight bits: WORD shifts them to the left."""
        return LEVELS if self.value(_FORMAT) == "WORD" else 1

    @property
    def _reference(self) -> int:
        return MIDDLE * self._finer if self.value(_UNSIGNED) else 0

    @command(_WAVE + ":PREamble?")
    async def preamble(self, _: Parameters) -> list[int | float]:
        """Format, type, points, count; x increment, origin, reference; y increment, origin, reference."""
        trace = await self._trace()
        code = {"BYTE": 0, "WORD": 1, "ASC": 4}[self.value(_FORMAT)]
        horizontal = [float(trace.increment_s), float(trace.start_s), 0]
        return [
            code, 0, trace.codes.size, 1, *horizontal, trace.level_V / self._finer, trace.offset_V, self._reference
        ]  # fmt: skip

    @command(_WAVE + ":DATA?")
    async def data(self, _: Parameters) -> bytes:
        """The samples: a definite block with eight digits of length."""
        trace = await self._trace()
        if self.value(_FORMAT) == "ASC":
            volts = (trace.codes.astype(np.float64) - MIDDLE) * trace.level_V + trace.offset_V
            values = np.where(trace.codes == 0, 9.9e37, volts)
            return _block(", ".join(f"{value:.6e}" for value in values.tolist()).encode())
        codes = trace.codes.astype(np.int64) * self._finer
        if not self.value(_UNSIGNED):
            codes -= MIDDLE * self._finer
        kind = ("u" if self.value(_UNSIGNED) else "i") + ("2" if self.value(_FORMAT) == "WORD" else "1")
        order = "<" if self.value(_ORDER) == "LSBF" else ">"
        return _block(codes.astype(order + kind).tobytes())


def _block(data: bytes) -> bytes:
    return f"#8{len(data):08d}".encode() + data
