"""Keysight 33500B series waveform generators (33509B … 33622A), after the "33500 Series Operating and Service Guide".

Station file:

    [instruments.awg]
    driver = "keysight_33500b"
    address = "TCPIP::192.168.0.7::5025::SOCKET"
    [instruments.awg.options]
    load_ohm = inf            # what the output feeds; inf (the default) for a high-impedance device, else 1 … 10000
    trigger = "bus"           # "bus": *TRG starts all outputs together; "external": an edge at Ext Trig does

Terminals "1" and "2" (outputs): set-points (FUNC DC, the level is VOLT:OFFS), and played together.

How a waveform is played without a step at the output. The output holds its level L as a DC offset. A waveform is stored
relative to L, with an amplitude just large enough, so the offset never changes. Before FUNC leaves DC, a flat waveform
of value 0 (which is L) is selected, so that neither the change of function nor that of the burst mode can be seen; only
then is the real waveform selected, whose first point is where the output waits. stop() goes back the same way.
"""

import math
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from drivers.errors import DriverError, OutOfRange
from drivers.line import Line
from drivers.options import Options, read_options
from drivers.scpi import Choice, Number, ScpiDriver, Switch, describe
from drivers.waveforms import check_waveforms, scale_about

SOURCE_OHM = 50.0
OPEN_CIRCUIT_LIMIT_V = 10.0
SMALLEST_OPEN_CIRCUIT_VPP = 2e-3
LONGEST_WAVEFORM = 1_000_000 - 64
"""1e6 points a channel (16e6 with option 002), less the flat waveform."""
FEWEST_POINTS = 8
LOWEST_RATE_HZ = 1e-6
HIGHEST_RATE_HZ = 62.5e6
"""With FILT OFF, which plays steps as they are; the filters for higher rates would smear them."""
FLAT, WAVEFORM = "LABCTL_FLAT", "LABCTL_PLAY"
FLAT_POINTS = 32


class GeneratorOptions(Options):
    """The option table of the station file."""

    load_ohm: float = math.inf
    trigger: Literal["bus", "external"] = "bus"


class Output:
    """One output: a set-point, and the table of its settings."""

    function = Choice(
        "SOUR{ch}:FUNC?", "SOUR{ch}:FUNC {value}", "Shape of the output", one_of=("SIN", "SQU", "ARB", "DC")
    )
    amplitude_Vpp = Number("SOUR{ch}:VOLT?", "SOUR{ch}:VOLT {value:.9g}", "Amplitude, peak to peak", unit="V")
    offset_V = Number("SOUR{ch}:VOLT:OFFS?", "SOUR{ch}:VOLT:OFFS {value:.9g}", "Offset; in DC the level", unit="V")
    sample_rate_Hz = Number(
        "SOUR{ch}:FUNC:ARB:SRAT?",
        "SOUR{ch}:FUNC:ARB:SRAT {value:.15g}",
        "Sample rate of waveforms",
        unit="Sa/s",
        within=(LOWEST_RATE_HZ, HIGHEST_RATE_HZ),
    )
    step_filter = Choice(
        "SOUR{ch}:FUNC:ARB:FILT?", "SOUR{ch}:FUNC:ARB:FILT {value}", "Smoothing", one_of=("OFF", "NORM", "STEP")
    )
    burst = Switch("SOUR{ch}:BURS:STAT?", "SOUR{ch}:BURS:STAT {value}", "Whether the output waits for triggers")
    trigger_source = Choice(
        "TRIG{ch}:SOUR?", "TRIG{ch}:SOUR {value}", "What starts a burst", one_of=("IMM", "EXT", "BUS")
    )
    output_on = Switch("OUTP{ch}?", "OUTP{ch} {value}", "Whether the output is on")
    load_ohm = Number("OUTP{ch}:LOAD?", "OUTP{ch}:LOAD {value:.9g}", "Load that displayed volts refer to", unit="Ohm")

    def __init__(self, line: Line, channel: str, limit_V: float) -> None:
        """limit_V: the largest voltage of either sign at the load."""
        self.line = line
        self.place: Mapping[str, str] = {"ch": channel}
        self.limit_V = limit_V
        self.is_dc = False
        self._set_dc_level = f"SOUR{channel}:VOLT:OFFS "

    @property
    def limits(self) -> tuple[float, float]:
        """Lowest and highest level (V)."""
        return -self.limit_V, self.limit_V

    def set_value(self, value: float) -> None:
        """Set the DC level (V). A waveform that was loaded is given up."""
        if not -self.limit_V <= value <= self.limit_V:  # also refuses NaN
            raise OutOfRange(
                f"{self.line.address} output {self.place['ch']}: {value!r} V is outside "
                f"{-self.limit_V:g} … {self.limit_V:g} V"
            )
        with self.line.locked():
            if not self.is_dc:
                self.go_to_dc()
            self.line.write(f"{self._set_dc_level}{value:.9g}")

    def read_back(self) -> float:
        """The level (V) that the instrument says it holds; while it plays, the level it returns to."""
        return self.offset_V

    def enable(self, on: bool) -> None:
        """Switch the output on or off."""
        self.output_on = bool(on)

    def enabled(self) -> bool:
        """Whether the instrument says that the output is on."""
        return self.output_on

    def go_to_dc(self) -> None:
        """From whatever it does to a constant level, without a step if our own waveform is loaded."""
        if self.function != "DC":
            if FLAT in self.line.query(f"SOUR{self.place['ch']}:FUNC:ARB?"):
                self.burst = False
            self.function = "DC"
        self.is_dc = True


