"""The option tables of the generic SCPI driver: every key that a station file may use under [instruments.NAME.scpi].

The docstring under each key is what the user reads; drivers/scpi_generic.py shows whole examples.
"""

import re
from typing import Annotated, Literal

import numpy as np
from pydantic import ConfigDict, Field, field_validator, model_validator

from drivers.generic.commands import ONE_OR_MORE, PerTerminal, Plain, template, templates
from drivers.options import Options

_INTEGERS = ("int8", "uint8", "int16", "uint16", "int32", "uint32")
Dtype = Literal["int8", "uint8", "int16", "uint16", "int32", "uint32", "float32", "float64"]
Interval = tuple[float, float]


class Table(Options):
    """Base of the tables here: the text under a key is its description."""

    model_config = ConfigDict(use_attribute_docstrings=True)


class Poll(Table):
    """A question asked again and again until its answer is the expected one."""

    query: Annotated[str, template()]
    """The question. "*OPC?" is asked once, since its answer comes only when all is done."""
    expect: int | float | str = 1
    """The answer that means yes. Compared as a number where both are numbers, else as text without quotes and case."""
    mask: int | None = None
    """Bits to look at: yes when (answer AND mask) = expect; expect then defaults to the mask itself (bit set)."""
    field: int = 0
    """Which field of an answer with commas, from 0."""
    poll_s: float = Field(default=0.01, ge=0)
    """Pause between two questions."""
    timeout_s: float = Field(default=60.0, gt=0)
    """How long to go on asking."""

    @model_validator(mode="before")
    @classmethod
    def _mask_expects_itself(cls, given: object) -> object:
        if isinstance(given, dict) and given.get("mask") is not None and "expect" not in given:
            return {**given, "expect": given["mask"]}
        return given


class Terminal(Table):
    """Stepped use of one terminal: a set-point, a meter, or both."""

    set: Annotated[tuple[str, ...], ONE_OR_MORE, templates("value", "terminal", required=["value"])] = ()
    """Command or commands that set the value, such as "SOUR{terminal}:VOLT {value:.6g}", or for a waveform generator
    ["SOUR{terminal}:FUNC DC", "SOUR{terminal}:VOLT:OFFS {value:.6g}"]. Left out: not a set-point."""
    get: Annotated[str, template("terminal")] | None = None
    """Question for the value as set. Left out: read_back() can only repeat what was last sent (see `initial`)."""
    initial: float | None = None
    """Without `get`: the value that the output has after the commands of `init`. Left out: reading it back before it was
    set is an error."""
    measure: Annotated[str, template("terminal")] | None = None
    """Question that measures, such as "MEAS:VOLT? (@{terminal})". Left out: not a meter."""
    enable: PerTerminal = ()
    """Command or commands that switch the output on. Left out: it has no switch."""
    disable: PerTerminal = ()
    """Command or commands that switch the output off."""
    enabled: Annotated[str, template("terminal")] | None = None
    """Question whether the output is on: 1/0 or ON/OFF. Left out: what was last commanded."""
    limits: Interval | None = None
    """The instrument's own lowest and highest value (SI units). Left out: only the station's limits hold."""
    set_scale: float = 1.0
    """Number sent = value · set_scale (1000 for an instrument in mV); the answer of `get` is divided by it."""
    measure_scale: float = 1.0
    """Measured value = number answered · measure_scale (0.001 for an instrument that answers in mV)."""
    answer_field: int | None = None
    """Which field of an answer with commas, from 0. Left out: the answer must be one number."""
    answer_pattern: str | None = None
    """Regular expression whose first group is the number, for answers such as "VOLT 1.25V"."""
    settle_s: float = Field(default=0.0, ge=0)
    """How long set_value() waits before it returns."""

    @field_validator("answer_pattern")
    @classmethod
    def _pattern_has_a_group(cls, pattern: str | None) -> str | None:
        if pattern is not None:
            try:
                groups = re.compile(pattern).groups
            except re.error as error:
                raise ValueError(f"not a regular expression: {error}") from error
            if groups < 1:
                raise ValueError("put the part that is the number into parentheses")
        return pattern


class Encoding(Table):
    """How samples travel."""

    format: Literal["block", "ascii"] = "block"
    """"block": IEEE 488.2 binary block (#<n><length><bytes>). "ascii": numbers as text."""
    dtype: Dtype = "float32"
    """Type of a number in a block; an integer type also makes text integer."""
    byte_order: Literal["little", "big"] = "big"
    """Order of bytes in a number. Many instruments send the most significant byte first unless FORM:BORD SWAP is sent."""
    separator: str = ","
    """Between numbers of a text."""
    number: str = "{}"
    """Format of a number of a text, such as "{:.6g}"."""
    skip: int = Field(default=0, ge=0)
    """Numbers at the start of an answer that are not samples."""

    @property
    def numpy_dtype(self) -> np.dtype[np.generic]:
        """The type with its byte order."""
        return np.dtype(self.dtype).newbyteorder("<" if self.byte_order == "little" else ">")

    @property
    def is_integer(self) -> bool:
        """Whether numbers are integers."""
        return self.dtype in _INTEGERS


