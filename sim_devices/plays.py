"""A play: one trigger, the bursts it starts, the records it fills, computed in virtual device time on the bench's worker thread."""

import asyncio
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from sim_devices.signals import Array, Burst, Signal

CHUNK_STEPS = 8192  # some milliseconds: how soon an abort acts and how long the interpreter is kept from other threads
FASTEST_OVERSAMPLING = 64


@dataclass(slots=True, eq=False)
class Input:
    """One digitiser input in a record: where it is wired and how volts become counts."""

    device: str
    observable: str
    full_scale_V: float
    noise_V: float
    generator: np.random.Generator
    counts: NDArray[np.int16]
    overloaded: bool = False
    ready: int = 0

    def take(self, volts: Array) -> None:
        """Append samples: noise of the input, then 16 bit, clipped at full scale."""
        noisy = volts + self.noise_V * self.generator.standard_normal(volts.size) if self.noise_V else volts
        codes = np.rint(noisy * (32767.0 / self.full_scale_V))
        self.overloaded = self.overloaded or bool(np.any(np.abs(codes) >= 32767))
        end = self.ready + volts.size
        self.counts[self.ready : end] = np.clip(codes, -32767, 32767)
        self.ready = end


@dataclass(slots=True, eq=False)
class Record:
    """What one trigger makes a digitiser record. Sample k (from -pre) is taken delay + k / rate after the trigger."""

    rate_Hz: Fraction
    n_samples: int
    n_before: int
    delay_s: Fraction
    inputs: dict[int, Input]  # by channel number
    aborted: bool = False
    discarded: bool = False

    def boundary(self, sample: int, step_rate_Hz: int) -> int:
        """Step boundary at which sample (counted from the start of the record) is taken: the first that is not before its time."""
        return math.ceil((Fraction(sample - self.n_before) / self.rate_Hz + self.delay_s) * step_rate_Hz)

    def boundaries(self, first: int, count: int, step_rate_Hz: int) -> NDArray[np.int64]:
        """The same for many samples."""
        spacing = Fraction(step_rate_Hz) / self.rate_Hz
        start = Fraction(first - self.n_before) * spacing + self.delay_s * step_rate_Hz
        denominator = math.lcm(spacing.denominator, start.denominator)
        step, offset = int(spacing * denominator), int(start * denominator)
        whole, rest = divmod(offset, denominator)
        return whole - (-(rest + np.arange(count, dtype=np.int64) * step) // denominator)


@dataclass(slots=True, eq=False)
class Play:
    """One trigger and all it starts.

    Args:
        number: counts the plays of a bench; keys the random streams.
        step_rate_Hz: internal steps a second.
        bursts: signals by (device, port) that begin at the trigger.
        levels: signals of the other ports at the trigger, with the number of steps since each began.
        record: what is recorded, if anything.
        stopped: bursts that were aborted meanwhile.
        done: set, on the event loop, when all is computed.
    """

    number: int
    step_rate_Hz: int
    bursts: Mapping[tuple[str, str], Burst]
    levels: Mapping[tuple[str, str], tuple[Signal, int]]
    record: Record | None
    stopped: set[tuple[str, str]] = field(default_factory=set)
    done: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def first_step(self) -> int:
        """Where the play begins, in steps from the trigger (negative with pre-trigger samples)."""
        return min(0, self.record.boundary(0, self.step_rate_Hz)) if self.record else 0

    def last_step(self) -> int:
        """Where it ends as things stand: bursts may have been stopped and the record aborted meanwhile."""
        ends = [burst.steps(self.step_rate_Hz) for key, burst in self.bursts.items() if key not in self.stopped]
        if self.record and not self.record.aborted:
            ends.append(self.record.boundary(self.record.n_samples - 1, self.step_rate_Hz))
        return max(ends, default=0)

    def voltages(self, device: str, ports: Sequence[str], first: int, count: int) -> dict[str, Array]:
        """Voltages at a device's ports during some steps."""
        rows: dict[str, Array] = {}
        for port in ports:
            key = (device, port)
            burst = self.bursts.get(key)
            if burst is None:
                signal, since = self.levels[key]
                rows[port] = signal.voltages(first + since, count, self.step_rate_Hz)
            elif key in self.stopped:
                rows[port] = np.full(count, burst.rest_V)
            else:
                rows[port] = burst.voltages(first, count, self.step_rate_Hz)
        return rows

    def take(self, device: str, first: int, before: Mapping[str, float], after: Mapping[str, Array]) -> None:
        """Give the record what it wants of a chunk.

        Args:
            device: whose observables these are.
            first: boundary at which the chunk begins.
            before: observables at that boundary.
            after: observables at the end of each step, shape (step,).
        """
        record = self.record
        if record is None or record.aborted:
            return
        for entry in record.inputs.values():
            if entry.device != device or entry.ready >= record.n_samples:
                continue
            steps = after[entry.observable]
            wanted = min(record.n_samples - entry.ready, self._at_most(record, steps.size))
            at = record.boundaries(entry.ready, wanted, self.step_rate_Hz) - first
            at = at[at <= steps.size]
            if at.size:
                entry.take(np.concatenate(([before[entry.observable]], steps))[at])

    def _at_most(self, record: Record, steps: int) -> int:
        return math.ceil(steps * record.rate_Hz / self.step_rate_Hz) + 2


def step_rate(sample_rates_Hz: Sequence[Fraction], fewest_steps_per_s: float) -> int:
    """Internal steps a second: a common multiple of all sample rates where that is affordable.

    Every instant then falls on a step. Otherwise a multiple of the last rate (the digitiser's); a drive sample then begins
    at most one step late.
    """
    common = Fraction(1)
    for rate in sample_rates_Hz:
        common = Fraction(math.lcm(common.numerator, rate.numerator), math.gcd(common.denominator, rate.denominator))
    affordable = FASTEST_OVERSAMPLING * max(fewest_steps_per_s, float(sample_rates_Hz[-1]) if sample_rates_Hz else 0.0)
    if common > affordable:
        common = Fraction(sample_rates_Hz[-1].numerator)
    return int(common * math.ceil(fewest_steps_per_s / common))
