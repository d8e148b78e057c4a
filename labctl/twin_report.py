"""The report of one twin: how far its mean and its noise can be trusted, as one self-contained HTML page.

Everything comes from the `TwinAccount`; nothing is computed here but layouts and words.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure

from labctl.clearance import gate_figures, verdict_in_words
from labctl.html_page import HtmlPage
from labctl.report import MEASURED, PROMISED

if TYPE_CHECKING:
    from labctl.twin_evidence import ChannelRow, Evidence, ShownInput

LONG_S = 5.0  # responses longer than this are drawn in seconds
MOST_CHANNELS = 3
"""So many response channels are drawn; the tables have all."""


@dataclass(frozen=True, slots=True)
class TwinAccount:
    """What is told of a twin.

    gates and figures: see labctl.judging. diagnosis and reasons: why it is built and trained as it is, in words.
    limits: what the judgement does not cover, in words. facts: further rows of a table.
    """

    name: str
    simulated: bool
    gates: Mapping[str, Any]
    figures: Mapping[str, float | int | None]
    evidence: Evidence
    diagnosis: Sequence[str] = ()
    reasons: Sequence[str] = ()
    limits: Sequence[str] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)


def write_twin_report(path: Path, account: TwinAccount) -> None:
    """Write the page: the verdict first, then the evidence, then how the twin came about."""
    page = HtmlPage(f"The twin {account.name}: how far its mean and its noise can be trusted")
    if account.simulated:
        page.banner("SIMULATED: the recordings behind this report come from simulated devices.")
    if not account.gates["passed"]:
        page.banner("GATES NOT PASSED: what is optimised on this twin will not be applied to a device.")
    for text in verdict(account):
        page.paragraph(text)
    page.heading("Gates, on inputs that the fit never saw")
    page.table(
        ("gate", "value", "allowed", "passed"),
        [(one["name"], *gate_figures(one), _passed(one)) for one in account.gates["gates"]],
    )
    for text in account.gates.get("reasons", ()):
        page.paragraph(str(text), note=True)
    _evidence(page, account)
    page.heading("Limits of this judgement")
    for text in account.limits:
        page.paragraph(text)
    _origin(page, account)
    page.write(path)


def verdict(account: TwinAccount) -> list[str]:
    """In words: whether it passed, how its mean errs, how its noise compares."""
    said = verdict_in_words(account.name, account.gates)
    texts = [
        f"{said[0].upper()}{said[1:]}{'' if said.endswith('.') else '.'}",
        *(_channel_in_words(row) for row in account.evidence.channels[:MOST_CHANNELS]),
    ]
    left = len(account.evidence.channels) - MOST_CHANNELS
    return [*texts, f"{left} more channels are in the table below."] if left > 0 else texts


def _channel_in_words(row: ChannelRow) -> str:
    error, device, twin = (_with_unit(f"{one:.3g}", row.unit) for one in (row.rms_error, row.device_std, row.twin_std))
    return (
        f"{row.name}: the twin's mean errs by {error} (root mean square, against the mean of the repeats; chance alone gives "
        f"{row.rms_error_by_chance:.3g}; bias {row.bias:+.2g}); the device's own spread about its mean is {device} and the "
        f"twin's {twin}; of the measured values {100 * row.coverage_90:.1f} % lie in the twin's 90 % interval."
    )


def _evidence(page: HtmlPage, account: TwinAccount) -> None:
    evidence = account.evidence
    page.heading("Measured against predicted")
    for shown in evidence.shown:
        repeats, draws = len(shown.measured), len(shown.sampled)
        page.figure(
            _input_plot(shown, account),
            f"Held-out input {shown.input_id}: {repeats} measured, {draws} free runs of the twin (bands: 5 to 95 %)",
        )
    page.heading("The noise")
    page.figure(_noise_plot(evidence), "Residuals about the twin's mean in units of its spread; coverage")
    page.figure(_memory_plot(evidence), "What the deviations remember: autocorrelation and power spectrum")
    if not evidence.repeated:
        page.paragraph(
            "Nothing was repeated, so deviations are taken about the twin's own mean: an error of the mean counts as "
            "noise of the device here.",
            note=True,
        )
    page.table(
        ("channel", "bias", "error of the mean", "by chance", "spread, device", "spread, twin", "in the 90 % interval",
         "lag-1 autocorrelation, device", "twin"),
        [
            (_named(row.name, row.unit), f"{row.bias:+.3g}", f"{row.rms_error:.3g}", f"{row.rms_error_by_chance:.3g}",
             f"{row.device_std:.3g}",
             f"{row.twin_std:.3g}", f"{row.coverage_90:.3f}", f"{row.lag1_device:.3f}", f"{row.lag1_twin:.3f}")
            for row in evidence.channels
        ],
    )  # fmt: skip
    page.table(("figure", "value"), [(name, _text(value)) for name, value in account.figures.items()])


def _input_plot(shown: ShownInput, account: TwinAccount) -> Figure:
    rows = account.evidence.channels[:MOST_CHANNELS]
    figure = Figure(figsize=(10, 1.4 + 2.1 * len(rows)), layout="constrained")
    panels = np.atleast_1d(figure.subplots(1 + len(rows), 1, sharex=True, height_ratios=(1, *([2] * len(rows)))))
    unit, factor = ("ms", 1e3) if shown.time_s[-1] < LONG_S else ("s", 1.0)
    time = shown.time_s * factor
    for number in range(shown.drive.shape[1]):
        panels[0].step(time, shown.drive[:, number], where="post", lw=1)
    panels[0].set_ylabel("drive")
    for number, (row, axes) in enumerate(zip(rows, panels[1:], strict=True)):
        for samples, colour, name in ((shown.measured, MEASURED, "measured"), (shown.sampled, PROMISED, "twin")):
            values = samples[..., number]
            if len(values) > 1:
                low, high = np.quantile(values, (0.05, 0.95), axis=0)
                axes.fill_between(time, low, high, color=colour, alpha=0.3, lw=0)
            axes.plot(time, values.mean(axis=0), color=colour, lw=1, label=name)
        axes.set_ylabel(_named(row.name, row.unit), fontsize=8)
    panels[1].legend(fontsize=8, loc="upper right")
    panels[-1].set_xlabel(f"time ({unit})")
    return figure


def _noise_plot(evidence: Evidence) -> Figure:
    figure = Figure(figsize=(10, 2.8), layout="constrained")
    residual, levels, inputs = figure.subplots(1, 3)
    edges = np.linspace(-5.0, 5.0, 61)
    for values, colour, name in (
        (evidence.residuals, MEASURED, "measured"),
        (evidence.twin_residuals, PROMISED, "twin"),
    ):
        residual.hist(values, bins=list(edges), density=True, histtype="step", color=colour, label=name)
    residual.set_yscale("log")
    residual.set_xlabel("residual (spreads of the twin)")
    residual.legend(fontsize=8)
    levels.plot((0, 1), (0, 1), color="black", lw=0.8, ls=":")
    levels.plot(evidence.levels, evidence.covered, color=MEASURED, marker="o", ms=4)
    levels.set_xlabel("twin's interval")
    levels.set_ylabel("measured values inside")
    inputs.axhline(0.9, color="black", lw=0.8, ls=":")
    inputs.plot(np.sort(evidence.coverage_90_by_input), color=MEASURED, marker="o", ms=3, lw=0)
    inputs.set_xlabel("held-out inputs, in order")
    inputs.set_ylabel("in the 90 % interval")
    return figure


def _memory_plot(evidence: Evidence) -> Figure:
    figure = Figure(figsize=(10, 2.8), layout="constrained")
    memory, spectrum = figure.subplots(1, 2)
    for acf, power, colour, name in (
        (evidence.acf_device, evidence.power_device, MEASURED, "measured"),
        (evidence.acf_twin, evidence.power_twin, PROMISED, "twin"),
    ):
        memory.plot(evidence.lags, acf, color=colour, marker="o", ms=3, lw=1, label=name)
        spectrum.plot(evidence.frequency_Hz[1:], power[1:], color=colour, lw=1, label=name)
    memory.axhline(0.0, color="black", lw=0.8, ls=":")
    memory.set_xlabel("lag (samples)")
    memory.set_ylabel("autocorrelation")
    spectrum.set_xscale("log")
    spectrum.set_yscale("log")
    spectrum.set_xlabel("frequency (Hz)")
    spectrum.set_ylabel("power of deviations (1/Hz)")
    spectrum.legend(fontsize=8)
    return figure


def _origin(page: HtmlPage, account: TwinAccount) -> None:
    page.heading("How it came about")
    for text in account.reasons:
        page.paragraph(text)
    if account.diagnosis:
        page.heading("Diagnosis of the recordings")
        for text in account.diagnosis:
            page.paragraph(text)
    page.heading("Provenance")
    page.table(("what", "value"), [(name, _text(value)) for name, value in account.facts.items()])


def _text(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.5g}"
    if isinstance(value, Mapping):
        return "; ".join(f"{name} {_text(inner)}" for name, inner in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(_text(inner) for inner in value) or "none"
    if value is None:
        return "not known"
    return ("yes" if value else "no") if isinstance(value, bool) else str(value)


def _passed(gate: Mapping[str, Any]) -> str:
    if gate["passed"]:
        return "yes"
    return "NO" if gate.get("judged", True) else "not judged"


def _named(name: str, unit: str) -> str:
    """Without a unit nothing is said of it."""
    return f"{name} ({unit})" if unit else name


def _with_unit(figure: str, unit: str) -> str:
    return f"{figure} {unit}" if unit else figure
