"""Curves on the page about an automaton: errors by frame; structure function and spectrum beside the data's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, ScalarFormatter

from labctl.report import MEASURED, PROMISED

if TYPE_CHECKING:
    from labctl.campaigns.evaluate_nca import Evaluation

_MOST_CHANNELS = 3
_LEAST_POWER = 1e-6
"""Of the largest power of the data; less is rounding."""


def error_plot(one: Evaluation) -> Figure:
    """Errors by frame beside those of predicting no change; highest and lowest value of every run."""
    figures = one.figures
    figure = Figure(figsize=(10, 3.2), layout="constrained")
    errors, extremes = figure.subplots(1, 2)
    compared = np.arange(1, figures["frames_compared"] + 1)
    ours = np.array([np.nan if value is None else value for value in figures["free_run_error_by_frame"]])
    stays = np.array([np.nan if value is None else value for value in figures["no_change_error_by_frame"]])
    errors.plot(compared, ours, color=PROMISED, marker="o", ms=3, lw=1.4, label="automaton")
    errors.plot(compared, stays, color=MEASURED, ls="--", lw=1.2, label="predicting no change")
    if np.nanmin(np.concatenate((ours, stays)), initial=np.inf) > 0:
        errors.set_yscale("log")
        errors.yaxis.set_major_formatter(ScalarFormatter())
        errors.yaxis.set_minor_formatter(NullFormatter())
        errors.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    errors.set_ylabel("error (standard deviations of the data)", fontsize=9)
    errors.legend(fontsize=8)
    run = np.arange(1, one.free.finite.shape[1] + 1)
    for values, style, words in ((one.free.highest, "-", "highest value"), (one.free.lowest, "-.", "lowest value")):
        shown = np.where(np.isfinite(values), values, np.nan)
        lines = extremes.plot(run, np.clip(shown.T, -9.0, 9.0), color=PROMISED, lw=1.2, ls=style)
        lines[0].set_label(words)
    extremes.axhspan(-0.5, 1.5, color="0.9", zorder=0, label="counts as stable")
    extremes.axvline(len(compared), color="black", lw=0.8, ls=":")
    extremes.set_ylim(-1.0, 2.0)
    extremes.set_ylabel("values (data: 0 to 1)", fontsize=9)
    extremes.legend(fontsize=7, loc="lower center", ncols=3)
    for axes in (errors, extremes):
        axes.set_xlabel("frame")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.tick_params(labelsize=8)
    return figure


def curves_beside(patterns: Mapping[str, Any], places: str, what: str, label: str) -> Figure:
    """A curve of the automaton beside that of the data, for each channel; a spectrum's powers are of many sizes."""
    names = patterns["channels"][:_MOST_CHANNELS]
    figure = Figure(figsize=(3.4 * len(names) + 0.6, 2.7), layout="constrained")
    panels = figure.subplots(1, len(names), squeeze=False)[0]
    spectrum = what == "spectrum"
    for number, (name, axes) in enumerate(zip(names, panels, strict=True)):
        for kind, colour, style, words in (("_of_data", MEASURED, "--", "data"), ("", PROMISED, "-", "automaton")):
            curve = np.array([patterns[places], patterns[f"{what}{kind}"][number]])[:, int(spectrum) :]  # no mean
            axes.plot(*curve, color=colour, lw=1.5, ls=style, label=words)
        axes.set_title(name, fontsize=9)
        axes.set_xlabel(label, fontsize=9)
        largest = max(patterns[f"{what}_of_data"][number])
        if spectrum and largest > 0:
            axes.set_yscale("log")
            axes.set_ylim(bottom=_LEAST_POWER * largest)
        else:
            axes.set_ylim(bottom=0.0)
        axes.tick_params(labelsize=8)
    panels[0].legend(fontsize=8)
    return figure
