"""A simulated instrument's parser: takes program messages, finds handlers, keeps status, queues errors, forms replies."""

import asyncio
import inspect
from collections.abc import Awaitable
from typing import Any

from sim_devices.scpi.errors import ErrorQueue, ScpiError
from sim_devices.scpi.message import Unit, split_units
from sim_devices.scpi.parameters import Parameters
from sim_devices.scpi.settings import Setting
from sim_devices.scpi.status import OPERATION_COMPLETE, StatusRegisters, event_bit
from sim_devices.scpi.tree import Command, CommandTree, check_count, collect_commands, command

_NO_SUFFIX: tuple[int, ...] = ()


class ScpiInstrument:
    """Common commands and the machinery; a front end adds handlers marked with `command` and a table of settings.

    -410 and -420 concern an output queue that a controller reads at will; on a socket or serial line answers leave at once,
    so of the query errors only -440 can occur.

    Args:
        identity: answer to *IDN?.
        error_capacity: length of the error queue.
    """

    terminators = b"\n"
    device_clear_characters = b""  # bytes that clear input and output of a serial instrument
    suffix_limits: dict[str, int] = {}  # noqa: RUF012 - overridden as a constant by subclasses
    version = "1999.0"

    def __init__(self, *, identity: str, error_capacity: int) -> None:
        self.identity = identity
        self.errors = ErrorQueue(capacity=error_capacity)
        self.status = StatusRegisters()
        self.values: dict[tuple[str, tuple[int, ...]], Any] = {}
        self._has_reply = False
        self._complete_task: asyncio.Task[None] | None = None
        self._settings = {setting.pattern: setting for setting in self.settings()}
        own = collect_commands(self)
        table = [entry for setting in self._settings.values() for entry in self._setting_commands(setting)]
        self.tree = CommandTree(own + table)

    # What a front end overrides

    def settings(self) -> list[Setting]:
        """Settings that are only kept and read back."""
        return []

    def reset(self) -> None:
        """What *RST does beyond the table of settings."""

    def changed(self) -> None:
        """Called after every command, so that outputs can follow the settings."""

    def operation_complete(self) -> Awaitable[None] | None:
        """Something to wait for until all overlapped operations are over; None when there is none."""
        return None

    def update_conditions(self) -> None:
        """Put the present conditions into self.status.operation and .questionable."""

    def format_float(self, value: float) -> str:
        """How a number is answered."""
        return f"{value:+.15E}"

    def format_integer(self, value: int) -> str:
        """How an integer is answered."""
        return f"{value:+d}"

    # Execution

    async def execute(self, message: bytes) -> bytes | None:
        """Obey one program message; the reply without terminator, None when nothing is answered."""
        replies: list[bytes] = []
        path, indefinite = "", False
        try:
            for unit in split_units(message):
                self._has_reply = bool(replies)
                if indefinite and unit.header.endswith("?"):
                    raise ScpiError(-440)
                found, path = await self._execute_unit(unit, path, replies)
                indefinite = indefinite or found.indefinite
        except ScpiError as error:
            self.report(error)
        finally:
            self.changed()
            self.update_conditions()
        return b";".join(replies) if replies else None

    async def _execute_unit(self, unit: Unit, path: str, replies: list[bytes]) -> tuple[Command, str]:
        """Obey one unit. Command errors leave the message, other errors only the unit."""
        found, suffixes, path = self.tree.find(unit.header, path)
        check_count(len(unit.parameters), found.parameters)
        for name, number in suffixes.items():
            if not 1 <= number <= self.suffix_limits.get(name, 1):
                raise ScpiError(-114)
        # SOURce1 of an instrument with one source is just SOURce
        suffixes = {name: number for name, number in suffixes.items() if name in self.suffix_limits}
        try:
            answer = found.handler(Parameters(unit.parameters), **suffixes)
            if inspect.isawaitable(answer):
                self.changed()  # outputs follow before we wait
                answer = await answer
        except ScpiError as error:
            if -199 <= error.code <= -100:
                raise
            self.report(error)
        else:
            if unit.header.endswith("?"):
                replies.append(self.encode(answer))
        return found, path

    def report(self, error: ScpiError) -> None:
        """Queue an error and set its bit."""
        self.errors.push(error)
        self.status.event_status |= event_bit(error.code)

    def encode(self, answer: object) -> bytes:
        """Bytes of an answer: text and bytes as they are, booleans 0 or 1, numbers in the instrument's way, lists with commas."""
        if isinstance(answer, bytes):
            return answer
        if isinstance(answer, str):
            return answer.encode("ascii")
        if isinstance(answer, bool):
            return b"1" if answer else b"0"
        if isinstance(answer, int):
            return self.format_integer(answer).encode("ascii")
        if isinstance(answer, float):
            return self.format_float(answer).encode("ascii")
        if isinstance(answer, list | tuple):
            return b",".join(self.encode(item) for item in answer)
        raise TypeError(f"cannot answer with {type(answer).__name__}")

    # Settings from the table

    def value(self, pattern: str, *suffixes: int) -> Any:
        """Present value of a setting of the table."""
        found = self.values.get((pattern, suffixes or _NO_SUFFIX))
        return self._settings[pattern].default if found is None else found

    def keep(self, pattern: str, value: object, *suffixes: int) -> None:
        """Set a value of the table from inside."""
        self.values[(pattern, suffixes or _NO_SUFFIX)] = value

    def _setting_commands(self, setting: Setting) -> list[Command]:
        def write(parameters: Parameters, **suffixes: int) -> None:
            self.check_setting(setting.pattern)
            self.keep(setting.pattern, setting.read(parameters), *suffixes.values())

        def read(_: Parameters, **suffixes: int) -> Any:
            return self.value(setting.pattern, *suffixes.values())

        return [Command(setting.pattern, write, (1, 1)), Command(setting.pattern + "?", read, (0, 1))]

    def check_setting(self, pattern: str) -> None:
        """Raise -221 where the present state does not allow a setting to change."""

    # IEEE 488.2 common commands and SCPI's required ones

    @command("*IDN?", indefinite=True)
    def _idn(self, _: Parameters) -> str:
        return self.identity

    @command("*RST", parameters=0)
    def _rst(self, _: Parameters) -> None:
        self._forget_complete()
        self.values.clear()
        self.reset()

    @command("*CLS", parameters=0)
    def _cls(self, _: Parameters) -> None:
        self._forget_complete()
        self.errors.clear()
        self.status.clear_events()

    @command("*TST?")
    def _tst(self, _: Parameters) -> int:
        return 0

    @command("*OPC", parameters=0)
    def _opc(self, _: Parameters) -> None:
        self._forget_complete()
        waiting = self.operation_complete()
        if waiting is None:
            self.status.event_status |= OPERATION_COMPLETE
        else:
            self._complete_task = asyncio.ensure_future(self._complete_later(waiting))

    async def _complete_later(self, waiting: Awaitable[None]) -> None:
        await waiting
        self.status.event_status |= OPERATION_COMPLETE

    def _forget_complete(self) -> None:
        if self._complete_task is not None:
            self._complete_task.cancel()
            self._complete_task = None

    @command("*OPC?")
    def _opc_query(self, _: Parameters) -> str | Awaitable[str]:
        waiting = self.operation_complete()
        return "1" if waiting is None else _then(waiting, "1")

    @command("*WAI", parameters=0)
    def _wai(self, _: Parameters) -> Awaitable[None] | None:
        return self.operation_complete()

    @command("*ESE")
    def _ese(self, parameters: Parameters) -> None:
        self.status.event_enable = _byte(parameters)

    @command("*ESE?")
    def _ese_query(self, _: Parameters) -> int:
        return self.status.event_enable

    @command("*ESR?")
    def _esr(self, _: Parameters) -> int:
        return self.status.read_event_status()

    @command("*SRE")
    def _sre(self, parameters: Parameters) -> None:
        self.status.service_enable = _byte(parameters) & ~64

    @command("*SRE?")
    def _sre_query(self, _: Parameters) -> int:
        return self.status.service_enable

    @command("*STB?")
    def _stb(self, _: Parameters) -> int:
        self.update_conditions()
        return self.status.status_byte(errors=bool(self.errors), message=self._has_reply)

    @command("SYSTem:ERRor[:NEXT]?")
    def _next_error(self, _: Parameters) -> str:
        code, text = self.errors.pop()
        return f'{self.format_integer(code)},"{text}"'

    @command("SYSTem:VERSion?")
    def _version(self, _: Parameters) -> str:
        return self.version

    @command("STATus:PRESet", parameters=0)
    def _preset(self, _: Parameters) -> None:
        self.status.preset()

    @command("STATus:OPERation:CONDition?", parameters=(0, 1))
    def _operation_condition(self, _: Parameters) -> int:
        self.update_conditions()
        return self.status.operation.condition

    @command("STATus:OPERation[:EVENt]?")
    def _operation_event(self, _: Parameters) -> int:
        self.update_conditions()
        return self.status.operation.read_event()

    @command("STATus:OPERation:ENABle")
    def _operation_enable(self, parameters: Parameters) -> None:
        self.status.operation.enable = parameters.integer(0) & 0x7FFF

    @command("STATus:OPERation:ENABle?")
    def _operation_enable_query(self, _: Parameters) -> int:
        return self.status.operation.enable

    @command("STATus:QUEStionable:CONDition?")
    def _questionable_condition(self, _: Parameters) -> int:
        self.update_conditions()
        return self.status.questionable.condition

    @command("STATus:QUEStionable[:EVENt]?")
    def _questionable_event(self, _: Parameters) -> int:
        self.update_conditions()
        return self.status.questionable.read_event()

    @command("STATus:QUEStionable:ENABle")
    def _questionable_enable(self, parameters: Parameters) -> None:
        self.status.questionable.enable = parameters.integer(0) & 0x7FFF

    @command("STATus:QUEStionable:ENABle?")
    def _questionable_enable_query(self, _: Parameters) -> int:
        return self.status.questionable.enable


async def _then(waiting: Awaitable[None], answer: str) -> str:
    await waiting
    return answer


def _byte(parameters: Parameters) -> int:
    value = parameters.integer(0)
    if not 0 <= value <= 255:
        raise ScpiError(-222)
    return value
