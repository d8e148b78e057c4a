"""Simulated series of known equations, in sets that share nothing; see the modules for each part."""

from twins.goku.simulated.generated import Design, Generated
from twins.goku.simulated.goku_ui_data import CROP_SAMPLES, FORECAST_SAMPLES, GokuUiData, goku_ui_synthetic
from twins.goku.simulated.simulation import generate, generate_sets

__all__ = [
    "CROP_SAMPLES", "FORECAST_SAMPLES", "Design", "Generated", "GokuUiData", "generate", "generate_sets",
    "goku_ui_synthetic",
]  # fmt: skip
