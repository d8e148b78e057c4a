"""Drivers by the names that a station file uses.

    keysight_33500b       Keysight 33500B series waveform generators
    keysight_l4532a       Keysight L4532A digitiser
    keysight_dsox1204g    Keysight InfiniiVision DSOX1204G oscilloscope, and its family
    keithley_2400         Keithley 2400 source-measure unit
    simoptics_so2c        the camera of the simulated reaction cell
    scpi                  any SCPI instrument; its commands stand in the station file
    pymeasure:<module>.<Class>     any driver of PyMeasure, such as pymeasure:keithley.Keithley2400

Other packages add theirs by the entry-point group "labctl.drivers": name -> a callable (line, options) -> Driver.
"""

import importlib
from collections.abc import Callable, Mapping
from importlib.metadata import entry_points
from typing import Any

from drivers.errors import UnknownDriver
from drivers.line import Line
from drivers.roles import Driver

ENTRY_POINT_GROUP = "labctl.drivers"
PYMEASURE_PREFIX = "pymeasure:"

OUR_OWN: dict[str, str] = {
    "keysight_33500b": "drivers.keysight_33500b:Keysight33500B",
    "keysight_l4532a": "drivers.keysight_l4532a:KeysightL4532A",
    "keysight_dsox1204g": "drivers.keysight_dsox1204g:KeysightDSOX1204G",
    "keithley_2400": "drivers.keithley_2400:Keithley2400",
    "simoptics_so2c": "drivers.simoptics_so2c:SimOpticsSO2C",
    "scpi": "drivers.scpi_generic:GenericScpi",
}
"""name -> "module:class"; a module is imported only when its driver is asked for."""


def driver_names() -> list[str]:
    """Every name that open_driver() knows, without the PyMeasure classes."""
    return sorted({*OUR_OWN, *(entry.name for entry in entry_points(group=ENTRY_POINT_GROUP))})


def open_driver(driver: str, line: Line, options: Mapping[str, Any] | None = None) -> Driver:
    """The driver of this name on an open line.

    options: the driver's own option table of the station file. Raises UnknownDriver, BadOptions.
    """
    given = {} if options is None else options
    if driver.startswith(PYMEASURE_PREFIX):
        from drivers.pymeasure import open_pymeasure_driver

        return open_pymeasure_driver(driver.removeprefix(PYMEASURE_PREFIX), line, given)
    return find_driver(driver)(line, given)


def find_driver(driver: str) -> Callable[[Line, Mapping[str, Any]], Driver]:
    """What makes the driver of this name; raises UnknownDriver."""
    if driver in OUR_OWN:
        module, _, name = OUR_OWN[driver].partition(":")
        maker: Callable[[Line, Mapping[str, Any]], Driver] = getattr(importlib.import_module(module), name)
        return maker
    for entry in entry_points(group=ENTRY_POINT_GROUP, name=driver):
        loaded: Callable[[Line, Mapping[str, Any]], Driver] = entry.load()
        return loaded
    known = ", ".join(driver_names())
    raise UnknownDriver(
        f"no driver {driver!r}: known are {known}, pymeasure:<module>.<Class>, and those of installed packages "
        f"(entry points {ENTRY_POINT_GROUP}). For an instrument without a driver take 'scpi'."
    )
