"""A study: train a model of an equation for measured traces, infer, say what the data tell, and keep all of it as numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from labctl.background import in_background
from labctl.campaign import Campaign
from labctl.campaigns.characterise_goku import infer_and_report
from labctl.campaigns.compare_goku import compare_goku
from labctl.campaigns.finish_twin import plain
from labctl.campaigns.fit_goku import fit_goku
from labctl.campaigns.goku_settings import GokuSettings, InferSettings, judging_seconds
from labctl.campaigns.infer_goku import Inferred, infer_goku, what_can_be_told
from labctl.campaigns.report_goku import shown_traces
from labctl.events import Progress, Reported
from labctl.goku_channels import Wishes
from labctl.goku_equation import EquationSource
from labctl.goku_model import GokuModel, load_goku_model
from labctl.goku_series import Measured
from labctl.goku_study import Course, GokuStudy, Identified, Standing, correlation_of, pair_in_words, write_study
from labctl.goku_table import rows_of
from labctl.goku_told import told_of
from labctl.goku_traces import true_parameters

if TYPE_CHECKING:
    from labctl.goku_judging import GokuJudgement
    from twins.goku.amortised.settings import AmortisedSettings
    from twins.goku.diagnosis.identifiability import Identifiability
    from twins.goku.posterior import Posterior

MOST_DRAWS = 400
"""Of the posterior of each trace, that are kept to be looked at."""
_FROM_BEGINNING = "from the beginnings of the traces alone"


def study_goku(
    name: str,
    measured: Measured,
    source: EquationSource,
    wishes: Wishes | None = None,
    *,
    seed: int,
    folder: Path,
    fitting: GokuSettings | None = None,
    inferring: InferSettings | None = None,
    segment: int | None = None,
    reading: Mapping[str, Any] | None = None,
    amortised: AmortisedSettings | None = None,
) -> Campaign[Path]:
    """Fit (`fit_goku`), infer and report (`infer_and_report`), and write NAME.study.h5, which this returns.

    The file is written once the model is judged, and again when every trace is inferred: what is stopped leaves as much.
    Raises what these raise.
    """
    fitted = (
        yield from fit_goku(
            name, measured, None, source, wishes, seed=seed, settings=fitting, folder=folder, segment=segment,
            reading=reading, amortised=amortised,
        )
    )[0]  # fmt: skip
    path = folder / f"{name}.study.h5"
    judged, labels = fitted.judgement, list(fitted.judged)
    study = _judged(fitted.model, judged, labels, simulated=fitted.model.simulated)
    study = replace(study, files={"model": str(fitted.model.path), "report of the fit": str(fitted.report)})
    write_study(path, study)
    yield Reported(f"goku/study/{name}", {"stage": study.stage, "simulated": study.simulated}, (str(path),))
    cut = fitted.model.fitting(measured, segment)
    inferred, page = yield from infer_and_report(
        fitted.model, cut, folder=folder, name=name, seed=seed, settings=inferring, fitted=fitted
    )
    yield from _finished(study, inferred, page, path, seed=seed)
    return path


def study_with_model(
    model: Path,
    measured: Measured,
    *,
    seed: int,
    folder: Path,
    name: str = "",
    inferring: InferSettings | None = None,
    system: str | None = None,
) -> Campaign[Path]:
    """The same with a model that is there: one of an earlier fit, or what a fit that was stopped has kept."""
    from labctl.campaigns.report_goku import report_inferred
    from labctl.goku_judging import judge_goku

    loaded = load_goku_model(model, system=system)
    name = name or loaded.name
    path, key = folder / f"{name}.study.h5", f"goku/study/{name}"
    cut = loaded.fitting(measured, None)
    series = loaded.series(cut)
    shown = shown_traces(series)
    judgement = yield from judge_goku(
        loaded, series.select(shown), key=key, seed=seed, max_seconds=judging_seconds(_seconds_of(inferring))
    )
    labels = [cut.labels[int(index)] for index in shown]
    study = _judged(loaded, judgement, labels, simulated=loaded.simulated or measured.simulated)
    study = replace(study, name=name, files={"model": str(loaded.path)})
    write_study(path, study)
    yield Reported(key, {"stage": study.stage, "simulated": study.simulated}, (str(path),))
    files = [folder / f"{name}.parameters{ending}" for ending in (".json", ".csv", ".h5")]
    inferred = yield from infer_goku(loaded, cut, seed=seed, settings=inferring, files=files)
    page = yield from report_inferred(
        inferred, path=folder / f"{name}.parameters.html", seed=seed, judged=(judgement, labels)
    )
    yield from _finished(study, inferred, page, path, seed=seed)
    return path


def compared_goku(
    candidates: Mapping[str, tuple[EquationSource, Wishes]],
    measured: Measured,
    *,
    seed: int,
    folder: Path,
    share: str = "none",
) -> Campaign[dict[str, Any]]:
    """`compare_goku`, its outcome as plain data: verdict, and a row each candidate, the best first. Page: comparison.html."""
    page = folder / "comparison.html"
    found = yield from compare_goku(candidates, measured, seed=seed, share=share, page=page)
    yield Progress("goku/compare", 1.0, 1.0, found.comparison.verdict)
    rows = [
        {
            "equation": one.name,
            "parameters": int(one.n_parameters),
            "log_density": float(one.mean_log_density),
            "to_the_best": one.difference_in_words,
            "nrmse": float(one.nrmse.mean()),
            "not_trusted": int(one.n_untrusted),
        }
        for one in found.comparison.scores
    ]
    outcome: dict[str, Any] = plain(
        {
            "verdict": found.comparison.verdict,
            "rows": rows,
            "page": str(page),
            "simulated": bool(found.about["simulated"]),
        }
    )
    return outcome


def _seconds_of(inferring: InferSettings | None) -> float:
    return 120.0 if inferring is None or inferring.max_seconds is None else inferring.max_seconds


def _judged(model: GokuModel, judgement: GokuJudgement, labels: Sequence[str], *, simulated: bool) -> GokuStudy:
    """As far as the judgement goes."""
    told = told_of(model.system)
    draws = drawn(judgement.posterior)
    figures: dict[str, Any] = plain(dict(judgement.figures))
    return GokuStudy(
        name=model.name,
        equation=model.system.name,
        formulas=told.formulas,
        simulated=simulated,
        stage="judged",
        verdict=judgement.verdict,
        words=(judgement.in_words(), _FROM_BEGINNING, *model.wired.in_words()),
        parameters=told.parameters,
        rows=tuple(rows_of(judgement.posterior, labels, judgement.series.groups.tolist())),
        channels=judgement.series.names,
        units=judgement.series.units,
        courses=courses_of(judgement, labels),
        draws=draws,
        correlation=correlation_of(draws),
        figures=figures,
    )


def _finished(study: GokuStudy, inferred: Inferred, page: Path, path: Path, *, seed: int) -> Campaign[None]:
    """Whole traces in place of their beginnings, and what their data tell."""
    key = f"goku/study/{study.name}"
    told = yield from in_background(lambda: what_can_be_told(inferred, seed=seed), key=key)
    draws = drawn(inferred.posterior)
    tables = {f"table {file.suffix.removeprefix('.')}": str(file) for file in inferred.files}
    whole = replace(
        study,
        stage="inferred",
        words=tuple(line for line in study.words if line != _FROM_BEGINNING),
        rows=inferred.rows,
        draws=draws,
        correlation=correlation_of(draws),
        identified=tuple(identified(traces, one) for traces, one in told),
        truth=true_parameters(inferred.measured),
        files={**study.files, "report": str(page), **tables},
    )
    write_study(path, whole)
    yield Progress(key, 1.0, 1.0, f"{inferred.n_trusted} of {len(inferred.rows)} traces to be trusted")
    yield Reported(key, {"stage": whole.stage, "simulated": whole.simulated}, (str(path),))


def identified(traces: str, found: Identifiability) -> Identified:
    """One finding as plain data."""
    standings = tuple(
        Standing(
            one.name,
            one.sd_over_prior if one.posterior_over_prior is None else one.posterior_over_prior,
            one.alone,
            one.verdict,
            one.why,
        )
        for one in found.parameters
    )
    named = {frozenset(direction.names) for direction in found.directions}
    pairs = [
        pair_in_words(first, second, correlation, standings)
        for first, second, correlation in found.correlated
        if frozenset((first, second)) not in named
    ]
    return Identified(traces, standings, (*(one.words for one in found.directions), *pairs))


def drawn(posterior: Posterior) -> NDArray[np.float64]:
    """(trace, draw, parameter) of equal weight, the same draws every time; where all of a trace's weights are lost, NaN."""
    levels = (np.arange(MOST_DRAWS) + 0.5) / MOST_DRAWS
    picked = np.full((posterior.n_traces, MOST_DRAWS, posterior.parameters.shape[2]), np.nan)
    for trace, weights in enumerate(posterior.weights):
        below = np.cumsum(weights)
        if np.isfinite(below[-1]) and below[-1] > 0.0:
            chosen = np.minimum(np.searchsorted(below / below[-1], levels), len(below) - 1)
            picked[trace] = posterior.parameters[trace, chosen]
    return picked


def courses_of(judgement: GokuJudgement, labels: Sequence[str]) -> tuple[Course, ...]:
    """Measured, expected and left over, trace by trace."""
    predicted, series = judgement.predicted, judgement.series
    expected, (low, high) = predicted.mean(), predicted.band()
    spread = predicted.ahead_sd
    left = series.values - predicted.ahead_mean
    left_over = np.divide(left, spread, out=np.full_like(left, np.nan), where=spread > 0.0)
    return tuple(
        Course(
            label, judgement.n_seen, series.times_s[k] - series.times_s[k, 0], series.values[k], expected[k], low[k], high[k],
            left_over[k],
        )
        for k, label in enumerate(labels)
    )  # fmt: skip
