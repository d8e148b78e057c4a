"""Which of several equations says best how measured traces go on: judged on what was not shown to them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labctl.campaign import Campaign, Step
from labctl.campaigns.finish_twin import plain
from labctl.campaigns.goku_settings import JUDGING
from labctl.errors import CampaignError
from labctl.events import Progress, Reported, Warned
from labctl.goku_channels import Wired, Wishes, wire
from labctl.goku_equation import EquationSource
from labctl.goku_noise import noise_levels
from labctl.goku_series import Measured
from labctl.html_page import HtmlPage
from labctl.provenance import collect_provenance

if TYPE_CHECKING:
    from twins.goku.diagnosis.model_comparison import EquationComparison

SHOWN = 0.7
"""Of every trace, from its beginning; the rest is judged."""


@dataclass(frozen=True, slots=True, eq=False)
class ComparedEquations:
    """comparison: the best first. about: where it comes from, as plain data."""

    comparison: EquationComparison
    about: Mapping[str, Any]

    def as_dict(self) -> dict[str, Any]:
        """Plain data; what is not finite is null."""
        data: dict[str, Any] = plain({**self.comparison.as_dict(), **self.about})
        return data


def compare_goku(
    candidates: Mapping[str, tuple[EquationSource, Wishes]],
    measured: Measured,
    *,
    seed: int,
    share: str = "none",
    page: Path | None = None,
) -> Campaign[ComparedEquations]:
    """Refine every candidate on the first 70 % of each trace, judge it on the rest; all see the same channels.

    page: where a report goes. Raises CampaignError where candidates see different channels or need a learned operator.
    """
    from twins.goku.diagnosis.comparison_data import split_in_time
    from twins.goku.diagnosis.model_comparison import Candidate, ComparisonSettings, compare_equations
    from twins.goku.inference.refine_settings import RefineSettings

    key = "goku/compare"
    step = Step(key, f"Compare {', '.join(candidates)} on {len(measured.traces)} traces")
    yield step.started()
    made, wired = [], {}
    for name, (source, wishes) in candidates.items():
        system = source.make()
        wired[name], told = wire(system, measured, wishes)
        for text in told:
            yield Warned(key, f"{name}: {text}")
        made.append(Candidate(name, system, wired[name].known(system)))
    first = _alike(wired)
    series = measured.series(first.channels, first.drives, share=share)
    training, held_out = split_in_time(series, SHOWN)
    refining = RefineSettings(
        noise_sd_range=noise_levels(training, {}), sampler=JUDGING.sampler, n_draws=JUDGING.refined_draws
    )
    events = compare_equations(made, training, held_out, seed=seed, settings=ComparisonSettings(refine=refining))
    try:
        while True:
            try:
                event = next(events)
            except StopIteration as finished:
                comparison: EquationComparison = finished.value
                break
            note = event.candidate if event.refining is None else f"{event.candidate}: {event.refining.phase}"
            yield Progress(key, event.number + (event.refining is None), event.n_candidates, note)
    finally:
        events.close()
    about = {
        "candidates": {name: source.as_dict() for name, (source, _) in candidates.items()},
        "observed": {name: one.as_dict() for name, one in wired.items()},
    }
    found = ComparedEquations(comparison, {**about, **_origin(measured, seed, share)})
    if page is not None:
        write_comparison(page, found)
    yield Reported(key, {"best": comparison.best, "tied": list(comparison.tied)}, () if page is None else (str(page),))
    yield step.finished(comparison.verdict)
    return found


def _origin(measured: Measured, seed: int, share: str) -> dict[str, Any]:
    """Where the data come from, and what was done to them."""
    identities = measured.bench.get("identities", {})
    return {
        "data": [dict(source) for source in measured.sources],
        "treatments": list(measured.treatments),
        **collect_provenance(simulated=measured.simulated, seed=seed, identities=identities, extra={"share": share}),
    }


def _alike(wired: Mapping[str, Wired]) -> Wired:
    """The channels that all candidates see. Raises CampaignError where they differ."""
    names, all_wired = list(wired), list(wired.values())
    for name, one in wired.items():
        if one.kind != "known":
            raise CampaignError(
                f"{name}: a {one.kind} operator could explain anything; candidates are compared on channels that show outputs "
                "(--observe CHANNEL=OUTPUT)"
            )
        if one.channels != all_wired[0].channels:
            raise CampaignError(
                f"{names[0]} observes {', '.join(all_wired[0].channels)} and {name} {', '.join(one.channels)}: candidates are "
                "compared on the same channels"
            )
    driven = {tuple(one.drives.items()): name for name, one in wired.items()}
    if len(driven) > 1:
        raise CampaignError(
            f"{' and '.join(driven.values())} are driven differently: candidates are compared under the same drives, by the same "
            "names"
        )
    return all_wired[0]


def _told_apart(comparison: EquationComparison) -> str:
    if comparison.n_groups == 1:
        return "All traces share their parameters, so nothing is known of the error of the differences."
    return (
        f"Errors are over {comparison.n_groups} groups of traces that share their parameters: equations within "
        f"{comparison.quantile:.3g} standard errors of the best cannot be told from it."
    )


def write_comparison(path: Path, found: ComparedEquations) -> None:
    """A page with the verdict and the table; whole or not at all."""
    page = HtmlPage("Equations compared on what was not shown to them")
    if found.about["simulated"]:
        page.banner("SIMULATED: the data behind this report come from simulated devices.")
    page.paragraph(found.comparison.verdict)
    page.table(
        ("equation", "parameters", "log density (nats a sample)", "to the best", "NRMSE", "traces not trusted"),
        [
            (
                one.name,
                one.n_parameters,
                f"{one.mean_log_density:.4g}",
                one.difference_in_words,
                f"{one.nrmse.mean():.3g}",
                one.n_untrusted,
            )
            for one in found.comparison.scores
        ],
    )
    page.paragraph(
        f"Each equation was refined on the first {100 * SHOWN:.0f} % of every trace; the density and the error are of the rest. "
        + _told_apart(found.comparison),
        note=True,
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.partial")
    page.write(partial)
    partial.replace(path)
