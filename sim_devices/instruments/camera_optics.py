"""What light and sensor make of the concentrations: illumination that drifts, vignetting, shot and read noise, counts."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sim_devices.signals import Array


@dataclass(frozen=True, slots=True, kw_only=True)
class Optics:
    """The [instruments.NAME.optics] table.

    Args:
        bits: of a count, 8 to 16; full scale is 2**bits - 1.
        electrons_per_s: collected by a pixel from a dye of concentration 1 under the mean illumination.
        background: light of the same wavelength from elsewhere, as a concentration.
        counts_per_electron: gain of the converter.
        black_level: counts without light.
        read_noise: of a pixel, electrons rms.
        shot_noise: whether electrons are counted one by one (Poisson).
        drift: relative rms of the slow fluctuation of the lamp; both dyes see the same.
        drift_time_s: its correlation time (Ornstein-Uhlenbeck), in device time.
        vignetting: how much less light there is in the corners than in the middle, 0 to 0.9.
        monitor_noise: relative rms of the photodiode that watches the lamp.
    """

    bits: int = 12
    electrons_per_s: float = 5e5
    background: float = 0.05
    counts_per_electron: float = 0.3
    black_level: float = 100.0
    read_noise: float = 8.0
    shot_noise: bool = True
    drift: float = 0.0
    drift_time_s: float = 1000.0
    vignetting: float = 0.0
    monitor_noise: float = 0.002

    def __post_init__(self) -> None:
        if not 8 <= self.bits <= 16:
            raise ValueError(f"bits must be 8 to 16, not {self.bits}")
        for name in ("electrons_per_s", "counts_per_electron", "drift_time_s"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be positive, not {getattr(self, name)}")
        for name in ("background", "black_level", "read_noise", "monitor_noise"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} must not be negative, not {getattr(self, name)}")
        if not 0 <= self.drift <= 0.5:
            raise ValueError(f"drift must be 0 to 0.5, not {self.drift}")
        if not 0 <= self.vignetting <= 0.9:
            raise ValueError(f"vignetting must be 0 to 0.9, not {self.vignetting}")

    @property
    def full_scale(self) -> int:
        """The largest count."""
        return (1 << self.bits) - 1

    def field(self, rows: int, columns: int) -> Array:
        """Relative illumination of each pixel (row, column), 1 in the middle."""
        y, x = ((np.arange(size) + 0.5) / size * 2.0 - 1.0 for size in (rows, columns))
        falloff: Array = 1.0 - 0.5 * self.vignetting * (y[:, None] ** 2 + x[None, :] ** 2)
        return falloff

    def counts(
        self, concentration: Array, *, exposure_s: float, light: Array, binning: int, generator: np.random.Generator
    ) -> tuple[NDArray[np.uint16], int]:
        """Counts of each (plane, row, column) and how many of them are at full scale.

        concentration and light are (plane, row, column) and (row, column) before binning, which sums electrons.
        """
        mean = self.electrons_per_s * exposure_s * (np.maximum(concentration, 0.0) + self.background) * light
        planes, rows, columns = mean.shape
        mean = mean.reshape(planes, rows // binning, binning, columns // binning, binning).sum(axis=(2, 4))
        electrons = generator.poisson(mean).astype(np.float64) if self.shot_noise else mean
        electrons = electrons + self.read_noise * generator.standard_normal(mean.shape)
        counts = np.rint(self.black_level + self.counts_per_electron * electrons)
        saturated = int(np.count_nonzero(counts >= self.full_scale))
        return np.clip(counts, 0, self.full_scale).astype(np.uint16), saturated


class Lamp:
    """The illumination as time passes: exp of an Ornstein-Uhlenbeck process, exact over any interval."""

    def __init__(self, optics: Optics, generator: np.random.Generator) -> None:
        self._optics = optics
        self._generator = generator
        self._log = optics.drift * generator.standard_normal()

    def after(self, elapsed_s: float) -> tuple[float, float]:
        """(relative illumination, what the photodiode reads) that much later."""
        optics = self._optics
        decay = math.exp(-elapsed_s / optics.drift_time_s)
        kick, seen = self._generator.standard_normal(2)
        self._log = self._log * decay + optics.drift * math.sqrt(1.0 - decay * decay) * kick
        light = math.exp(self._log)
        return light, light * (1.0 + optics.monitor_noise * seen)
