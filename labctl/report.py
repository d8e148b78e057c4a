"""The report of a closed loop: summary.json for programs and one HTML page for people.

Everything shown comes from the `LoopOutcome`; nothing is computed here but layouts. A result obtained on simulated
devices says so in the first line.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from labctl.html_page import HtmlPage

# Okabe and Ito's colours: distinguishable by colour-blind readers.
PROMISED, MEASURED, RESERVOIR, UNOPTIMISED, LINEAR, WIDE = (
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#999999",
    "#CC79A7",
    "#E69F00",
)


@dataclass(frozen=True, slots=True)
class TaskOutcome:
    """One task: what the twin promised, what the device did, and the rivals on the same held-out inputs.

    `metric` is "nrmse" or "cross_entropy" (nats); lower is better. `details` holds the figures beside it (accuracies,
    scores after refitting the read-out on measured training data, numbers of trials).
    """

    name: str
    metric: str
    promised: float
    promised_std: float
    measured_mean: float
    measured_std: float
    reservoir_measured: float
    unoptimised_measured: float
    linear_same_taps: float
    linear_20_taps: float
    details: Mapping[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """The outcome as JSON data."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class TwinFigure:
    """What the page shows of a twin: its calibration and one held-out input, measured and sampled.

    `time_s` (time,), `drive` (time,), `measured` and `sampled` (repeat, time).
    """

    device: str
    calibration: Mapping[str, float | int | None]
    unit: str
    time_s: NDArray[np.float64]
    drive: NDArray[np.float64]
    measured: NDArray[np.float64]
    sampled: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class TaskFigure:
    """A stretch of held-out output: `target`, `promised`, `measured` (step,), and the learning curve."""

    name: str
    target: NDArray[np.float64]
    promised: NDArray[np.float64]
    measured: NDArray[np.float64]
    learning_curve: Sequence[float]


@dataclass(frozen=True, slots=True)
class LoopOutcome:
    """All that the report tells."""

    summary: Mapping[str, Any]
    tasks: Sequence[TaskOutcome]
    twins: Sequence[TwinFigure]
    task_figures: Sequence[TaskFigure]
    identities: Mapping[str, str]
    outputs: Sequence[Mapping[str, Any]]
    provenance: Mapping[str, Any]


def write_summary(path: Path, outcome: LoopOutcome) -> None:
    """Write summary.json: the loop's figures and a list of tasks."""
    data = {**outcome.summary, "tasks": [task.as_dict() for task in outcome.tasks]}
    path.write_text(json.dumps(data, indent=2) + "\n", encoding="utf-8")


def write_report(path: Path, outcome: LoopOutcome) -> None:
    """Write the HTML page: tasks first, then twins, then the bench and how it was left."""
    summary = outcome.summary
    page = HtmlPage("labctl: the closed loop, promised and measured")
    if summary["simulated"]:
        page.banner("SIMULATED: every instrument and device in this report is a simulation.")
    override = summary["clearance"]["override"]
    if override is not None:
        page.banner(f"GATES OVERRIDDEN: a twin did not pass its gates; its networks were applied because: {override}")
    page.paragraph(
        f"Wall time {summary['seconds']:.1f} s, device time {summary['device_seconds']:.1f} s, seed {summary['seed']}. "
        f"Outputs at their safe values at the end, read back: {'yes' if summary['outputs_safe'] else 'NO'}."
    )
    _tasks(page, outcome.tasks, outcome.task_figures)
    _twins(page, outcome.twins)
    _bench(page, outcome)
    page.write(path)


def _tasks(page: HtmlPage, tasks: Sequence[TaskOutcome], figures: Sequence[TaskFigure]) -> None:
    page.heading("Tasks: error on held-out inputs (lower is better)")
    page.table(
        (
            "task",
            "metric",
            "promised by the twin",
            "MEASURED on the device",
            "reservoir, measured",
            "unoptimised, measured",
            "linear, same taps",
            "linear, 20 taps",
        ),
        [
            (
                task.name,
                task.metric,
                f"{task.promised:.4f} ± {task.promised_std:.4f}",
                f"{task.measured_mean:.4f} ± {task.measured_std:.4f}",
                f"{task.reservoir_measured:.4f}",
                f"{task.unoptimised_measured:.4f}",
                f"{task.linear_same_taps:.4f}",
                f"{task.linear_20_taps:.4f}",
            )
            for task in tasks
        ],
    )
    page.paragraph(
        "Promised: mean over noise draws of the twin with its own read-out, not refitted, on the inputs that the device "
        "then played. Measured: that read-out on the device's responses. The reservoir and the unoptimised network have "
        "the same nodes and taps; their read-outs are fitted on responses measured on the device.",
        note=True,
    )
    for task in tasks:
        if task.details:
            page.table((task.name, "value"), [(name, _figure_text(value)) for name, value in task.details.items()])
    for figure in figures:
        page.figure(_task_plot(figure), f"{figure.name}: held-out output, and the optimiser's learning curve")
    page.figure(_comparison_plot(tasks), "Promised, measured and the rivals")