class WaveformPlayer:
    """All outputs in step: load, arm, trigger, stop."""

    max_samples = LONGEST_WAVEFORM

    def __init__(self, driver: "Keysight33500B", outputs: Mapping[str, Output], *, trigger_word: str) -> None:
        """trigger_word: BUS or EXT."""
        self._driver = driver
        self._line = driver.line
        self._outputs = outputs
        self._trigger_word = trigger_word
        self._loaded: tuple[str, ...] = ()

    @property
    def terminals(self) -> tuple[str, ...]:
        """The outputs that this model has."""
        return tuple(self._outputs)

    def load(self, waveforms: Mapping[str, NDArray[np.float64]], *, sample_rate_Hz: float) -> None:
        """Store the waveforms and make their outputs wait, at rest, for arm(). See roles.Player."""
        where = self._line.address
        check_waveforms(
            waveforms,
            where=where,
            terminals=self._outputs,
            limits={terminal: output.limits for terminal, output in self._outputs.items()},
            fewest=FEWEST_POINTS,
            most=LONGEST_WAVEFORM,
        )
        Output.sample_rate_Hz.check(sample_rate_Hz)
        with self._line.locked():
            self.stop()
            for terminal, waveform in waveforms.items():
                try:
                    self._load_one(self._outputs[terminal], waveform, sample_rate_Hz)
                except OutOfRange as error:
                    self.stop()
                    raise OutOfRange(f"{where} output {terminal}: {error}") from error
            # the sync output fires with the first output; the digitiser listens to it
            self._line.write(f"OUTP:SYNC:SOUR CH{next(iter(waveforms))}")
            self._line.write("OUTP:SYNC 1")
            self._driver.check_errors("loading waveforms")
            self._loaded = tuple(waveforms)

    def _load_one(self, output: Output, waveform: NDArray[np.float64], sample_rate_Hz: float) -> None:
        channel = output.place["ch"]
        if not output.is_dc:
            output.go_to_dc()
        scaled = scale_about(
            output.offset_V,
            np.asarray(waveform, dtype=np.float64),
            limit_V=output.limit_V,
            smallest_Vpp=SMALLEST_OPEN_CIRCUIT_VPP * output.limit_V / OPEN_CIRCUIT_LIMIT_V,
        )
        send = self._line.write
        send("FORM:BORD SWAP")  # little endian, as numpy has it
        send(f"SOUR{channel}:DATA:VOL:CLE")
        flat = np.zeros(FLAT_POINTS, dtype="<i2")
        self._line.write_block(f"SOUR{channel}:DATA:ARB:DAC {FLAT},", flat.tobytes())
        self._line.write_block(f"SOUR{channel}:DATA:ARB:DAC {WAVEFORM},", scaled.points.astype("<i2").tobytes())
        output.amplitude_Vpp = scaled.amplitude_Vpp
        send(f"SOUR{channel}:FUNC:ARB {FLAT}")
        output.sample_rate_Hz = sample_rate_Hz
        output.step_filter = "OFF"
        output.is_dc = False
        output.function = "ARB"
        send(f"SOUR{channel}:BURS:MODE TRIG")
        send(f"SOUR{channel}:BURS:NCYC 1")
        output.trigger_source = self._trigger_word
        output.burst = True
        send(f"SOUR{channel}:FUNC:ARB {WAVEFORM}")

    def arm(self) -> None:
        """Switch on outputs that are off. The loaded ones wait for the trigger since load(), at their first sample."""
        self._need_loaded("arm")
        for terminal in self._loaded:
            if not self._outputs[terminal].enabled():
                self._outputs[terminal].enable(True)

    def trigger(self) -> None:
        """Start all loaded outputs at the same instant; with trigger = "external", nothing to send."""
        self._need_loaded("trigger")
        if self._trigger_word == "BUS":
            self._line.write("*TRG")

    def stop(self) -> None:
        """End the play; every output holds, as DC, the level it had before load()."""
        with self._line.locked():
            loaded, self._loaded = self._loaded, ()
            self._line.write("ABOR")
            for terminal, output in self._outputs.items():
                if terminal in loaded:
                    self._line.write(f"SOUR{terminal}:FUNC:ARB {FLAT}")
                    output.burst = False
                    output.function = "DC"
                    output.is_dc = True

    def forget(self) -> None:
        """After a reconnection nothing is known to be loaded."""
        self._loaded = ()

    def _need_loaded(self, verb: str) -> None:
        if not self._loaded:
            raise DriverError(
                f"{self._line.address}: nothing to {verb}: load() waveforms first (after a reconnection, again)"
            )


