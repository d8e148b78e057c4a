"""What patterns are measured by, where no two of them agree cell by cell: NumPy, on frames or arrays.

wavelength, radial_spectrum, structure_function, pattern_sd, mass     of images (…, y, x)
stability(run, data)                                                  whether a run stays a pattern like the data's
compare(run, data)                                                    relative errors beside the data's own spread
"""

from __future__ import annotations

from twins.nca.metrics.comparison import PatternComparison, compare, wavelengths
from twins.nca.metrics.pattern import StructureFunction, mass, pattern_sd, structure_function
from twins.nca.metrics.spectrum import RadialSpectrum, radial_spectrum, wavelength
from twins.nca.metrics.stable_runs import (
    Stability,
    are_stable,
    like_the_data,
    sd_ratio,
    stability,
    stable,
)

__all__ = [
    "PatternComparison", "RadialSpectrum", "Stability", "StructureFunction", "are_stable", "compare", "like_the_data",
    "mass", "pattern_sd", "radial_spectrum", "sd_ratio", "stability", "stable", "structure_function",
    "wavelength", "wavelengths",
]  # fmt: skip
