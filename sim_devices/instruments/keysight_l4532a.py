"""Keysight L4532A: two-channel digitiser (16 bit, 20 MSa/s, 32 MSa a channel).

Command set after the "L4532A and L4534A User's Guide", as public drivers use it (PyMeasure's Agilent L4534A among them).
Square brackets are optional, upper case is the short form, "(?)" has a query form too, (@1,2) is a channel list.

    *IDN? *RST *CLS *OPC *OPC? *WAI *ESE(?) *ESR? *SRE(?) *STB? *TST? *TRG
    SYSTem:ERRor[:NEXT]?                      -113,"Undefined header"   |   +0,"No error"      (20 entries, then -350)
    SYSTem:VERSion?
    CONFigure:ACQuisition[:ATTRibutes] <rate>,<samples>[,<pre>[,<records>[,<holdoff>[,<delay>]]]](?)
    CONFigure:ACQuisition:SRATe <Sa/s>(?)     1, 2 or 5 times 10^n from 1e3 to 20e6, else -224; answer +5000
    CONFigure:ACQuisition:SCOunt <n>(?)       samples a record: 8 .. SCO:MAX?, a MULTIPLE OF 4, else -224 (outside: -222)
    CONFigure:ACQuisition:SCOunt:MAXimum?     samples a record with the present number of records (32,000,000 in all)
    CONFigure:ACQuisition:SPRetrigger <n>(?)  samples before the trigger: 0 .. samples - 4, a multiple of 4
    CONFigure:ACQuisition:RECords <n>(?)      1 .. 1024; each record takes one trigger
    CONFigure:ACQuisition:THOLdoff <s>(?)     0 .. 10       CONFigure:ACQuisition:TDELay <s>(?)  0 .. 3600
    CONFigure:CHANnel[:ATTRibutes] (@<ch>),<range>,<coupling>,<filter>     CONFigure:CHANnel[:ATTRibutes]? (@<ch>)
    CONFigure:CHANnel:RANGe (@<ch>),<V>       CONFigure:CHANnel:RANGe? (@<ch>)       0.25 0.5 1 2 4 8 16 32 128 256, else -224
    CONFigure:CHANnel:COUPling (@<ch>),{DC|AC}     ...? (@<ch>)
    CONFigure:CHANnel:FILTer (@<ch>),{LP_20_MHZ|LP_2_MHZ|LP_200_KHZ}     ...? (@<ch>)
    CONFigure:TRIGger:SOURce {IMMediate|SOFTware|EXTernal|CHANnel|OR}(?)        CHAN and OR are refused here (-221)
    CONFigure:ARM:SOURce {IMMediate|SOFTware|EXTernal|TIMer}[,<triggers per arm>](?)    answer IMM,1024; EXT and TIM refused (-221)
    CONFigure:EXTernal:INPut {POSitive|NEGative}(?)       CONFigure:ROSCillator {INTernal|EXTernal}(?)
    INITiate[:IMMediate]                      leaves idle: waits for arm, then for triggers; -213 if already running
    ARM[:IMMediate]                           software arm          TRIGger[:IMMediate], *TRG   software trigger
    ABORt                                     back to idle; what was measured can still be fetched
    FORMat[:DATA]:INTeger {INTeger|ASCii}(?)  how FETC:WAV:ADC? answers: block of int16 (default) or +1,-2,...
    FORMat[:DATA]:REAL {REAL,32|REAL,64|ASCii[,<digits>]}(?)   how FETC:WAV:VOLT? answers: block of float (default REAL,32) or text
    FORMat:BORDer {NORMal|SWAPped}(?)         NORM = most significant byte first (default), SWAP = little endian
    FETCh:WAVeform[:DATA]:VOLTage? (@<ch>)[,<offset>,<count>[,(@<first>:<last>)]]     volts
    FETCh:WAVeform[:DATA]:ADC? (@<ch>)[,<offset>,<count>[,(@<first>:<last>)]]         counts, volts = counts / 32767 * range
    FETCh:WAVeform:ACQuisition:PREamble?      <record>,<samples>,<pre-trigger samples>,{NOIN|RUN|NORM|ABOR}
    READ:WAVeform[:DATA]:VOLTage? / :ADC? ... INIT, wait for the end, FETC
    STATus:OPERation:CONDition? [MTHR]        bit 4 (16) measuring, bit 5 (32) waiting for trigger, bit 6 (64) waiting for arm,
                                              bit 8 (256, MTHR) data can be fetched; with MTHR the answer is +1 or +0
    STATus:OPERation[:EVENt]? / :ENABle(?)    STATus:QUEStionable:CONDition? / [:EVENt]? / :ENABle(?)     STATus:PRESet
    CALibration:ZERO:AUTO? (@<ch>)            +0          DISPlay:TEXT "<text>"(?)     DISPlay:TEXT:CLEar

What a driver must know
- Both channels are always recorded. After *RST: 1e6 Sa/s, 1024 samples, 0 pre-trigger, 1 record, range 256 V DC
  LP_20_MHZ, TRIG:SOUR IMM, ARM:SOUR IMM, FORM:BORD NORM.
- Sample k of a record is taken k / rate after the trigger (+ TDEL); sample 0 is the state at the trigger. <offset>
  counts from the trigger, so pre-trigger samples are fetched with a negative offset (-pre .. ). Without
  <offset>,<count> the whole record comes. Several channels come interleaved, sample by sample.
- INIT is an overlapped command: *OPC? answers 1 when the acquisition is over; it waits for a trigger as long as that
  does not come (then open a second connection and ABOR, or poll STAT:OPER:COND?). The sequence of a buffered play:
  INIT here, *OPC? NOT yet, *TRG at the generator, *OPC? here, FETC.
- PREamble?: the record now being filled (from 1) and how many of its samples are there, so it counts while a play
  runs; samples that are there may be fetched before the end. Samples that are not: -230,"Data corrupt or stale".
  NOIN: nothing since *RST.
- An input beyond its range is clipped to +-32767 counts: treat a sample at full scale as overloaded. It also sets bit
  ch-1 in STAT:QUES.
- CONF commands while a measurement runs: -213,"Init ignored" for INIT, -221,"Settings conflict" for the rest; nothing
  changes.
"""

