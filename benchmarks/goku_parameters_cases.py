"""The equations of goku_parameters.py: how each is measured, and with how much noise."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from twins.goku.amortised.design import Design, Simulator
from twins.goku.observation import KnownObservation
from twins.goku.series import Series
from twins.goku.system import System
from twins.goku.systems import system_named

NOISE = (0.02, 0.2)
"""Standard deviation of the measurement noise, over the spread of each channel's noise-free values in simulations."""


@dataclass(frozen=True, slots=True)
class Case:
    """One equation as it is measured. outputs: the observed ones (None: all); drive_sd: of a smooth random drive."""

    name: str
    step_s: float
    n_samples: int = 100
    outputs: tuple[str, ...] | None = None
    drive_sd: float = 0.0
    system_name: str = ""
    options: dict[str, Any] = field(default_factory=dict)
    refined_quick: int = 150  # traces refined by --quick at most: as many as its time allows
    lot: int = 50  # traces refined at once
    components: int = 6  # of the mixture of Gaussians; fewer where there are many unknowns, which make them dear
    full_only: bool = False

    def system(self) -> System:
        """The equation."""
        return system_named(self.system_name or self.name, **self.options)

    @property
    def observed(self) -> tuple[str, ...]:
        """Names of the observed outputs."""
        return self.outputs or tuple(quantity.name for quantity in self.system().flat_outputs)

    def design(self, seed: int) -> Series:
        """Times and drive; the values are empty. All traces are played the same drive."""
        system = self.system()
        units = {quantity.name: quantity.unit for quantity in system.flat_outputs}
        n_drives = len(system.drives)
        drive = None
        if n_drives:
            drive = self.drive_sd * smooth_noise((1, self.n_samples, n_drives), np.random.default_rng([seed, 77]))
        return Series(
            np.zeros((1, self.n_samples, len(self.observed))),
            self.step_s * np.arange(self.n_samples),
            self.observed,
            tuple(units[name] for name in self.observed),
            drive,
            tuple(quantity.name for quantity in system.drives),
            tuple(quantity.unit for quantity in system.drives),
        )


def noise_range(
    system: System, observation: KnownObservation, design: Series, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """NOISE times the spread of each channel over traces and time, in noise-free simulations from the ranges."""
    one = torch.ones(design.n_channels, dtype=torch.float64)
    simulator = Simulator(system, observation, Design.of(design, system), one, one, 4, None)
    clean = simulator.draw(500, torch.Generator().manual_seed(seed)).clean
    spread = clean.std(dim=(0, 1)).numpy()
    return NOISE[0] * spread, NOISE[1] * spread


def smooth_noise(shape: tuple[int, int, int], rng: np.random.Generator) -> np.ndarray:
    """White noise through a moving average of eight samples, of unit variance: (trace, time, channel)."""
    trace, time, channel = shape
    white = rng.standard_normal((trace, time + 7, channel))
    windows = np.lib.stride_tricks.sliding_window_view(white, 8, axis=1)
    smooth: np.ndarray = windows.sum(axis=-1) / np.sqrt(8.0)
    return smooth


NETWORK = {"ranges": "data", "coupling": "off_diagonal", "n_oscillators": 3}
CASES = (
    Case("pendulum", 0.1, outputs=("angle",)),
    Case("damped_pendulum", 0.1, outputs=("angle",)),
    Case("driven_pendulum", 0.1, outputs=("angle",), drive_sd=2.0),
    Case("lotka_volterra", 0.1),
    Case("van_der_pol", 0.2, outputs=("position",)),
    Case("duffing", 0.2, outputs=("position",)),
    Case("lorenz", 0.02, lot=20),
    Case("fitzhugh_nagumo", 0.8, outputs=("voltage",)),
    Case("stuart_landau", 5e-5, n_samples=150, options={"gain": None, "saturation": 1.0}, refined_quick=100, lot=20),
    Case("stuart_landau_network", 0.05, options=NETWORK, components=2, refined_quick=60, lot=10),
    Case("macrospin", 2e-11, outputs=("mx", "my", "mz"), refined_quick=100, lot=20),
    Case("relaxation", 5e-4, outputs=("voltage",)),
    Case("duffing_noisy", 0.2, system_name="duffing", options={"noisy": True}, outputs=("position",), full_only=True),
    Case(
        "stuart_landau_network_noisy", 0.05, system_name="stuart_landau_network", full_only=True,
        options={**NETWORK, "noise_strength": 0.02}, components=2,
    ),
    Case("fitzhugh_nagumo_driven", 0.8, outputs=("voltage",), system_name="fitzhugh_nagumo", drive_sd=0.3,
         options={"driven": True}, full_only=True),
)  # fmt: skip
