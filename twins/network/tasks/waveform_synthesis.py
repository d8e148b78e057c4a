"""Waveform synthesis: from a plain sine, other waveforms of the same period."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar

import numpy as np

from twins.network.tasks.task import Array, Metric, TaskData, TaskError, check_size, scored_after

WAVEFORMS: Mapping[str, Callable[[Array], Array]] = MappingProxyType(
    {
        "second harmonic": lambda phase: np.sin(2 * phase),
        "third harmonic": lambda phase: np.sin(3 * phase),
        "sawtooth": lambda phase: (phase / np.pi) % 2.0 - 1.0,
        "triangle": lambda phase: 2 / np.pi * np.arcsin(np.sin(phase)),
        "square": lambda phase: np.where(np.sin(phase) >= 0, 1.0, -1.0),
    }
)
"""Waveforms by name, of the phase (radians), each within -1..1."""


@dataclass(frozen=True, slots=True)
class WaveformSynthesis:
    """The input is sin φ with φ = φ0 + 2π n / period, φ0 random for each trial; one output for each of `waveforms`, of the
    same phase.

    A linear model makes sines of the same period only. What it misses is known: all of a harmonic (nrmse 1), √(1 - 8/π²)
    = 0.435 of a square wave, √(1 - 6/π²) = 0.626 of a sawtooth, √(1 - 96/π⁴) = 0.120 of a triangle. A period that is no
    whole number of steps visits every phase.
    """

    period: float = 20.3
    waveforms: tuple[str, ...] = ("second harmonic", "third harmonic", "sawtooth")
    washout: int = 10

    name = "waveform_synthesis"
    metric: ClassVar[Metric] = "nrmse"
    n_inputs = 1

    def __post_init__(self) -> None:
        unknown = [name for name in self.waveforms if name not in WAVEFORMS]
        if unknown or not self.waveforms:
            raise TaskError(f"waveforms {unknown or 'of which there are none'}: choose from {', '.join(WAVEFORMS)}")
        if not self.period > 2.0 or self.washout < 0:
            raise TaskError(f"waveform synthesis needs period > 2 (steps) and washout >= 0, not {self}")

    @property
    def n_outputs(self) -> int:
        """One for each waveform."""
        return len(self.waveforms)

    def sample(self, n_trials: int, n_steps: int, rng: np.random.Generator) -> TaskData:
        """n_trials stretches of n_steps steps, each from a random phase."""
        check_size(n_trials, n_steps, self.washout)
        phase = rng.uniform(0.0, 2 * np.pi, size=(n_trials, 1)) + 2 * np.pi * np.arange(n_steps) / self.period
        targets = np.stack([WAVEFORMS[name](phase) for name in self.waveforms], axis=-1)
        return TaskData(np.sin(phase)[..., None], targets, scored_after(self.washout, n_trials, n_steps))
