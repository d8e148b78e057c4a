"""Checks that every player makes before a byte of a waveform leaves."""

from collections.abc import Container, Mapping

import numpy as np
from numpy.typing import NDArray

from drivers.errors import OutOfRange, UnknownTerminal


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