class Rates(Table):
    """What player and digitiser have in common."""

    terminals: tuple[str, ...] = Field(min_length=1)
    """Names of the terminals that take part."""
    max_samples: int = Field(gt=0)
    """The longest waveform or record of one terminal."""
    samples_multiple: int = Field(default=1, ge=1)
    """Lengths must be a multiple of this: a waveform is continued with its last sample, a record is made longer."""
    min_samples: int = Field(default=1, ge=1)
    """The shortest waveform or record; shorter ones are made longer in the same way."""
    sample_rates_Hz: tuple[float, ...] | None = None
    """The sample rates that can be set exactly. Left out: any within sample_rate_range_Hz."""
    sample_rate_range_Hz: Interval | None = None
    """Lowest and highest sample rate."""
    sample_rate: Annotated[tuple[str, ...], ONE_OR_MORE, templates("terminal", "rate_Hz", "period_s")] = ()
    """Command that sets the sample rate, with {rate_Hz} or {period_s}, such as "ACQ:SRAT {rate_Hz:.9g}"."""
    sample_rate_query: Annotated[str, template("terminal")] | None = None
    """Question for the sample rate (Hz), compared with what was asked for. Left out: not checked."""
    sample_count: Annotated[tuple[str, ...], ONE_OR_MORE, templates("terminal", "count")] = ()
    """Command that sets the number of samples, with {count}."""
    arm: PerTerminal = ()
    """Command or commands that make it wait for the trigger."""
    armed: Poll | None = None
    """How to see that it waits for the trigger; arm() returns only then. Left out: arm() returns at once."""


class PlayerTable(Rates):
    """Playing waveforms."""

    load: Annotated[str, template("terminal", "data", "start", "count", required=["data"])]
    """Command that loads samples, such as "SOUR{terminal}:DATA:ARB wave,{data}". {data} is the block or the text;
    without {terminal}, it carries all terminals, interleaved sample by sample. {start}, {count}: of this chunk."""
    data: Encoding = Encoding()
    """How the samples travel."""
    values: Literal["volts", "unit", "full_scale"] = "volts"
    """What a sample is. "volts": scale · volts + offset. "unit": -1 … 1 of the amplitude. "full_scale": integers
    -full_scale … full_scale of the amplitude. For the last two see peak_V, offset_V, amplitude, offset."""
    scale: float = 1.0
    """For "volts": number sent = scale · volts + offset (1000 for mV; DAC codes: counts per volt)."""
    code_offset: float = 0.0
    """For "volts": the number that means 0 V."""
    full_scale: int = 32767
    """For "full_scale": the integer that means the positive peak."""
    peak_V: float | None = Field(default=None, gt=0)
    """Fixed amplitude: volts of a sample of 1 (or full_scale). Left out: fitted to each waveform."""
    offset_V: float | None = None
    """Fixed offset: volts of a sample of 0. Left out: the middle of each waveform (0 if peak_V is given)."""
    smallest_peak_V: float = Field(default=1e-3, gt=0)
    """The smallest amplitude that the instrument can be set to, for fitted ones."""
    amplitude: Annotated[
        tuple[str, ...], ONE_OR_MORE, templates("terminal", "peak_V", "amplitude_Vpp", "high_V", "low_V")
    ] = ()
    """Command that sets the amplitude, with {peak_V} or {amplitude_Vpp} (peak to peak), or {high_V} and {low_V}."""
    offset: Annotated[tuple[str, ...], ONE_OR_MORE, templates("terminal", "offset_V")] = ()
    """Command that sets the offset, with {offset_V}."""
    limits: Interval
    """Lowest and highest voltage that can be played."""
    chunk_samples: int | None = Field(default=None, gt=0)
    """Samples in one load command, for instruments that limit its length. Left out: all in one."""
    prepare: PerTerminal = ()
    """Commands before everything else of a load: stop, select a function."""
    clear: PerTerminal = ()
    """Command that empties the waveform memory before loading."""
    after_load: Annotated[tuple[str, ...], ONE_OR_MORE, templates("terminal", "count")] = ()
    """Commands after loading: select the waveform, play once, wait for a trigger."""
    trigger: Plain = ("*TRG",)
    """Command that starts all. [] when something else does, such as arming the digitiser."""
    stop: PerTerminal = ()
    """Commands that end a play. Afterwards terminals that are also set-points are set to their level before the load."""

    @field_validator("load")
    @classmethod
    def _data_stands_once(cls, load: str) -> str:
        if load.count("{data") != 1:
            raise ValueError("the placeholder {data} must stand in it once")
        return load

    @model_validator(mode="after")
    def _amplitude_is_known(self) -> "PlayerTable":
        if self.values != "volts" and self.peak_V is None and not self.amplitude:
            raise ValueError(f'values = "{self.values}" needs either a fixed peak_V or an amplitude command')
        if self.values != "volts" and self.peak_V is None and not self.offset and self.offset_V is None:
            raise ValueError(
                f'values = "{self.values}" with a fitted amplitude needs an offset command or a fixed offset_V'
            )
        if self.values == "full_scale" and not self.data.is_integer:
            raise ValueError('values = "full_scale" needs an integer data.dtype')
        return self


