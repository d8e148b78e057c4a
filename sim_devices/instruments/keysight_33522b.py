"""Keysight 33522B: two-channel arbitrary-waveform generator (16 bit, 1e6 points a channel).

Command set after the "33500 Series Operating and Service Guide" (Agilent/Keysight). Square brackets are optional,
<ch> is 1 or 2 (1 when left out), upper case is the short form, "(?)" has a query form too.

    *IDN? *RST *CLS *OPC *OPC? *WAI *ESE(?) *ESR? *SRE(?) *STB? *TST? *TRG
    SYSTem:ERRor[:NEXT]?                      -113,"Undefined header"   |   +0,"No error"      (20 entries, then -350)
    SYSTem:VERSion?                           1999.0
    STATus:OPERation:CONDition? / [:EVENt]? / :ENABle(?)     bit 5 (32): a channel is waiting for its trigger; bit 4 (16): playing
    STATus:QUEStionable:CONDition? / [:EVENt]? / :ENABle(?)    STATus:PRESet
    FORMat:BORDer {NORMal|SWAPped}(?)         NORM = most significant byte first (the default), SWAP = little endian
    [SOURce<ch>:]DATA:VOLatile:CLEar          forgets the channel's waveforms; needed before a name is used again
    [SOURce<ch>:]DATA:VOLatile:CATalog?       "EXP_RISE","drive1"
    [SOURce<ch>:]DATA:VOLatile:FREE?          points left on this channel (1,000,000 in all)
    [SOURce<ch>:]DATA:ARBitrary[<ch>] <name>,{<block of float32>|<v>,<v>,...}       each -1..1; 8 points to 1e6
    [SOURce<ch>:]DATA:ARBitrary[<ch>]:DAC <name>,{<block of int16>|<n>,<n>,...}     each -32767..32767
    [SOURce<ch>:]DATA:ATTRibute:POINts? [<name>]
    [SOURce<ch>:]FUNCtion {SINusoid|SQUare|ARB|DC}(?)
    [SOURce<ch>:]FUNCtion:ARBitrary {<name>|"<name>"}(?)      answer is quoted
    [SOURce<ch>:]FUNCtion:ARBitrary:SRATe <Sa/s>(?)           1e-6 .. 250e6
    [SOURce<ch>:]FUNCtion:ARBitrary:FILTer {NORMal|STEP|OFF}(?)      OFF: sample and hold, at most 62.5e6 Sa/s
    [SOURce<ch>:]FREQuency <Hz>(?)
    [SOURce<ch>:]VOLTage[:LEVel][:IMMediate][:AMPlitude] <Vpp>(?)    1 mVpp .. 10 Vpp into 50 ohm, doubled into INF
    [SOURce<ch>:]VOLTage[:LEVel][:IMMediate]:OFFSet <V>(?)           |offset| + Vpp/2 <= 5 V into 50 ohm, 10 V into INF
    [SOURce<ch>:]VOLTage:UNIT VPP(?)
    [SOURce<ch>:]VOLTage:LIMit:HIGH <V>(?)    [SOURce<ch>:]VOLTage:LIMit:LOW <V>(?)   [SOURce<ch>:]VOLTage:LIMit:STATe <bool>(?)
    [SOURce<ch>:]BURSt:STATe <bool>(?)        [SOURce<ch>:]BURSt:MODE {TRIGgered}(?)  [SOURce<ch>:]BURSt:NCYCles <n>(?)  1..1e8
    [SOURce<ch>:]BURSt:PHASe 0(?)
    TRIGger<ch>:SOURce {IMMediate|EXTernal|TIMer|BUS}(?)      TRIGger<ch>[:IMMediate]      ABORt
    OUTPut<ch>[:STATe] <bool>(?)              OUTPut<ch>:LOAD {<ohm>|INFinity|MINimum|MAXimum}(?)    9.9E+37 is INF
    OUTPut:SYNC[:STATe] <bool>(?)             OUTPut:SYNC:SOURce {CH1|CH2}(?)
    OUTPut:TRIGger[:STATe] <bool>(?)          OUTPut:TRIGger:SOURce {CH1|CH2}(?)

Numbers come back as +1.000000000000000E+00, integers as +1, booleans as 0 or 1.

What a driver must know
- After *RST: FUNC SIN, 1 kHz, 100 mVpp, 0 V offset, OUTP OFF, OUTP:LOAD 50, TRIG:SOUR IMM, BURS:STAT OFF, SYNC ON
  from CH1, FORM:BORD NORM, waveform memory empty but for the built-in EXP_RISE.
- With OUTP:LOAD 50 and a high-impedance device the terminal carries TWICE the displayed voltage: set OUTP:LOAD INF
  first.
- A set-point is FUNC DC with VOLT:OFFS. DC ignores VOLT. Burst and DC exclude each other: FUNC DC ends burst mode and
  BURS:STAT ON is refused, both with -221.
- A play: FUNC:ARB, FUNC:ARB:SRAT, VOLT, VOLT:OFFS, FUNC ARB, BURS:MODE TRIG, BURS:NCYC n, TRIG:SOUR BUS, BURS:STAT
  ON, OUTP ON, then *TRG. *TRG starts ALL channels that wait for a bus trigger, at the same instant; TRIG<ch> starts
  one. With nothing waiting: -211.
- Value w of a waveform gives VOLT:OFFS + w * VOLT / 2, rounded to 1/32767 of VOLT / 2.
- Before a burst, and after it, an enabled channel rests at the FIRST point of its waveform (the level of the starting
  phase), not at the last.
- The sync output starts the digitiser: OUTP:SYNC:SOUR must name a channel that plays (or OUTP:TRIG ON with
  OUTP:TRIG:SOUR).
- *OPC? and *WAI wait until all bursts are over (not for a trigger that has not come). ABOR ends bursts; output
  returns to rest.
- A number outside its range is moved to the nearest limit AND reported: -222,"Data out of range; value clipped to
  upper limit" (or lower); amplitude and offset that do not fit together or within VOLT:LIM: the newer one wins, the
  other is changed, -221,"Settings conflict; ..."; if VOLT:LIM:STAT is ON and the newer one alone breaks the limits it
  is refused with -222. Read settings back.
- Errors of waveforms: +785 "Specified arb waveform does not exist", +786 "Specified arb waveform already exists",
  +781 "Not enough memory to load arb waveform", -222 for a value outside -1..1, -161 for a block whose length does
  not fit.
"""