class Keysight33500B(ScpiDriver):
    """One generator with its outputs."""

    roles_offered = "set_point('1'), set_point('2') and player()"

    def __init__(self, line: Line, options: Mapping[str, Any]) -> None:
        """Sets the load that voltages refer to; changes nothing at the outputs."""
        super().__init__(line)
        self._options = read_options(GeneratorOptions, options, where=f"{line.address}: driver keysight_33500b")
        load_ohm = self._options.load_ohm
        if not (1 <= load_ohm <= 10_000 or load_ohm == math.inf):
            raise OutOfRange(f"{line.address}: load_ohm = {load_ohm!r} is neither 1 … 10000 nor inf")
        divider = 1.0 if math.isinf(load_ohm) else load_ohm / (load_ohm + SOURCE_OHM)
        channels = ("1",) if line.identity.model[3:5] in ("09", "11", "19", "21") else ("1", "2")
        self.outputs = {channel: Output(line, channel, OPEN_CIRCUIT_LIMIT_V * divider) for channel in channels}
        trigger_word = "BUS" if self._options.trigger == "bus" else "EXT"
        self._player = WaveformPlayer(self, self.outputs, trigger_word=trigger_word)
        self._apply_settings()
        line.on_reconnect(self._apply_settings)

    def _apply_settings(self) -> None:
        """On opening and after every reconnection."""
        self._player.forget()
        load = "INF" if math.isinf(self._options.load_ohm) else f"{self._options.load_ohm:.9g}"
        for channel, output in self.outputs.items():
            output.is_dc = False  # unknown: asked before the next use
            self.line.write(f"OUTP{channel}:LOAD {load}")

    def describe_settings(self) -> dict[str, str]:
        """The table of every output."""
        found: dict[str, str] = {}
        for channel, output in self.outputs.items():
            found |= describe(output, f"output {channel} ")
        return found

    def set_point(self, terminal: str) -> Output:
        """Output "1" or "2" as a DC level in volts."""
        if terminal not in self.outputs:
            raise self.no_role(terminal, "set")
        return self.outputs[terminal]

    def player(self) -> WaveformPlayer:
        """All outputs together."""
        return self._player
