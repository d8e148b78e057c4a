"""The page on an ensemble of automata: mean, error and spread side by side; bands; whether it knows how wrong it is."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from labctl.html_page import HtmlPage
from labctl.nca_pictures import VALUES, ends, row, rows_of, titles
from labctl.report import MEASURED, PROMISED

if TYPE_CHECKING:
    from labctl.campaigns.evaluate_nca_ensemble import EnsembleEvaluation

_COLUMNS, _MOST_CHANNELS = 6, 3
_DEVIATIONS = "magma"
_STYLES = ("-", "--", "-.", ":")


def write_ensemble_report(path: Path, one: EnsembleEvaluation) -> None:
    """Write the page, whole or not at all."""
    page, figures = HtmlPage(f"The automata {one.name} together"), one.figures
    if figures["simulated"]:
        page.banner("SIMULATED: the images behind this report were simulated; no camera saw them.")
    page.paragraph(_first(one))
    for words in one.remarks:
        page.paragraph(words)
    page.heading("Mean, error and spread")
    for channel in range(min(_MOST_CHANNELS, len(one.data.names))):
        page.figure(
            _films(one, channel), f"The first sequence, {one.data.names[channel]}; error and spread on one scale"
        )
    page.heading("Bands")
    page.figure(_bands(one), "Cells of little, middling and much spread at the end: data, mean, and the 90 % interval")
    page.heading("Whether it knows how wrong it is")
    page.figure(
        _calibration(figures),
        "Left: an honest ensemble's spread is as large as its error. Right: intervals of a probability hold so many values",
    )
    page.table(("", "error alone (standard deviations of the data)"), _members(figures))
    page.table(("", ""), _numbers(figures))
    page.paragraph(
        "The spread is what training from other seeds (and cells that fire by chance) changes. What all members get wrong alike, "
        "it cannot know.",
        note=True,
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.partial")
    page.write(partial)
    partial.replace(path)


def _first(one: EnsembleEvaluation) -> str:
    rows, columns = one.data.size
    on = f" ({one.judged_on})" if one.judged_on else ""
    return (
        f"{len(one.figures['members'])} automata that differ by chance alone, run from the first frame of {one.data.n_trials} "
        f"sequences of {one.data.n_frames} frames, {rows} × {columns} cells{on}."
    )


def _films(one: EnsembleEvaluation, channel: int) -> Figure:
    data, mean = one.data.values[0, ..., channel], one.spread.mean.values[0, ..., channel]
    sd, error = one.spread.sd[0, ..., channel], np.abs(mean - data)
    frames = sorted({round(place) for place in np.linspace(0, len(data) - 1, _COLUMNS)})
    values = Normalize(*ends(data))
    # a few cells must not make all others dark
    deviations = Normalize(0.0, float(np.quantile(np.concatenate((error[1:], sd[1:])), 0.995)) or 1e-12)
    size = data.shape[1:]
    figure, panels = rows_of(4, len(frames), size, bars=True)
    titles(panels[0], frames, size[1])
    rows = (("data", data, values, VALUES), ("mean", mean, values, VALUES), ("|error|", error, deviations, _DEVIATIONS),
            ("spread (sd)", sd, deviations, _DEVIATIONS))  # fmt: skip
    images = [
        row(axes, words, [shown[frame] for frame in frames], size, norm, colours, "not finite")
        for axes, (words, shown, norm, colours) in zip(panels, rows, strict=True)
    ]
    for image, axes in ((images[1], panels[:2]), (images[3], panels[2:])):
        bar = figure.colorbar(image, ax=axes, fraction=0.03, pad=0.01, extend="both")
        bar.ax.tick_params(labelsize=8)
    return figure


def _bands(one: EnsembleEvaluation) -> Figure:
    bands = one.figures["bands"]
    figure = Figure(figsize=(3.4 * len(bands) + 0.6, 2.8), layout="constrained")
    for axes, band in zip(figure.subplots(1, len(bands), squeeze=False)[0], bands, strict=True):
        frames, mean, half = (np.arange(len(band["mean"])), np.array(band["mean"]), np.array(band["half_width_90"]))
        axes.fill_between(frames, mean - half, mean + half, color=PROMISED, alpha=0.25, lw=0, label="90 % interval")
        axes.plot(frames, mean, color=PROMISED, lw=1.4, label="mean")
        axes.plot(frames, band["data"], color=MEASURED, lw=1.4, ls="--", label="data")
        axes.set_title(f"cell ({band['row']}, {band['column']})", fontsize=9)
        axes.set_xlabel("frame", fontsize=9)
        axes.tick_params(labelsize=8)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    figure.axes[0].set_ylabel(one.data.names[0], fontsize=9)
    figure.axes[0].legend(fontsize=7)
    return figure


def _calibration(figures: Mapping[str, Any]) -> Figure:
    figure = Figure(figsize=(10, 3.0), layout="constrained")
    sizes, shares = figure.subplots(1, 2)
    frames = np.arange(1, figures["frames_compared"] + 1)
    sizes.plot(frames, figures["error_by_frame"], color=MEASURED, ls="--", marker="s", ms=3, label="error of the mean")
    sizes.plot(frames, figures["spread_by_frame"], color=PROMISED, marker="o", ms=3, label="spread")
    sizes.set_ylabel("standard deviations of the data", fontsize=9)
    sizes.set_ylim(bottom=0.0)
    sizes.legend(fontsize=8)
    for level, coverage, style in zip(figures["levels"], figures["coverage"], _STYLES, strict=True):
        [line] = shares.plot(frames, coverage, ls=style, lw=1.4, label=f"{100 * level:g} % intervals")
        shares.axhline(level, color=line.get_color(), lw=0.7, ls=style, alpha=0.5)
    shares.set_ylim(0.0, 1.05)
    shares.set_ylabel("share of the values inside", fontsize=9)
    shares.legend(fontsize=7, loc="lower left", ncols=2)
    for axes in (sizes, shares):
        axes.set_xlabel("frame", fontsize=9)
        axes.tick_params(labelsize=8)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    return figure


def _members(figures: Mapping[str, Any]) -> list[tuple[str, str]]:
    each = zip(figures["members"], figures["error_of_members"], strict=True)
    return [
        *((name, f"{value:.4g}") for name, value in each),
        ("the mean of all", f"{figures['error']:.4g}"),
        ("predicting no change", f"{figures['no_change_error']:.4g}"),
    ]


def _numbers(figures: Mapping[str, Any]) -> list[tuple[str, str]]:
    told = [value for value in figures["spread_tells_error"] if value is not None]
    return [
        ("values inside the 90 % intervals, over all frames", f"{100 * figures['coverage_90']:.3g} %"),
        ("error over spread at the last frame (1: honest; above: too sure)", _number(figures["error_over_spread"][-1])),
        ("rank correlation of spread and error over cells, last frame", _number(told[-1] if told else None)),
        ("values beyond all runs, last frame (expected of one more run)",
         f"{100 * figures['outside_all_runs'][-1]:.3g} % ({100 * figures['outside_expected']:.3g} %)"),
    ]  # fmt: skip


def _number(value: float | None) -> str:
    return "not known" if value is None else f"{value:.3g}"
