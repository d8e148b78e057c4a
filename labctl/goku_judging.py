"""How well an equation with inferred parameters foresees what was measured: the end of each trace from its beginning."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from labctl.campaign import Campaign

if TYPE_CHECKING:
    from labctl.goku_model import GokuModel
    from twins.goku.inference.predictive import Predicted
    from twins.goku.posterior import Posterior
    from twins.goku.series import Series

SEEN_SHARE = 0.75
"""Of every judged trace, from its beginning: what is inferred from. The rest is foreseen."""
N_DRAWS = 200
HARDLY_ANY = 0.02
"""Of the samples that were foreseen, in their 90 % band: the equation is another one, or its ranges are."""
FEWEST_FORESEEN = 10
CLOSE = 0.3  # of the error of a forecast by the mean


@dataclass(frozen=True, slots=True, eq=False)
class GokuJudgement:
    """series: the judged traces, whole; posterior: from their first n_seen samples; predicted: all samples, those and the rest.

    figures: medians over the traces of errors over mean absolute values (NRMSE): of the reconstruction, of the forecast, and
    of a forecast by each trace's mean (naive); a trace of which every draw ran away counts as an infinite error, and
    None is a median that is infinite (or of no samples). n_lost: traces of which nothing could be foreseen. coverage_90:
    share of all later samples in their 90 % band, those of lost traces outside.
    """

    series: Series
    posterior: Posterior
    predicted: Predicted
    n_seen: int
    figures: Mapping[str, float | int | None]

    @property
    def describes(self) -> bool:
        """Whether the equation describes the traces at all: some of what was foreseen came about, or too little was."""
        covered = self.figures["coverage_90"]
        if covered is None:
            return False
        return float(covered) > HARDLY_ANY or int(self.figures["foreseen"] or 0) < FEWEST_FORESEEN

    @property
    def verdict(self) -> str:
        """In words, where it does not; else empty."""
        if self.describes:
            return ""
        far, naive = self.figures["forecast_nrmse"], self.figures["naive_nrmse"]
        if far is not None and naive is not None and far < CLOSE * naive:
            return (
                "the equation follows these traces, but not within its bands: it is not quite theirs, and the intervals of its "
                "parameters say nothing"
            )
        return (
            "the equation in these ranges does not describe these traces: hardly anything of how they go on was foreseen. Look at "
            "units (--gain), ranges (--range) and the equation; labctl goku compare tries others"
        )

    def in_words(self) -> str:
        """The most telling figures."""
        figures = self.figures
        if figures["coverage_90"] is None:
            return f"there is nothing to foresee: no samples after the first {self.n_seen}"
        n_lost, n_traces = int(figures["n_lost"] or 0), int(figures["n_traces"] or 0)
        if n_lost == n_traces:
            return "nothing could be foreseen: every draw of the posterior ran away"
        late = int(figures.get("out_of_time") or 0)
        cut = f"; {late} of {figures['n_traces']} traces were not refined to the end, the time was over" if late else ""
        return (
            f"from the first {self.n_seen} of {self.series.n_samples} samples the rest is foreseen with an error (NRMSE) of "
            f"{_number(figures['forecast_nrmse'])}, by the mean alone {_number(figures['naive_nrmse'])}; "
            f"{100 * float(figures['coverage_90']):.1f} % of it lies in the 90 % band{cut}"
            + (f"; of {n_lost} of {n_traces} traces every draw of the posterior ran away" if n_lost else "")
        )


def judge_goku(
    model: GokuModel, series: Series, *, key: str, seed: int, max_seconds: float | None = None
) -> Campaign[GokuJudgement]:
    """Infer from the beginning of every trace, refined, and compare what follows with what is foreseen.

    max_seconds: of the refinement (None: that of JUDGING); traces that are not done then count as far as they came.
    What lies behind the beginning is hidden from the network and from the likelihood alike.
    """
    import torch

    from labctl.background import in_background
    from labctl.campaigns.goku_settings import JUDGING
    from labctl.campaigns.infer_goku import refined
    from twins.goku.inference.predictive import predict_course

    settings = JUDGING if max_seconds is None else replace(JUDGING, max_seconds=max_seconds)
    n_seen = max(2, round(SEEN_SHARE * series.n_samples))
    generator = torch.Generator().manual_seed(seed)
    beginning = series.span(0, n_seen)
    hidden = beginning if model.training == "measured" else _hidden(series, n_seen)
    guess = yield from in_background(lambda: model.infer(hidden, n_draws=N_DRAWS, generator=generator), key=key)
    found = yield from refined(model, beginning, guess, key=key, seed=seed, settings=settings)
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
    there = series.seen[:, later]
    lost = (there & ~np.isfinite(expected[:, later])).any(axis=(1, 2))
    inside = (low[:, later] <= series.values[:, later]) & (series.values[:, later] <= high[:, later])
    return {
        "n_traces": series.n_traces,
        "n_lost": int(lost.sum()),
        "trusted": int(posterior.trusted.sum()),
        "out_of_time": len(out_of_time(posterior)),
        "reconstruction_nrmse": _median_nrmse(expected[:, seen], series.values[:, seen]),
        "forecast_nrmse": _median_nrmse(expected[:, later], series.values[:, later]),
        "naive_nrmse": _median_nrmse(naive, series.values[:, later]),
        "foreseen": int(there.sum()),
        "coverage_90": float(inside[there].mean()) if there.any() else None,
        "diverged_draws": float(predicted.diverged.mean()),
    }


def out_of_time(posterior: Posterior) -> list[int]:
    """Traces whose refinement was ended by the time."""
    return [trace for trace, why in posterior.why.items() if "out of time" in why]


def _means(values: np.ndarray) -> np.ndarray:
    count = np.isfinite(values).sum(axis=1, keepdims=True)
    total = np.nansum(values, axis=1, keepdims=True)
    means: np.ndarray = np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0)
    return means


def _median_nrmse(expected: np.ndarray, measured: np.ndarray) -> float | None:
    """Of the traces that have samples there; infinite errors count, so the median is None where half of them are."""
    from twins.goku.scoring.scores import nrmse

    some = np.nansum(np.abs(measured), axis=(1, 2)) > 0.0
    if not some.any():
        return None
    middle = float(np.median(nrmse(expected[some], measured[some])))
    return middle if np.isfinite(middle) else None


def _number(error: float | int | None) -> str:
    return "beyond all numbers for half of the traces" if error is None else f"{error:.3g}"
