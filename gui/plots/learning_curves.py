"""Learning curves from `Figures` events, in bounded memory. No Qt here."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterable

from labctl.events import Event, Figures

MOST_POINTS = 2000
MOST_CURVES = 8


class LearningCurves:
    """The last `MOST_POINTS` points of the newest curves by "step key: figure"."""

    def __init__(self) -> None:
        self.curves: OrderedDict[tuple[str, str], deque[tuple[float, float]]] = OrderedDict()

    def clear(self) -> None:
        """Forget all curves."""
        self.curves.clear()

    def take(self, events: Iterable[Event]) -> bool:
        """Add what the events hold; True if there was anything."""
        changed = False
        for event in events:
            if isinstance(event, Figures):
                for name, value in event.values.items():
                    curve = self.curves.setdefault((event.key, name), deque(maxlen=MOST_POINTS))
                    curve.append((float(event.step), float(value)))
                    changed = True
        while len(self.curves) > MOST_CURVES:
            self.curves.popitem(last=False)
        return changed
