"""What is said of a free run, against what can be counted by hand; and several seeds beside each other."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from twins.errors import AutomatonDiverged, AutomatonInvalid, FramesInvalid
from twins.nca import Automaton, Frames, NcaFitSettings, NcaModel, NcaSpec, Scaling, finished
from twins.nca.free_run import free_run
from twins.nca.training.seeds import fit_seeds


def drifting(rate: float, *, spec: NcaSpec | None = None) -> NcaModel:
    """A rule that adds `rate` to its observed channel at every one of two steps a frame."""
    made = Automaton(spec or NcaSpec(n_channels=2, n_observed=1), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        made.out_bias[0] = rate
    return NcaModel(made, Scaling((0.0,), (2.0,)), 2, 1.0, ("a",), ("V",))


def pictures(n_trials: int = 2, n_frames: int = 4) -> Frames:
    """Random pictures from 0 to 2 V that rise by 0.2 V (0.1 in units of the range) from frame to frame."""
    first = np.random.default_rng(0).uniform(0.0, 1.0, (n_trials, 1, 5, 4, 1))
    return Frames(first + 0.2 * np.arange(n_frames)[None, :, None, None, None], 1.0, ("a",), ("V",))


def test_a_rule_that_is_right_has_no_error_and_is_stable() -> None:
    judged = free_run(drifting(0.05), pictures(), transitions=True)
    assert judged.error.shape == (2, 3) and judged.error.max() < 1e-5
    assert judged.stable and judged.score < 1e-5 and judged.transition_ratio < 1e-5
    np.testing.assert_allclose(judged.no_change_error, np.sqrt(20) * np.array([[0.1, 0.2, 0.3]] * 2), rtol=1e-5)
    np.testing.assert_allclose(judged.transition_no_change, np.full((2, 3), np.sqrt(20) * 0.1), rtol=1e-5)
    np.testing.assert_allclose(judged.sd_ratio, 1.0, rtol=1e-5)


def test_predicting_no_change_has_a_ratio_of_one() -> None:
    judged = free_run(drifting(0.0), pictures(), transitions=True)
    assert judged.transition_ratio == pytest.approx(1.0, rel=1e-5)
    np.testing.assert_allclose(judged.error, judged.no_change_error, rtol=1e-5)


def test_errors_end_with_the_data_and_stability_is_watched_beyond() -> None:
    judged = free_run(drifting(0.05), pictures(), n_frames=20)
    assert judged.error.shape == (2, 3) and judged.highest.shape == (2, 20)
    assert not judged.stable and judged.highest[:, -1].min() > 1.5  # 2.0 and more by then
    assert free_run(drifting(0.05), pictures(), n_frames=5).stable


def test_a_pattern_that_fades_or_runs_away_is_not_stable() -> None:
    fading = NcaSpec(n_channels=1, n_observed=1, kernels="ID", activation="linear")
    model = drifting(0.0, spec=fading)
    for size, stable in ((-0.02, True), (-0.5, False)):
        with torch.no_grad():
            model.automaton.hidden_weights[0].fill_(1.0)
            model.automaton.out_weight.fill_(size / model.automaton.out_weight.shape[1])
        assert free_run(model, pictures()).stable is stable
    with torch.no_grad():
        model.automaton.out_weight.fill_(1e30)
    judged = free_run(model, pictures())
    assert not judged.finite[:, -1].any() and not judged.stable and judged.score == float("inf")


def test_frames_of_another_kind_are_refused() -> None:
    with pytest.raises(FramesInvalid, match="apart"):
        free_run(drifting(0.0), pictures().span(0, 4, 2))
    with pytest.raises(FramesInvalid, match="transitions=True"):
        _ = free_run(drifting(0.0), pictures()).transition_ratio
    with pytest.raises(FramesInvalid, match="free run"):
        free_run(drifting(0.0), pictures(n_frames=1))


def test_several_seeds_show_their_spread_and_the_best_is_chosen() -> None:
    spec, data = NcaSpec(n_channels=2, n_observed=1), pictures(4)
    settings = NcaFitSettings(steps_per_frame=2, epochs=10, validate_every=2)
    events = fit_seeds(spec, data, data, seeds=(3, 4, 5), settings=settings)
    labels = set()
    while True:
        try:
            event = next(events)
        except StopIteration as end:
            fitted = end.value
            break
        labels.add((event.seed, event.number, event.n_seeds))
    assert labels == {(3, 0, 3), (4, 1, 3), (5, 2, 3)}
    scores = [fit.validation for fit in fitted.fits]
    assert fitted.best.validation == min(scores) and fitted.validation_sd == pytest.approx(np.std(scores, ddof=1))
    alone = finished(fit_seeds(spec, data, data, seeds=(4,), settings=settings))
    assert alone.fits[0].validation == scores[1] and np.isnan(alone.validation_sd)
    with pytest.raises(AutomatonInvalid, match="different"):
        next(fit_seeds(spec, data, seeds=(1, 1)))


def test_seeds_that_all_run_away_raise() -> None:
    settings = NcaFitSettings(steps_per_frame=2, epochs=3, largest_state=1e-6, most_skipped=1)
    with pytest.raises(AutomatonDiverged, match="learning_rate"):
        finished(fit_seeds(NcaSpec(n_channels=2, n_observed=1), pictures(4), seeds=(1, 2), settings=settings))
