"""The option tables of the generic SCPI driver: every key that a station file may use under [instruments.NAME.scpi].

The docstring under each key is what the user reads; drivers/scpi_generic.py shows whole examples, docs/generic-scpi.md
explains them.
"""

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from drivers.generic.commands import ONE_OR_MORE, PerTerminal, Plain, template, templates
from drivers.generic.parts import (
    Encoding,
    Interval,
    Poll,
    Rates,
    Table,
    Terminal,
    is_regular_expression,
    pattern,
)


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
    load_last: Annotated[str, template("terminal", "data", "start", "count", required=["data"])] | None = None
    """Command for the last chunk, where it differs from `load` (a flag END instead of CON)."""
    after_load: Annotated[tuple[str, ...], ONE_OR_MORE, templates("terminal", "count")] = ()
    """Commands after loading: select the waveform, play once, wait for a trigger."""
    trigger: PerTerminal = ("*TRG",)
    """Command that starts all. [] when something else does, such as arming the digitiser."""
    stop: PerTerminal = ()
    """Commands that end a play. Afterwards terminals that are also set-points are set to their level before the load."""

    @field_validator("load", "load_last")
    @classmethod
    def _data_stands_once(cls, load: str | None) -> str | None:
        if load is not None and load.count("{data") != 1:
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
    range: Annotated[tuple[str, ...], ONE_OR_MORE, templates("terminal", "range_V", "V_per_div")] = ()
    """Command that sets an input's range, with {range_V} (volts, ± full scale) or {V_per_div} (2 · range / divisions_V)."""
    divisions_V: float = Field(default=8.0, gt=0)
    """How many divisions of the screen the whole range has, for oscilloscopes that are set by their vertical scale."""
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
    """Volts = scale · (number - zero) + offset. With `scale_query` its answer times this."""
    zero: float = 0.0
    """The number that means `offset` volts. With `zero_query` this is added to its answer."""
    offset: float = 0.0
    """In volts. With `offset_query` this is added to its answer."""
    scale_of_range: bool = False
    """True: scale is a part of the input's range (1/32768 for 16-bit counts)."""
    scale_query: Annotated[str, template("terminal")] | None = None
    """Question for scale, asked before each fetch (oscilloscopes: "WFMO:YMU?" or "WAV:YINC?")."""
    zero_query: Annotated[tuple[str, ...], ONE_OR_MORE, templates("terminal")] = ()
    """Question or questions for zero (oscilloscopes: "WFMO:YOF?" or "WAV:YREF?"); the answers of several are added."""
    offset_query: Annotated[str, template("terminal")] | None = None
    """Question for offset in volts (oscilloscopes: "WFMO:YZE?" or "WAV:YOR?")."""
    offset_factor: float = 1.0
    """The answer to `offset_query` is multiplied by this (-1 for the offset knob of an oscilloscope)."""
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
    echo: bool = False
    """True: it sends every command and question back before it answers (small serial boxes)."""
    acknowledge: str | None = None
    """Regular expression of what it says to every command that is not a question, such as "^OK$"; anything else is an
    error. Left out: it says nothing."""
    acknowledge_questions: bool = False
    """True: it says that after the answer to a question too."""
    number_pattern: str | None = None
    """Regular expression whose first group is the number in an answer, for instruments that put a header before it or a
    unit after it: "([-+0-9.Ee]+)V?$". Left out: the whole answer is the number."""
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

    @field_validator("error_ok", "acknowledge")
    @classmethod
    def _is_a_pattern(cls, given: str | None) -> str | None:
        return None if given is None else is_regular_expression(given)

    @field_validator("number_pattern")
    @classmethod
    def _has_a_group(cls, given: str | None) -> str | None:
        return None if given is None else pattern(given)

    @model_validator(mode="after")
    def _acknowledgements_are_described(self) -> "ScpiOptions":
        if self.acknowledge_questions and self.acknowledge is None:
            raise ValueError("acknowledge_questions needs acknowledge")
        return self
