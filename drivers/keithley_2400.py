"""Keithley 2400 source-measure unit, after the "2400 Series SourceMeter User's Manual", chapters 17 and 18.

Station file:

    [instruments.smu]
    driver = "keithley_2400"
    address = "ASRL/dev/ttyUSB0::INSTR"
    baud_rate = 57600
    [instruments.smu.options]
    source = "voltage"            # or "current"
    compliance = 1e-3             # limit of the other quantity, A (or V); left out: as the instrument has it
    power_line_cycles = 1         # 0.01 … 10, integration time of a measurement; left out: as the instrument has it
    remote_sense = true           # measure the voltage at the sense terminals (4 wires); left out: as it is

Terminals: "output" is a set-point (V or A), "voltage" and "current" are meters.
"""

from collections.abc import Mapping
from typing import Any, Literal

from drivers.errors import BadAnswer, OutOfRange
from drivers.line import Line
from drivers.options import Options, read_options
from drivers.scpi import Choice, Number, ScpiDriver, Switch, describe, parse_measurement

VOLTAGE_LIMIT_V = 210.0
CURRENT_LIMIT_A = 1.05
ELEMENTS = ("voltage", "current")


class SourceMeterOptions(Options):
    """The option table of the station file."""

    source: Literal["voltage", "current"] = "voltage"
    compliance: float | None = None
    power_line_cycles: float | None = None
    remote_sense: bool | None = None


class SourceMeter:
    """The instrument's table of settings."""

    source = Choice(":SOUR:FUNC?", ":SOUR:FUNC {value}", "What is sourced", one_of=("VOLT", "CURR"))
    voltage_V = Number(
        ":SOUR:VOLT?",
        ":SOUR:VOLT {value:.9g}",
        "Sourced voltage",
        unit="V",
        within=(-VOLTAGE_LIMIT_V, VOLTAGE_LIMIT_V),
    )
    current_A = Number(
        ":SOUR:CURR?",
        ":SOUR:CURR {value:.9g}",
        "Sourced current",
        unit="A",
        within=(-CURRENT_LIMIT_A, CURRENT_LIMIT_A),
    )
    current_compliance_A = Number(
        ":SENS:CURR:PROT?",
        ":SENS:CURR:PROT {value:.9g}",
        "Current limit while sourcing voltage",
        unit="A",
        within=(1e-9, CURRENT_LIMIT_A),
    )
    voltage_compliance_V = Number(
        ":SENS:VOLT:PROT?",
        ":SENS:VOLT:PROT {value:.9g}",
        "Voltage limit while sourcing current",
        unit="V",
        within=(2e-4, VOLTAGE_LIMIT_V),
    )
    power_line_cycles = Number(
        ":SENS:CURR:NPLC?", ":SENS:CURR:NPLC {value:g}", "Integration time", unit="power line cycles", within=(0.01, 10)
    )
    remote_sense = Switch(":SYST:RSEN?", ":SYST:RSEN {value}", "Whether voltage is measured at the sense terminals")
    output_on = Switch(":OUTP?", ":OUTP {value}", "Whether the output is on")

    def __init__(self, line: Line) -> None:
        """line: open."""
        self.line = line
        self.place: Mapping[str, str] = {}


class SourceOutput:
    """The sourced quantity as a set-point."""

    def __init__(self, table: SourceMeter, *, voltage: bool) -> None:
        """voltage: True for volts, False for amperes."""
        self._table = table
        self._level = SourceMeter.voltage_V if voltage else SourceMeter.current_A
        limit = VOLTAGE_LIMIT_V if voltage else CURRENT_LIMIT_A
        self.limits: tuple[float, float] = (-limit, limit)

    def set_value(self, value: float) -> None:
        """Set the level (V or A) at once."""
        self._level.__set__(self._table, value)

    def read_back(self) -> float:
        """The level (V or A) as the instrument holds it, rounded to its range's resolution."""
        return self._level.__get__(self._table, SourceMeter)

    def enable(self, on: bool) -> None:
        """Switch the output on or off."""
        self._table.output_on = bool(on)

    def enabled(self) -> bool:
        """Whether the instrument says that the output is on."""
        return self._table.output_on


class SourceMeasurement:
    """Voltage or current at the terminals, measured together."""

    def __init__(self, driver: "Keithley2400", element: str) -> None:
        """element: "voltage" or "current"."""
        self._driver = driver
        self._index = ELEMENTS.index(element)

    def read_value(self) -> float:
        """Measure once (V or A). With the output off the instrument refuses: InstrumentReported -803."""
        address = self._driver.line.address
        answer = self._driver.measure(":READ?")
        fields = answer.split(",")
        if len(fields) != len(ELEMENTS):
            raise BadAnswer(f"{address}: ':READ?' was answered {answer!r}; voltage and current were expected")
        return parse_measurement(fields[self._index], address, ":READ?")


class Keithley2400(ScpiDriver):
    """One source-measure unit."""

    error_query = ":SYST:ERR?"
    roles_offered = "set_point('output'), meter('voltage') and meter('current')"

    def __init__(self, line: Line, options: Mapping[str, Any]) -> None:
        """Sets what is measured and, where given, compliance and integration time.

        Raises OutOfRange if the output is on with another source than the options say: changing it would switch it off.
        """
        super().__init__(line)
        self._options = read_options(SourceMeterOptions, options, where=f"{line.address}: driver keithley_2400")
        self.table = SourceMeter(line)
        self._apply_settings()
        line.on_reconnect(self._apply_settings)

    def _apply_settings(self) -> None:
        """On opening and after every reconnection."""
        options, table = self._options, self.table
        voltage = options.source == "voltage"
        wanted = "VOLT" if voltage else "CURR"
        if table.source != wanted:
            if table.output_on:
                raise OutOfRange(
                    f"{self.line.address}: the output is on and does not source {options.source}; switch it off first"
                )
            table.source = wanted
        if options.compliance is not None:
            if voltage:
                table.current_compliance_A = options.compliance
            else:
                table.voltage_compliance_V = options.compliance
        if options.power_line_cycles is not None:
            table.power_line_cycles = options.power_line_cycles
        if options.remote_sense is not None:
            table.remote_sense = options.remote_sense
        for command in (":SENS:FUNC:CONC 1", ':SENS:FUNC "VOLT","CURR"', ":FORM:ELEM VOLT,CURR"):
            self.line.write(command)
        self.check_errors("setting up")

    def describe_settings(self) -> dict[str, str]:
        """The table."""
        return describe(self.table)

    def set_point(self, terminal: str) -> SourceOutput:
        """Terminal "output": the sourced quantity."""
        if terminal != "output":
            raise self.no_role(terminal, "set")
        return SourceOutput(self.table, voltage=self._options.source == "voltage")

    def meter(self, terminal: str) -> SourceMeasurement:
        """Terminal "voltage" or "current"."""
        if terminal not in ELEMENTS:
            raise self.no_role(terminal, "measured")
        return SourceMeasurement(self, terminal)
