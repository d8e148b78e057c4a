r"""Driver "scpi": any SCPI instrument; its commands stand in the station file. Nothing has to be programmed.

The instrument's manual gives the commands; this page says under which key each one goes. docs/generic-scpi.md has whole
station files and every key with what happens when it is left out (from drivers/generic/options.py and parts.py). An
unknown key or placeholder is an error that lists the allowed ones. Terminators, timeouts, pauses and serial settings are
keys of [instruments.NAME] itself, not of this table.

Commands are templates: {value}, {terminal} and so on are filled in, with a number format after a colon as in Python:
{value:.6g} (six digits), {value:d} (rounded to an integer), {rate_Hz:.9g}. A key that takes "command or commands" takes a text or a
list. A command that has {terminal} in it is sent once for each terminal, another one once. Literal braces are doubled.

1. Stepped use: a source that is set, read back and switched, and a voltmeter

    [instruments.source]
    driver = "scpi"
    address = "TCPIP::192.168.0.20::9221::SOCKET"
    [instruments.source.scpi]
    init = ["*CLS", "SYST:REM"]              # on opening and after every reconnection; no *RST unless you write it
    error_query = "SYST:ERR?"                # "" for an instrument without an error queue
    [instruments.source.scpi.terminals.1]
    set = "SOUR{terminal}:VOLT {value:.6g}"  # or a list of commands, such as FUNC DC first
    get = "SOUR{terminal}:VOLT?"             # left out: read-back repeats what was last sent; see `initial`
    enable = "OUTP{terminal} ON"
    disable = "OUTP{terminal} OFF"
    enabled = "OUTP{terminal}?"
    limits = [-10.0, 10.0]                   # the instrument's own; the channel's limits may be tighter
    settle_s = 0.002
    [instruments.source.scpi.terminals.in]
    measure = "MEAS:VOLT? (@101)"
    measure_scale = 1e-3                     # it answers in mV

   A table terminals."*" stands for every terminal that has none of its own.

2. Playing: a waveform generator with text data in DAC codes, two outputs, started by one command

    [instruments.generator.scpi.player]
    terminals = ["A", "B"]
    max_samples = 16384
    limits = [-5.0, 5.0]                     # volts
    sample_rates_Hz = [1e3, 2e3, 5e3, 1e4]   # left out: any, within sample_rate_range_Hz = [lowest, highest]
    sample_rate = "CLOCK {rate_Hz:.0f}"
    sample_count = "WAVE:LEN {count}"
    clear = "WAVE:{terminal}:DEL"
    load = "WAVE:{terminal}:DATA {start},{data}"
    chunk_samples = 1000                     # at most so many in one command
    data = { format = "ascii", dtype = "int16", separator = "," }
    scale = 409.5                            # values = "volts" (the default): code = 409.5 · volts + 2048
    code_offset = 2048
    after_load = "WAVE:{terminal}:MODE SINGLE"
    arm = "WAVE:ARM"
    armed = { query = "STATE?", expect = "ARMED" }
    trigger = "WAVE:START"                   # "*TRG" if left out; [] if arming the digitiser starts everything
    stop = "WAVE:STOP"

   An instrument that takes samples of -1 … 1 and an amplitude:

    [instruments.arb.scpi.player]
    terminals = ["1", "2"]
    max_samples = 65536
    limits = [-10.0, 10.0]
    sample_rate = "SOUR{terminal}:FUNC:ARB:SRAT {rate_Hz:.12g}"
    values = "unit"                          # "full_scale" for integers of -full_scale … full_scale
    load = "SOUR{terminal}:DATA:ARB play,{data}"
    data = { format = "block", dtype = "float32", byte_order = "big" }
    amplitude = "SOUR{terminal}:VOLT {amplitude_Vpp:.6g}"
    offset = "SOUR{terminal}:VOLT:OFFS {offset_V:.6g}"
    # or, without these two commands, a fixed range: peak_V = 10.0, offset_V = 0.0
    after_load = ["SOUR{terminal}:FUNC:ARB play", "SOUR{terminal}:FUNC ARB", "SOUR{terminal}:BURS:STAT ON"]
    stop = ["ABOR", "SOUR{terminal}:FUNC DC"]

   The output should wait at the first sample before, and stay at the last one after the play; terminals that are also
   under `terminals` with a `set` are set to their level before the load after `stop`.

3. Recording: a digitiser with 16-bit counts in blocks

    [instruments.recorder.scpi.digitiser]
    terminals = ["1", "2"]
    max_samples = 1000000
    ranges_V = [0.1, 1.0, 10.0]
    range = "CHAN{terminal}:RANG {range_V:g}"
    sample_rate = "ACQ:RATE {rate_Hz:.9g}"
    sample_rate_query = "ACQ:RATE?"          # must then answer what was set
    sample_count = "ACQ:POIN {count}"
    configure = ["ACQ:TRIG EXT", "FORM INT,16"]
    arm = "INIT"
    armed = { query = "STAT:OPER:COND?", mask = 32 }             # yes when bit 5 is set
    ready = { query = "STAT:OPER:COND?", mask = 16, expect = 0 } # yes when bit 4 is clear; or { query = "*OPC?" }
    progress = "ACQ:POIN:READY?"             # allows fetching while it still records
    fetch = "TRAC? (@{terminal}),{start},{count}"  # left out {start}, {count}: whole record, fetched once
    data = { format = "block", dtype = "int16", byte_order = "little" }
    scale = 3.0517578125e-05                 # volts = scale · (number - zero) + offset …
    scale_of_range = true                    # … and scale is a part of the range (1/32768)
    abort = "ABOR"

   Oscilloscopes that say how to scale: select = "WAV:SOUR CHAN{terminal}", scale_query = "WAV:YINC?",
   zero_query = "WAV:YREF?", offset_query = "WAV:YOR?" (where the origin is in counts too:
   zero_query = ["WAV:YREF?", "WAV:YOR?"]). Text instead of blocks: data = { format = "ascii" }. All inputs
   in one answer, sample by sample: leave {terminal} out of `fetch`. One instrument may have all three tables.

Try it: `labctl station check STATION.toml` opens the instruments. At level DEBUG the logger "drivers.line" shows every
command that is sent and every answer.
"""

