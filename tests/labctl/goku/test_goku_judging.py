"""What is said of a forecast: traces of which nothing could be foreseen count against it."""

import numpy as np
import pytest

from labctl.goku_judging import GokuJudgement, _figures
from twins.goku.inference.predictive import Predicted
from twins.goku.posterior import Posterior
from twins.goku.series import Series

N_SEEN, N_SAMPLES, N_DRAWS = 30, 40, 20


def judged(n_traces: int, n_lost: int) -> GokuJudgement:
    """Of noisy constants, foreseen to their noise, but for the last n_lost, of which every draw ran away."""
    rng = np.random.default_rng(1)
    values = 1.0 + 0.1 * rng.standard_normal((n_traces, N_SAMPLES, 1))
    signal = np.ones((N_DRAWS, n_traces, N_SAMPLES, 1))
    measured = signal + 0.1 * rng.standard_normal(signal.shape)
    diverged = np.zeros((N_DRAWS, n_traces), dtype=bool)
    if n_lost:
        signal[:, -n_lost:], measured[:, -n_lost:], diverged[:, -n_lost:] = np.nan, np.nan, True
    series = Series(values, 0.1 * np.arange(N_SAMPLES), ("x",), ("V",))
    ahead = np.ones_like(values)
    times_s = np.broadcast_to(series.times_s[0], (n_traces, N_SAMPLES))
    predicted = Predicted(signal, measured, times_s, N_SEEN, diverged, ahead, ahead)
    draws = np.ones((n_traces, N_DRAWS, 1))
    posterior = Posterior(
        ("level",), ("V",), draws, draws, draws, np.full((n_traces, N_DRAWS), 1.0 / N_DRAWS), "sampler",
        np.ones(n_traces, dtype=bool),
    )  # fmt: skip
    return GokuJudgement(series, posterior, predicted, N_SEEN, _figures(series, posterior, predicted, N_SEEN))


def test_lost_traces_are_counted_and_their_samples_lie_in_no_band() -> None:
    whole, some = judged(10, 0), judged(10, 4)
    assert some.figures["n_lost"] == 4
    assert float(some.figures["coverage_90"] or 0.0) <= 0.6 < 0.7 < float(whole.figures["coverage_90"] or 0.0)
    assert float(some.figures["forecast_nrmse"] or 0.0) >= float(whole.figures["forecast_nrmse"] or 0.0)
    assert some.figures["naive_nrmse"] == pytest.approx(whole.figures["naive_nrmse"])
    assert "of 4 of 10 traces every draw" in some.in_words()
    assert "ran away" not in whole.in_words()


def test_a_forecast_lost_on_most_traces_has_no_error_that_could_be_stated() -> None:
    most = judged(10, 6)
    assert most.figures["forecast_nrmse"] is None
    assert float(most.figures["naive_nrmse"] or 0.0) > 0.0
    assert "beyond all numbers" in most.in_words()
    assert judged(3, 3).in_words().startswith("nothing could be foreseen")
    assert not judged(3, 3).describes
