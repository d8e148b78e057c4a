"""What the figures of an automaton say, in a sentence; and what wants saying beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

CELLS = ("px", "cell", "cells", "pixel", "pixels", "1", "")
"""Units of a pixel's size that say no more than that it is one."""


def value_of(value: float | None, kind: str = ".3g") -> str:
    """A number; what is not finite stands as None in plain data."""
    return "not known" if value is None else format(value, kind)


def time_in_words(unit: str) -> str:
    """A unit of time; what has none is told so."""
    return unit if unit not in ("", "1") else "units of the images' own time"


def one_line(figures: Mapping[str, Any]) -> str:
    """The most telling figures, with how far they were looked at, and whether predicting no change would have done."""
    ratio = value_of(figures["transition_ratio_to_no_change"])
    words = (
        f"{stability(figures)}, free-run error {value_of(figures['free_run_error'])} of the data's spread (predicting no "
        f"change: {value_of(figures['no_change_error'])}), one transition {ratio} of 'no change'"
    )
    worse = worse_than_no_change(figures)
    return f"{words}; {worse}" if worse else words


def stability(figures: Mapping[str, Any]) -> str:
    """Stable or not, and for how long that was looked at."""
    run, data = figures["frames_run"], figures["frames_compared"]
    told = f"{'stable' if figures['stable'] else 'NOT stable'} for {run} frames (the data have {data} after the first)"
    if figures["stable"] and not figures.get("kept", True):
        told += ", but without the strength of the pattern at its end"
    longer = figures.get("longer")
    if longer and figures["stable"]:
        if longer["left_after"] is not None:
            told += f"; beyond that it leaves its bounds at frame {longer['left_after']}"
        else:
            told += f"; within its bounds for {longer['frames']}"
    return told


def worse_than_no_change(figures: Mapping[str, Any]) -> str:
    """From which frame on, in words; empty where the automaton is better than that to the end of the data."""
    first = figures["worse_than_no_change_from"]
    if first is not None:
        return f"WORSE than predicting no change from frame {first} on"
    ours, theirs = figures["free_run_error"], figures["no_change_error"]
    if theirs is not None and (ours is None or ours > theirs):
        return "WORSE than predicting no change, over all frames"
    return ""


def worse_from(error: Sequence[float], no_change: Sequence[float]) -> int | None:
    """The first frame (1: the one after the start) from which the error is above that of no change to the end."""
    first = None
    for number in range(len(error), 0, -1):
        if error[number - 1] <= no_change[number - 1]:
            break
        first = number
    return first