import asyncio
from collections.abc import Awaitable, Mapping
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from sim_devices.bench import Bench, Port
from sim_devices.instruments.digitiser_format import DigitiserFormat
from sim_devices.instruments.digitiser_inputs import CHANNELS
from sim_devices.plays import Input, Record
from sim_devices.scpi import Parameters, ScpiError, command

_NOISE = 3  # kind of random stream, beside those of the devices
_MEASURING, _WAIT_TRIGGER, _WAIT_ARM, _DATA = 16, 32, 64, 256


class KeysightL4532A(DigitiserFormat):
    """The front end; `inputs` says what each channel sees (an open input sees its own noise)."""

    def __init__(
        self, *, name: str, identity: str, bench: Bench, inputs: Mapping[int, Port], noise_V: float, index: int
    ) -> None:
        self.name = name
        self._bench = bench
        self._inputs = inputs
        self._noise_V = noise_V
        self._index = index
        self._records: list[Record] = []
        self._state = "NOIN"
        self._armed = self._recording = False
        self._idle = asyncio.Event()
        self._idle.set()
        self.reset_setup()
        super().__init__(identity=identity, error_capacity=20)

    def reset_setup(self) -> None:
        """Everything that the commands of the base classes set."""
        self.reset_acquisition()
        self.reset_inputs()
        self.reset_format()

    # State

    @property
    def running(self) -> bool:
        """Between INIT and the end of the last record."""
        return self._state == "RUN"

    @property
    def _current(self) -> Record | None:
        return self._records[-1] if self._records else None

    def _followed(self, record: Record) -> list[Input]:
        """Inputs whose samples come while the play runs; those put off come when they are asked for."""
        followed = [entry for entry in record.inputs.values() if entry.ready]
        return followed or list(record.inputs.values())

    def _ready(self, record: Record) -> int:
        return min((entry.ready for entry in self._followed(record)), default=record.n_samples)

    def operation_complete(self) -> Awaitable[None] | None:
        """The end of the acquisition."""
        return self._wait_idle() if self.running else None

    async def _wait_idle(self) -> None:
        await self._idle.wait()

    def update_conditions(self) -> None:
        """Measuring, waiting for trigger, waiting for arm, data there; overloads in the questionable register."""
        recording = self.running and self._recording
        waiting = self.running and not recording
        bits = _MEASURING if recording else 0
        bits |= (_WAIT_TRIGGER if self._armed else _WAIT_ARM) if waiting else 0
        bits |= _DATA if self._records and not self.running else 0
        self.status.operation.update(bits)
        overloads = {c for record in self._records for c, entry in record.inputs.items() if entry.overloaded}
        self.status.questionable.update(sum(1 << (channel - 1) for channel in overloads))

    # Triggers

    def on_trigger(self, play_number: int) -> Record | None:
        """Begin a record if one is waited for."""
        if not (self.running and self._armed) or self._recording:
            return None
        rate_Hz = Fraction(self.rate_Hz)
        record = Record(rate_Hz, self.n_samples, self.n_before, Fraction(self.delay_s).limit_denominator(10**9), {})
        for channel, (device, observable) in self._inputs.items():
            key = [self._bench.seed, self._index, _NOISE, play_number, channel]
            record.inputs[channel] = Input(
                device, observable, self.ranges_V[channel], self._noise_V, np.random.default_rng(key),
                np.zeros(self.n_samples, np.int16),
            )  # fmt: skip
        self._records.append(record)
        self._recording = True
        return record

    def on_record_end(self, record: Record) -> None:
        """One record more; after the last one the acquisition is over."""
        if record is not self._current or not self.running:
            return
        self._recording = False
        if len(self._records) >= self.n_records:
            self._finish("NORM")
        else:
            self._next_trigger()

    def _finish(self, state: str) -> None:
        self._state, self._armed, self._recording = state, False, False
        self._idle.set()
        self.update_conditions()

    def _next_trigger(self) -> None:
        if self.running and self._armed and not self._recording and self.trigger_source == "IMM":
            self._bench.acquire(self)

    @command("INITiate[:IMMediate]", parameters=0)
    def initiate(self, _: Parameters) -> None:
        """Leave idle; old records are forgotten."""
        if self.running:
            raise ScpiError(-213)
        self._forget()
        self._state = "RUN"
        self._idle.clear()
        self._armed = self.arm_source == "IMM"
        self._next_trigger()

    @command("ARM[:IMMediate]", parameters=0)
    def arm(self, _: Parameters) -> None:
        """Software arm."""
        if not self.running or self._armed or self.arm_source != "SOFT":
            raise ScpiError(-211)
        self._armed = True
        self._next_trigger()

    @command("TRIGger[:IMMediate]", "*TRG", parameters=0)
    def software_trigger(self, _: Parameters) -> None:
        """Software trigger."""
        if not (self.running and self._armed) or self._recording or self.trigger_source != "SOFT":
            raise ScpiError(-211)
        self._bench.acquire(self)

    @command("ABORt", parameters=0)
    def abort(self, _: Parameters) -> None:
        """Back to idle; what was measured stays."""
        if not self.running:
            return
        if self._current is not None and self._recording:
            self._current.aborted = True
        self._finish("ABOR")

    def reset(self) -> None:
        """Idle, no data, everything as after power-on."""
        self.abort(Parameters(()))
        self._forget()
        self._state = "NOIN"
        self.reset_setup()

    def _forget(self) -> None:
        for record in self._records:
            record.discarded = True
        self._records = []

    # Data

    @command("STATus:OPERation:CONDition?", parameters=(0, 1))
    def condition(self, parameters: Parameters) -> int:
        """The condition register, or one bit of it by name."""
        self.update_conditions()
        condition = self.status.operation.condition
        if not len(parameters):
            return condition
        parameters.choice(0, "MTHR")
        return int(bool(condition & _DATA))

    @command("FETCh:WAVeform:ACQuisition:PREamble?")
    def preamble(self, _: Parameters) -> str:
        """Record being filled or last filled, its samples so far, pre-trigger samples, state."""
        record = self._current
        ready = self._ready(record) if record is not None else 0
        before = record.n_before if record is not None else self.n_before
        return f"{len(self._records):+d},{ready:+d},{before:+d},{self._state}"

    @command("FETCh:WAVeform[:DATA]:VOLTage?", parameters=(1, 4))
    def fetch_voltage(self, parameters: Parameters) -> Awaitable[bytes]:
        """Samples in volts."""
        return self._fetch(parameters, volts=True)

    @command("FETCh:WAVeform[:DATA]:ADC?", parameters=(1, 4))
    def fetch_adc(self, parameters: Parameters) -> Awaitable[bytes]:
        """Samples in counts."""
        return self._fetch(parameters, volts=False)

    @command("READ:WAVeform[:DATA]:VOLTage?", parameters=(1, 4))
    async def read_voltage(self, parameters: Parameters) -> bytes:
        """INIT, wait, volts."""
        self.initiate(Parameters(()))
        await self._wait_idle()
        return await self._fetch(parameters, volts=True)

    @command("READ:WAVeform[:DATA]:ADC?", parameters=(1, 4))
    async def read_adc(self, parameters: Parameters) -> bytes:
        """INIT, wait, counts."""
        self.initiate(Parameters(()))
        await self._wait_idle()
        return await self._fetch(parameters, volts=False)

    async def _fetch(self, parameters: Parameters, *, volts: bool) -> bytes:
        channels = parameters.channels(0, allowed=CHANNELS)
        numbers = parameters.channels(3, allowed=range(1, 1025)) if len(parameters) > 3 else None
        chosen = self._choose_records(numbers)
        rows = []
        for record in chosen:
            if len(parameters) > 1:
                first, count = parameters.integer(1) + record.n_before, parameters.integer(2)
            else:
                first, count = 0, record.n_samples
            rows.extend([await self._samples(record, channel, first, count, volts=volts) for channel in channels])
        shape = (len(chosen), len(channels), -1)
        block = np.ascontiguousarray(np.stack(rows).reshape(shape).transpose(0, 2, 1)).reshape(-1)
        return self.format_volts(block) if volts else self.format_counts(block.astype(np.int16))

    def _choose_records(self, numbers: list[int] | None) -> list[Record]:
        if not self._records:
            raise ScpiError(-230)
        if numbers is None:
            return self._records[-1:] if self.running else list(self._records)
        if max(numbers) > len(self._records):
            raise ScpiError(-230, detail=f"{len(self._records)} records are there")
        return [self._records[number - 1] for number in numbers]

    async def _samples(
        self, record: Record, channel: int, first: int, count: int, *, volts: bool
    ) -> NDArray[np.float64]:
        if first < 0 or count < 1 or first + count > record.n_samples:
            raise ScpiError(-222, detail=f"offset {first - record.n_before}, count {count}, {record.n_samples} samples")
        entry = record.inputs.get(channel)
        if entry is None:  # nothing is connected
            return np.zeros(count)
        if entry.ready < first + count and not (self.running and self._recording):
            await self._bench.compute(entry.device)
        if entry.ready < first + count:
            raise ScpiError(-230, detail=f"{entry.ready} samples are there")
        counts = entry.counts[first : first + count].astype(np.float64)
        return counts * (entry.full_scale_V / 32767.0) if volts else counts
