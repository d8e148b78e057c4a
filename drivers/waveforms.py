"""What players do with a waveform before a byte of it leaves: check it, scale it."""

import math
from collections.abc import Container, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drivers.errors import OutOfRange, UnknownTerminal

DAC_FULL_SCALE = 32767


def check_waveforms(
    waveforms: Mapping[str, NDArray[np.float64]],
    *,
    where: str,
    terminals: Container[str],
    limits: Mapping[str, tuple[float, float]],
    fewest: int,
    most: int,
) -> int:
    """The common length of waveforms (time,) in volts; raises OutOfRange or UnknownTerminal, naming the first fault.

    terminals: those that can play. limits: (lowest, highest) of each. fewest, most: samples that the memory takes.
    """
    if not waveforms:
        raise OutOfRange(f"{where}: no waveform given")
    lengths = {terminal: np.shape(waveform) for terminal, waveform in waveforms.items()}
    first = next(iter(lengths.values()))
    if len(first) != 1 or any(shape != first for shape in lengths.values()):
        raise OutOfRange(f"{where}: waveforms must be (time,) and of equal length, not {lengths}")
    n_samples = int(first[0])
    if not fewest <= n_samples <= most:
        raise OutOfRange(f"{where}: {n_samples} samples; a waveform has {fewest} … {most}")
    for terminal, waveform in waveforms.items():
        if terminal not in terminals:
            raise UnknownTerminal(f"{where}: terminal {terminal!r} does not play waveforms")
        lowest, highest = limits[terminal]
        inside = (waveform >= lowest) & (waveform <= highest)  # NaN is not inside
        if not np.all(inside):
            index = int(np.argmin(inside))
            raise OutOfRange(
                f"{where} terminal {terminal}: sample {index} is {float(waveform[index])!r}, "
                f"outside {lowest:g} … {highest:g}"
            )
    return n_samples


@dataclass(frozen=True, slots=True)
class Scaled:
    """A waveform as a 16-bit generator stores it: offset_V + points / 32767 * amplitude_Vpp / 2."""

    points: NDArray[np.int16]
    amplitude_Vpp: float


def scale_about(level_V: float, waveform: NDArray[np.float64], *, limit_V: float, smallest_Vpp: float) -> Scaled:
    """Fit a waveform (time,) in volts around level_V; raises OutOfRange where the generator has no room for it.

    The amplitude is rounded up to four digits, the resolution of amplitudes on generators.
    """
    swing_V = float(np.max(np.abs(waveform - level_V)))
    amplitude_Vpp = _round_up(max(2 * swing_V, smallest_Vpp))
    room_Vpp = 2 * (limit_V - abs(level_V))
    if amplitude_Vpp > room_Vpp:
        if 2 * swing_V > room_Vpp:
            raise OutOfRange(
                f"the waveform moves {swing_V:g} V away from its rest level {level_V:g} V, and the generator must then "
                f"reach as far to the other side, beyond ±{limit_V:g} V: choose a rest level nearer to the middle"
            )
        amplitude_Vpp = room_Vpp
    counts = np.rint((waveform - level_V) * (2 * DAC_FULL_SCALE / amplitude_Vpp))
    return Scaled(counts.astype(np.int16), amplitude_Vpp)


def _round_up(value: float) -> float:
    step = 10.0 ** (math.floor(math.log10(value)) - 3)
    return math.ceil(value / step - 1e-9) * step