from collections.abc import Awaitable, Mapping

import numpy as np

from sim_devices.bench import Bench, Port
from sim_devices.instruments.awg_channel import BUILT_IN, FULL_SCALE
from sim_devices.instruments.awg_voltage import CHANNELS, OUTPUT, SOURCE, AwgVoltageCommands, waveform_name
from sim_devices.plays import Play
from sim_devices.scpi import Parameters, ScpiError, ScpiInstrument, command
from sim_devices.scpi.settings import Setting, boolean, choice, number
from sim_devices.signals import Array, Burst, Level, Signal

_RATE = SOURCE + "FUNCtion:ARBitrary:SRATe"
_FILTER = SOURCE + "FUNCtion:ARBitrary:FILTer"
_CYCLES = SOURCE + "BURSt:NCYCles"
_TRIGGER = "TRIGger<ch>:SOURce"
_SYNC, _SYNC_SOURCE = "OUTPut:SYNC[:STATe]", "OUTPut:SYNC:SOURce"
_TRIGGER_OUT, _TRIGGER_OUT_SOURCE = "OUTPut:TRIGger[:STATe]", "OUTPut:TRIGger:SOURce"


class Keysight33522B(AwgVoltageCommands, ScpiInstrument):
    """The front end; `outputs` says which port each channel drives."""

    suffix_limits = {"ch": 2, "arb": 2}  # noqa: RUF012

    def __init__(self, *, name: str, identity: str, bench: Bench, outputs: Mapping[int, Port]) -> None:
        self.name = name
        self._bench = bench
        self._outputs = outputs
        self.reset_channels()
        self._shown: dict[int, object] = dict.fromkeys(CHANNELS, ("level", 0.0))
        self._plays: list[Play] = []
        super().__init__(identity=identity, error_capacity=20)

    def settings(self) -> list[Setting]:
        """Settings without a coupling to others."""
        return [
            number(_RATE, 40e3, 1e-6, 250e6),
            choice(_FILTER, "NORMal", "STEP", "OFF"),
            number(SOURCE + "FREQuency", 1e3, 1e-6, 30e6),
            choice(SOURCE + "VOLTage:UNIT", "VPP"),
            choice(SOURCE + "BURSt:MODE", "TRIGgered"),
            number(_CYCLES, 1, 1, 100_000_000, integer=True),
            number(SOURCE + "BURSt:PHASe", 0.0, 0.0, 0.0),
            choice(_TRIGGER, "IMMediate", "EXTernal", "TIMer", "BUS"),
            boolean(OUTPUT, default=False),
            boolean(_SYNC, default=True),
            choice(_SYNC_SOURCE, "CH1", "CH2"),
            boolean(_TRIGGER_OUT, default=False),
            choice(_TRIGGER_OUT_SOURCE, "CH1", "CH2"),
            choice("FORMat:BORDer", "NORMal", "SWAPped"),
        ]

    def reset(self) -> None:
        """Bursts end, waveform memory is emptied."""
        self._abort()
        self.reset_channels()

    def changed(self) -> None:
        """Outputs follow the settings."""
        for channel, port in self._outputs.items():
            signature = self._signature(channel)
            if signature != self._shown[channel]:
                self._shown[channel] = signature
                self._bench.change(port, self._idle_signal(channel))

    def _signature(self, channel: int) -> object:
        """What decides the idle signal; an equal signature means that nothing happens at the terminal."""
        signal = self._idle_signal(channel)
        if isinstance(signal, Level):
            return ("level", signal.volts)
        state = self.channels[channel]
        return (
            state.function, state.selected, state.amplitude_Vpp, state.offset_V, state.load_ohm,
            self.value(SOURCE + "FREQuency", channel), self.value(_RATE, channel),
        )  # fmt: skip

    def _idle_signal(self, channel: int) -> Signal:
        if not self.value(OUTPUT, channel):
            return Level(0.0)
        state = self.channels[channel]
        state.frequency_Hz = self.value(SOURCE + "FREQuency", channel)
        return state.idle_signal(bursting=self.channels[channel].burst_on, sample_rate_Hz=self.value(_RATE, channel))

    # Plays

    def operation_complete(self) -> Awaitable[None] | None:
        """The bursts that still run."""
        return self._all_done() if self.playing else None

    @property
    def playing(self) -> bool:
        """Whether a burst runs."""
        self._plays = [play for play in self._plays if not play.done.is_set()]
        return bool(self._plays)

    async def _all_done(self) -> None:
        for play in tuple(self._plays):
            await play.done.wait()

    def update_conditions(self) -> None:
        """Playing (16), waiting for a trigger (32)."""
        playing = self.playing
        waiting = any(self._waits(channel) for channel in CHANNELS)
        self.status.operation.update((16 if playing else 0) | (32 if waiting and not playing else 0))

    def _waits(self, channel: int) -> bool:
        return self.channels[channel].burst_on and self.channels[channel].function != "DC"

    def _start(self, channels: list[int]) -> None:
        if not channels or self.playing:
            raise ScpiError(-211)
        bursts: dict[Port, Burst] = {}
        for channel in channels:
            state = self.channels[channel]
            state.frequency_Hz = self.value(SOURCE + "FREQuency", channel)
            burst = state.burst(sample_rate_Hz=self.value(_RATE, channel), cycles=self.value(_CYCLES, channel))
            if channel in self._outputs and self.value(OUTPUT, channel):
                bursts[self._outputs[channel]] = burst
        sync = self.value(_SYNC) and int(self.value(_SYNC_SOURCE)[2]) in channels
        trigger_out = self.value(_TRIGGER_OUT) and int(self.value(_TRIGGER_OUT_SOURCE)[2]) in channels
        self._plays.append(self._bench.trigger(self.name, bursts, fires=bool(sync or trigger_out)))

    def _abort(self) -> None:
        for play in self._plays:
            play.stopped.update(play.bursts)

    @command("*TRG", parameters=0)
    def bus_trigger(self, _: Parameters) -> None:
        """Start every channel that waits for a bus trigger."""
        self._start([c for c in CHANNELS if self._waits(c) and self.value(_TRIGGER, c) == "BUS"])

    @command("TRIGger<ch>[:IMMediate]", parameters=0)
    def trigger_now(self, _: Parameters, ch: int) -> None:
        """Start one channel, whatever its source."""
        self._start([ch] if self._waits(ch) else [])

    @command("ABORt", parameters=0)
    def abort(self, _: Parameters) -> None:
        """End all bursts; the outputs return to rest."""
        self._abort()

    # Waveform memory

    @command(SOURCE + "DATA:VOLatile:CLEar", parameters=0)
    def clear_memory(self, _: Parameters, ch: int) -> None:
        """Forget the waveforms of a channel; the built-in one is selected again."""
        self.channels[ch].waveforms.clear()
        self.channels[ch].selected = BUILT_IN

    @command(SOURCE + "DATA:VOLatile:CATalog?")
    def catalog(self, _: Parameters, ch: int) -> str:
        """Names in memory."""
        return ",".join(f'"{name}"' for name in (BUILT_IN, *self.channels[ch].waveforms))

    @command(SOURCE + "DATA:VOLatile:FREE?")
    def free(self, _: Parameters, ch: int) -> int:
        """Points left."""
        return self.channels[ch].free_points()

    @command(SOURCE + "DATA:ATTRibute:POINts?", parameters=(0, 1))
    def points(self, parameters: Parameters, ch: int) -> int:
        """Length of a waveform."""
        channel = self.channels[ch]
        return channel.points(waveform_name(parameters) if len(parameters) else channel.selected)

    @command(SOURCE + "DATA:ARBitrary<arb>", parameters=(2, 1_000_001))
    def load_float(self, parameters: Parameters, ch: int, arb: int) -> None:  # noqa: ARG002 - counts the channels of one waveform
        """Waveform as float32 block or numbers, -1..1."""
        self.channels[ch].store(waveform_name(parameters), self._points(parameters, "f4"))

    @command(SOURCE + "DATA:ARBitrary<arb>:DAC", parameters=(2, 1_000_001))
    def load_dac(self, parameters: Parameters, ch: int, arb: int) -> None:  # noqa: ARG002
        """Waveform as int16 block or numbers, -32767..32767."""
        self.channels[ch].store(waveform_name(parameters), self._points(parameters, "i2") / FULL_SCALE)

    def _points(self, parameters: Parameters, kind: str) -> Array:
        if not parameters.is_block(1):
            return np.array([parameters.number(index) for index in range(1, len(parameters))])
        data = parameters.block(1)
        order = "<" if self.value("FORMat:BORDer") == "SWAP" else ">"
        dtype = np.dtype(order + kind)
        if len(parameters) > 2:
            raise ScpiError(-108)
        if len(data) % dtype.itemsize:
            raise ScpiError(-161)
        return np.frombuffer(data, dtype).astype(np.float64)
