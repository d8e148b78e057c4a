"""What a gate is, and what the figures of a calibration may be."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist


@dataclass(frozen=True, slots=True, kw_only=True)
class GateThresholds:
    """Fixed tolerances, about the ideal; floors: how many deviations by chance are allowed where that is more.

    *_widest: the most that chance may be allowed; where three deviations are more, these data cannot tell a right twin
    from a wrong one (noise 1.3 or 0.75 times too large shows as a coverage of 0.97 or 0.78), and the figure is not
    judged. std_ratio alone may then be carried by an energy distance and a coverage that are known to *_carrying: rare
    large excursions (hops between wells) make spreads uncertain that are right.

    mean_bias and mean_error: of the twin's mean, in units of the device's spread; see Calibration. excursion: of free
    runs, in half-ranges of the measured response about its middle. min_inputs, min_trials: held-out evidence, below
    which nothing is judged.
    """

    coverage_90: float = 0.02
    coverage_90_widest: float = 0.06
    coverage_90_carrying: float = 0.04
    coverage_90_worst_input: float = 0.8
    std_ratio: float = 0.03
    std_ratio_widest: float = 0.15
    lag1_autocorrelation: float = 0.01
    lag1_autocorrelation_widest: float = 0.08
    energy_relative: float = 0.01
    energy_relative_carrying: float = 0.3
    mean_bias: float = 0.15
    mean_bias_widest: float = 0.3
    mean_error: float = 0.25
    excursion: float = 3.0
    floors: float = 3.0
    min_inputs: int = 4
    min_trials: int = 10

    def floors_of(self, n_figures: int) -> float:
        """Deviations allowed to each of several figures, so that all keep to them as often as one does to `floors`.

        Šidák, J. Am. Stat. Assoc. 62:626 (1967), for normal deviations.
        """
        beyond = math.erfc(self.floors / math.sqrt(2.0))
        if n_figures <= 1 or beyond < 1e-300:
            return self.floors
        each = -math.expm1(math.log1p(-beyond) / n_figures)
        return -NormalDist().inv_cdf(0.5 * each)


@dataclass(frozen=True, slots=True)
class Gate:
    """One figure, the range allowed to it (None: open), whether it passed, and why in words.

    judged: False where the data do not hold enough evidence; such a gate has not passed.
    """

    name: str
    value: float | None
    lower: float | None
    upper: float | None
    passed: bool
    why: str
    judged: bool = True
