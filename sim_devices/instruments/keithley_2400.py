"""Keithley 2400: source-measure unit on a serial line (57600 baud, 8N1, terminator CR, LF or CRLF; answers end with LF).

Command set after the "2400 Series SourceMeter User's Manual" and what PyMeasure's Keithley2400 sends. Square brackets are optional,
upper case is the short form, "(?)" has a query form too. Bytes 0x03 and 0x18 clear input and output (device clear).

    *IDN? *RST *CLS *OPC *OPC? *WAI *ESE(?) *ESR? *SRE(?) *STB? *TST? *TRG *OPT?
    SYSTem:ERRor[:NEXT]?   STATus:QUEue[:NEXT]?     -113,"Undefined header"   |   0,"No error"   (10 entries, then -350)
    SYSTem:ERRor:COUNt?    SYSTem:ERRor:ALL?        SYSTem:CLEar   SYSTem:VERSion?
    OUTPut[:STATe] <bool>(?)                  OUTPut:SMODe {HIMPedance|NORMal|ZERO|GUARd}(?)
    SOURce:FUNCtion[:MODE] {VOLTage|CURRent}(?)          VOLT
    SOURce:VOLTage:MODE {FIXed}(?)            SOURce:CURRent:MODE {FIXed}(?)
    SOURce:VOLTage[:LEVel][:IMMediate][:AMPlitude] <V>(?)      -210 .. 210
    SOURce:CURRent[:LEVel][:IMMediate][:AMPlitude] <A>(?)      -1.05 .. 1.05
    SOURce:VOLTage:RANGe {<V>|UP|DOWN}(?)     SOURce:VOLTage:RANGe:AUTO <bool>(?)       ranges 0.2 2 20 200 V
    SOURce:CURRent:RANGe <A>(?)               SOURce:CURRent:RANGe:AUTO <bool>(?)       ranges 1e-6 .. 1 A by tens
    SOURce:VOLTage:PROTection[:LEVel] <V>(?)  SOURce:DELay <s>(?)   SOURce:DELay:AUTO <bool>(?)   SOURce:CLEar:AUTO <bool>(?)
    SENSe:FUNCtion[:ON] "CURR"[,"VOLT"](?)    also 'CURR:DC', "VOLT:DC", "RES"
    SENSe:FUNCtion:OFF "CURR",...             SENSe:FUNCtion[:ON]:ALL   SENSe:FUNCtion:OFF:ALL   SENSe:FUNCtion:CONCurrent <bool>(?)
    SENSe:CURRent[:DC]:PROTection[:LEVel] <A>(?)   -1.05 .. 1.05        SENSe:CURRent[:DC]:PROTection:TRIPped?   0 | 1
    SENSe:VOLTage[:DC]:PROTection[:LEVel] <V>(?)   -210 .. 210          SENSe:VOLTage[:DC]:PROTection:TRIPped?
    SENSe:CURRent[:DC]:RANGe[:UPPer] <A>(?)        SENSe:CURRent[:DC]:RANGe:AUTO <bool>(?)
    SENSe:VOLTage[:DC]:RANGe[:UPPer] <V>(?)        SENSe:VOLTage[:DC]:RANGe:AUTO <bool>(?)
    SENSe:CURRent[:DC]:NPLCycles <n>(?)            SENSe:VOLTage[:DC]:NPLCycles <n>(?)            0.01 .. 10, one for all
    SENSe:RESistance:MODE {AUTO|MANual}(?)    :RANGe(?) :RANGe:AUTO(?) :NPLCycles(?)
    SENSe:AVERage[:STATe] <bool>(?)           SENSe:AVERage:COUNt <n>(?)  1 .. 100      SENSe:AVERage:TCONtrol {REPeat|MOVing}(?)
    FORMat:ELEMents <item>,...(?)             of VOLTage CURRent RESistance TIME STATus     FORMat[:DATA] {ASCii}(?)
    READ?   MEASure[:CURRent|:VOLTage|:RESistance][:DC]?   INITiate[:IMMediate]   FETCh?   ABORt
    ARM:COUNt(?) ARM:SOURce(?) ARM:TIMer(?) ARM:OUTPut(?) ARM:ILINe(?) ARM:OLINe(?)
    TRIGger:COUNt(?) TRIGger:DELay(?) TRIGger:SOURce(?) TRIGger:OUTPut(?) TRIGger:ILINe(?) TRIGger:OLINe(?) TRIGger:CLEar
    TRACe:CLEar  TRACe:POINts(?)  TRACe:POINts:ACTual?  TRACe:FEED(?)  TRACe:FEED:CONTrol {NEXT|NEVer}(?)  TRACe:DATA?
    CALCulate3:FORMat {MEAN|SDEViation|MAXimum|MINimum|PKPK}(?)   CALCulate3:DATA?
    STATus:PRESet   STATus:MEASurement:CONDition? / [:EVENt]? / :ENABle(?)    STATus:OPERation, STATus:QUEStionable likewise
    SYSTem:AZERo[:STATe] {ON|OFF|ONCE}(?)     SYSTem:RSENse <bool>(?)
    SYSTem:LFRequency {50|60}(?)              SYSTem:LFRequency:AUTO <bool>(?)
    SYSTem:BEEPer[:IMMediate] <Hz>,<s>        SYSTem:BEEPer:STATe(?)    SYSTem:KEY? SYSTem:LOCal SYSTem:REMote
    DISPlay:ENABle <bool>(?)                  ROUTe:TERMinals {FRONt|REAR}(?)

Numbers come back as +1.000000E-01; a measurement is the FORM:ELEM items, by default voltage, current, resistance, time, status
(+1.000000E-01,+1.000000E-05,+9.910000E+37,+1.234000E+00,+5.120000E+03), 9.91E37 where nothing was measured.

What a driver must know
- After *RST: source VOLT, 0 V, autorange on, compliance 105 uA, measuring "VOLT:DC","CURR:DC", OUTP OFF.
- The read-back of a source level is the level as programmed, rounded to the range's resolution (5 uV on 0.2 V, 50 uV
  on 2 V, ...).
- READ? and MEAS? with the output OFF: 803,"Not permitted with OUTPUT off" (unless SOUR:CLE:AUTO ON switches it on for
  the measurement). MEAS:CURR? configures, then READ?.
- A value outside its range is refused with -222,"Parameter data out of range" and nothing changes.
- The terminals see the device's port: 10 kOhm (load_ohm). In compliance the voltage is what the limit allows, and
  PROT:TRIP? is 1.
- With SYST:RSEN ON and sense terminals wired in the bench file, the voltage is that of the sense terminals (how a
  response is read in stepped use).
"""

