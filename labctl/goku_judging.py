"""How well an equation with inferred parameters foresees what was measured: the end of each trace from its beginning."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from labctl.campaign import Campaign

if TYPE_CHECKING:
    from labctl.goku_model import GokuModel
    from twins.goku.posterior import Posterior
    from twins.goku.predictive import Predicted
    from twins.goku.series import Series

SEEN_SHARE = 0.75
"""Of every judged trace, from its beginning: what is inferred from. The rest is foreseen."""
N_DRAWS = 200
HARDLY_ANY = 0.02
"""Of the samples that were foreseen, in their 90 % band: the equation is another one, or its ranges are."""


@dataclass(frozen=True, slots=True, eq=False)
class GokuJudgement:
    """series: the judged traces, whole; posterior: from their first n_seen samples; predicted: all samples, those and the rest.

    figures: medians over the traces and channels of errors over mean absolute values (NRMSE): of the reconstruction, of the
    forecast, and of a forecast by each trace's mean (naive); coverage_90: share of the samples foreseen in their 90 % band.
    """

    series: Series
    posterior: Posterior
    predicted: Predicted
    n_seen: int
    figures: Mapping[str, float | int | None]

    @property
    def describes(self) -> bool:
        """Whether the equation describes the traces at all: some of what was foreseen came about."""
        covered = self.figures["coverage_90"]
        return covered is not None and float(covered) > HARDLY_ANY

    def in_words(self) -> str:
        """The most telling figures."""
        figures = self.figures
        if figures["forecast_nrmse"] is None:
            return "nothing could be foreseen: every draw of the posterior ran away"
        return (
            f"from the first {self.n_seen} of {self.series.n_samples} samples the rest is foreseen with an error (NRMSE) of "
            f"{figures['forecast_nrmse']:.3g}, by the mean alone {figures['naive_nrmse']:.3g}; "
            f"{100 * float(figures['coverage_90'] or 0.0):.1f} % of it lies in the 90 % band"
        )


def judge_goku(model: GokuModel, series: Series, *, key: str, seed: int) -> Campaign[GokuJudgement]:
    """Infer from the beginning of every trace, refined, and compare what follows with what is foreseen.

    What lies behind the beginning is hidden from the network and from the likelihood alike.
    """
    import torch

    from labctl.background import in_background
    from labctl.campaigns.goku_settings import JUDGING
    from labctl.campaigns.infer_goku import refined
    from twins.goku.predictive import predict_course

    n_seen = max(2, round(SEEN_SHARE * series.n_samples))
    generator = torch.Generator().manual_seed(seed)
    beginning = series.span(0, n_seen)
    hidden = beginning if model.training == "measured" else _hidden(series, n_seen)
    guess = yield from in_background(lambda: model.infer(hidden, n_draws=N_DRAWS, generator=generator), key=key)
    found = yield from refined(model, beginning, guess, key=key, seed=seed, settings=JUDGING)
    posterior = found.posterior
    drive = None if series.drive is None else series.drive[:, n_seen:]
    predicted = yield from in_background(
        lambda: predict_course(
            model.system, model.observation(), beginning, posterior, n_forecast=series.n_samples - n_seen, drive=drive,
            n_draws=N_DRAWS, substeps=found.substeps, generator=generator,
        ),
        key=key,
    )  # fmt: skip
    predicted = replace(predicted, times_s=series.times_s)
    return GokuJudgement(series, posterior, predicted, n_seen, _figures(series, posterior, predicted, n_seen))


def _hidden(series: Series, n_seen: int) -> Series:
    values = series.values.copy()
    values[:, n_seen:] = np.nan
    return replace(series, values=values)


def _figures(series: Series, posterior: Posterior, predicted: Predicted, n_seen: int) -> dict[str, Any]:
    expected = predicted.mean()
    low, high = predicted.band()
    seen, later = slice(0, n_seen), slice(n_seen, None)
    naive = np.repeat(_means(series.values[:, seen]), series.n_samples - n_seen, axis=1)
    there = series.seen[:, later] & np.isfinite(low[:, later])
    inside = (low[:, later] <= series.values[:, later]) & (series.values[:, later] <= high[:, later])
    return {
        "n_traces": series.n_traces,
        "trusted": int(posterior.trusted.sum()),
        "reconstruction_nrmse": _median_nrmse(expected[:, seen], series.values[:, seen]),
        "forecast_nrmse": _median_nrmse(expected[:, later], series.values[:, later]),
        "naive_nrmse": _median_nrmse(naive, series.values[:, later]),
        "coverage_90": float(inside[there].mean()) if there.any() else None,
        "diverged_draws": float(predicted.diverged.mean()),
    }


def _means(values: np.ndarray) -> np.ndarray:
    count = np.isfinite(values).sum(axis=1, keepdims=True)
    total = np.nansum(values, axis=1, keepdims=True)
    means: np.ndarray = np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0)
    return means


def _median_nrmse(expected: np.ndarray, measured: np.ndarray) -> float | None:
    """Of the traces that have samples there and could be foreseen."""
    from twins.goku.scores import nrmse

    some = np.nansum(np.abs(measured), axis=(1, 2)) > 0.0
    scores = nrmse(expected[some], measured[some])
    scores = scores[np.isfinite(scores)]
    return float(np.median(scores)) if len(scores) else None
