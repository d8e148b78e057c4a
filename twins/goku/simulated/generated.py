"""Simulated series with the truth beside them, and the design that says what is observed of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float64

from twins.errors import SeriesInvalid
from twins.goku.observation import Observation
from twins.goku.series import Series


@dataclass(frozen=True, slots=True, eq=False)
class Generated:
    """Simulated series, and what they were made of, in physical units.

    parameters: (trace, parameter); initial: (trace, state) at the first sample; states: (trace, time, state) at every
    sample; noise_sd: (trace, channel), of the observation noise in the channels' units. n_redrawn: draws that ran away and
    were replaced by others.
    """

    series: Series
    parameters: Float64[np.ndarray, "trace parameter"]
    initial: Float64[np.ndarray, "trace state"]
    states: Float64[np.ndarray, "trace time state"]
    noise_sd: Float64[np.ndarray, "trace channel"]
    n_redrawn: int = 0

    def select(self, traces: Sequence[int] | np.ndarray) -> Generated:
        """Only these traces (indices or a mask)."""
        index = np.arange(self.series.n_traces)[np.asarray(traces)]
        arrays = {name: getattr(self, name)[index] for name in ("parameters", "initial", "states", "noise_sd")}
        return replace(self, series=self.series.select(index), **arrays)

    def span(self, start: int, stop: int) -> Generated:
        """Samples start..stop - 1; the initial state is then that at `start`."""
        states = self.states[:, start:stop]
        return replace(self, series=self.series.span(start, stop), states=states, initial=states[:, 0])


@dataclass(frozen=True, slots=True, kw_only=True)
class Design:
    """What is observed, when, and how badly.

    times_s: (time,) or (trace, time), rising. drive: (time, channel) or (trace, time, channel), for systems with drives.
    observation: from outputs to channels (see twins.goku.observation); by default each output is a channel.
    channel_names, channel_units: of the channels; by default those of the outputs, or channel_0 ….
    noise_sd: of the observation noise: one number, one a channel, or a pair (low, high) given as noise_sd_range, from which
    every trace draws (the same for all channels, evenly in the logarithm). missing: the fraction of samples left out.
    transient_samples: solved before the first sample, with the first step's length. traces_per_group: that share
    parameters. substeps: solver steps a sample; by default found by ``substeps_for``.
    """

    times_s: Float64[np.ndarray, "..."]
    drive: Float64[np.ndarray, "..."] | None = None
    observation: Observation | None = None
    channel_names: tuple[str, ...] = ()
    channel_units: tuple[str, ...] = ()
    noise_sd: float | Sequence[float] = 0.0
    noise_sd_range: tuple[float, float] | None = None
    process_noise: bool = True
    missing: float = 0.0
    transient_samples: int = 0
    traces_per_group: int = 1
    substeps: int | None = None

    def __post_init__(self) -> None:
        if not 0.0 <= self.missing < 1.0:
            raise SeriesInvalid(f"missing must be a fraction of the samples, 0 <= missing < 1, not {self.missing}")
        low, high = self.noise_sd_range or (1.0, 1.0)
        if not 0.0 < low <= high or bool((np.asarray(self.noise_sd) < 0.0).any()):
            raise SeriesInvalid("noise_sd must not be negative, noise_sd_range must be 0 < low <= high")
        if self.transient_samples < 0 or self.traces_per_group < 1:
            raise SeriesInvalid("transient_samples must not be negative, traces_per_group must be at least 1")
