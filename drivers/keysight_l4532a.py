"""Keysight L4532A digitiser (two inputs, 16 bit, 20 MSa/s), after the "L4532A and L4534A User's Guide".

Station file:

    [instruments.digitiser]
    driver = "keysight_l4532a"
    address = "TCPIP::192.168.0.8::5025::SOCKET"
    [instruments.digitiser.options]
    trigger = "external"      # "external": the generator's sync output at Ext Trig; "software": trigger() on our side
    overload = "keep"         # samples at full scale are returned as they are (the bench notes it); or "error"

Terminals "1" and "2" (inputs): recorded together by the digitiser() role, and each a meter for stepped use.
"""

import time
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from drivers.errors import BadAnswer, DriverError, LineTimeout, OutOfRange, UnknownTerminal
from drivers.line import Line
from drivers.options import Options, read_options
from drivers.scpi import Number, ScpiDriver, describe, parse_number

INPUTS = ("1", "2")
RANGES_V = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 128.0, 256.0)
RATES_HZ = tuple(float(digit * 10**power) for power in range(3, 8) for digit in (1, 2, 5) if digit * 10**power <= 20e6)
LONGEST_RECORD = 32_000_000
SHORTEST_RECORD = 8
RECORD_STEP = 4
"""Records have a multiple of this many samples; a shorter one is rounded up, and only what was asked for is shown."""
METER_SAMPLES = 8
METER_RATE_HZ = 20e6
WAITING_FOR_TRIGGER, MEASURING, DATA_READY = 32, 16, 256


class DigitiserOptions(Options):
    """The option table of the station file."""

    trigger: Literal["external", "software"] = "external"
    overload: Literal["error", "keep"] = "keep"


class Input:
    """One input: its settings, and a meter for stepped use."""

    def __init__(self, recorder: "Recorder", terminal: str) -> None:
        """terminal: "1" or "2"."""
        self._recorder = recorder
        self._terminal = terminal

    def read_value(self) -> float:
        """The voltage now: the mean of a few samples taken at once."""
        return self._recorder.read_now(self._terminal)


