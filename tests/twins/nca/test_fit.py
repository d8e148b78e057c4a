"""Automata learn what they are shown, keep their best, and say when training goes wrong."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch

from twins.errors import AutomatonDiverged, AutomatonInvalid, FramesInvalid
from twins.nca import Automaton, Frames, NcaEpoch, NcaFitSettings, NcaSpec, Stage, finished, fit_nca
from twins.nca.free_run import free_run
from twins.nca.pde import Heat, simulate
from twins.nca.training.augmentation import Augmentation


def heat(n: int = 6, n_frames: int = 6, *, seed: int = 0) -> Frames:
    """Four steps of the heat equation a frame, from smooth random fields."""
    fields = torch.randn(n, 1, 12, 12, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return simulate(Heat(diffusion=0.33), fields, n_frames=n_frames, steps_per_frame=4, discard=4)


def automaton(seed: int = 0, **choices: Any) -> Automaton:
    spec = NcaSpec(**{"n_channels": 2, "n_observed": 1, "kernels": "ID_LAP", **choices})
    return Automaton(spec, generator=torch.Generator().manual_seed(seed))


def settings(**changes: Any) -> NcaFitSettings:
    return NcaFitSettings(
        **{"steps_per_frame": 4, "batch": 8, "epochs": 4, "warm_start": 0.0, "validate_every": 1, **changes}
    )


def weights(made: Automaton) -> torch.Tensor:
    return torch.cat([weight.detach().flatten() for weight in made.parameters()])


def test_heat_diffusion_is_recovered_and_holds_on_new_fields() -> None:
    made, chosen = automaton(), settings(epochs=40, warm_start=0.5, learning_rate=4e-3, validate_every=10)
    fitted = finished(fit_nca(made, heat(), heat(2, seed=7), seed=0, settings=chosen))
    judged = free_run(fitted.model, heat(2, seed=8), transitions=True)
    assert judged.stable and fitted.stable and fitted.validated_on == "validation frames"
    assert judged.transition_ratio < 0.1
    assert judged.score < 0.1


def test_the_same_seed_gives_the_same_numbers() -> None:
    chosen = settings(augmentation=Augmentation(flip=True, noise_sd=0.01), update_share=0.8)
    runs = []
    for seed in (1, 1, 2):
        made = automaton(fire_rate=0.7)
        fitted = finished(fit_nca(made, heat(), seed=seed, settings=chosen))
        runs.append((weights(made), fitted.validation, fitted.held_out))
    assert torch.equal(runs[0][0], runs[1][0]) and runs[0][1:] == runs[1][1:]
    assert not torch.equal(runs[0][0], runs[2][0])


def test_a_fit_that_is_closed_early_keeps_the_best_of_what_it_saw() -> None:
    made, data = automaton(), heat()
    events = fit_nca(made, data, heat(2, seed=7), seed=0, settings=settings(epochs=100, learning_rate=0.5, warm_up=0.0))
    seen: list[tuple[float, bool, torch.Tensor]] = []
    for event in events:
        assert event.validation is not None and event.stable is not None
        seen.append((event.validation, not event.stable, weights(made)))
        if len(seen) >= 5 and not event.best:
            break
    events.close()
    best = min(seen, key=lambda one: (one[1], one[0]))
    assert torch.equal(weights(made), best[2])
    assert best is not seen[-1] and len(seen) < 100


def test_the_loss_of_the_warm_up_does_not_choose() -> None:
    chosen = settings(epochs=10, warm_up=0.5, learning_rate=0.3)
    fitted = finished(fit_nca(automaton(), heat(), seed=0, settings=chosen))
    assert fitted.best_epoch >= 5


def test_what_is_held_out_is_said() -> None:
    trials = finished(fit_nca(automaton(), heat(), seed=0, settings=settings(epochs=1)))
    assert trials.validated_on == "held-out trials" and len(trials.held_out) == 1
    end = finished(fit_nca(automaton(), heat(1, 16), seed=0, settings=settings(epochs=1)))
    assert end.validated_on == "end of the sequence" and end.validation_run.error.shape == (1, 2)
    few = finished(fit_nca(automaton(), heat(1, 4), seed=0, settings=settings(epochs=1)))
    assert few.validated_on == "training frames"


def test_an_update_that_is_not_finite_is_skipped_and_counted_and_ends_the_fit() -> None:
    made = automaton(activation="linear")
    with torch.no_grad():
        made.out_weight.fill_(1e12)
    before = weights(made)
    events = fit_nca(made, heat(), seed=0, settings=settings(most_skipped=3, epochs=50))
    seen: list[NcaEpoch] = []
    with pytest.raises(AutomatonDiverged, match="learning_rate"):
        while True:
            seen.append(next(events))
    assert sum(event.n_skipped for event in seen) == 3 and sum(event.n_replaced for event in seen) > 0
    assert torch.equal(weights(made), before)


def test_a_rate_at_which_nothing_stays_finite_is_an_error_that_says_so() -> None:
    chosen = settings(learning_rate=1e9, most_skipped=3, epochs=50, schedule="constant")
    with pytest.raises(AutomatonDiverged, match="smaller learning_rate"):
        finished(fit_nca(automaton(), heat(), seed=0, settings=chosen))


def test_gradients_go_back_through_several_frames_in_later_stages() -> None:
    made = automaton()
    chosen = settings(stages=(Stage(2), Stage(2, horizon=3)))
    horizons = [event.horizon for event in fit_nca(made, heat(), seed=0, settings=chosen)]
    assert horizons == [1, 1, 3, 3]
    with pytest.raises(FramesInvalid, match="horizon"):
        next(fit_nca(made, heat(), seed=0, settings=settings(stages=(Stage(1, horizon=6),))))


def test_every_choice_trains() -> None:
    for choice in (
        {"target": "differential"}, {"cyclic": True}, {"gradients": "plain"}, {"stride": 2}, {"replicas": 2},
        {"injection": "first", "propagate": True}, {"batches_per_epoch": 3}, {"loss": "spectral"},
    ):  # fmt: skip
        made = automaton()
        finished(fit_nca(made, heat(), seed=0, settings=settings(epochs=2, **choice)))
        assert float(made.out_weight.detach().abs().max()) > 0.0, choice


def test_the_weight_of_l1_shrinks_the_weights() -> None:
    sizes = []
    for weight in (0.0, 3.0):
        made = automaton()
        finished(fit_nca(made, heat(), seed=0, settings=settings(epochs=15, weight_l1=weight, validate_every=15)))
        sizes.append(float(made.hidden_weights[0].detach().abs().sum()))
    assert sizes[1] < 0.9 * sizes[0]


def test_an_epoch_whose_loss_jumps_is_not_handed_on() -> None:
    chosen = settings(epochs=30, learning_rate=0.3, largest_jump=1.2)
    events = list(fit_nca(automaton(), heat(), seed=0, settings=chosen))
    losses = [event.train_loss for event in events]
    jumped = [False] + [later > 1.2 * earlier for earlier, later in pairwise(losses)]
    assert any(jumped) and [not event.propagated for event in events] == jumped


def test_one_rule_learns_a_family_by_its_conditions() -> None:
    slow, fast = (
        simulate(Heat(diffusion=d), torch.randn(3, 1, 10, 10, generator=torch.Generator().manual_seed(4)).double(),
                 n_frames=4, steps_per_frame=4, discard=4)
        for d in (0.02, 0.2)
    )  # fmt: skip
    both = replace(
        slow, values=np.concatenate((slow.values, fast.values)), condition_names=("diffusion",),
        conditions=np.array([[0.02]] * 3 + [[0.2]] * 3),
    )  # fmt: skip
    made = automaton(n_conditions=1)
    chosen = settings(epochs=70, learning_rate=6e-3, validate_every=35)
    fitted = finished(fit_nca(made, both, both, seed=0, settings=chosen))
    assert fitted.model.condition_scaling.lows == pytest.approx((0.02,))
    swapped = replace(both, conditions=both.condition_values[::-1])
    assert fitted.validation < 0.8 * free_run(fitted.model, swapped).score


def test_frames_that_do_not_fit_the_automaton_are_refused() -> None:
    with pytest.raises((FramesInvalid, AutomatonInvalid)):
        next(fit_nca(automaton(n_channels=4, n_observed=2), heat(), seed=0, settings=settings()))
    with pytest.raises(FramesInvalid, match="only one"):
        next(fit_nca(automaton(), heat(1, 4), seed=0, settings=settings(injection="first")))
