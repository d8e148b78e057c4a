"""Keysight InfiniiVision DSOX1204G: four-channel oscilloscope (eight bits, 1 MOhm inputs, external trigger input).

Command set after the "InfiniiVision DSOX1204A/G Oscilloscopes Programmer's Guide". Square brackets are optional, upper case
is the short form, "(?)" has a query form too, <n> is 1 to 4.

    *IDN? *RST *CLS *OPC *OPC? *WAI *ESE(?) *ESR? *SRE(?) *STB? *TST? *TRG
    SYSTem:ERRor[:NEXT]?                      -113,"Undefined header"   |   +0,"No error"      (30 entries, then -350)
    CHANnel<n>:DISPlay {ON|OFF}(?)            only channels on the screen are acquired; after *RST channel 1
    CHANnel<n>:SCALe <V>(?)                   volts a division, eight of them: 500 uV to 10 V times the probe, else -222
    CHANnel<n>:RANGe <V>(?)                   the same over the whole screen
    CHANnel<n>:OFFSet <V>(?)                  voltage at the middle of the screen: within 20 divisions here
    CHANnel<n>:PROBe <ratio>(?)               0.001 to 10000; readings, scale and offset are multiplied by it
    CHANnel<n>:COUPling DC(?)                 AC is refused here (-221)
    CHANnel<n>:BWLimit {ON|OFF}(?)            kept; 20 MHz is far above what the devices do
    CHANnel<n>:IMPedance ONEMeg(?)
    TIMebase:RANGe <s>(?)                     time over the screen of ten divisions, 50 ns to 500 s
    TIMebase:SCALe <s>(?)                     the same for one division
    TIMebase:POSition <s>(?)                  time from the trigger to the reference point
    TIMebase:REFerence {CENTer|LEFT|RIGHt}(?)     the middle, or one division from the left or right edge
    TIMebase:MODE MAIN(?)
    TRIGger:MODE EDGE(?)                      TRIGger:SWEep {AUTO|NORMal}(?)          TRIGger:HOLDoff <s>(?)
    TRIGger[:EDGE]:SOURce {EXTernal|CHANnel<n>}(?)      edges of a channel itself are not simulated: it waits, or AUTO triggers
    TRIGger[:EDGE]:SLOPe {POSitive|NEGative}(?)         TRIGger[:EDGE]:LEVel <V>(?)   EXTernal:RANGe <V>(?)
    ACQuire:TYPE NORMal(?)                    AVERage, HRESolution and PEAK are refused here (-221)
    ACQuire:SRATe?                            samples a second          ACQuire:POINts?  samples over the screen
    SINGle                                    one acquisition: arms, waits for the trigger, fills the record, stops
    DIGitize [CHANnel<n>[,CHANnel<n>...]]     the same for these channels, and the next command waits for the end
    TRIGger:FORCe, *TRG                       acquire now, as if the trigger had come
    STOP                                      ends an acquisition; the rest of its record are holes
    AER?                                      1 if it was armed since this was last asked     TER?  the same for triggered
    OPERegister:CONDition?                    bit 3 (8) running, bit 5 (32) armed and waiting for its trigger
    OPERegister[:EVENt]?                      bits that rose since this was last asked        OPEE <mask>(?)
    WAVeform:SOURce CHANnel<n>(?)             WAVeform:FORMat {BYTE|WORD|ASCii}(?)
    WAVeform:BYTeorder {MSBFirst|LSBFirst}(?)     WAVeform:UNSigned {ON|OFF}(?)
    WAVeform:POINts:MODE {NORMal|MAXimum|RAW}(?)
    WAVeform:POINts {100|250|500|1000|2000|5000|...|100000|MAX}(?)
    WAVeform:PREamble?                        format, type, points, count, x increment, x origin, x reference, y increment,
                                              y origin, y reference
    WAVeform:DATA?                            #800001000 and the samples

What a driver must know
- Nothing sets the sample rate: it is the fastest of 1, 2, 5 times 10^n at which the screen's width fits into the memory
  (here 100 000 points, the instrument has 1 Mpts), at most 1 GSa/s. WAVeform:POINts takes every k-th of these samples,
  k = samples / points rounded down. Read the preamble, which tells the spacing that came of it.
- Sample 0 is at the left edge of the screen: TIM:POS - TIM:RANG / 2 after the trigger with the reference in the middle.
- volts = (code - y reference) * y increment + y origin. 256 codes cover the screen; 255 and 1 also stand for whatever lies
  beyond its upper and lower edge, and 0 for a hole, where no sample was taken. In WORD the eight bits come shifted left.
- Nothing but these codes tells of a signal that leaves the screen.
- Nothing is acquired after *RST before SINGle or DIGitize (a real one runs on by itself). RUN is refused here (-221).
- WAVeform:DATA? and PREamble? while an acquisition runs, or without one: -230,"Data corrupt or stale".
- With SWEep AUTO, the default, an acquisition does not wait for its trigger: set NORMal first.
- AER? forgets by being read: ask it before SINGle, then until it says 1, and only then let the trigger come.
"""

