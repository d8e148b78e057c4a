"""Keysight InfiniiVision DSOX1204G oscilloscope (four inputs, eight bits), after the "InfiniiVision DSOX1204A/G Oscilloscopes
Programmer's Guide"; the other InfiniiVision 1000 X-Series take the same commands.

Station file:

    [instruments.scope]
    driver = "keysight_dsox1204g"
    address = "TCPIP::192.168.0.9::5025::SOCKET"
    [instruments.scope.options]
    trigger_level_V = 1.0     # the edge of the generator's sync output at Ext Trig
    slope = "rising"          # or "falling"
    probe = 1.0               # attenuation of the probes, 1 … 1000; ranges and samples are at the probe's tip
    overload = "keep"         # samples beyond the screen are given as ± the range (the bench notes it); or "error"

Terminals "1" … "4" (inputs): recorded together by the digitiser() role.

How samples at times of one's own choice come from an instrument that chooses its sample rate by itself. The record is made
as wide as one of the numbers of points that can be transferred, at the spacing that is wanted, and its left edge is put at
the trigger. The oscilloscope samples faster and hands over every k-th sample; the preamble then says spacing and origin,
and anything else than what was asked for is an error. So the record may be up to two and a half times as long as needed.

Its eight bits are told as they are: where a sample is the first or the last code, or a hole, its value is not known.
"""

import time
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from drivers.errors import BadAnswer, DriverError, LineLost, LineTimeout, OutOfRange, UnknownTerminal
from drivers.line import Line
from drivers.options import Options, read_options
from drivers.scope_preamble import Preamble, parse_preamble
from drivers.scpi import Number, ScpiDriver, describe, parse_number

INPUTS = ("1", "2", "3", "4")
HALF_A_SCREEN = 4.0
"""Divisions from the middle of the screen to its edge."""
SCALES_V = tuple(digit * 10.0**power for power in range(-3, 2) for digit in (1, 2, 5) if digit * 10**power <= 10)
"""Volts a division with a probe of 1:1, in the steps of the knob; 500 µV a division is magnified and left out."""
RANGES_V = tuple(float(f"{HALF_A_SCREEN * scale:.6g}") for scale in SCALES_V)
POINTS = (100, 250, 500, 1000, 2000, 5000, 10_000, 20_000, 50_000, 100_000)
"""What WAVeform:POINts takes of a record in memory."""
RATES_HZ = tuple(float(digit * 10**power) for power in range(1, 8) for digit in (1, 2, 5))
RUNNING = 8
"""Bit 3 of the operation status condition register."""
LOWEST_CODE, HIGHEST_CODE, CODES = 1, 255, 256
MOST_OFF_SAMPLES = 0.1
"""How far from the trigger sample 0 may be, in samples."""


class ScopeOptions(Options):
    """The option table of the station file."""

    trigger_level_V: float = 1.0
    slope: Literal["rising", "falling"] = "rising"
    probe: float = Field(default=1.0, ge=1.0, le=1000.0)
    overload: Literal["error", "keep"] = "keep"


