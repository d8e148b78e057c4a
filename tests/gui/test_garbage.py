"""Garbage is collected, and what a library brings is not looked at again and again."""

from __future__ import annotations

import gc
import sys
import weakref
from collections.abc import Iterator
from types import ModuleType

import pytest

from gui.garbage import LIBRARY_MODULES, GarbageCollector


class Cycle:
    """Garbage that only the collector finds."""

    def __init__(self) -> None:
        self.myself = self


@pytest.fixture
def collector() -> Iterator[GarbageCollector]:
    """A collector, nothing set aside yet (a test before may have shown a window); afterwards everything is as it was."""
    gc.unfreeze()
    yield GarbageCollector()
    gc.unfreeze()
    gc.enable()


def many_objects() -> list[list[int]]:
    """More than the youngest generation may hold."""
    return [[number] for number in range(gc.get_threshold()[0] + 100)]


def test_what_a_library_brought_is_set_aside_once(collector: GarbageCollector, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = many_objects()
    collector.collect_if_due()
    assert gc.get_freeze_count() == 0, "nothing was loaded"
    for number in range(LIBRARY_MODULES):
        monkeypatch.setitem(sys.modules, f"library_{number}", ModuleType(f"library_{number}"))
    kept += many_objects()
    collector.collect_if_due()
    frozen = gc.get_freeze_count()
    assert frozen > len(kept)
    kept += many_objects()
    collector.collect_if_due()
    assert gc.get_freeze_count() == frozen


def test_garbage_made_after_that_is_collected_still(collector: GarbageCollector) -> None:
    collector.set_aside()
    cycle = Cycle()
    gone = weakref.ref(cycle)
    del cycle
    kept = many_objects()
    collector.collect_if_due()
    assert gone() is None
    assert kept
