"""The report of inferred traces: parameters with intervals, reconstruction, forecast, residuals, as one HTML page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure

from labctl.goku_table import TraceRow, rows_of
from labctl.html_page import HtmlPage
from labctl.report import MEASURED, PROMISED

if TYPE_CHECKING:
    from labctl.goku_judging import GokuJudgement
    from labctl.goku_model import GokuModel
    from twins.goku.diagnosis.identifiability import Identifiability
    from twins.goku.inference.predictive import Predicted
    from twins.goku.posterior import Posterior
    from twins.goku.series import Series
    from twins.goku.system import System

Section = tuple[str, Sequence[str], Sequence[str], Sequence[Sequence[object]]]
SHOWN_TRACES = 3
MOST_CHANNELS = 3
"""So many are drawn; the tables have all."""
_MOST_PANELS = 12
_LONG_S = 5.0  # traces longer than this are drawn in seconds


@dataclass(frozen=True, slots=True, eq=False)
class GokuAccount:
    """What is told. series: as measured, the forecast part with it where it was measured. predicted: course of the same
    samples, foreseen from the first n_seen. labels: of the traces that are drawn (those of series and
    predicted). first: what is to be read first, in words. sections: further tables, each a
    heading, words, a header and rows. facts: rows of the last table.
    """

    title: str
    simulated: bool
    system: System
    series: Series
    posterior: Posterior
    rows: Sequence[TraceRow]
    predicted: Predicted
    labels: Sequence[str]
    first: Sequence[str] = ()
    sections: Sequence[Section] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)


def fit_account(model: GokuModel, judgement: GokuJudgement, labels: Sequence[str], how: str) -> GokuAccount:
    """Of a model that was just fitted and judged."""
    rows = rows_of(judgement.posterior, labels, judgement.series.groups.tolist())
    return GokuAccount(
        title=f"The model {model.name} of {model.system.name}",
        simulated=model.simulated,
        system=model.system,
        series=judgement.series,
        posterior=judgement.posterior,
        rows=rows,
        predicted=judgement.predicted,
        labels=labels,
        first=(
            f"Judged on {how}: {judgement.in_words()}.",
            f"The table holds what was inferred from the first {judgement.n_seen} samples of each.",
        ),
        sections=calibration_sections(model),
        facts=facts_of(model),
    )


def facts_of(model: GokuModel) -> dict[str, Any]:
    """How the model came about."""
    about = model.about
    facts: dict[str, Any] = {
        "equation": model.source.named,
        "options": dict(model.source.options) or None,
        "ranges given": {name: list(ends) for name, ends in model.source.ranges.items()} or None,
        "held": dict(model.source.held) or None,
        "channels": model.wired.in_words(),
        "trained on": model.training,
        "data": [source.get("path") for source in about.get("extra", {}).get("data", ())],
        "treatments": about.get("extra", {}).get("treatments"),
        "seed": about.get("seed"),
        "software": about.get("software"),
        "instruments": about.get("identities") or None,
        "training": about.get("training"),
    }
    return {name: value for name, value in facts.items() if value not in (None, [], {})}


def write_goku_report(path: Path, account: GokuAccount) -> None:
    """Write the page, whole or not at all."""
    page = HtmlPage(account.title)
    if account.simulated:
        page.banner("SIMULATED: the data behind this report come from simulated devices.")
    untrusted = [row for row in account.rows if not row.trusted]
    if untrusted:
        page.banner(f"{len(untrusted)} of {len(account.rows)} traces are NOT TO BE TRUSTED; the table says why.")
    for text in account.first:
        page.paragraph(text)
    page.heading("Parameters")
    _parameters(page, account)
    page.heading("Reconstruction and forecast")
    _courses(page, account)
    page.heading("What is left over")
    page.figure(
        _residual_plot(account), "Measured less expected, in standard deviations of what was expected to scatter"
    )
    for heading, words, header, rows in account.sections:
        page.heading(heading)
        for text in words:
            page.paragraph(text, note=True)
        if rows:
            page.table(header, rows)
    page.heading("How it came about")
    page.table(("", ""), [(name, _text(value)) for name, value in account.facts.items()])
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.partial")
    page.write(partial)
    partial.replace(path)


def _parameters(page: HtmlPage, account: GokuAccount) -> None:
    quantities = {quantity.name: quantity for quantity in account.system.flat_parameters}
    page.paragraph("Medians with 90 % intervals; nothing outside a parameter's range is ever inferred.", note=True)
    names = [one.parameter for one in account.rows[0].estimates]
    page.table(
        ("parameter", "unit", "range"),
        [(name, quantities[name].unit, f"{quantities[name].low:g} to {quantities[name].high:g}") for name in names],
    )
    page.table(
        ("trace", *names, "noise of the channels", "how", "trusted"),
        [
            (
                row.trace,
                *(one.as_text() for one in row.estimates),
                ", ".join(f"{value:.3g}" for value in row.noise_sd),
                row.how,
                "yes" if row.trusted else f"NO: {row.why}",
            )
            for row in account.rows
        ],
    )
    page.figure(
        _interval_plot(account), "Each trace's 90 % interval within the parameter's range; hollow: not to be trusted"
    )


def _interval_plot(account: GokuAccount) -> Figure:
    quantities = account.system.flat_parameters[:_MOST_PANELS]
    columns = min(len(quantities), 4)
    lines = -(-len(quantities) // columns)
    figure = Figure(figsize=(2.6 * columns + 0.5, 2.2 * lines + 0.3), layout="constrained")
    panels = np.atleast_1d(figure.subplots(lines, columns)).ravel()
    for number, (quantity, axes) in enumerate(zip(quantities, panels, strict=False)):
        for trace, row in enumerate(account.rows):
            one = row.estimates[number]
            axes.plot((trace, trace), (one.low, one.high), color=PROMISED, lw=1.5)
            axes.plot(trace, one.value, "o", ms=4, color=PROMISED, mfc=PROMISED if row.trusted else "white")
        axes.set_ylim(quantity.low, quantity.high)
        if quantity.scale == "log":
            axes.set_yscale("log")
        axes.set_title(f"{quantity.name} ({quantity.unit})" if quantity.unit else quantity.name, fontsize=9)
        axes.set_xlabel("trace", fontsize=8)
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.tick_params(labelsize=7)
    for axes in panels[len(quantities) :]:
        axes.set_visible(False)
    return figure


def _courses(page: HtmlPage, account: GokuAccount) -> None:
    for trace in range(min(SHOWN_TRACES, len(account.labels))):
        page.figure(
            _course_plot(account, trace),
            f"{account.labels[trace]}: dots as measured, the line as expected, the band for 90 %; foreseen behind the dotted line",
        )


def _course_plot(account: GokuAccount, trace: int) -> Figure:
    series, predicted = account.series, account.predicted
    shown = min(series.n_channels, MOST_CHANNELS)
    driven = series.drive is not None
    figure = Figure(figsize=(10, 0.5 + 2.0 * shown + (1.2 if driven else 0.0)), layout="constrained")
    heights = [*([1] if driven else []), *([2] * shown)]
    panels = np.atleast_1d(figure.subplots(len(heights), 1, sharex=True, height_ratios=heights))
    unit, factor = ("ms", 1e3) if predicted.times_s[trace, -1] < _LONG_S else ("s", 1.0)
    if series.drive is not None:
        time = factor * series.times_s[trace]
        for number, name in enumerate(series.drive_names):
            panels[0].step(time, series.drive[trace, :, number], where="post", lw=1, label=name)
        panels[0].legend(fontsize=7, loc="upper right")
    mean, (low, high) = predicted.mean()[trace], predicted.band()
    time = factor * predicted.times_s[trace]
    for channel, axes in enumerate(panels[-shown:]):
        axes.fill_between(time, low[trace, :, channel], high[trace, :, channel], color=PROMISED, alpha=0.25, lw=0)
        axes.plot(time, mean[:, channel], color=PROMISED, lw=1)
        axes.plot(factor * series.times_s[trace], series.values[trace, :, channel], ".", ms=2.5, color=MEASURED)
        if predicted.n_seen < len(time):
            axes.axvline(time[predicted.n_seen], color="black", lw=0.8, ls=":")
        axes.set_ylabel(_named(series.names[channel], series.units[channel]), fontsize=8)
    panels[-1].set_xlabel(f"time ({unit})")
    return figure


def _residual_plot(account: GokuAccount) -> Figure:
    residuals = standardised(account)
    figure = Figure(figsize=(10, 2.8), layout="constrained")
    histogram, along, memory = figure.subplots(1, 3)
    flat = residuals[np.isfinite(residuals)]
    edges = np.linspace(-5.0, 5.0, 51)
    histogram.hist(np.clip(flat, -5.0, 5.0), bins=list(edges), density=True, histtype="step", color=MEASURED)
    histogram.plot(edges, np.exp(-0.5 * edges**2) / np.sqrt(2.0 * np.pi), color="black", lw=0.8, ls=":")
    histogram.set_xlabel("residual (expected scatter)")
    size = _mean_there(np.square(residuals), (0, 2))
    along.plot(np.sqrt(size), color=MEASURED, lw=1)
    along.axhline(1.0, color="black", lw=0.8, ls=":")
    along.axvline(account.predicted.n_seen, color="black", lw=0.8, ls=":")
    along.set_xlabel("sample")
    along.set_ylabel("root mean square")
    lags = np.arange(1, min(30, residuals.shape[1] // 2) + 1)
    centre = _mean_there(np.square(residuals), (0, 1, 2))
    correlation = [_mean_there(residuals[:, lag:] * residuals[:, :-lag], (0, 1, 2)) / centre for lag in lags]
    memory.plot(lags, correlation, color=MEASURED, marker="o", ms=3, lw=1)
    memory.axhline(0.0, color="black", lw=0.8, ls=":")
    memory.set_xlabel("lag (samples)")
    memory.set_ylabel("autocorrelation")
    return figure


def standardised(account: GokuAccount) -> np.ndarray:
    """(trace, time, channel): measured less what was expected given the samples before, over the standard deviation of
    that; NaN where missing."""
    n_samples = min(account.series.n_samples, account.predicted.signal.shape[2])
    spread = account.predicted.ahead_sd[:, :n_samples]
    left = account.series.values[:, :n_samples] - account.predicted.ahead_mean[:, :n_samples]
    result: np.ndarray = np.divide(left, spread, out=np.full_like(left, np.nan), where=spread > 0.0)
    return result


def _mean_there(values: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
    there = np.isfinite(values)
    count = there.sum(axis=axes)
    total = np.where(there, values, 0.0).sum(axis=axes)
    result: np.ndarray = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    return result


def identifiability_sections(told: Sequence[tuple[str, Identifiability]]) -> list[Section]:
    """What the data can and cannot tell apart, of each of these (traces in words, findings)."""
    header = ("parameter", "standard deviation over the prior's", "by the data alone", "were all others known", "")
    sections: list[Section] = []
    for traces, one in told:
        rows = [
            (each.name, f"{each.sd_over_prior:.3g}", f"{each.by_data:.3g}", f"{each.alone:.3g}", each.verdict)
            for each in one.parameters
        ]
        sections.append((f"What the data tell: {traces}", one.lines(), header, rows))
    return sections


def calibration_sections(model: GokuModel) -> list[Section]:
    """How often the network's intervals hold the truth, where that was tried on simulations."""
    if model.training != "simulated":
        return []
    posterior = model.amortised
    words = [
        f"On simulations that trained nothing: {posterior.n_simulations} simulations were drawn in all, of which "
        f"{posterior.n_diverged} ran away and were left out. Refinement starts from these intervals and narrows them."
    ]
    rows = [
        (name, f"{posterior.coverage90_before[name]:.3f}", f"{covered:.3f}")
        for name, covered in posterior.coverage90_after.items()
    ]
    return [("How often the network's 90 % intervals hold the truth", words, ("", "before calibration", "after"), rows)]


def _named(name: str, unit: str) -> str:
    return f"{name} ({unit})" if unit else name


def _text(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, Mapping):
        return "; ".join(f"{name}: {_text(inner)}" for name, inner in value.items())
    if isinstance(value, list | tuple):
        return "; ".join(_text(one) for one in value)
    return str(value)
