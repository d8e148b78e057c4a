"""Safe states, kept apart from any run.

`SafeStateRegistry` knows, for every output, what safe means and how to get there. `make_safe()` runs each action in a
thread of its own with a time limit longer than its ramp, verifies it by read-back and collects every failure: one dead
instrument neither stops nor delays the others. Files are flushed afterwards, never before.
"""

from __future__ import annotations

import atexit
import contextlib
import logging
import math
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from labctl.errors import MadeSafe, Stopped

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SafeAction:
    """How one output is made safe.

    `run` brings it there and returns the value read back, in `unit`; it raises if it cannot. `budget_s` is how long it may
    go on without an answer of the instrument, `longest_s` how long with answers (s); `answered_s` tells when the last one
    came (time.monotonic). `player` names the instrument whose play must end first.
    """

    channel: str
    unit: str
    target: float
    tolerance: float
    budget_s: float
    run: Callable[[], float]
    player: str | None = None
    longest_s: float = math.inf
    answered_s: Callable[[], float] = lambda: -math.inf


@dataclass(frozen=True, slots=True)
class SafeOutcome:
    """What became of one output: the value read back, None if none could be read."""

    channel: str
    target: float
    read_back: float | None
    unit: str
    ok: bool
    message: str
    seconds: float

    def __str__(self) -> str:
        value = "not read back" if self.read_back is None else f"{f'{self.read_back:g} {self.unit}'.strip()} read back"
        return (
            f"{self.channel}: {'safe' if self.ok else 'NOT SAFE'}, {value}{'; ' + self.message if self.message else ''}"
        )