import re
from collections.abc import Mapping
from typing import Any

from drivers.errors import InstrumentReported, LineTimeout, UnknownTerminal
from drivers.generic.options import ScpiOptions
from drivers.generic.parts import Terminal
from drivers.generic.playing import GenericPlayer
from drivers.generic.recording import GenericDigitiser
from drivers.generic.stepped import SteppedTerminal
from drivers.generic.talking import Manners, Sender
from drivers.line import Line
from drivers.options import read_options
from drivers.scpi import MOST_ERRORS, ScpiDriver

ANY_TERMINAL = "*"


def _manners(options: ScpiOptions) -> Manners:
    return Manners(
        echo=options.echo,
        acknowledge=None if options.acknowledge is None else re.compile(options.acknowledge),
        acknowledge_questions=options.acknowledge_questions,
        number_pattern=None if options.number_pattern is None else re.compile(options.number_pattern),
    )


class GenericScpi(ScpiDriver):
    """One instrument described by its station file."""

    def __init__(self, line: Line, options: Mapping[str, Any]) -> None:
        """Check the whole table, then send the init commands. Raises BadOptions, InstrumentReported."""
        super().__init__(line)
        self._options = read_options(ScpiOptions, options, where=f"{line.address}: driver scpi")
        self._sender = Sender(line, _manners(self._options))
        self._error_ok = re.compile(self._options.error_ok)
        self._terminals: dict[str, SteppedTerminal] = {}
        for name in self._options.terminals:
            if name != ANY_TERMINAL:
                self._terminal(name)
        table = self._options.player
        if table is not None:
            for name in table.terminals:
                self._terminal(name)
        set_points = {
            name: found
            for name, found in self._terminals.items()
            if found.table.set or found.table.rest_level is not None
        }
        self._player: GenericPlayer | None = None
        if table is not None:
            self._player = GenericPlayer(table, self._sender, set_points=set_points, check_errors=self.check_errors)
        self._digitiser: GenericDigitiser | None = None
        if self._options.digitiser is not None:
            self._digitiser = GenericDigitiser(self._options.digitiser, self._sender, check_errors=self.check_errors)
        self._set_up()
        line.on_reconnect(self._set_up)

    def _set_up(self) -> None:
        """On opening and after every reconnection."""
        for terminal in self._terminals.values():
            terminal.forget()
        if self._player is not None:
            self._player.forget()
        if self._digitiser is not None:
            self._digitiser.forget()
        self._sender.send_each(self._options.init, ())
        if self._options.init:
            blamed = "" if "*CLS" in self._options.init else ' (or before them: begin init with "*CLS")'
            self.check_errors(f"the commands of init{blamed}")

    def _terminal(self, name: str) -> SteppedTerminal | None:
        """The stepped terminal of this name, made at its first use; None if the station file has none."""
        if name not in self._terminals:
            table: Terminal | None = self._options.terminals.get(name) or self._options.terminals.get(ANY_TERMINAL)
            if table is None:
                return None
            check = self.check_errors if self._options.check_after_set else None
            self._terminals[name] = SteppedTerminal(name, table, self._sender, check_errors=check)
        return self._terminals[name]

    @property
    def roles_offered(self) -> str:  # type: ignore[override]
        """What the station file has commands for, for messages."""
        tables = self._options.terminals
        offered = [
            f"set_point({name!r})" for name, table in tables.items() if table.set or table.rest_level is not None
        ]
        offered += [f"meter({name!r})" for name, table in tables.items() if table.measure is not None]
        offered += ["player()"] if self._player is not None else []
        offered += ["digitiser()"] if self._digitiser is not None else []
        return ", ".join(offered) or "nothing: [instruments.NAME.scpi] has neither terminals nor player nor digitiser"

    def set_point(self, terminal: str) -> SteppedTerminal:
        """A terminal with a `set` command or a `rest_level`."""
        found = self._terminal(terminal)
        if found is None or not (found.table.set or found.table.rest_level is not None):
            error = self.no_role(terminal, "set")
            if self._options.player is not None and terminal in self._options.player.terminals:
                raise UnknownTerminal(
                    f"{error}. An output that is played also needs [instruments.NAME.scpi.terminals.{terminal}]: with "
                    "`set`, by which it is brought to its safe value, or with `rest_level`, where it stands between plays"
                )
            raise error
        return found

    def meter(self, terminal: str) -> SteppedTerminal:
        """A terminal with a `measure` command."""
        found = self._terminal(terminal)
        if found is None or found.table.measure is None:
            raise self.no_role(terminal, "measured")
        return found

    def player(self) -> GenericPlayer:
        """The table `player`."""
        if self._player is None:
            raise self.no_role("player", "played")
        return self._player

    def digitiser(self) -> GenericDigitiser:
        """The table `digitiser`."""
        if self._digitiser is None:
            raise self.no_role("digitiser", "recorded")
        return self._digitiser

    def check_errors(self, context: str = "") -> None:
        """Ask the error query until the answer means "no error"; raise InstrumentReported if there was one."""
        entries = self._drain_errors()
        if entries:
            raise InstrumentReported(self.line.address, entries, context)

    def _drain_errors(self) -> list[tuple[int, str]]:
        query = self._options.error_query
        if not query:
            return []
        entries: list[tuple[int, str]] = []
        for _ in range(MOST_ERRORS):
            try:
                answer = self._sender.ask(query, idempotent=False)
            except LineTimeout as error:
                raise LineTimeout(
                    error.address,
                    error.command,
                    f'{error.reason} If it has no error queue, write error_query = "" in its scpi table',
                ) from error
            if self._error_ok.search(answer):
                break
            code = re.match(r"\s*([+-]?\d+)", answer)
            text = answer[code.end() :].lstrip(", ").strip('"') if code else answer
            entries.append((int(code[1]) if code else 0, text))
        return entries

    def describe_settings(self) -> dict[str, str]:
        """The questions of `describe`, and what the set-points are set to, with how that is known."""
        found = {name: self._sender.ask(query) for name, query in self._options.describe.items()}
        for name, terminal in self._terminals.items():
            if terminal.reads_back:
                found[f"terminal {name}"] = f"{terminal.read_back():.9g}"
            elif terminal.table.set:
                found[f"terminal {name}"] = "cannot be read back"
        return found

    def close(self) -> None:
        """Send the at_close commands and close the line."""
        try:
            self._sender.send_each(self._options.at_close, ())
        finally:
            super().close()
