"""A station file to begin from: one source with one output, and the words to go on with."""

from __future__ import annotations

from labctl.toml_text import value_text

EXAMPLE_ADDRESS = "TCPIP::192.168.0.5::5025::SOCKET"

_TEXT = """\
# What this bench consists of. `labctl station check` opens it and says what is wrong; docs/station.md explains the keys.

[station]
name = {name}
simulated = {simulated}

[instruments.source]
driver = {driver}                 # `labctl station instruments` lists the drivers
address = {address}

# One output. Nothing may write to a channel without limits, a ramp and a safe value.
[channels.level]
kind = "set"                        # set and held; "drive" plays waveforms, "sense" is measured
instrument = "source"
terminal = {terminal}
unit = "V"
limits = [-1.0, 1.0]
ramp_per_s = 1.0                    # V/s
safe = {{ value = 0.0, how = "ramp", output = "off" }}
"""


def new_station_text(
    *,
    name: str = "my bench",
    driver: str = "keithley_2400",
    address: str = EXAMPLE_ADDRESS,
    terminal: str = "output",
    simulated: bool = False,
) -> str:
    """The text of a small valid station: one instrument with one output of at most 1 V."""
    given = {"name": name, "driver": driver, "address": address, "terminal": terminal, "simulated": simulated}
    return _TEXT.format(**{key: value_text(value) for key, value in given.items()})
