"""The tables of a station file, as pydantic models. Unknown keys are errors; values are strict.

[station]               name, simulated
[instruments.NAME]      driver, address, serial, how the line talks, options, [instruments.NAME.scpi]
[channels.NAME]         kind, instrument, terminal, unit, limits, ramp_per_s, slew_per_s, safe, range, image
[devices.NAME]          drive, response, conditions, time_constant_s, sample_rate_Hz, preparation, starts
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, PositiveFloat, field_validator, model_validator

from labctl.units import conversion, unit_of

Name = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_-]*$", max_length=64)]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True)


class StationTable(_Table):
    """What bench this is."""

    name: str = Field(min_length=1)
    """A name for people; it stands in every recording."""
    simulated: bool
    """Whether every instrument is a simulated one (serial numbers SIM-…); must agree with the identities on opening."""
    description: str = ""
    """Anything a colleague should know."""


class InstrumentTable(_Table):
    """One instrument: which driver, at which address, and how the line talks."""

    driver: str = Field(min_length=1)
    """keysight_33500b, keysight_l4532a, keysight_dsox1204g, keithley_2400, simoptics_so2c, scpi, or
    pymeasure:module.Class."""
    address: str = Field(min_length=1)
    """VISA resource name, such as TCPIP::192.168.0.5::5025::SOCKET or ASRL/dev/ttyUSB0::INSTR."""
    serial: str | None = None
    """The serial number that must answer; another one is an error."""
    simulated: bool | None = None
    """For a simulated instrument whose identity does not say so (its serial number does not begin with SIM-): true."""
    timeout_s: PositiveFloat = 2.0
    """How long to wait for an answer."""
    reconnect_s: float = Field(default=2.0, ge=0.0)
    """How long to try to reopen a lost line."""
    pause_s: float = Field(default=0.0, ge=0.0)
    """Kept between an exchange and the next command, for instruments that lose what comes too soon."""
    baud_rate: int | None = Field(default=None, gt=0)
    """Serial lines only; 9600 if not given."""
    read_termination: str = "\n"
    """Ends each answer."""
    write_termination: str = "\n"
    """Ends each command."""
    probe: str = "*IDN?"
    """Asked on opening, and after every fault, to see who is there: a question that it answers always alike. "" for an
    instrument that has none."""
    data_bits: int | None = Field(default=None, ge=5, le=8)
    """Serial lines only."""
    parity: Literal["none", "odd", "even", "mark", "space"] | None = None
    """Serial lines only."""
    stop_bits: float | None = None
    """Serial lines only: 1, 1.5 or 2."""
    flow_control: Literal["none", "xon_xoff", "rts_cts", "dtr_dsr"] | None = None
    """Serial lines only."""
    options: dict[str, Any] = Field(default_factory=dict)
    """Passed to the driver, which checks them."""
    scpi: dict[str, Any] = Field(default_factory=dict)
    """The commands of the generic driver "scpi"."""


class SafeTable(_Table):
    """What "safe" means for one output."""

    value: FiniteFloat
    """The safe value, in the channel's unit."""
    how: Literal["ramp", "now"]
    """ramp: at ramp_per_s, for what must not jump (a magnet). now: at once (a gate)."""
    output: Literal["on", "off"] = "on"
    """Whether the output is switched off once it stands at the safe value."""


class ImageTable(_Table):
    """How a camera sees a device."""

    planes: dict[Name, str] = Field(min_length=1)
    """Name of each channel of an image -> the camera's terminal (filter, colour), in the camera's order."""
    exposure_s: PositiveFloat
    """Exposure of a frame (s)."""
    binning: int = Field(default=1, ge=1)
    """So many pixels a side are summed into one."""
    region: Annotated[tuple[int, int, int, int], Field(strict=False)] | None = None
    """Left, top, width, height in pixels of the sensor; the whole sensor if not given."""
    pixel: PositiveFloat = 1.0
    """Size of a pixel of the sensor on the device, in pixel_unit."""
    pixel_unit: str = "px"
    """Such as um; px where nobody has measured it."""