import time

import numpy as np

from sim_devices.bench import Bench, Port
from sim_devices.instruments.smu_buffer import (
    ARM_COUNT,
    ARM_SOURCE,
    BUFFER_FULL,
    TRIGGER_COUNT,
    TRIGGER_SOURCE,
    Reading,
    SmuBuffer,
    buffer_settings,
)
from sim_devices.instruments.smu_source import OUTPUT, SmuSource, source_settings
from sim_devices.scpi import Parameters, ScpiError, command
from sim_devices.scpi.settings import Setting
from sim_devices.signals import Level

_NOT_MEASURED = 9.91e37
_ELEMENTS = ("VOLTage", "CURRent", "RESistance", "TIME", "STATus")
_FUNCTIONS = {"VOLT": '"VOLT:DC"', "CURR": '"CURR:DC"', "RES": '"RES"'}
_STATUS_COMPLIANCE, _STATUS_OUTPUT_ON, _STATUS_VOLTAGE_SOURCE = 8, 1024, 4096
_NOISE = 4  # kind of random stream, beside those of devices and digitisers


class Keithley2400(SmuSource, SmuBuffer):
    """The front end; `output` says which port it drives, `sense` what its sense terminals see."""

    device_clear_characters = b"\x03\x18"

    def __init__(
        self, *, name: str, identity: str, bench: Bench, output: Port | None, sense: Port | None,
        load_ohm: float, noise_A: float, noise_V: float, index: int,
    ) -> None:  # fmt: skip
        self.name = name
        self.load_ohm = load_ohm
        self._bench = bench
        self._output = output
        self._sense = sense
        self._noise_A, self._noise_V = noise_A, noise_V
        self._generator = np.random.default_rng([bench.seed, index, _NOISE])
        self._started_s = time.monotonic()
        self._shown_V = 0.0
        self._reset_front_end()
        super().__init__(identity=identity, error_capacity=10)

    def settings(self) -> list[Setting]:
        """Settings that are only kept and read back."""
        return source_settings() + buffer_settings()

    def reset(self) -> None:
        """As after power-on; buffer and time stamps too."""
        self._reset_front_end()

    def _reset_front_end(self) -> None:
        self.reset_source()
        self.reset_buffer()
        self._functions = ["VOLT", "CURR"]
        self._elements = [0, 1, 2, 3, 4]
        self._last: list[Reading] = []
        self._waits_for_bus = False

    def changed(self) -> None:
        """The port follows the source."""
        volts = self.terminals()[0]
        if self._output is not None and volts != self._shown_V:
            self._shown_V = volts
            self._bench.change(self._output, Level(volts))

    def update_conditions(self) -> None:
        """Buffer full in the measurement register, compliance in bit 14."""
        full = BUFFER_FULL if self.buffer_is_full else 0
        self.status.measurement.update(full | (16384 if self.terminals()[2] else 0))

    def format_float(self, value: float) -> str:
        """Seven digits."""
        return f"{value:+.6E}"

    def format_integer(self, value: int) -> str:
        """Without a plus sign."""
        return str(value)

    # Measuring

    async def _measure(self) -> list[Reading]:
        if not self.value(OUTPUT):
            if not self.value("SOURce<n>:CLEar:AUTO"):
                raise ScpiError(803, "Not permitted with OUTPUT off")
            self.keep(OUTPUT, True)
            self.changed()
        count = self.value(ARM_COUNT) * self.value(TRIGGER_COUNT)
        readings = [await self._reading() for _ in range(count)]
        if self.value("SOURce<n>:CLEar:AUTO"):
            self.keep(OUTPUT, False)
        self._last = readings
        self.store(readings)
        return readings

    async def _reading(self) -> Reading:
        volts, current_A, tripped = self.terminals()
        if self._sense is not None and self.value("SYSTem:RSENse"):
            volts = await self._bench.observe(*self._sense)
        averaged = self.value("SENSe<n>:AVERage:COUNt") if self.value("SENSe<n>:AVERage[:STATe]") else 1
        quieter = (self.nplc * averaged) ** -0.5
        noise_A, noise_V = self._generator.standard_normal(2) * quieter * (self._noise_A, self._noise_V)
        volts, current_A = volts + noise_V, current_A + noise_A
        status = _STATUS_OUTPUT_ON | _STATUS_VOLTAGE_SOURCE | (_STATUS_COMPLIANCE if tripped else 0)
        resistance = volts / current_A if current_A and "RES" in self._functions else _NOT_MEASURED
        return (
            volts if "VOLT" in self._functions else _NOT_MEASURED,
            current_A if "CURR" in self._functions else _NOT_MEASURED,
            resistance,
            time.monotonic() - self._started_s,
            float(status),
        )

    def write_readings(self, readings: list[Reading]) -> str:
        """The chosen elements of each, one after another."""
        return ",".join(self.format_float(reading[index]) for reading in readings for index in self._elements)

    def _needs_no_event(self) -> None:
        if self.value(ARM_SOURCE) not in ("IMM", "TIM") or self.value(TRIGGER_SOURCE) != "IMM":
            raise ScpiError(-214)

    @command("READ?")
    async def read(self, _: Parameters) -> str:
        """Trigger a measurement and answer it."""
        self._needs_no_event()
        return self.write_readings(await self._measure())

    @command("MEASure:CURRent[:DC]?", parameters=(0, 2))
    async def measure_current(self, parameters: Parameters) -> str:
        """Measure current only."""
        self._functions = ["CURR"]
        return await self.read(parameters)

    @command("MEASure:VOLTage[:DC]?", parameters=(0, 2))
    async def measure_voltage(self, parameters: Parameters) -> str:
        """Measure voltage only."""
        self._functions = ["VOLT"]
        return await self.read(parameters)

    @command("MEASure:RESistance?", parameters=(0, 2))
    async def measure_resistance(self, parameters: Parameters) -> str:
        """Measure voltage, current and their quotient."""
        self._functions = ["VOLT", "CURR", "RES"]
        return await self.read(parameters)

    @command("MEASure?")
    async def measure(self, parameters: Parameters) -> str:
        """Measure what SENS:FUNC says."""
        return await self.read(parameters)

    @command("INITiate[:IMMediate]", parameters=0)
    async def initiate(self, _: Parameters) -> None:
        """Measure now, or when *TRG comes."""
        if self.value(ARM_SOURCE) == "BUS":
            self._waits_for_bus = True
        elif self.value(ARM_SOURCE) in ("IMM", "TIM") and self.value(TRIGGER_SOURCE) == "IMM":
            await self._measure()

    @command("*TRG", parameters=0)
    async def bus_trigger(self, _: Parameters) -> None:
        """The event that ARM:SOUR BUS waits for."""
        if not self._waits_for_bus:
            raise ScpiError(-211)
        self._waits_for_bus = False
        await self._measure()

    @command("ABORt", parameters=0)
    def abort(self, _: Parameters) -> None:
        """Back to idle."""
        self._waits_for_bus = False

    @command("FETCh?")
    def fetch(self, _: Parameters) -> str:
        """The last readings once more."""
        if not self._last:
            raise ScpiError(-230)
        return self.write_readings(self._last)

    # What is measured, and what of it is answered

    def _function_list(self, parameters: Parameters) -> list[str]:
        chosen = []
        for index in range(len(parameters)):
            name = parameters.string(index).upper().removesuffix(":DC")
            short = {"CURRENT": "CURR", "VOLTAGE": "VOLT", "RESISTANCE": "RES"}.get(name, name)
            if short not in _FUNCTIONS:
                raise ScpiError(-224)
            chosen.append(short)
        return chosen

    @command("SENSe<n>:FUNCtion[:ON]", parameters=(1, 3))
    def functions_on(self, parameters: Parameters) -> None:
        """Measure these too; without concurrency, only these."""
        chosen = self._function_list(parameters)
        kept = self._functions if self.value("SENSe<n>:FUNCtion:CONCurrent") else []
        self._functions = [name for name in _FUNCTIONS if name in kept or name in chosen]

    @command("SENSe<n>:FUNCtion:OFF", parameters=(1, 3))
    def functions_off(self, parameters: Parameters) -> None:
        """Do not measure these."""
        chosen = self._function_list(parameters)
        self._functions = [name for name in self._functions if name not in chosen]

    @command("SENSe<n>:FUNCtion[:ON]:ALL", parameters=0)
    def all_functions_on(self, _: Parameters) -> None:
        """Measure everything."""
        self._functions = list(_FUNCTIONS)

    @command("SENSe<n>:FUNCtion:OFF:ALL", parameters=0)
    def all_functions_off(self, _: Parameters) -> None:
        """Measure nothing."""
        self._functions = []

    @command("SENSe<n>:FUNCtion[:ON]?")
    def functions(self, _: Parameters) -> str:
        """What is measured."""
        return ",".join(_FUNCTIONS[name] for name in self._functions) or '""'

    @command("FORMat:ELEMents[:SENSe]", parameters=(1, 5))
    def set_elements(self, parameters: Parameters) -> None:
        """What of a reading is answered; the order is always the same."""
        shorts = [parameters.choice(index, *_ELEMENTS) for index in range(len(parameters))]
        self._elements = [index for index, name in enumerate(("VOLT", "CURR", "RES", "TIME", "STAT")) if name in shorts]

    @command("FORMat:ELEMents[:SENSe]?")
    def elements(self, _: Parameters) -> str:
        """What of a reading is answered."""
        return ",".join(("VOLT", "CURR", "RES", "TIME", "STAT")[index] for index in self._elements)

    @command("*OPT?")
    def options(self, _: Parameters) -> int:
        """None."""
        return 0

    @command("SYSTem:KEY?")
    def key(self, _: Parameters) -> int:
        """No key was pressed."""
        return 0
