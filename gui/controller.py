"""What the window can do with a bench: open, run, stop, make safe, part. Decides nothing about instruments itself."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, Signal

from gui.bench_state import State
from gui.bridge import Bridge, Ended
from gui.live_values import LiveValues
from gui.newest_samples import NewestSamples
from gui.offers import Offer, when_started
from gui.opened_bench import PATIENCE_S, LostBench, Opened, end, leave, reopened, start_simulation
from gui.trouble import trouble_of
from labctl.bench import Bench
from labctl.campaign import Journal
from labctl.errors import MadeSafe, Stopped, UsageError
from labctl.safety import SafeReport

__all__ = ["Controller", "State"]


class Controller(QObject):
    """The state of the window's bench; all signals are emitted in Qt's thread."""

    state_changed = Signal(object)
    opened = Signal(object)
    station_closed = Signal()
    set_by_hand = Signal(str)
    """What somebody set outside of any campaign, as text."""
    readings = Signal(object)
    made_safe = Signal(object)
    nothing_to_make_safe = Signal()
    ended = Signal(object)
    troubled = Signal(object)
    parted = Signal(object)
    guarded = Signal()
    """A process of its own watches over the bench now: it makes safe if this window is killed."""

    def __init__(self, bridge: Bridge, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.bridge = bridge
        self.state = State.EMPTY
        self.parted_well = True
        self.guardian: Callable[[Bench], object] | None = None
        """Starts that process; None for windows that do without."""
        self._held: Opened | None = None
        self._safing = 0
        self._safe_when_open = False
        self._not_begun: object | None = None
        self._live = LiveValues(bridge, self)
        self._live.read.connect(self.readings)
        self._from_samples = NewestSamples(bridge, self)
        self._from_samples.read.connect(self.readings)
        bridge.ended.connect(self._campaign_ended)

    @property
    def bench(self) -> Bench | None:
        """The open bench."""
        return self._held.bench if self._held else None

    @property
    def simulation_pid(self) -> int | None:
        """The process of the simulation that this window started, if it did."""
        return self._held.simulation.pid if self._held and self._held.simulation else None

    def open_station(self, path: Path) -> None:
        """Open the station of a file; `opened` or `troubled` follows."""
        self._open(lambda: Opened(Bench.open_available(path)), f"Opening {path}")

    def close_station(self) -> None:
        """Make all outputs safe and part from the bench, and from the simulation behind it; `station_closed` follows.

        Where an output is not safe the bench stays open, and `troubled` tells.
        """
        self._change(State.CLOSING, end, lambda _: self._closed(), "Closing the station")

    def reopen(self, path: Path) -> None:
        """Make all outputs safe, close, and open the station of this file; `opened` follows.

        A file with mistakes changes nothing; where it cannot be opened the station of before is opened again.
        """
        self._change(State.REOPENING, lambda held: reopened(held, path), self._opened_anew, f"Opening {path}")

    @property
    def simulated_name(self) -> str:
        """Which of the simulated benches that come with labctl this window started; "" for none."""
        return self._held.simulated_name if self._held else ""

    def open_simulated(self, name: str = "demo") -> None:
        """Start a simulated bench that comes with labctl in a process of its own and open it."""
        self._open(lambda: start_simulation(name), f"Starting the simulated bench {name}")

    def run(self, offer: Offer, *, folder: Path, seed: int) -> None:
        """Run a campaign as soon as the bench is free; `ended` follows, after the outputs were made safe."""
        bench = self.bench
        if bench is None or self.state is not State.READY:
            self._trouble(UsageError(f"cannot start now: {self.state.value}"), f"Starting {offer.title}")
            return
        self._enter(State.RUNNING)
        self._not_begun = asked = object()
        self._live.pause(lambda: self._start(asked, bench, offer, folder, seed))

    def stop(self) -> None:
        """Stop the campaign before its next event."""
        if self.state is State.RUNNING and self._not_begun is not None and self._held is not None:
            self._enter(State.READY)
            self._live.watch(self._held.bench)
            self._call_off()
            return
        if self.state is State.RUNNING:
            self._enter(State.STOPPING)
        self.bridge.stop()

    def make_safe(self) -> None:
        """Stop the campaign, then bring every output to its safe value; `made_safe` follows with what was read back.

        A campaign that does not stop by itself at once is cut off: its play ends, and it can use no output any more.
        Asked while a station is being opened, it is done as soon as it is open.
        """
        held = self._held
        if held is None:
            self._safe_when_open = self.state is State.OPENING
            self.nothing_to_make_safe.emit()
            return
        held.bench.safe_states.shut_out(self.bridge.campaign_thread)
        self.bridge.stop()
        self._call_off()
        if self._safing:
            return  # under way already
        self._safing += 1
        if self.state in (State.READY, State.RUNNING, State.STOPPING):
            self._enter(State.SAFING)

        def work() -> tuple[SafeReport, bool]:
            ended = self.bridge.wait(PATIENCE_S)
            return held.bench.make_safe(), ended

        self.bridge.call(work, done=self._safe, failed=self._not_safe, name="make safe")

    def part(self) -> None:
        """Stop, make safe, read back, close the bench; `parted` follows with the report, None if nothing was open."""
        if self.state in (State.PARTING, State.PARTED):
            return
        held, opening = self._held, self.state in (State.OPENING, State.CLOSING, State.REOPENING)
        self._enter(State.PARTING)
        self._call_off()
        if opening:
            return  # _opened or _not_opened goes on
        self._from_samples.stop()
        self.bridge.stop()
        if held is None:
            self._gone(None)
            return
        self._live.pause(lambda: None)
        held.bench.safe_states.shut_out(self.bridge.campaign_thread)
        self.bridge.call(lambda: leave(held, self.bridge), done=self._gone, failed=self._parting_failed, name="closing")

    def _open(self, opener: Callable[[], Opened], doing: str) -> None:
        if self.state is not State.EMPTY:
            self._trouble(
                UsageError(f"this window has a station already ({self.state.value}); open another window"), doing
            )
            return
        self._enter(State.OPENING)
        self.bridge.call(opener, done=self._opened, failed=lambda error: self._not_opened(error, doing), name="open")

    def _change(self, state: State, work: Callable[[Opened], Any], done: Callable[[Any], None], doing: str) -> None:
        """Do something to the bench that nothing else uses meanwhile."""
        held = self._held
        if held is None or self.state is not State.READY:
            self._trouble(UsageError(f"cannot be done now: {self.state.value}"), doing)
            return
        self._enter(state)
        failed = lambda error: self._not_changed(error, doing)  # noqa: E731
        self._live.pause(lambda: self.bridge.call(lambda: work(held), done=done, failed=failed, name=doing))

    def _closed(self) -> None:
        self._held = None
        self.station_closed.emit()
        if self.state is State.PARTING:
            self._gone(None)
        else:
            self._enter(State.EMPTY)

    def _opened_anew(self, result: tuple[Opened, BaseException | None]) -> None:
        held, error = result
        self._opened(held)
        if error is not None:
            self._trouble(error, "Opening the station anew; the station of before is open again")

    def _not_changed(self, error: BaseException, doing: str) -> None:
        """The bench of before is open still, unless it could not be opened again."""
        self._trouble(error, doing)
        held = self._held
        if isinstance(error, LostBench) or held is None:
            self._closed()
        elif self.state is State.PARTING:
            self.bridge.call(
                lambda: leave(held, self.bridge), done=self._gone, failed=self._parting_failed, name="closing"
            )
        else:
            self._enter(State.READY)
            self._live.watch(held.bench)

    def _opened(self, held: Opened) -> None:
        self._held = held
        if self.state is State.PARTING:  # closed while it was being opened
            self.bridge.call(
                lambda: leave(held, self.bridge), done=self._gone, failed=self._parting_failed, name="closing"
            )
            return
        self._guard(held)
        self.opened.emit(held.bench)
        self._enter(State.READY)
        self._live.watch(held.bench)
        if self._safe_when_open:
            self._safe_when_open = False
            self.make_safe()

    def _guard(self, held: Opened) -> None:
        """Have a process watch over a bench that outlives this one: a simulation that this window started does not."""
        if self.guardian is None or held.simulation is not None:
            return
        start = self.guardian
        self.bridge.call(
            lambda: start(held.bench),
            done=lambda _: self.guarded.emit(),
            failed=lambda error: self._trouble(error, "Starting the process that makes safe if this window is killed"),
            name="guardian",
        )

    def _not_opened(self, error: BaseException, doing: str) -> None:
        self._safe_when_open = False
        self._trouble(error, doing)
        if self.state is State.PARTING:
            self._gone(None)
        else:
            self._enter(State.EMPTY)

    def _call_off(self) -> None:
        """A campaign that waited for a reading to end never begins: say so to those who wait for its end."""
        if self._not_begun is not None:
            self._not_begun = None
            self.ended.emit(Ended(error=Stopped("stopped before it began")))

    def _start(self, asked: object, bench: Bench, offer: Offer, folder: Path, seed: int) -> None:
        if asked is not self._not_begun:
            return
        self._not_begun = None
        try:
            journal = Journal(folder / "journal.jsonl")
        except OSError as error:
            self._enter(State.READY)
            self._live.watch(bench)
            self._trouble(error, f"Starting {offer.title}")
            self.ended.emit(Ended(error=error))
            return
        self.bridge.start(when_started(lambda: offer.make(bench, folder, seed)), journal=journal, pause=offer.pause)
        self._from_samples.start()

    def _campaign_ended(self, ended: Ended) -> None:
        self._from_samples.stop()
        self._from_samples.show()
        if ended.error is not None and not ended.stopped and not self._cut_off(ended.error):
            self._trouble(ended.error, "The campaign ended early")
        if self._held is not None:
            self._held.bench.safe_states.let_in()
        self.ended.emit(ended)
        if self.state in (State.RUNNING, State.STOPPING, State.SAFING):
            self.make_safe()  # however it ended: the bench is left safe, and read back

    def _cut_off(self, error: BaseException) -> bool:
        """Whether the campaign ended because the outputs were made safe under it."""
        return self._safing > 0 and isinstance(error, MadeSafe)

    def _safe(self, result: tuple[SafeReport, bool]) -> None:
        report, had_ended = result
        self._safing -= 1
        self.made_safe.emit(report)
        if not had_ended and not self.bridge.running and self.state is State.SAFING:
            self.make_safe()  # the campaign lived on for a moment: read back once more
        else:
            self._settle()

    def _not_safe(self, error: BaseException) -> None:
        self._safing -= 1
        self._trouble(error, "All outputs safe")
        self._settle()

    def _settle(self) -> None:
        if self.state is State.SAFING and not self.bridge.running and self._held is not None:
            self._enter(State.READY)
            self._live.watch(self._held.bench)

    def _gone(self, report: SafeReport | None) -> None:
        self._held = None
        self._enter(State.PARTED)
        self.parted.emit(report)

    def _parting_failed(self, error: BaseException) -> None:
        self.parted_well = False
        self._trouble(error, "Closing")
        self._gone(None)

    def _enter(self, state: State) -> None:
        if state is not self.state:
            self.state = state
            self.state_changed.emit(state)

    def _trouble(self, error: BaseException, doing: str) -> None:
        self.troubled.emit(trouble_of(error, doing=doing))