class ChannelTable(_Table):
    """A named, bounded quantity: one output or one input of an instrument."""

    kind: Literal["drive", "set", "sense", "image"]
    """drive: played as a waveform. set: set and held. sense: measured. image: seen by a camera."""
    instrument: Name
    """The instrument it belongs to."""
    terminal: str = Field(min_length=1)
    """Which output, input or property of the instrument."""
    unit: str
    """V, mV, A, uA, T, K, Hz …; the unit of limits, ramp, slew, safe value and data."""
    instrument_unit: str | None = None
    """The unit the driver speaks, where it is not the base unit of `unit`."""
    description: str = ""
    """Anything a colleague should know."""
    limits: Annotated[tuple[FiniteFloat, FiniteFloat], Field(strict=False)] | None = None
    """Lowest and highest value that may ever be sent."""
    ramp_per_s: PositiveFloat | None = None
    """Fastest change of a set-point, in units a second."""
    slew_per_s: PositiveFloat | None = None
    """Fastest change within a played waveform, in units a second."""
    safe: SafeTable | None = None
    """The safe value and how to get there."""
    rest: FiniteFloat | None = None
    """The level at which waveforms begin and end; the safe value if not given."""
    tolerance: PositiveFloat | None = None
    """How far the read-back may be from what was set; a thousandth of the larger limit if not given."""
    range: PositiveFloat | None = None
    """Sense channels: full scale of the digitiser, ± in the channel's unit."""
    image: ImageTable | None = None
    """Image channels: planes, exposure, binning, region."""

    @field_validator("unit", "instrument_unit")
    @classmethod
    def _known_unit(cls, symbol: str | None) -> str | None:
        if symbol is not None:
            unit_of(symbol)
        return symbol

    @field_validator("limits")
    @classmethod
    def _ordered(cls, limits: tuple[float, float] | None) -> tuple[float, float] | None:
        if limits is not None and not limits[0] < limits[1]:
            raise ValueError(f"the lower limit must be below the upper one, not {limits[0]:g}..{limits[1]:g}")
        return limits

    @model_validator(mode="after")
    def _convertible(self) -> Self:
        if self.instrument_unit is not None:
            conversion(self.unit, self.instrument_unit)
        return self


class PreparationTable(_Table):
    """The recorded segment before each trial that brings a device into a known state."""

    pulse: dict[Name, FiniteFloat] = Field(default_factory=dict)
    """Level of each drive channel during the pulse; channels not named stay at rest."""
    pulse_s: PositiveFloat | None = None
    """How long the pulse lasts; five time constants if not given."""
    rest_s: PositiveFloat | None = None
    """How long the device rests after it; five time constants if not given."""


class StartTable(_Table):
    """Commands that bring a filmed device to a new start before a trial, such as an injection."""

    instrument: Name
    """The instrument that takes them."""
    commands: list[str] = Field(min_length=1)
    """Sent one after another; {seed} stands for an integer of the trial, 0 to 2147483647. One that ends with "?" is asked, and
    its answer waited for (*OPC?)."""
    description: str = ""
    """Anything a colleague should know."""


class DeviceTable(_Table):
    """A physical device: the channels that drive it and those that show its response."""

    drive: list[Name] = Field(default_factory=list)
    """Its drive channels; none for a device that is filmed."""
    response: list[Name] = Field(min_length=1)
    """Its sense channels, or its one image channel."""
    conditions: list[Name] = Field(default_factory=list)
    """Set channels held constant while it is driven; their values are recorded."""
    time_constant_s: PositiveFloat
    """Its slowest relaxation time: the rest of the preparation is five of them."""
    sample_rate_Hz: PositiveFloat
    """Rate at which it is driven and recorded, or filmed."""
    mode: Literal["auto", "buffered", "stepped"] = "auto"
    """buffered: played and recorded from the instruments' memories, in step by a trigger; an error where that is
    impossible. stepped: set and read sample by sample. auto: buffered where the instruments can."""
    preparation: PreparationTable = PreparationTable()
    """The recorded segment before each trial."""
    starts: dict[Name, StartTable] = Field(default_factory=dict)
    """Filmed devices: ways to begin a trial, by name; the first is the usual one."""
    description: str = ""
    """Anything a colleague should know."""


class StationFile(_Table):
    """A station file: the instruments of a bench, its channels with their limits, and the devices on them."""

    station: StationTable
    instruments: dict[Name, InstrumentTable] = Field(min_length=1)
    channels: dict[Name, ChannelTable] = Field(min_length=1)
    devices: dict[Name, DeviceTable] = Field(default_factory=dict)