class Recorder:
    """Both inputs in step: configure, arm, fetch, abort; and the table of settings."""

    sample_rate_Hz = Number(
        "CONF:ACQ:SRAT?", "CONF:ACQ:SRAT {value:.9g}", "Sample rate of both inputs", unit="Sa/s", one_of=RATES_HZ
    )
    record_samples = Number(
        "CONF:ACQ:SCO?",
        "CONF:ACQ:SCO {value:.0f}",
        "Samples in a record",
        unit="Sa",
        within=(SHORTEST_RECORD, LONGEST_RECORD),
    )
    range_1_V = Number("CONF:CHAN:RANG? (@1)", "CONF:CHAN:RANG (@1),{value:g}", "Range", unit="V", one_of=RANGES_V)
    range_2_V = Number("CONF:CHAN:RANG? (@2)", "CONF:CHAN:RANG (@2),{value:g}", "Range", unit="V", one_of=RANGES_V)
    max_samples = LONGEST_RECORD
    terminals = tuple(INPUTS)

    def __init__(self, driver: "KeysightL4532A", options: DigitiserOptions) -> None:
        """options: the driver's."""
        self.line = driver.line
        self.place: Mapping[str, str] = {}
        self._driver = driver
        self._options = options
        self._inputs: dict[str, float] = {}
        self._n_samples = 0
        self._rate_Hz = 0.0
        self._set_up = False
        self._metering = False

    def configure(self, inputs: Mapping[str, float], *, sample_rate_Hz: float, n_samples: int) -> None:
        """See roles.Digitiser. Ranges are ±0.25 … ±256 V in the steps of RANGES_V, rates 1, 2, 5 · 10^n Sa/s."""
        for terminal, range_V in inputs.items():
            if terminal not in INPUTS:
                raise self._driver.no_role(terminal, "recorded")
            Recorder.range_1_V.check(range_V)
        if not 1 <= n_samples <= LONGEST_RECORD:
            raise OutOfRange(f"{self.line.address}: {n_samples} samples; a record has 1 … {LONGEST_RECORD}")
        Recorder.sample_rate_Hz.check(sample_rate_Hz)
        self._inputs = {terminal: float(range_V) for terminal, range_V in inputs.items()}
        self._n_samples = int(n_samples)
        self._rate_Hz = float(sample_rate_Hz)
        with self.line.locked():
            self._apply()
            self._driver.check_errors("configuring the acquisition")

    def _apply(self) -> None:
        send = self.line.write
        self._metering = False
        send("ABOR")  # settings are refused while it waits for a trigger
        self.sample_rate_Hz = self._rate_Hz
        samples = max(SHORTEST_RECORD, -(-self._n_samples // RECORD_STEP) * RECORD_STEP)
        send("CONF:ACQ:SPR 0")
        send("CONF:ACQ:REC 1")
        self.record_samples = samples
        send("CONF:ACQ:TDEL 0")
        for terminal, range_V in self._inputs.items():
            send(f"CONF:CHAN:RANG (@{terminal}),{range_V:g}")
            send(f"CONF:CHAN:COUP (@{terminal}),DC")
        send("CONF:ARM:SOUR IMM")
        send(f"CONF:TRIG:SOUR {'EXT' if self._options.trigger == 'external' else 'SOFT'}")
        send("FORM:REAL REAL,32")
        send("FORM:BORD SWAP")  # little endian, as numpy has it
        self._set_up = True

    def arm(self) -> None:
        """Wait for the trigger. Returns only when the instrument says that it waits, so that no trigger is missed."""
        if not self._n_samples:
            raise DriverError(f"{self.line.address}: configure() before arm()")
        with self.line.locked():
            for _ in range(2):  # once more where the line was reopened on the way: the set-up may be another one then
                if not self._set_up:
                    self._apply()
                self._arm_once()
                if self._set_up:
                    return
            raise LineTimeout(self.line.address, "INIT", "the connection broke again and again while it was armed")

    def _arm_once(self) -> None:
        self.line.write("INIT")
        give_up_s = time.monotonic() + self.line.timeout_s
        while not self._condition() & WAITING_FOR_TRIGGER:
            if time.monotonic() > give_up_s:
                self._driver.check_errors("INIT")
                raise LineTimeout(self.line.address, "INIT", "the digitiser does not wait for its trigger")

    def _condition(self) -> int:
        command = "STAT:OPER:COND?"
        return int(parse_number(self.line.query(command), self.line.address, command))

    def samples_ready(self) -> int:
        """How many samples of the record are there."""
        command = "FETC:WAV:ACQ:PRE?"
        fields = self.line.query(command).split(",")
        if len(fields) < 2 or fields[-1].strip() == "NOIN":
            return 0
        return min(self._n_samples, int(parse_number(fields[1], self.line.address, command)))

    def fetch(self, terminal: str, start: int, count: int) -> NDArray[np.float64]:
        """Samples start … start+count-1 (count,) in volts, as the instrument calibrates them.

        With the option overload = "error", a sample at full scale raises BadAnswer.
        """
        if terminal not in self._inputs:
            raise UnknownTerminal(f"{self.line.address}: input {terminal!r} was not configured")
        if start < 0 or count < 1 or start + count > self._n_samples:
            raise OutOfRange(
                f"{self.line.address}: samples {start} … {start + count - 1} of a record of {self._n_samples}"
            )
        volts = self._fetch(terminal, start, count)
        range_V = self._inputs[terminal]
        if self._options.overload == "error":
            at_full_scale = int(np.count_nonzero(np.abs(volts) >= range_V * (1 - 1e-6)))
            if at_full_scale:
                raise BadAnswer(
                    f"{self.line.address} input {terminal}: {at_full_scale} of {count} samples from {start} on are at "
                    f"full scale (±{range_V:g} V): choose a larger range, of {', '.join(f'{r:g}' for r in RANGES_V)}"
                )
        return volts

    def _fetch(self, terminal: str, start: int, count: int) -> NDArray[np.float64]:
        command = f"FETC:WAV:VOLT? (@{terminal}),{start},{count}"
        try:
            block = self.line.query_block(command)
        except LineTimeout:
            self._driver.check_errors(command)
            raise
        if len(block) != 4 * count:
            raise BadAnswer(f"{self.line.address}: {command!r} gave {len(block)} bytes instead of {4 * count}")
        return np.frombuffer(block, dtype="<f4").astype(np.float64)

    def abort(self) -> None:
        """Stop waiting or recording; what was measured can still be fetched."""
        self.line.write("ABOR")

    def read_now(self, terminal: str) -> float:
        """One voltage without a trigger; refused while a record waits or runs.

        The set-up for this is sent once and kept until a record is configured or something fails: in a closed loop every
        message counts.
        """
        with self.line.locked():
            for _ in range(2):  # once more where the line was reopened on the way: the set-up may be another one then
                generation = self.line.generation
                if not self._metering:
                    self._set_up_meter()
                self._metering = False
                self.line.write("INIT")
                self.line.query("*OPC?")
                volts = self._fetch(terminal, 0, METER_SAMPLES)
                if self.line.generation == generation:
                    self._metering = True
                    return float(np.mean(volts))
            raise LineTimeout(self.line.address, "INIT", "the connection broke again and again while it measured")

    def _set_up_meter(self) -> None:
        if self._condition() & (WAITING_FOR_TRIGGER | MEASURING):
            raise DriverError(f"{self.line.address}: a record is under way; abort() it before reading a value")
        self._set_up = False
        send = self.line.write
        self.sample_rate_Hz = METER_RATE_HZ
        send("CONF:ACQ:SPR 0")
        send("CONF:ACQ:REC 1")
        self.record_samples = METER_SAMPLES
        send("CONF:ACQ:TDEL 0")
        send("CONF:ARM:SOUR IMM")
        send("CONF:TRIG:SOUR IMM")
        send("FORM:REAL REAL,32")
        send("FORM:BORD SWAP")

    def forget(self) -> None:
        """After a reconnection the instrument's set-up is unknown; it is applied again before the next record."""
        self._set_up = False
        self._metering = False


class KeysightL4532A(ScpiDriver):
    """One digitiser with its two inputs."""

    roles_offered = "meter('1'), meter('2') and digitiser()"

    def __init__(self, line: Line, options: Mapping[str, Any]) -> None:
        """Changes nothing at the instrument."""
        super().__init__(line)
        checked = read_options(DigitiserOptions, options, where=f"{line.address}: driver keysight_l4532a")
        self.recorder = Recorder(self, checked)
        line.on_reconnect(self.recorder.forget)

    def describe_settings(self) -> dict[str, str]:
        """The table of the recorder."""
        return describe(self.recorder)

    def meter(self, terminal: str) -> Input:
        """Input "1" or "2" as a voltmeter."""
        if terminal not in INPUTS:
            raise self.no_role(terminal, "measured")
        return Input(self.recorder, terminal)

    def digitiser(self) -> Recorder:
        """Both inputs together."""
        return self.recorder