@dataclass(frozen=True, slots=True)
class SafeReport:
    """The outcome for every output; `problems` are failures that belong to no single output."""

    channels: tuple[SafeOutcome, ...]
    seconds: float
    problems: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether every output was read back at its safe value and nothing else failed."""
        return not self.problems and all(outcome.ok for outcome in self.channels)

    def __str__(self) -> str:
        head = "all outputs safe" if self.ok else "OUTPUTS NOT KNOWN TO BE SAFE"
        return "\n".join([f"{head} ({self.seconds:.2f} s)", *map(str, self.channels), *self.problems])


@dataclass(slots=True)
class _Task:
    """Work in a daemon thread of its own, so that a hung instrument cannot hold up anything else."""

    work: Callable[[], float | None]
    name: str
    done: threading.Event = field(default_factory=threading.Event)
    result: float | None = None
    error: BaseException | None = None
    seconds: float = 0.0

    def start(self) -> None:
        try:
            threading.Thread(target=self._run, name=self.name, daemon=True).start()
        except RuntimeError:  # the interpreter is shutting down and starts no more threads: do it here
            self._run()

    def _run(self) -> None:
        began = time.monotonic()
        try:
            self.result = self.work()
        except BaseException as error:  # noqa: BLE001 - kept and told in the report; nothing else may be skipped
            self.error = error
        self.seconds = time.monotonic() - began
        self.done.set()


class SafeStateRegistry:
    """The safe states of one bench.

    `epoch` grows with every `make_safe`: whoever plays or ramps compares it and ends. `armed` is true from the first
    write on until the outputs were made safe; while it is, leaving the process makes them safe.
    """

    def __init__(self) -> None:
        self.epoch = 0
        self.armed = False
        self.making_safe = False
        self.last_report: SafeReport | None = None
        self.pending_signal: int | None = None
        self.watcher: Callable[[str], None] = lambda _: None
        """Is told "armed" before the first byte is written, "safe" once all was read back safe, "parted" at the end."""
        self._under_way: dict[str, _Task] = {}
        self._deferred = 0
        self._shut_out: set[int] = set()
        self._actions: dict[str, SafeAction] = {}
        self._stops: dict[str, tuple[Callable[[], None], float]] = {}
        self._lock = threading.RLock()

    def add_output(self, action: SafeAction) -> None:
        """Register an output; one action a channel."""
        self._actions[action.channel] = action

    def add_player(self, instrument: str, stop: Callable[[], None], *, budget_s: float) -> None:
        """Register an instrument that may be playing: its play is ended before its outputs are set."""
        self._stops[instrument] = (stop, budget_s)

    def arm(self) -> None:
        """Something is about to be written: from now on the outputs must be made safe before the process ends."""
        if not self.armed:
            self.armed = True
            atexit.register(self._at_exit)
            self.watcher("armed")

    def shut_out(self, thread: int | None) -> None:
        """Let this thread (its ident) use no output until `let_in`: a campaign that overlooks that all was made safe."""
        if thread is not None:
            self._shut_out.add(thread)

    def let_in(self) -> None:
        """Every thread may use the outputs again; the one that was shut out is over."""
        self._shut_out.clear()

    def check_thread(self) -> None:
        """Raise MadeSafe in a thread that was shut out."""
        if threading.get_ident() in self._shut_out:
            raise MadeSafe("all outputs were made safe; this campaign may not use them any more")

    def disarm(self) -> None:
        """The bench is closed; there is nothing left to make safe."""
        self.armed = False
        atexit.unregister(self._at_exit)
        self.watcher("parted")

    @contextlib.contextmanager
    def undisturbed(self) -> Iterator[None]:
        """A section that no signal interrupts: one that arrives is raised as Stopped when the section is over."""
        if threading.current_thread() is not threading.main_thread():
            yield  # signals interrupt the main thread only
            return
        self._deferred += 1
        try:
            yield
        finally:
            self._deferred -= 1
        if self._deferred == 0 and self.pending_signal is not None:
            number, self.pending_signal = self.pending_signal, None
            raise Stopped("stopped by a signal that arrived during clean-up", signal_number=number)

    @property
    def deferring_signals(self) -> bool:
        """Whether the main thread is in a section that no signal may interrupt."""
        return self._deferred > 0

    @property
    def waiting_for(self) -> tuple[str, ...]:
        """While the outputs are being made safe: those (and players) that are not yet, from any thread."""
        return (
            tuple(name for name, task in self._under_way.items() if not task.done.is_set()) if self.making_safe else ()
        )

    def make_safe(self) -> SafeReport:
        """Bring every output to its safe value, at the same time, each on its own; report what was read back.

        Never raises for an instrument's failure: look at `report.ok`. Failures are logged as errors as well.
        """
        with self.undisturbed(), self._lock:
            # The order matters to who writes meanwhile: whoever knows the new epoch also sees that it must not write
            # yet, and whoever may write again arms after this has disarmed.
            self.making_safe = True
            self.epoch += 1
            try:
                report = self._make_safe()
                self.last_report = report
                if report.ok:
                    self.watcher("safe")
                    self.armed = False
            finally:
                self.making_safe = False
            if not report.ok:
                _log.error("%s", report)
        return report

    def _make_safe(self) -> SafeReport:
        began = time.monotonic()
        stops = {name: _Task(_without_value(stop), f"stop {name}") for name, (stop, _) in self._stops.items()}
        tasks = {
            name: _Task(self._after_stop(action, stops), f"make {name} safe") for name, action in self._actions.items()
        }
        self._under_way = {**stops, **tasks}
        for task in (*stops.values(), *tasks.values()):
            task.start()
        problems = []
        for name, task in stops.items():
            budget_s = self._stops[name][1]
            if not task.done.wait(max(0.0, began + budget_s - time.monotonic())):
                problems.append(f"{name}: its play could not be ended within {budget_s:.1f} s")
            elif task.error is not None:
                problems.append(f"{name}: its play could not be ended: {task.error}")
        outcomes = []
        for name, task in tasks.items():
            action = self._actions[name]
            stop_s = self._stops[action.player][1] if action.player in self._stops else 0.0
            _wait(action, task, began + stop_s)
            outcomes.append(_outcome(action, task))
        return SafeReport(tuple(outcomes), time.monotonic() - began, tuple(problems))

    def _after_stop(self, action: SafeAction, stops: dict[str, _Task]) -> Callable[[], float]:
        def work() -> float:
            if action.player is not None and action.player in stops:
                stops[action.player].done.wait(self._stops[action.player][1])
            return action.run()

        return work

    def _at_exit(self) -> None:
        if self.armed:
            self.make_safe()


def _without_value(stop: Callable[[], None]) -> Callable[[], None]:
    def work() -> None:
        stop()

    return work


def _wait(action: SafeAction, task: _Task, began: float) -> None:
    """Wait for its end as long as the instrument goes on answering, within `longest_s`."""
    while True:
        until = min(max(began, action.answered_s()) + action.budget_s, began + action.longest_s)
        remaining = until - time.monotonic()
        if task.done.wait(max(0.0, remaining)) or remaining <= 0.0:
            return


def _outcome(action: SafeAction, task: _Task) -> SafeOutcome:
    ok, read_back, message = False, None, ""
    if not task.done.is_set():
        if time.monotonic() - action.answered_s() < action.budget_s:
            message = f"still on its way after {action.longest_s:.1f} s, commands take too long. Switch it off by hand"
        else:
            message = f"no end within {action.budget_s:.1f} s; the instrument does not answer. Switch it off by hand"
    elif task.error is not None:
        message = f"{task.error}. Switch it off by hand"
    else:
        read_back = task.result
        ok = read_back is not None and abs(read_back - action.target) <= action.tolerance
        if not ok:
            message = f"should be {action.target:g} ± {action.tolerance:g} {action.unit}"
    return SafeOutcome(action.channel, action.target, read_back, action.unit, ok, message, task.seconds)
