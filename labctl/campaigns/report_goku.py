"""The report of measured traces under a model: parameters of each, and how well the end of each is foreseen."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from labctl.background import in_background
from labctl.campaign import Campaign, Step
from labctl.campaigns.goku_settings import InferSettings
from labctl.campaigns.infer_goku import Inferred, infer_goku, what_can_be_told
from labctl.events import Reported
from labctl.goku_judging import GokuJudgement, judge_goku
from labctl.goku_model import GokuModel
from labctl.goku_report import (
    GokuAccount,
    calibration_sections,
    facts_of,
    identifiability_sections,
    write_goku_report,
)
from labctl.goku_series import Measured

if TYPE_CHECKING:
    from twins.goku.series import Series

N_SHOWN = 8
"""Traces whose end is foreseen from their beginning, for the report's figures."""


def report_goku(
    model: GokuModel, measured: Measured, *, path: Path, seed: int, settings: InferSettings | None = None
) -> Campaign[Inferred]:
    """Infer every trace, foresee the end of some from their beginning, and write the page at `path`."""
    inferred = yield from infer_goku(model, measured, seed=seed, settings=settings)
    yield from report_inferred(inferred, path=path, seed=seed)
    return inferred


def report_inferred(
    inferred: Inferred, *, path: Path, seed: int, judged: tuple[GokuJudgement, Sequence[str]] | None = None
) -> Campaign[Path]:
    """The page of traces that were inferred already. judged: of some of them, with their names, where that was done already."""
    model, measured = inferred.model, inferred.measured
    key = f"goku/report/{model.name}"
    step = Step(key, f"Report {path.name}")
    yield step.started()
    told = yield from in_background(lambda: what_can_be_told(inferred, seed=seed), key=key)
    if judged is None:
        shown = shown_traces(inferred.series)
        judgement = yield from judge_goku(model, inferred.series.select(shown), key=key, seed=seed)
        judged = judgement, [inferred.rows[index].trace for index in shown]
    judgement, labels = judged
    account = GokuAccount(
        title=f"{model.system.name}: parameters of {len(inferred.rows)} traces",
        simulated=bool(inferred.about["simulated"]),
        system=model.system,
        series=judgement.series,
        posterior=inferred.posterior,
        rows=inferred.rows,
        predicted=judgement.predicted,
        labels=labels,
        first=(
            f"Inferred with the model {model.name}, {'refined' if inferred.posterior.how != 'amortised' else 'not refined'}, from "
            "whole traces.",
            f"For the figures, of {len(labels)} traces: {judgement.in_words()}.",
        ),
        sections=[*identifiability_sections(told), *calibration_sections(model)],
        facts={**facts_of(model), "traces": [source.get("path") for source in measured.sources], "seed": seed},
    )
    write_goku_report(path, account)
    yield Reported(key, {"simulated": account.simulated, **judgement.figures}, (str(path),))
    yield step.finished(judgement.in_words())
    return path


def shown_traces(series: Series) -> np.ndarray:
    """Traces spread over all there are, those with samples in their last quarter."""
    whole = np.flatnonzero(series.seen[:, (3 * series.n_samples) // 4 :].any(axis=(1, 2)))
    there = whole if len(whole) else np.arange(series.n_traces)
    shown: np.ndarray = there[np.unique(np.linspace(0, len(there) - 1, min(N_SHOWN, len(there))).round().astype(int))]
    return shown
