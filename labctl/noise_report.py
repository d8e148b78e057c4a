"""The page of a noise comparison: a table and a bar figure for each strength of the read-out's ridge."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from labctl.html_page import HtmlPage
from labctl.json_file import write_json
from labctl.noise_comparison import FURTHER, KNOWLEDGES, KnowledgeOutcome, NoiseComparison
from labctl.report import LINEAR, MEASURED, PROMISED

_HEADER = (
    "the optimiser knew",
    "promised by its own model",
    "foreseen by the twin",
    "MEASURED, own read-out",
    "gap",
    "MEASURED, refitted",
)
_BAR_WIDTH = 0.27


def write_noise_report(folder: Path, comparison: NoiseComparison) -> tuple[Path, Path]:
    """Write comparison.json and report.html into `folder`; returns both paths."""
    data, page = folder / "comparison.json", folder / "report.html"
    write_json(data, comparison.as_dict())
    whole = HtmlPage(f"labctl: what knowing the noise is worth, {comparison.task}")
    if comparison.simulated:
        whole.banner("SIMULATED: every instrument and device in this report is a simulation.")
    override = comparison.clearance.get("override")
    if override is not None:
        whole.banner(f"GATES OVERRIDDEN: a twin did not pass its gates; its networks were applied because: {override}")
    add_noise_section(whole, comparison)
    whole.write(page)
    return data, page


def add_noise_section(page: HtmlPage, comparison: NoiseComparison) -> None:
    """Append the comparison to a page."""
    for regularisation in comparison.regularisations:
        page.heading(f"{comparison.task}, {comparison.metric} (lower is better), read-out's ridge {regularisation:g}")
        outcomes = [one for one in comparison.outcomes if one.regularisation == regularisation]
        page.table(_HEADER, [_row(one) for one in outcomes])
        page.figure(_bars(outcomes, comparison), f"ridge {regularisation:g}: promised, measured and refitted")
    page.table(("linear model of the input", "score"), [
        ("on the network's own taps", f"{comparison.linear_same_taps:.4f}"),
        ("on 20 taps", f"{comparison.linear_20_taps:.4f}"),
    ])  # fmt: skip
    names = dict.fromkeys(one.knowledge for one in comparison.outcomes)
    page.table(("name", "what it is"), [(name, KNOWLEDGES.get(name, FURTHER)) for name in names])
    page.paragraph(
        "All networks have the same nodes, taps, ranges and read-out's ridge, and were played on the same held-out "
        f"examples ({comparison.heldout_steps} scored steps). ± is the standard deviation over plays of everything "
        f"on the device ({comparison.outcomes[0].repeats}), or over noise draws of a model. Foreseen: what the twin that "
        "knows the noise says of the same wiring and read-out. Refitted: a read-out of the same ridge, fitted on measured "
        "training data. Rivals are derived from the cleared twin and have no gates of their own.",
        note=True,
    )


def _row(one: KnowledgeOutcome) -> tuple[str, ...]:
    return (
        one.knowledge,
        f"{one.promised:.4f} ± {one.promised_std:.4f}",
        f"{one.foreseen:.4f}",
        f"{one.measured:.4f} ± {one.repeat_spread:.4f}",
        f"{one.gap:+.4f}",
        f"{one.refitted:.4f} ± {one.refitted_spread:.4f}",
    )


def _bars(outcomes: list[KnowledgeOutcome], comparison: NoiseComparison) -> Figure:
    figure = Figure(figsize=(7.5, 3.2), layout="constrained")
    axes = figure.subplots()
    places = np.arange(len(outcomes))
    kinds = (
        ("promised", [one.promised for one in outcomes], [one.promised_std for one in outcomes], PROMISED),
        ("measured", [one.measured for one in outcomes], [one.repeat_spread for one in outcomes], MEASURED),
        ("measured, refitted", [one.refitted for one in outcomes], [one.refitted_spread for one in outcomes], LINEAR),
    )
    for number, (name, heights, spreads, colour) in enumerate(kinds):
        axes.bar(places + (number - 1) * _BAR_WIDTH, heights, _BAR_WIDTH, yerr=spreads, color=colour, label=name)
    axes.axhline(comparison.linear_same_taps, color="black", lw=1, ls=":", label="linear, same taps")
    axes.set_xticks(places, [one.knowledge for one in outcomes])
    axes.set_ylabel(comparison.metric)
    axes.legend(fontsize=8)
    return figure
