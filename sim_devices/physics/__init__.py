"""Simulated devices under test, by the name a bench file gives as `kind`."""

from collections.abc import Mapping
from types import MappingProxyType

from sim_devices.physics.device import Device, Imaged, Remarking
from sim_devices.physics.duffing import Duffing
from sim_devices.physics.exported_twin import ExportedTwin
from sim_devices.physics.gray_scott import GrayScott
from sim_devices.physics.leaky_integrator import LeakyIntegrator
from sim_devices.physics.stuart_landau import StuartLandau

DEVICES: Mapping[str, type] = MappingProxyType(
    {
        "leaky_integrator": LeakyIntegrator,
        "duffing": Duffing,
        "stuart_landau": StuartLandau,
        "gray_scott": GrayScott,
        "exported_twin": ExportedTwin,
    }
)

__all__ = [
    "DEVICES", "Device", "Duffing", "ExportedTwin", "GrayScott", "Imaged", "LeakyIntegrator", "Remarking", "StuartLandau",
]  # fmt: skip
