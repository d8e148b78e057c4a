"""Which panels there are: those of the entry point group `labctl.panels`, imported only when they are wanted.

Another package adds a panel by an entry point of its own:

    [project.entry-points."labctl.panels"]
    lockin = "mylab.lockin_panel:LockinPanel"
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gui.panels.panel import Panel

GROUP = "labctl.panels"
LAST = 1000
"""The order of a panel that is not known before it is imported."""

_KNOWN = {
    "start": ("Start", 0, "What to do first: the whole loop on a simulated bench, step by step"),
    "station": ("Station", 10, "Instruments and channels: open, connect, live values, set with ramps"),
    "record": ("Record", 20, "Play an excitation, record what the device answers"),
    "twins": ("Twins", 30, "Fit a stochastic model of a device, and judge it against measurements"),
    "networks": ("Networks", 40, "Join twins to a network, optimise it, apply it to the bench"),
    "goku": ("GOKU", 50, "Learn the parameters of differential equations from traces"),
    "nca": ("NCA", 60, "Neural cellular automata: learn a local rule from images"),
    "runs": ("Runs", 70, "What is waiting and running, and everything that was measured"),
}


@dataclass(frozen=True, slots=True)
class PanelEntry:
    """A panel that can be shown; `load` imports its class, and raises what that raises."""

    key: str
    title: str
    order: int
    tip: str
    load: Callable[[], type[Panel]]


def entry_of(point: EntryPoint) -> PanelEntry:
    """What is known of a panel before it is imported."""
    title, order, tip = _KNOWN.get(point.name, (point.name.replace("_", " ").capitalize(), LAST, f"From {point.value}"))
    return PanelEntry(point.name, title, order, tip, point.load)


def found_panels(points: Iterable[EntryPoint] | None = None) -> tuple[PanelEntry, ...]:
    """All panels in the order of the navigation: the start page, then those of the entry points; of two of one key the first."""
    named = {"start": PanelEntry("start", *_KNOWN["start"], _load_start)}
    for point in entry_points(group=GROUP) if points is None else points:
        named.setdefault(point.name, entry_of(point))
    return tuple(sorted(named.values(), key=lambda entry: (entry.order, entry.title)))


def _load_start() -> type[Panel]:
    from gui.shell.start.panel import StartPanel

    return StartPanel