class ScopeRecorder:
    """The inputs in step: configure, arm, fetch, abort; and the table of settings."""

    width_s = Number("TIM:RANG?", "TIM:RANG {value:.9g}", "Time over the whole screen", unit="s", within=(50e-9, 500.0))
    position_s = Number(
        "TIM:POS?", "TIM:POS {value:.9g}", "Time from the trigger to the middle of the screen", unit="s", within=(-500.0, 500.0)
    )  # fmt: skip
    sample_rate_Hz = Number(
        "ACQ:SRAT?", None, "Sample rate in memory, of which every k-th sample is taken", unit="Sa/s"
    )
    scale_1_V = Number("CHAN1:SCAL?", None, "Volts a division of input 1", unit="V")
    scale_2_V = Number("CHAN2:SCAL?", None, "Volts a division of input 2", unit="V")
    scale_3_V = Number("CHAN3:SCAL?", None, "Volts a division of input 3", unit="V")
    scale_4_V = Number("CHAN4:SCAL?", None, "Volts a division of input 4", unit="V")
    max_samples = POINTS[-1]
    terminals = INPUTS

    def __init__(self, driver: "KeysightDSOX1204G", options: ScopeOptions) -> None:
        """options: the driver's."""
        self.line = driver.line
        self.place: Mapping[str, str] = {}
        self._driver = driver
        self._options = options
        self._inputs: dict[str, float] = {}
        self._n_samples = 0
        self._n_points = 0
        self._rate_Hz = 0.0
        self._set_up = self._armed = False
        self._volts: dict[str, tuple[NDArray[np.float64], NDArray[np.bool_]]] = {}

    # ---- setting up ------------------------------------------------------------------------------------------------

    def configure(self, inputs: Mapping[str, float], *, sample_rate_Hz: float, n_samples: int) -> None:
        """See roles.Digitiser. Ranges are those of RANGES_V times the probe, ± half a screen; rates 1, 2, 5 · 10^n Sa/s."""
        for terminal, range_V in inputs.items():
            if terminal not in INPUTS:
                raise self._driver.no_role(terminal, "recorded")
            self._check_range(range_V)
        if not 1 <= n_samples <= POINTS[-1]:
            raise OutOfRange(f"{self.line.address}: {n_samples} samples; a record has 1 … {POINTS[-1]}")
        if sample_rate_Hz not in RATES_HZ:
            allowed = ", ".join(f"{rate_Hz:g}" for rate_Hz in RATES_HZ)
            raise OutOfRange(f"{self.line.address}: sample rate: {sample_rate_Hz:g} Sa/s is not one of {allowed}")
        n_points = next(points for points in POINTS if points >= n_samples)
        ScopeRecorder.width_s.check(n_points / sample_rate_Hz)
        self._inputs = {terminal: float(range_V) for terminal, range_V in inputs.items()}
        self._n_samples, self._n_points, self._rate_Hz = int(n_samples), n_points, float(sample_rate_Hz)
        self._volts, self._armed = {}, False
        with self.line.locked():
            self._apply()
            self._driver.check_errors("configuring the acquisition")

    def _check_range(self, range_V: float) -> None:
        if not any(abs(range_V / allowed_V - 1.0) < 1e-6 for allowed_V in self._ranges_V):
            raise OutOfRange(f"{self.line.address}: range: {range_V:g} V is not one of {self._listed_ranges}")

    @property
    def _ranges_V(self) -> tuple[float, ...]:
        return tuple(range_V * self._options.probe for range_V in RANGES_V)

    @property
    def _listed_ranges(self) -> str:
        return ", ".join(f"{range_V:g}" for range_V in self._ranges_V)

    def _apply(self) -> None:
        send = self.line.write
        send("STOP")
        send("ACQ:TYPE NORM")
        send("TIM:MODE MAIN")
        send("TIM:REF CENT")
        self.width_s = self._n_points / self._rate_Hz
        self.position_s = self._n_points / self._rate_Hz / 2  # the left edge is at the trigger
        for terminal in INPUTS:
            send(f"CHAN{terminal}:DISP {int(terminal in self._inputs)}")
        for terminal, range_V in self._inputs.items():
            send(f"CHAN{terminal}:PROB {self._options.probe:g}")
            send(f"CHAN{terminal}:COUP DC")
            send(f"CHAN{terminal}:SCAL {range_V / HALF_A_SCREEN:.9g}")
            send(f"CHAN{terminal}:OFFS 0")
        send("TRIG:MODE EDGE")
        send("TRIG:EDGE:SOUR EXT")
        send(f"TRIG:EDGE:SLOP {'POS' if self._options.slope == 'rising' else 'NEG'}")
        send(f"TRIG:EDGE:LEV {self._options.trigger_level_V:.9g}")
        send("TRIG:SWE NORM")  # else it would not wait
        self._set_up = True

    def arm(self) -> None:
        """Wait for the trigger. Returns only when the instrument says that it waits, so that no trigger is missed."""
        if not self._n_samples:
            raise DriverError(f"{self.line.address}: configure() before arm()")
        with self.line.locked():
            self._volts = {}
            self._armed_since()  # reading it forgets that it was armed before; and a lost line is reopened here
            if not self._set_up:
                self._apply()
            self.line.write("SING")
            give_up_s = time.monotonic() + self.line.timeout_s
            while not self._armed_since():
                if time.monotonic() > give_up_s:
                    self._driver.check_errors("SING")
                    raise LineTimeout(self.line.address, "SING", "the oscilloscope does not wait for its trigger")
            if not self._set_up:
                raise LineLost(self.line.address, "SING", "the connection broke while it was armed: arm it once more")
            self._armed = True

    def _armed_since(self) -> bool:
        command = "AER?"
        return parse_number(self.line.query(command, idempotent=False), self.line.address, command) != 0

    # ---- the record ------------------------------------------------------------------------------------------------

    def samples_ready(self) -> int:
        """All samples once the record is full, none before: they can be read only then."""
        if not self._armed:
            return 0
        command = "OPER:COND?"
        running = int(parse_number(self.line.query(command), self.line.address, command)) & RUNNING
        return 0 if running else self._n_samples

    def fetch(self, terminal: str, start: int, count: int) -> NDArray[np.float64]:
        """Samples start … start+count-1 (count,) in volts at the tip of the probe, from the middle of each of 256 steps.

        A sample beyond the screen (the first or last code, or a hole) is given as -range or +range; with the option
        overload = "error" it raises BadAnswer.
        """
        if terminal not in self._inputs:
            raise UnknownTerminal(f"{self.line.address}: input {terminal!r} was not configured")
        if start < 0 or count < 1 or start + count > self._n_samples:
            raise OutOfRange(
                f"{self.line.address}: samples {start} … {start + count - 1} of a record of {self._n_samples}"
            )
        if terminal not in self._volts:
            self._volts[terminal] = self._read(terminal)
        volts, unknown = self._volts[terminal]
        n_unknown = int(np.count_nonzero(unknown[start : start + count]))
        if n_unknown and self._options.overload == "error":
            raise BadAnswer(
                f"{self.line.address} input {terminal}: {n_unknown} of {count} samples from {start} on are beyond the screen "
                f"(±{self._inputs[terminal]:g} V): choose a larger range, of {self._listed_ranges}"
            )
        return volts[start : start + count].copy()

    def _read(self, terminal: str) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """The record of one input in volts (n_samples,), and which samples are not known."""
        with self.line.locked():
            for _ in range(2):  # once more where the line was reopened on the way: another source may be chosen then
                generation = self.line.generation
                preamble, codes = self._transfer(terminal)
                if self.line.generation == generation:
                    break
            else:
                raise LineTimeout(self.line.address, "WAV:DATA?", "the connection broke again and again while it read")
        self._check(preamble, codes.size, terminal)
        codes = codes[: self._n_samples]
        volts = (codes - preamble.reference) * preamble.increment_V + preamble.origin_V
        low, high = codes <= LOWEST_CODE, codes >= HIGHEST_CODE
        edge_V = max(self._inputs[terminal], CODES / 2 * preamble.increment_V)
        volts[low], volts[high] = -edge_V, edge_V
        return volts, low | high

    def _transfer(self, terminal: str) -> tuple[Preamble, NDArray[np.float64]]:
        send = self.line.write
        send(f"WAV:SOUR CHAN{terminal}")
        send("WAV:FORM BYTE")
        send("WAV:UNS 1")
        send("WAV:POIN:MODE RAW")
        send(f"WAV:POIN {self._n_points}")
        command = "WAV:PRE?"
        try:
            preamble = parse_preamble(self.line.query(command), self.line.address, command)
            command = "WAV:DATA?"
            block = self.line.query_block(command)
        except LineTimeout:
            self._driver.check_errors(command)  # it does not answer where it has no record
            raise
        return preamble, np.frombuffer(block, dtype=np.uint8).astype(np.float64)

    def _check(self, preamble: Preamble, n_bytes: int, terminal: str) -> None:
        """Raise BadAnswer unless these are the samples that were asked for."""
        wrong = []
        if n_bytes != preamble.n_points or n_bytes < self._n_samples:
            wrong.append(f"{n_bytes} samples, {preamble.n_points} announced, {self._n_samples} wanted")
        if abs(preamble.increment_s * self._rate_Hz - 1.0) > 1e-6:
            wrong.append(f"a sample every {preamble.increment_s:g} s instead of {1.0 / self._rate_Hz:g} s")
        if abs(preamble.origin_s * self._rate_Hz) > MOST_OFF_SAMPLES:
            wrong.append(f"sample 0 is {preamble.origin_s:g} s after the trigger")
        if CODES / 2 * preamble.increment_V < self._inputs[terminal] * (1 - 1e-3):
            wrong.append(
                f"a screen of ±{CODES / 2 * preamble.increment_V:g} V instead of ±{self._inputs[terminal]:g} V"
            )
        if wrong:
            raise BadAnswer(f"{self.line.address} input {terminal}: the record is another one: {'; '.join(wrong)}")

    def abort(self) -> None:
        """Stop waiting or recording."""
        self._armed = False
        self.line.write("STOP")

    def forget(self) -> None:
        """After a reconnection the instrument's set-up is unknown; it is applied again before the next record."""
        self._set_up = False


class KeysightDSOX1204G(ScpiDriver):
    """One oscilloscope with its four inputs."""

    roles_offered = "digitiser()"

    def __init__(self, line: Line, options: Mapping[str, Any]) -> None:
        """Changes nothing at the instrument."""
        super().__init__(line)
        checked = read_options(ScopeOptions, options, where=f"{line.address}: driver keysight_dsox1204g")
        self.recorder = ScopeRecorder(self, checked)
        line.on_reconnect(self.recorder.forget)

    def describe_settings(self) -> dict[str, str]:
        """The table of the recorder."""
        return describe(self.recorder)

    def digitiser(self) -> ScopeRecorder:
        """The inputs together."""
        return self.recorder
