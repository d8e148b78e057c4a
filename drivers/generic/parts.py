"""The parts of the option tables: how a terminal is set and read, how to ask until ready, how samples travel, rates.

The docstring under each key is what the user reads; docs/generic-scpi.md shows whole examples.
"""

import re
from typing import Annotated, Literal

import numpy as np
from pydantic import BeforeValidator, ConfigDict, Field, field_validator, model_validator

from drivers.generic.commands import ONE_OR_MORE, PerTerminal, template, templates
from drivers.options import Options

_INTEGERS = ("int8", "uint8", "int16", "uint16", "int32", "uint32")
Dtype = Literal["int8", "uint8", "int16", "uint16", "int32", "uint32", "float32", "float64"]
Interval = tuple[float, float]
RATE_PLACES = ("terminal", "rate_Hz", "period_s", "count", "end", "duration_s", "s_per_div")
"""What commands for the sample rate and the number of samples may hold."""


def pattern(given: str) -> str:
    """A regular expression with a group for what it finds; raises ValueError."""
    try:
        groups = re.compile(given).groups
    except re.error as error:
        raise ValueError(f"not a regular expression: {error}") from error
    if groups < 1:
        raise ValueError("put the part that is the number into parentheses")
    return given


class Table(Options):
    """Base of the tables here: the text under a key is its description."""

    model_config = ConfigDict(use_attribute_docstrings=True)


def _as_several(given: object) -> object:
    return given if isinstance(given, list | tuple) else (given,)


class Poll(Table):
    """A question asked again and again until its answer is the expected one."""

    query: Annotated[str, template()]
    """The question. "*OPC?" is asked once, since its answer comes only when all is done."""
    expect: Annotated[tuple[int | float | str, ...], BeforeValidator(_as_several), Field(min_length=1)] = (1,)
    """The answer that means yes, or a list of such answers. Compared as a number where both are numbers, else as text
    without quotes and case."""
    mask: int | None = None
    """Bits to look at: yes when (answer AND mask) = expect; expect then defaults to the mask itself (bit set)."""
    field: int = 0
    """Which field of an answer with commas, from 0."""
    poll_s: float = Field(default=0.01, ge=0)
    """Pause between two questions."""
    timeout_s: float | None = Field(default=None, gt=0)
    """How long to go on asking. Left out: 60 s; for the `ready` of a digitiser 10 s more than the record lasts."""

    @model_validator(mode="before")
    @classmethod
    def _mask_expects_itself(cls, given: object) -> object:
        if isinstance(given, dict) and given.get("mask") is not None and "expect" not in given:
            return {**given, "expect": given["mask"]}
        return given


DEFAULT_POLL_S = 60.0


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
    enabled_pattern: str | None = None
    """Regular expression that is found in the answer to `enabled` when, and only when, the output is on, for answers such
    as "C1:OUTP ON,LOAD,HZ"."""
    rest_level: float | None = None
    """For an output that can only be played, instead of `set`: the level at which it stands before and after a play."""
    limits: Interval | None = None
    """The instrument's own lowest and highest value (SI units). Left out: only the station's limits hold."""
    set_scale: float = 1.0
    """Number sent = value · set_scale + set_offset (1000 for an instrument in mV; counts per volt for DAC codes). The
    answer of `get` is converted back in the same way."""
    set_offset: float = 0.0
    """The number that means 0."""
    measure_scale: float = 1.0
    """Measured value = (number answered - measure_offset) · measure_scale (0.001 for an instrument that answers in mV)."""
    measure_offset: float = 0.0
    """The number answered that means 0."""
    answer_field: int | None = None
    """Which field of an answer with commas, from 0. Left out: the answer must be one number."""
    answer_pattern: str | None = None
    """Regular expression whose first group is the number, for answers such as "VOLT 1.25V"."""
    settle_s: float = Field(default=0.0, ge=0)
    """How long set_value() waits before it returns."""

    @field_validator("answer_pattern")
    @classmethod
    def _pattern_has_a_group(cls, given: str | None) -> str | None:
        return None if given is None else pattern(given)

    @field_validator("enabled_pattern")
    @classmethod
    def _is_a_pattern(cls, given: str | None) -> str | None:
        if given is not None:
            is_regular_expression(given)
        return given

    @field_validator("set_scale", "measure_scale")
    @classmethod
    def _not_zero(cls, given: float) -> float:
        if given == 0:
            raise ValueError("must not be 0")
        return given

    @model_validator(mode="after")
    def _set_or_played(self) -> "Terminal":
        if self.rest_level is not None and (self.set or self.get):
            raise ValueError("rest_level is for outputs that have neither `set` nor `get`")
        return self


class Encoding(Table):
    """How samples travel."""

    format: Literal["block", "ascii", "raw"] = "block"
    """"block": IEEE 488.2 binary block (#<n><length><bytes>). "ascii": numbers as text. "raw": bare bytes, as many as the
    numbers that were asked for need, without a header."""
    labelled: bool = False
    """Text stands before the block of an answer, such as ":CURVE " or "DAT2,": it is skipped."""
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


def is_regular_expression(given: str) -> str:
    """Raises ValueError for text that is none."""
    try:
        re.compile(given)
    except re.error as error:
        raise ValueError(f"not a regular expression: {error}") from error
    return given


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
    sample_counts: tuple[int, ...] | None = None
    """The only lengths there are (oscilloscopes: 1000, 10000 …): the next longer one is taken, in the same way."""
    sample_rates_Hz: tuple[float, ...] | None = None
    """The sample rates that can be set exactly. Left out: any within sample_rate_range_Hz."""
    sample_rate_range_Hz: Interval | None = None
    """Lowest and highest sample rate."""
    sample_rate: Annotated[tuple[str, ...], ONE_OR_MORE, templates(*RATE_PLACES)] = ()
    """Command or commands that set the sample rate, such as "ACQ:SRAT {rate_Hz:.9g}". Besides {rate_Hz} there are
    {period_s}, {count}, {end} (the last sample's number), {duration_s} and {s_per_div} (duration over `divisions_s`)."""
    divisions_s: float = Field(default=10.0, gt=0)
    """How many divisions of the screen a record lasts, for oscilloscopes that are set by their time base."""
    sample_rate_query: Annotated[str, template("terminal")] | None = None
    """Question for the sample rate, compared with what was asked for. Left out: not checked."""
    sample_rate_answer: Literal["rate_Hz", "period_s"] = "rate_Hz"
    """What the answer to it is: a rate, or the time between two samples."""
    sample_rate_tolerance: float = Field(default=1e-6, ge=0, lt=0.01)
    """How far, as a part of it, the rate may be from what was asked for."""
    sample_count: Annotated[tuple[str, ...], ONE_OR_MORE, templates(*RATE_PLACES)] = ()
    """Command or commands that set the number of samples, with {count} or {end}, sent after `sample_rate`."""
    arm: PerTerminal = ()
    """Command or commands that make it wait for the trigger."""
    armed: Poll | None = None
    """How to see that it waits for the trigger; arm() returns only then. Left out: arm() returns at once."""
