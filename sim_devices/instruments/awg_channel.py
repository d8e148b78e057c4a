"""One channel of the simulated generator: waveform memory, amplitude and offset with their coupling, the signal that results."""

import math
from dataclasses import dataclass, field

import numpy as np

from sim_devices.scpi import INFINITY, ScpiError
from sim_devices.signals import Array, Burst, Level, Repeating, Signal, exact_rate

MEMORY_POINTS = 1_000_000
FEWEST_POINTS = 8
BUILT_IN = "EXP_RISE"
FULL_SCALE = 32767
_TABLE = 256  # points of the built-in shapes


@dataclass(slots=True, eq=False)
class AwgChannel:
    """State of a channel; voltages are as displayed, into the load that OUTP:LOAD names."""

    function: str = "SIN"
    frequency_Hz: float = 1e3
    amplitude_Vpp: float = 0.1
    offset_V: float = 0.0
    load_ohm: float = 50.0
    limit_high_V: float = 5.0
    limit_low_V: float = -5.0
    limits_on: bool = False
    burst_on: bool = False
    waveforms: dict[str, Array] = field(default_factory=dict)
    selected: str = BUILT_IN

    @property
    def load_factor(self) -> float:
        """Open-circuit voltage over displayed voltage: 1 for INF, 2 for 50 ohm (the port draws no current worth mentioning)."""
        return 1.0 if self.load_ohm >= INFINITY else (50.0 + self.load_ohm) / self.load_ohm

    @property
    def peak_limit_V(self) -> float:
        """Largest displayed voltage: 10 V open circuit, 5 V into 50 ohm."""
        return 10.0 / self.load_factor

    @property
    def half_amplitude_V(self) -> float:
        """Half the peak-to-peak voltage; DC has none."""
        return 0.0 if self.function == "DC" else self.amplitude_Vpp / 2.0

    def range_V(self) -> tuple[float, float]:
        """What the output may reach: the instrument's own limit, and the user's where they are on."""
        peak = self.peak_limit_V
        if not self.limits_on:
            return -peak, peak
        return max(-peak, self.limit_low_V), min(peak, self.limit_high_V)

    def set_amplitude(self, value: float) -> None:
        """Set the amplitude, clipped to its range (-222); an offset that no longer fits is moved (-221)."""
        low, high = self.range_V()
        largest = high - low if self.limits_on else 2.0 * self.peak_limit_V
        smallest = 2e-3 / self.load_factor
        if self.limits_on and value > largest:
            raise ScpiError(-222, detail="amplitude is beyond the voltage limits")
        clipped = min(max(value, smallest), largest)
        self.amplitude_Vpp = clipped
        half = 0.0 if self.function == "DC" else clipped / 2.0
        fitting = min(max(self.offset_V, low + half), high - half)
        if clipped != value:
            self.offset_V = fitting
            raise ScpiError(-222, detail=f"value clipped to {'upper' if value > clipped else 'lower'} limit")
        if not math.isclose(fitting, self.offset_V, abs_tol=1e-9):
            self.offset_V = fitting
            raise ScpiError(-221, detail="offset changed due to amplitude")

    def set_offset(self, value: float) -> None:
        """Set the offset, clipped to its range (-222); an amplitude that no longer fits is reduced (-221)."""
        low, high = self.range_V()
        smallest = 0.0 if self.function == "DC" else 1e-3 / self.load_factor
        clipped = min(max(value, low + smallest), high - smallest)
        if clipped != value and self.limits_on:
            raise ScpiError(-222, detail="offset is beyond the voltage limits")
        self.offset_V = round(clipped, 6)
        room = 2.0 * min(high - clipped, clipped - low)
        crowded = self.function != "DC" and self.amplitude_Vpp > room + 1e-9
        if crowded:
            self.amplitude_Vpp = room
        if clipped != value:
            raise ScpiError(-222, detail=f"value clipped to {'upper' if value > clipped else 'lower'} limit")
        if crowded:
            raise ScpiError(-221, detail="amplitude changed due to offset")

    def set_load(self, value: float) -> None:
        """Another load rescales what is displayed; the voltage behind it stays."""
        before = self.load_factor
        self.load_ohm = value
        scale = before / self.load_factor
        self.amplitude_Vpp *= scale
        self.offset_V *= scale
        self.limit_high_V = self.peak_limit_V if not self.limits_on else self.limit_high_V * scale
        self.limit_low_V = -self.peak_limit_V if not self.limits_on else self.limit_low_V * scale

    def store(self, name: str, values: Array) -> None:
        """Keep a waveform of -1..1; +786 for a known name, +781 when memory is full, -222 out of range."""
        if self._find(name) is not None:
            raise ScpiError(786, "Specified arb waveform already exists")
        if values.size < FEWEST_POINTS:
            raise ScpiError(-222, detail=f"at least {FEWEST_POINTS} points")
        if values.size > self.free_points():
            raise ScpiError(781, "Not enough memory to load arb waveform")
        if not np.all(np.abs(values) <= 1.0):
            raise ScpiError(-222, detail="arb values must be -1 to 1")
        self.waveforms[name] = np.rint(values * FULL_SCALE) / FULL_SCALE

    def free_points(self) -> int:
        """Points that still fit."""
        return MEMORY_POINTS - sum(values.size for values in self.waveforms.values())

    def points(self, name: str) -> int:
        """Length of a stored waveform."""
        return int(self._shape(name).size)

    def select(self, name: str) -> None:
        """Choose a waveform; +785 when it is not in memory."""
        self._shape(name)
        self.selected = self._find(name) or BUILT_IN

    def _find(self, name: str) -> str | None:
        """The name in memory that differs in case at most."""
        return next((known for known in (BUILT_IN, *self.waveforms) if known.upper() == name.upper()), None)

    def burst(self, *, sample_rate_Hz: float, cycles: int) -> Burst:
        """What a trigger starts, in volts at an open terminal."""
        samples, rate_Hz = self._samples(), sample_rate_Hz
        if self.function != "ARB":
            rate_Hz = self.frequency_Hz * _TABLE
        return Burst(samples, exact_rate(rate_Hz), cycles, float(samples[0]))

    def idle_signal(self, *, bursting: bool, sample_rate_Hz: float) -> Signal:
        """What the terminal carries without a trigger: a level, or a waveform over and over."""
        if self.function == "DC":
            return Level(self.load_factor * self.offset_V)
        if bursting:
            return Level(float(self._samples()[0]))
        samples = self._samples()
        if samples.min() == samples.max():
            return Level(float(samples[0]))
        rate_Hz = sample_rate_Hz if self.function == "ARB" else self.frequency_Hz * _TABLE
        return Repeating(samples, exact_rate(rate_Hz))

    def _samples(self) -> Array:
        shape = self._shape(self.selected) if self.function == "ARB" else _built_in_shape(self.function)
        return self.load_factor * (self.offset_V + shape * (self.amplitude_Vpp / 2.0))

    def _shape(self, name: str) -> Array:
        known = self._find(name)
        if known is None:
            raise ScpiError(785, "Specified arb waveform does not exist")
        return _built_in_shape(known) if known == BUILT_IN else self.waveforms[known]


def _built_in_shape(name: str) -> Array:
    phase = np.arange(_TABLE) / _TABLE
    if name == "SIN":
        return np.sin(2.0 * np.pi * phase)
    if name == "SQU":
        return np.where(phase < 0.5, 1.0, -1.0)
    return 2.0 * (1.0 - np.exp(-5.0 * phase)) - 1.0
