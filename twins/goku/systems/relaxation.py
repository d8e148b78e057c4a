"""A relaxation oscillator: charges through a leak, fires at a threshold, discharges; integrate-and-fire without a jump."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from twins.errors import EquationInvalid
from twins.goku.quantity import Quantity, Values
from twins.goku.system import System
from twins.goku.systems.units import per_time, time_name


@dataclass(frozen=True, kw_only=True)
class Relaxation(System):
    """voltage' = (level - voltage) / leak_time - conducting voltage / discharge_time (+ noise dW/dt),
    conducting' = (sigmoid((voltage - threshold + drop conducting) / width_V) - conducting) / switching_time.

    A capacitor charged through a leak towards `level`, and discharged through a threshold switch that ignites at
    `threshold` and goes out `drop` lower: the neon lamp of S. Pearson and H. Anson (Proc. Phys. Soc. London 34, 175,
    1922), the volatile memristor as a neuron, and a leaky integrate-and-fire neuron whose reset is smooth (L. Lapicque
    1907). With a drive, level = rest + drive_gain input.

    width_V: how sharp the threshold is; known, because a sharp one can hardly be told from a sharper one.
    driven: with a measured input. noisy: with white noise on the voltage. time_unit_s: seconds in the unit of time.
    """

    width_V: float = 0.05
    driven: bool = False
    noisy: bool = False
    time_unit_s: float = 1e-3

    states = (Quantity("voltage", "V", 0.3, 1.0), Quantity("conducting", "", 0.0, 0.5))

    def __post_init__(self) -> None:
        if not self.width_V > 0.0:
            raise EquationInvalid(f"relaxation: width_V must be positive, not {self.width_V}")

    @cached_property
    def parameters(self) -> tuple[Quantity, ...]:  # type: ignore[override]
        """Times, voltages, and the noise where there is any."""
        time = time_name(self.time_unit_s)
        level = (
            (Quantity("rest", "V", 0.0, 2.0), Quantity("drive_gain", "V/V", 0.3, 3.0, scale="log"))
            if self.driven
            else (Quantity("level", "V", 1.3, 2.0),)
        )
        always = (
            Quantity("leak_time", time, 4.0, 15.0, scale="log"),
            Quantity("threshold", "V", 0.8, 1.2),
            Quantity("drop", "V", 0.2, 0.5),
            Quantity("discharge_time", time, 0.4, 1.2, scale="log"),
            Quantity("switching_time", time, 0.2, 0.6, scale="log"),
        )
        noise = Quantity("noise", per_time(self.time_unit_s, "V", "^0.5"), 0.003, 0.1, scale="log")
        return (*level, *always, noise) if self.noisy else (*level, *always)

    @cached_property
    def drives(self) -> tuple[Quantity, ...]:  # type: ignore[override]
        """The input."""
        return (Quantity("input", "V", -1.0, 1.0),) if self.driven else ()

    @cached_property
    def noise(self) -> str:  # type: ignore[override]
        """Additive, where there is any."""
        return "additive" if self.noisy else "none"

    def coefficients(self, p: Values) -> Values:
        """Rates instead of times, once."""
        rates = {f"{name}_rate": 1.0 / getattr(p, f"{name}_time") for name in ("leak", "discharge", "switching")}
        kept = {quantity.name: getattr(p, quantity.name) for quantity in self.parameters}
        return Values(**kept, **rates)

    def drift(self, z: Values, p: Any, u: Values) -> tuple[Tensor, ...]:
        """Per time_unit_s."""
        level = p.rest + p.drive_gain * u.input if self.driven else p.level
        charging = (level - z.voltage) * p.leak_rate - z.conducting * z.voltage * p.discharge_rate
        ignited = torch.sigmoid((z.voltage - p.threshold + p.drop * z.conducting) * (1.0 / self.width_V))
        return charging, (ignited - z.conducting) * p.switching_rate

    def diffusion(self, z: Values, p: Any, u: Values) -> tuple[Tensor, float]:
        """Of the voltage alone."""
        return p.noise, 0.0