class DigitiserTable(Rates):
    """Recording."""

    configure: PerTerminal = ()
    """Commands before the settings: trigger source, data format, coupling."""
    range: Annotated[tuple[str, ...], ONE_OR_MORE, templates("terminal", "range_V")] = ()
    """Command that sets an input's range, with {range_V} (volts, ± full scale)."""
    ranges_V: tuple[float, ...] | None = None
    """The ranges that there are. Left out: any."""
    arm: PerTerminal = ("INIT",)
    """Command or commands that make it wait for the trigger."""
    ready: Poll | None = None
    """How to see that the whole record is there. Left out, and no progress: the answer to fetch comes when it is."""
    progress: Annotated[str, template()] | None = None
    """Question for the number of samples that are there already, while recording."""
    progress_field: int = 0
    """Which field of its answer, from 0."""
    select: PerTerminal = ()
    """Commands before a fetch, such as "WAV:SOUR CHAN{terminal}"."""
    fetch: Annotated[str, template("terminal", "start", "count", "end")]
    """Question for samples. With {start} and {count} (or {end}, the last one) it may be asked in parts, else the whole
    record is fetched once. Without {terminal} the answer carries all inputs, interleaved in the order of `terminals`."""
    first_index: int = 0
    """What the instrument calls the first sample in {start} and {end}: 0 or 1."""
    fetch_timeout_s: float = Field(default=10.0, gt=0)
    """Longest wait for the answer to begin, and between its parts; without `ready` and `progress`, the time that the
    record itself takes is added."""
    data: Encoding = Encoding()
    """How the samples travel."""
    scale: float = 1.0
    """Volts = scale · (number - zero) + offset."""
    zero: float = 0.0
    """The number that means `offset` volts."""
    offset: float = 0.0
    """In volts."""
    scale_of_range: bool = False
    """True: scale is a part of the input's range (1/32768 for 16-bit counts)."""
    scale_query: Annotated[str, template("terminal")] | None = None
    """Question for scale, asked before each fetch (oscilloscopes: "WFMO:YMU?" or "WAV:YINC?"). Wins over scale."""
    zero_query: Annotated[str, template("terminal")] | None = None
    """Question for zero (oscilloscopes: "WFMO:YOF?" or "WAV:YREF?")."""
    offset_query: Annotated[str, template("terminal")] | None = None
    """Question for offset (oscilloscopes: "WFMO:YZE?" or "WAV:YOR?")."""
    overload: float | None = Field(default=None, gt=0)
    """Part of the range from which a sample counts as an overload and is an error (0.9999). Left out: not checked."""
    abort: PerTerminal = ("ABOR",)
    """Command that stops waiting or recording."""


class ScpiOptions(Table):
    """The table [instruments.NAME.scpi]."""

    init: Plain = ()
    """Commands sent on opening and after every reconnection."""
    at_close: Plain = ()
    """Commands sent before the line is closed. Safe values of outputs are the station's business, not this key's."""
    pause_s: float = Field(default=0.0, ge=0)
    """Pause after every command, for instruments that lose commands sent too fast."""
    error_query: Annotated[str, template()] = "SYST:ERR?"
    """Question for the oldest error, asked until there is none. "": the instrument has no error queue."""
    error_ok: str = r"^\s*[+-]?0+(\D|$)"
    """Regular expression of the answer that means "no error"."""
    check_after_set: bool = False
    """Ask for errors after every set-point too, not only after init, load and configure."""
    describe: dict[str, Annotated[str, template()]] = Field(default_factory=dict)
    """Further settings for the provenance of recordings: name = question."""
    terminals: dict[str, Terminal] = Field(default_factory=dict)
    """Stepped use, by terminal. The terminal "*" stands for every terminal that is not named."""
    player: PlayerTable | None = None
    """Playing waveforms. Left out: it does not play."""
    digitiser: DigitiserTable | None = None
    """Recording. Left out: it does not record."""

    @field_validator("error_ok")
    @classmethod
    def _is_a_pattern(cls, pattern: str) -> str:
        try:
            re.compile(pattern)
        except re.error as error:
            raise ValueError(f"not a regular expression: {error}") from error
        return pattern
