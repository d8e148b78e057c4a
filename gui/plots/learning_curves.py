"""Learning curves from `Figures` events, in bounded memory. No Qt here."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterable

from labctl.events import Event, Figures

MOST_POINTS = 2000
MOST_STEPS = 12
MOST_FIGURES = 6

Curve = deque[tuple[float, float]]


class LearningCurves:
    """The last `MOST_POINTS` points of each figure, by figure, by step; the newest steps only."""

    def __init__(self) -> None:
        self.steps: OrderedDict[str, dict[str, Curve]] = OrderedDict()

    def clear(self) -> None:
        """Forget all curves."""
        self.steps.clear()

    def take(self, events: Iterable[Event]) -> bool:
        """Add what the events hold; True if there was anything."""
        changed = False
        for event in events:
            if isinstance(event, Figures) and event.values:
                curves = self.steps.setdefault(event.key, {})
                for name, value in event.values.items():
                    if name in curves or len(curves) < MOST_FIGURES:
                        curves.setdefault(name, deque(maxlen=MOST_POINTS)).append((float(event.step), float(value)))
                        changed = True
        while len(self.steps) > MOST_STEPS:
            self.steps.popitem(last=False)
        return changed
