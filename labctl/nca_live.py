"""An automaton that runs in a process of its own and can be painted on meanwhile; whoever looks gets the newest picture.

    with LiveAutomaton(LiveSource(model=Path("heat.json"), data=NcaData(pde=PdeSource(pde="heat")))) as live:
        live.play(steps_per_s=200)
        live.paint(20, 30, radius=4)
        picture = live.newest()        # None where nothing changed since the last one
        after = live.settled()         # once all of it is done

This process computes nothing and never loads torch. All methods may be called from any thread, and none but `settled` waits.
"""

from __future__ import annotations

import itertools
import multiprocessing
import queue
import threading
import time
from types import TracebackType
from typing import Self

from labctl import nca_live_process as process
from labctl.errors import CampaignError
from labctl.nca_actions import Action, Done, Erase, Flip, Jump, Paint, Reset, Resize, Turn, Wipe
from labctl.nca_live_frames import LiveFacts, LiveFrame, LiveSource
from labctl.nca_model import json_of
from labctl.workers import one_thread_each

READY_S = 120.0
_END_S = 1.0
_MOST_WAITING = 10_000
"""Things told that were not taken yet; a process that is so far behind is not there any more."""
_MOST_REFUSALS = 100


class LiveLost(CampaignError):  # noqa: N818 - it says what happened
    """The process of a running automaton has ended, or does not answer."""


