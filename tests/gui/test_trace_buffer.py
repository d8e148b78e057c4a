"""The ring buffer behind the live plot, and the box that events wait in."""

from __future__ import annotations

import numpy as np
import pytest

from gui.event_box import EventBox
from gui.plots.learning_curves import MOST_FIGURES, MOST_POINTS, MOST_STEPS, LearningCurves
from gui.plots.trace_buffer import TraceBuffer
from labctl.events import Figures, Progress, Sampled, StepFinished, StepStarted, Warned


def block(first: int, count: int, *, dt_s: float = 1.0, drives: tuple[str, ...] = ("d",)) -> Sampled:
    ramp = np.arange(first, first + count, dtype=np.float64)[:, None]
    return Sampled("k", 0, first, dt_s, drives, ("r",), np.repeat(ramp, len(drives), axis=1), -ramp)


@pytest.mark.parametrize("sizes", [[3, 4], [10], [25], [7, 7, 7, 1], [9, 2]])
def test_the_newest_samples_are_kept_in_order_whatever_the_blocks(sizes: list[int]) -> None:
    buffer = TraceBuffer(10)
    first = 0
    for size in sizes:
        buffer.append(block(first, size))
        first += size
    view = buffer.view(span_s=100.0, max_points=100)
    assert view is not None
    expected = np.arange(max(0, first - 10), first)
    np.testing.assert_array_equal(view.values, np.stack([expected, -expected]))
    assert view.time_s[-1] == 0.0
    assert buffer.total == first
    assert buffer.newest() == {"d": first - 1, "r": 1 - first}


def test_a_view_shows_only_the_span_asked_for() -> None:
    buffer = TraceBuffer(100)
    buffer.append(block(0, 50, dt_s=0.1))
    view = buffer.view(span_s=1.0, max_points=100)
    assert view is not None
    np.testing.assert_array_equal(view.values[0], np.arange(40, 50))
    assert view.time_s[0] == pytest.approx(-0.9)


def test_no_spike_is_lost_when_samples_are_reduced() -> None:
    buffer = TraceBuffer(100_000)
    spiky = np.zeros((100_000, 1))
    spiky[12_345] = 5.0
    spiky[77_777] = -7.0
    buffer.append(Sampled("k", 0, 0, 1e-6, ("d",), ("r",), spiky, spiky))
    view = buffer.view(span_s=1.0, max_points=1000)
    assert view is not None
    assert view.values.shape[1] <= 1000
    assert view.values[0].max() == 5.0
    assert view.values[0].min() == -7.0
    assert np.all(np.diff(view.time_s) > 0)


def test_other_channels_or_another_rate_start_afresh() -> None:
    buffer = TraceBuffer(100)
    buffer.append(block(0, 50))
    buffer.append(block(0, 5, drives=("d", "e")))
    view = buffer.view(span_s=1e9, max_points=100)
    assert view is not None
    assert view.drive_names == ("d", "e")
    assert view.values.shape == (3, 5)
    assert buffer.total == 55


def test_an_empty_buffer_has_no_view() -> None:
    buffer = TraceBuffer(10)
    assert buffer.view(span_s=1.0, max_points=10) is None
    buffer.append(block(0, 5))
    buffer.clear()
    assert buffer.view(span_s=1.0, max_points=10) is None
    assert buffer.newest() == {}


def test_progress_is_merged_and_the_order_kept() -> None:
    box = EventBox()
    box.put(StepStarted("a", "A"))
    for done in range(1000):
        box.put(Progress("a", done, 1000))
    box.put(Progress("b", 1, 2))
    box.put(StepFinished("a", "A", 1.0))
    events, left_out = box.take()
    assert events == (StepStarted("a", "A"), Progress("a", 999, 1000), Progress("b", 1, 2), StepFinished("a", "A", 1.0))
    assert left_out == 0
    assert box.take() == ((), 0)


def test_a_full_box_leaves_out_the_oldest_and_says_how_many() -> None:
    box = EventBox(capacity=10)
    for number in range(25):
        box.put(Warned("a", str(number)))
    events, left_out = box.take()
    assert [event.message for event in events] == [str(number) for number in range(15, 25)]
    assert left_out == 15


def test_learning_curves_are_bounded() -> None:
    curves = LearningCurves()
    assert curves.take([Figures("fit", step, {"loss": 1.0 / (step + 1)}) for step in range(3 * MOST_POINTS)])
    assert len(curves.steps["fit"]["loss"]) == MOST_POINTS
    assert curves.take([Figures("many", 0, {f"figure {number}": 1.0 for number in range(3 * MOST_FIGURES)})])
    assert len(curves.steps["many"]) == MOST_FIGURES
    assert curves.take([Figures(f"fit {number}", 0, {"loss": 1.0}) for number in range(3 * MOST_STEPS)])
    assert len(curves.steps) == MOST_STEPS
    assert not curves.take([Warned("a", "no figure")])