def _figure_text(value: object) -> str:
    return f"{value:.4f}" if isinstance(value, float) else str(value)


def _comparison_plot(tasks: Sequence[TaskOutcome]) -> Figure:
    figure = Figure(figsize=(4.2 * max(len(tasks), 1), 3.2), layout="constrained")
    for axes, task in zip(np.atleast_1d(figure.subplots(1, max(len(tasks), 1))), tasks, strict=False):
        bars = (
            ("promised", task.promised, task.promised_std, PROMISED),
            ("measured", task.measured_mean, task.measured_std, MEASURED),
            ("reservoir", task.reservoir_measured, 0.0, RESERVOIR),
            ("unoptimised", task.unoptimised_measured, 0.0, UNOPTIMISED),
            ("linear,\nsame taps", task.linear_same_taps, 0.0, LINEAR),
            ("linear,\n20 taps", task.linear_20_taps, 0.0, WIDE),
        )
        for place, (_, height, spread, colour) in enumerate(bars):
            axes.bar(place, height, yerr=spread or None, color=colour)
        axes.set_xticks(range(len(bars)), [name for name, *_ in bars], rotation=35, fontsize=8)
        axes.set_title(f"{task.name} ({task.metric})", fontsize=10)
    return figure


def _task_plot(figure_data: TaskFigure) -> Figure:
    figure = Figure(figsize=(10, 2.8), layout="constrained")
    output, curve = figure.subplots(1, 2, width_ratios=(3, 1))
    steps = np.arange(len(figure_data.target))
    output.plot(steps, figure_data.target, color="black", lw=1, label="target")
    output.plot(steps, figure_data.promised, color=PROMISED, lw=1, label="twin")
    output.plot(steps, figure_data.measured, color=MEASURED, lw=1, ls="--", label="device")
    output.set_xlabel("step")
    output.set_title(figure_data.name, fontsize=10)
    output.legend(fontsize=8, loc="upper right")
    curve.plot(figure_data.learning_curve, color=PROMISED, lw=1)
    curve.set_xlabel("iteration")
    curve.set_title("training loss", fontsize=10)
    curve.set_yscale("log")
    return figure


def _twins(page: HtmlPage, twins: Sequence[TwinFigure]) -> None:
    page.heading("Twins: held-out calibration")
    for twin in twins:
        page.table(
            (f"twin of {twin.device}", "value"),
            [(name, _figure_text(value)) for name, value in twin.calibration.items()],
        )
        page.figure(
            _twin_plot(twin),
            f"{twin.device}: one held-out drive; measured repeats (band: 5 to 95 %) and the twin's free run",
        )


def _twin_plot(twin: TwinFigure) -> Figure:
    figure = Figure(figsize=(10, 3.4), layout="constrained")
    drive, response = figure.subplots(2, 1, sharex=True, height_ratios=(1, 2))
    drive.step(twin.time_s * 1e3, twin.drive, where="post", color="black", lw=1)
    drive.set_ylabel(f"drive ({twin.unit})")
    for samples, colour, name in ((twin.measured, MEASURED, "measured"), (twin.sampled, PROMISED, "twin")):
        low, high = np.quantile(samples, (0.05, 0.95), axis=0)
        response.fill_between(twin.time_s * 1e3, low, high, color=colour, alpha=0.3, lw=0)
        response.plot(twin.time_s * 1e3, samples.mean(axis=0), color=colour, lw=1, label=name)
    response.set_xlabel("time (ms)")
    response.set_ylabel(f"response ({twin.unit})")
    response.legend(fontsize=8, loc="upper right")
    return figure


def _bench(page: HtmlPage, outcome: LoopOutcome) -> None:
    page.heading("The bench")
    page.table(("instrument", "identity"), list(outcome.identities.items()))
    page.heading("Where the outputs ended")
    page.table(
        ("channel", "safe value", "read back", "safe", "message"),
        [
            (item["channel"], item["safe_value"], item["read_back"], "yes" if item["ok"] else "NO", item["message"])
            for item in outcome.outputs
        ],
    )
    page.heading("Provenance")
    page.table(("what", "value"), [(name, json.dumps(value)) for name, value in outcome.provenance.items()])