class LiveAutomaton:
    """Starts the process and waits until it holds the automaton (some seconds). facts: what it is. Raises CampaignError for
    what cannot be begun, LiveLost where the process ends at once."""

    facts: LiveFacts

    def __init__(self, source: LiveSource, *, ready_s: float = READY_S) -> None:
        self.source = source
        json_of(source.model)  # said at once, without a process
        context = multiprocessing.get_context(
            "spawn"
        )  # a fork would copy threads, and whatever this process has loaded
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(
            target=process.serve, args=(source, theirs), name="labctl automaton", daemon=True
        )
        with one_thread_each():
            self._process.start()
        theirs.close()
        self._changed = threading.Condition()
        self._newest: LiveFrame | None = None
        self._settled: dict[int, process.Settled] = {}
        self._refusals: list[str] = []
        self._trouble = ""
        self._numbers = itertools.count()
        self._out: queue.Queue[process.Told | None] = queue.Queue(_MOST_WAITING)
        try:
            self.facts = self._first(ready_s)
        except BaseException:
            self._end_process()
            self._pipe.close()
            raise
        for work, name in ((self._read, "reads"), (self._write, "writes")):
            threading.Thread(target=work, name=f"labctl automaton {name}", daemon=True).start()
        self._tell(process.Wanted())

    @property
    def pid(self) -> int | None:
        """Of its process."""
        return self._process.pid

    @property
    def trouble(self) -> str:
        """Why it does not run any more; empty while it does."""
        return self._trouble

    def play(self, *, steps_per_s: float = 0.0) -> None:
        """Go on by itself, at most so fast; 0: as fast as it can."""
        if not 0.0 <= steps_per_s <= 1e6:
            raise CampaignError(f"steps per second are 0 (as fast as it can) to 1e6, not {steps_per_s!r}")
        self._tell(process.Play(steps_per_s))

    def pause(self) -> None:
        """Stand still, at once: steps that were asked for are left out."""
        self._tell(process.Pause())

    def step(self, n_steps: int = 1) -> None:
        """So many steps, then stand still; what is told afterwards is done after them."""
        if n_steps < 1:
            raise CampaignError(f"at least 1 step, not {n_steps}")
        self._tell(process.Step(n_steps))

    def paint(
        self, y: float, x: float, *, radius: float, values: tuple[float, ...] | None = None, channel: int | None = None
    ) -> None:
        """See labctl.nca_actions.Paint."""
        self.do(Paint(y=y, x=x, radius=radius, values=values, channel=channel))

    def erase(self, y: float, x: float, *, radius: float) -> None:
        """See labctl.nca_actions.Erase."""
        self.do(Erase(y=y, x=x, radius=radius))

    def damage(self, kind: str = "disc", *, radius: float = 0.2) -> None:
        """See labctl.nca_actions.Wipe."""
        self.do(Wipe(kind=kind, radius=radius))

    def turn(self, degrees: int = 90) -> None:
        """Counterclockwise, by 90, 180 or 270 degrees."""
        self.do(Turn(degrees=degrees))

    def flip(self) -> None:
        """Mirrored left to right."""
        self.do(Flip())

    def resize(self, rows: int, columns: int) -> None:
        """Begin anew on a field of this size."""
        self.do(Resize(rows=rows, columns=columns))

    def reset(self) -> None:
        """Begin anew at the first frame."""
        self.do(Reset())

    def jump(self, frame: int) -> None:
        """Begin anew at this frame of the data."""
        self.do(Jump(frame=frame))

    def do(self, action: Action) -> None:
        """Any action."""
        self._tell(action)

    def enlarge(self, channel: int | None) -> None:
        """Show this hidden channel in full from now on; None: none."""
        self._tell(process.Enlarge(channel))

    def reload(self) -> None:
        """Take the automaton's file as it is now (one that is being trained grows better), and begin anew."""
        self._tell(process.Reload())

    def newest(self) -> LiveFrame | None:
        """The newest picture, once; and the next one is asked for."""
        with self._changed:
            frame, self._newest = self._newest, None
        if frame is not None and not self._trouble:
            self._tell(process.Wanted())
        return frame

    def refusals(self) -> tuple[str, ...]:
        """What could not be done since the last call, in words."""
        with self._changed:
            told, self._refusals = tuple(self._refusals), []
        return told

    def settled(self, *, timeout_s: float = 60.0) -> LiveFrame:
        """Wait until all that was told is done; how it looks then. Raises CampaignError for what was refused, LiveLost."""
        frame = self._wait(timeout_s).frame
        if told := self.refusals():
            raise CampaignError("; ".join(told))
        return frame

    def done(self, *, timeout_s: float = 60.0) -> tuple[Done, ...]:
        """All actions so far, to be done again by labctl.campaigns.play_nca. Waits as `settled` does."""
        return self._wait(timeout_s).done

    def close(self) -> None:
        """End the process."""
        self._trouble = self._trouble or "closed"
        self._end_process()
        with self._changed:
            self._changed.notify_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _wait(self, timeout_s: float) -> process.Settled:
        number = next(self._numbers)
        self._tell(process.Settle(number))
        until = time.monotonic() + timeout_s
        with self._changed:
            while number not in self._settled:
                if self._trouble:
                    raise LiveLost(f"the automaton does not run any more: {self._trouble}")
                if not self._changed.wait(until - time.monotonic()) and time.monotonic() >= until:
                    raise LiveLost(f"the automaton did not answer within {timeout_s:g} s")
            return self._settled.pop(number)

    def _tell(self, told: process.Told) -> None:
        if self._trouble:
            raise LiveLost(f"the automaton does not run any more: {self._trouble}")
        try:
            self._out.put_nowait(told)
        except queue.Full:
            raise LiveLost(f"the automaton's process takes nothing any more ({_MOST_WAITING} things wait)") from None

    def _first(self, ready_s: float) -> LiveFacts:
        try:
            if not self._pipe.poll(ready_s):
                raise LiveLost(f"the automaton's process was not ready within {ready_s:g} s")
            said = self._pipe.recv()
        except (EOFError, OSError):
            raise LiveLost(self._how_it_ended()) from None
        if isinstance(said, process.Refused):
            raise CampaignError(said.why)
        assert isinstance(said, LiveFacts)
        return said

    def _read(self) -> None:
        while True:
            try:
                said = self._pipe.recv()
            except (EOFError, OSError, TypeError):  # TypeError: closed in the middle of reading
                break
            with self._changed:
                match said:
                    case LiveFrame():
                        self._newest = said
                    case process.Settled():
                        self._settled[said.number] = said
                    case process.Refused():
                        self._refusals = [*self._refusals, said.why][-_MOST_REFUSALS:]
                self._changed.notify_all()
        with self._changed:
            self._trouble = self._trouble or self._how_it_ended()
            self._changed.notify_all()
        self._leave()
        self._pipe.close()  # by its reader: closed by anybody else, its number could be another file's while it is read

    def _write(self) -> None:
        while (told := self._out.get()) is not None:
            try:
                self._pipe.send(told)
            except (OSError, ValueError):
                return  # the reader tells

    def _leave(self) -> None:
        try:
            self._out.put_nowait(None)
        except queue.Full:
            self._out.get_nowait()
            self._out.put_nowait(None)

    def _how_it_ended(self) -> str:
        self._process.join(_END_S)
        code = self._process.exitcode
        if code is None:
            return "its process hung up"
        return f"its process was killed (signal {-code})" if code < 0 else f"its process ended (status {code})"

    def _end_process(self) -> None:
        self._process.terminate()  # it holds nothing that wants cleaning up
        self._process.join(_END_S)
        if self._process.is_alive():
            self._process.kill()
            self._process.join(_END_S)
