"""The running automaton behind the panel: started in a thread, asked for its newest picture thirty times a second."""

from __future__ import annotations

import threading
from collections.abc import Callable

from PySide6.QtCore import QObject, Signal

from gui.desk import Desk
from labctl.errors import CampaignError
from labctl.nca_live import LiveAutomaton, LiveLost
from labctl.nca_live_frames import LiveFrame, LiveSource


class LiveHolder(QObject):
    """One automaton at a time. `began(facts)`, `frame(LiveFrame)`, `refused(text)`, `lost(text)`: in Qt's thread."""

    began = Signal(object)
    frame = Signal(object)
    refused = Signal(str)
    lost = Signal(str)

    def __init__(self, desk: Desk, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._desk = desk
        self._number = 0
        self.source: LiveSource | None = None
        self.live: LiveAutomaton | None = None
        self.starting = False
        self._watched = True
        desk.bridge.tick.connect(self._look)

    def start(self, source: LiveSource) -> None:
        """Run this one, in place of what runs; takes some seconds, in the background."""
        self.stop()
        self.source, self.starting = source, True
        self._number += 1
        number = self._number
        self._desk.call(
            lambda: LiveAutomaton(source),
            done=lambda live: self._started(number, live),
            failed=lambda error: self._failed(number, error),
            name="starting the automaton",
        )

    def again(self) -> None:
        """Begin the last one anew, in a process of its own."""
        if self.source is not None:
            self.start(self.source)

    def stop(self) -> None:
        """End what runs."""
        live, self.live = self.live, None
        self._number += 1  # what is still starting is ended as soon as it comes
        self.starting = False
        if live is not None:
            threading.Thread(target=live.close, name="end an automaton", daemon=True).start()

    def watch(self, watched: bool) -> None:
        """Whether anybody looks: pictures that nobody sees are not asked for."""
        self._watched = watched

    def tell(self, what: Callable[[LiveAutomaton], object]) -> None:
        """Have it do something; what cannot be done is told by `refused`."""
        if self.live is None:
            return
        try:
            what(self.live)
        except LiveLost as error:
            self._is_lost(str(error))
        except CampaignError as error:
            self.refused.emit(str(error))

    def _started(self, number: int, live: LiveAutomaton) -> None:
        if number != self._number:
            threading.Thread(target=live.close, name="end an automaton", daemon=True).start()
            return
        self.live, self.starting = live, False
        self.began.emit(live.facts)

    def _failed(self, number: int, error: BaseException) -> None:
        if number == self._number:
            self.starting = False
            self.lost.emit(str(error))

    def _look(self) -> None:
        live = self.live
        if live is None:
            return
        if live.trouble:
            self._is_lost(f"the automaton does not run any more: {live.trouble}")
            return
        for words in live.refusals():
            self.refused.emit(words)
        try:
            frame: LiveFrame | None = live.newest() if self._watched else None
        except LiveLost as error:
            self._is_lost(str(error))
            return
        if frame is not None:
            self.frame.emit(frame)

    def _is_lost(self, words: str) -> None:
        live, self.live = self.live, None
        if live is not None:
            threading.Thread(target=live.close, name="end an automaton", daemon=True).start()
            self.lost.emit(words)