import asyncio
from collections.abc import Awaitable, Mapping
from fractions import Fraction

import numpy as np

from sim_devices.bench import Bench, Port
from sim_devices.instruments.scope_inputs import CHANNELS
from sim_devices.instruments.scope_waveform import ScopeWaveform, ScreenInput
from sim_devices.plays import Record
from sim_devices.scpi import Parameters, ScpiError, command

_NOISE = 3  # kind of random stream, beside those of the devices
_RUNNING, _WAIT_TRIGGER = 8, 32


class KeysightDSOX1204G(ScopeWaveform):
    """The front end; `inputs` says what each channel sees (an open input sees nothing)."""

    suffix_limits = {"n": 4}  # noqa: RUF012

    def __init__(
        self, *, name: str, identity: str, bench: Bench, inputs: Mapping[int, Port], noise_V: float, index: int
    ) -> None:
        self.name = name
        self._bench = bench
        self._wires = inputs
        self._noise_V = noise_V
        self._index = index
        self.record: Record | None = None
        self.inputs: dict[int, ScreenInput] = {}
        self._running = self._triggered = self._forcing = False
        self._armed_event = self._trigger_event = False
        self._idle = asyncio.Event()
        self._idle.set()
        self.reset_inputs()
        self.reset_waveform()
        super().__init__(identity=identity, error_capacity=30)

    def format_float(self, value: float) -> str:
        """Nine digits."""
        return f"{value:+.8E}"

    # State

    @property
    def running(self) -> bool:
        """Between SINGle and the end of the record."""
        return self._running

    def operation_complete(self) -> Awaitable[None] | None:
        """The end of the acquisition."""
        return self._wait_idle() if self._running else None

    async def _wait_idle(self) -> None:
        await self._idle.wait()

    def update_conditions(self) -> None:
        """Running, and waiting for the trigger."""
        waiting = self._running and not self._triggered
        self.status.operation.update((_RUNNING if self._running else 0) | (_WAIT_TRIGGER if waiting else 0))

    async def compute(self, device: str) -> None:
        """Compute what was put off for a device."""
        await self._bench.compute(device)

    # Triggers

    def on_trigger(self, play_number: int) -> Record | None:
        """Begin the record if one is waited for."""
        if not self._running or self._triggered or not (self._forcing or self.trigger_source == "EXT"):
            return None
        self._triggered = self._trigger_event = True
        self.record = Record(Fraction(self.rate_Hz), self.points, 0, self.start_s, {})
        self.inputs = {}
        for channel in self.shown:
            entry = self._screen_input(channel, [self._bench.seed, self._index, _NOISE, play_number, channel])
            self.inputs[channel] = entry
            if channel in self._wires:
                self.record.inputs[channel] = entry
        return self.record

    def _screen_input(self, channel: int, key: list[int]) -> ScreenInput:
        vertical, points = self.verticals[channel], self.points
        device, observable = self._wires.get(channel, ("", ""))
        entry = ScreenInput(
            device=device, observable=observable, full_scale_V=4 * vertical.scale_V, noise_V=self._noise_V,
            generator=np.random.default_rng(key), counts=np.zeros(points, np.int16),
            scale_V=vertical.scale_V, offset_V=vertical.offset_V, probe=vertical.probe,
        )  # fmt: skip
        if not device:
            entry.take(np.zeros(points))
        return entry

    def on_record_end(self, record: Record) -> None:
        """It stops after a single acquisition."""
        if record is self.record and self._running:
            self._finish()

    def _finish(self) -> None:
        self._running = self._triggered = False
        self._idle.set()
        self.update_conditions()

    @command("SINGle", parameters=0)
    def single(self, _: Parameters) -> None:
        """One acquisition; the old record is forgotten."""
        self._begin()

    @command("DIGitize", parameters=(0, 4))
    def digitize(self, parameters: Parameters) -> Awaitable[None]:
        """One acquisition of these channels, and wait for its end."""
        names = [f"CHANnel{channel}" for channel in CHANNELS]
        chosen = {int(parameters.choice(index, *names)[-1]) for index in range(len(parameters))}
        for channel in CHANNELS if chosen else ():
            self.show(channel, on=channel in chosen)
        self._begin()
        return self._wait_idle()

    def _begin(self) -> None:
        self._stop()
        self._forget()
        self._running = self._armed_event = True
        self._idle.clear()
        if self.triggers_itself:
            self._force()

    def _force(self) -> None:
        self._forcing = True
        try:
            self._bench.acquire(self)
        finally:
            self._forcing = False

    @command("TRIGger:FORCe", "*TRG", parameters=0)
    def force(self, _: Parameters) -> None:
        """As if the trigger had come."""
        if not self._running or self._triggered:
            raise ScpiError(-211)
        self._force()

    @command("STOP", parameters=0)
    def stop(self, _: Parameters) -> None:
        """End an acquisition."""
        self._stop()

    def _stop(self) -> None:
        if not self._running:
            return
        if self.record is not None and self._triggered:
            self.record.aborted = True
        self._finish()

    @command("RUN", parameters=0)
    def run(self, _: Parameters) -> None:
        """Refused."""
        raise ScpiError(-221, detail="continuous acquisition is not simulated; use SINGle or DIGitize")

    def reset(self) -> None:
        """Stopped, no data, everything as after power-on."""
        self._stop()
        self._forget()
        self._armed_event = self._trigger_event = False
        self.reset_inputs()
        self.reset_waveform()

    def _forget(self) -> None:
        if self.record is not None:
            self.record.discarded = True
        self.record, self.inputs = None, {}

    # Questions

    @command("AER?")
    def armed_event(self, _: Parameters) -> int:
        """Whether it was armed since."""
        event, self._armed_event = self._armed_event, False
        return int(event)

    @command("TER?")
    def trigger_event(self, _: Parameters) -> int:
        """Whether it was triggered since."""
        event, self._trigger_event = self._trigger_event, False
        return int(event)

    @command("OPERegister:CONDition?")
    def operation_condition(self, _: Parameters) -> int:
        """The condition register."""
        self.update_conditions()
        return self.status.operation.condition

    @command("OPERegister[:EVENt]?")
    def operation_event(self, _: Parameters) -> int:
        """What rose since."""
        self.update_conditions()
        return self.status.operation.read_event()

    @command("OPEE", parameters=1)
    def set_operation_enable(self, parameters: Parameters) -> None:
        """Which events the status byte sums up."""
        self.status.operation.enable = parameters.integer(0) & 0x7FFF

    @command("OPEE?")
    def operation_enable(self, _: Parameters) -> int:
        """Which events the status byte sums up."""
        return self.status.operation.enable

    @command("ACQuire:TYPE", parameters=1)
    def set_type(self, parameters: Parameters) -> None:
        """NORMal; the others are not simulated."""
        if parameters.choice(0, "NORMal", "AVERage", "HRESolution", "PEAK") != "NORM":
            raise ScpiError(-221, detail="only the acquisition type NORMal is simulated")

    @command("ACQuire:TYPE?")
    def acquisition_type(self, _: Parameters) -> str:
        """NORM."""
        return "NORM"

    @command("ACQuire:SRATe?", parameters=(0, 1))
    def sample_rate(self, _: Parameters) -> float:
        """Samples a second, as the time base has it."""
        return float(self.rate_Hz)

    @command("ACQuire:POINts?", parameters=(0, 1))
    def acquired_points(self, _: Parameters) -> int:
        """Samples over the screen."""
        return self.points
