"""What an instrument puts on a port: a level, a repeating waveform, or a burst; sampled in integer arithmetic."""

from dataclasses import dataclass
from fractions import Fraction
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


class Signal(Protocol):
    """A voltage over time, from its own start."""

    def voltages(self, first_step: int, count: int, rate_Hz: int) -> Array:
        """Voltage during steps first_step .. first_step + count - 1; step j covers [j, j+1) / rate_Hz seconds."""
        ...


@dataclass(frozen=True, slots=True)
class Level:
    """A constant voltage."""

    volts: float = 0.0

    def voltages(self, first_step: int, count: int, rate_Hz: int) -> Array:  # noqa: ARG002
        """The level, `count` times."""
        return np.full(count, self.volts)


@dataclass(frozen=True, slots=True, eq=False)
class Repeating:
    """Samples played over and over at a rate; continuous output of a generator."""

    samples: Array
    rate_Hz: Fraction

    def voltages(self, first_step: int, count: int, rate_Hz: int) -> Array:
        """Sample and hold, cyclic."""
        return self.samples[sample_indices(first_step, count, rate_Hz, self.rate_Hz) % self.samples.size]


@dataclass(frozen=True, slots=True, eq=False)
class Burst:
    """Samples played `cycles` times from the trigger on; before and after it the rest level."""

    samples: Array
    rate_Hz: Fraction
    cycles: int
    rest_V: float

    @property
    def length(self) -> int:
        """Samples in the whole burst."""
        return self.samples.size * self.cycles

    def steps(self, rate_Hz: int) -> int:
        """Steps until the burst is over."""
        return -((-self.length * rate_Hz * self.rate_Hz.denominator) // self.rate_Hz.numerator)

    def voltages(self, first_step: int, count: int, rate_Hz: int) -> Array:
        """Sample k acts in every step that begins in [k, k+1) / rate."""
        indices = sample_indices(first_step, count, rate_Hz, self.rate_Hz)
        volts = self.samples[indices % self.samples.size]
        return np.where((indices >= 0) & (indices < self.length), volts, self.rest_V)


def sample_indices(first_step: int, count: int, step_rate_Hz: int, sample_rate_Hz: Fraction) -> NDArray[np.int64]:
    """Index of the sample that is held when each step begins: floor(j * sample_rate / step_rate), exactly."""
    numerator, denominator = sample_rate_Hz.numerator, sample_rate_Hz.denominator * step_rate_Hz
    whole, rest = divmod(first_step * numerator, denominator)  # Python integers: no overflow however long the play
    return whole + (rest + np.arange(count, dtype=np.int64) * numerator) // denominator


def exact_rate(rate_Hz: float) -> Fraction:
    """A sample rate as a fraction with a small denominator."""
    return Fraction(rate_Hz).limit_denominator(1000) or Fraction(rate_Hz).limit_denominator(10**9)
