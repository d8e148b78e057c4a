"""States at the last frame live on, the worst are renewed, the best damaged."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from twins.errors import AutomatonInvalid, FramesInvalid
from twins.nca import Automaton, Frames, NcaSpec, finished
from twins.nca.training.damage import Damage
from twins.nca.training.fit import fit_nca
from twins.nca.training.pool import KeptStates, Pool, lasting
from twins.nca.training.settings import NcaFitSettings
from twins.nca.training.transitions import Transitions

SPEC = NcaSpec(n_channels=3, n_observed=1)
N = 8


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def sequences(n: int = N) -> Transitions:
    """A, B, C, C of values 1, 2, 3, 3."""
    true = torch.zeros(n, 4, 3, 6, 6)
    true[:, :, 0] = torch.tensor([1.0, 2.0, 3.0, 3.0])[:, None, None]
    return Transitions(true, 1)


def epoch(transitions: Transitions, kept: KeptStates, losses: list[float], pool_progress: float = 0.0) -> int:
    """An automaton that adds 10 to everything."""
    drawn = transitions.draw(np.arange(transitions.n_sequences * 3), 1)
    good = torch.ones(len(drawn.starts), dtype=torch.bool)
    every_loss = torch.tensor(losses)[drawn.sequences]
    transitions.hand_in(drawn, drawn.inputs + 10.0, good)
    kept.hand_in(drawn, drawn.inputs + 10.0, every_loss, good)
    transitions.end_epoch(propagate=True, injection=0.0, generator=generator())
    return kept.end_epoch(pool_progress, generator=generator())


def test_kept_states_grow_old_and_the_others_are_propagated() -> None:
    transitions = sequences()
    kept = KeptStates(Pool(kept=0.5, renewed=0.0), transitions, SPEC)
    for _ in range(3):
        assert epoch(transitions, kept, [1.0] * N) == 0
    assert (transitions.inputs[4:, 2, 0] == 3.0 + 30.0).all()  # three frames old
    assert (transitions.inputs[:4, 2, 0] == 1.0 + 20.0).all()  # from A, two frames ago
    assert kept.ages.tolist() == [3] * 4


@pytest.mark.parametrize(("by", "value"), [("arrived", 2.0 + 10.0), ("true", 3.0)])
def test_the_worst_are_renewed(by: str, value: float) -> None:
    transitions = sequences()
    kept = KeptStates(Pool(kept=0.5, renewed=0.25, renewed_by=by), transitions, SPEC)  # type: ignore[arg-type]
    assert epoch(transitions, kept, [9.0, 9.0, 9.0, 9.0, 1.0, 2.0, 5.0, 3.0]) == 1
    assert transitions.inputs[4:, 2, 0, 0, 0].tolist() == [13.0, 13.0, value, 13.0]
    assert kept.ages.tolist() == [1, 1, 0, 1]


def test_what_is_too_far_off_and_what_ran_away_is_renewed_whatever_the_share() -> None:
    transitions = sequences()
    kept = KeptStates(Pool(kept=0.5, renewed=0.0, renewed_by="true", largest_loss=4.0), transitions, SPEC)
    assert epoch(transitions, kept, [1.0, 1.0, 1.0, 1.0, 1.0, 4.5, 1.0, float("inf")]) == 2
    assert kept.ages.tolist() == [1, 0, 1, 0]
    plain = KeptStates(Pool(kept=0.5, renewed=0.0), sequences(), SPEC)
    drawn = plain.transitions.draw(np.arange(N * 3), 1)
    plain.hand_in(drawn, drawn.inputs * float("nan"), torch.ones(N * 3), torch.zeros(N * 3, dtype=torch.bool))
    assert plain.end_epoch(0.0, generator=generator()) == 4
    assert torch.isfinite(plain.transitions.inputs).all()


def test_the_best_are_damaged_once_it_is_time_and_never_those_just_renewed() -> None:
    pool = Pool(kept=0.5, renewed=0.25, damage=Damage(share=0.67, radius=(0.3, 0.3), middle=0.0), damage_after=0.5)
    for progress, wanted in ((0.4, []), (0.5, [4, 7])):
        transitions = sequences()
        kept = KeptStates(pool, transitions, SPEC)
        epoch(transitions, kept, [0.0] * 4 + [1.0, 9.0, 5.0, 2.0], progress)
        holes = (transitions.inputs[:, 2] == 0.0).all(dim=1).flatten(1).any(dim=1)
        assert holes.nonzero().flatten().tolist() == wanted


def test_the_last_frame_must_stand_there_twice() -> None:
    true = torch.rand(2, 4, 3, 6, 6, generator=generator())
    with pytest.raises(FramesInvalid, match="A, B, C, C"):
        KeptStates(Pool(), Transitions(true, 1), SPEC)
    for wrong in ({"kept": 0.0}, {"renewed": 1.5}, {"renewed_by": "me"}, {"largest_loss": 0.0}):
        with pytest.raises(AutomatonInvalid):
            Pool(**wrong)  # type: ignore[arg-type]


def test_a_picture_lasts_for_many_frames_after_training_with_a_pool_and_not_without() -> None:
    y, x = np.mgrid[:10, :10]
    pictures = [np.zeros((10, 10)), (x < 5) * 1.0, (y < 5) * 1.0]
    pictures[0][4:6, 4:6] = 1.0
    frames = Frames(np.stack(pictures)[None, ..., None], 1.0, ("a",), ("",), simulated=True)
    assert lasting(frames).n_frames == 4 and lasting(lasting(frames)).n_frames == 4
    errors = {}
    mostly_kept = Pool(kept=1.0, renewed=0.25, share=0.6)
    for name, pool in (("with", Pool(kept=0.5, renewed=0.25)), ("mostly", mostly_kept), ("without", None)):
        automaton = Automaton(
            NcaSpec(n_channels=6, n_observed=1, kernels="ID_DIFF_LAP", padding="zero", bounds="clip"),
            generator=generator(),
        )
        settings = NcaFitSettings(
            steps_per_frame=8, epochs=200, replicas=4, learning_rate=5e-3, schedule="cosine", state_weight=0.0,
            pool=pool, injection=0.1, validate_every=200, batch=12, warm_start=0.0,
        )  # fmt: skip
        fitted = finished(fit_nca(automaton, lasting(frames) if pool is None else frames, seed=0, settings=settings))
        *_, last = fitted.model.states(frames, 40)
        errors[name] = float(np.abs(last[0, 0].numpy() - pictures[2]).mean())
    assert errors["with"] < 0.02 and errors["mostly"] < 0.02 and errors["without"] > 0.1, errors


def test_kept_states_make_up_their_share_of_an_epoch_and_the_others_are_drawn() -> None:
    transitions = sequences()
    kept = KeptStates(Pool(kept=0.5, share=0.5), transitions, SPEC)
    rng = np.random.default_rng(0)
    drawn = [kept.numbers(1, rng=rng) for _ in range(40)]
    mine = {3 * sequence + 2 for sequence in range(4, N)}
    for numbers in drawn:
        assert len(numbers) == len(set(numbers.tolist())) == 8 and mine < set(numbers.tolist())
    assert {int(number) for numbers in drawn for number in numbers} == set(range(3 * N))
    assert KeptStates(Pool(kept=0.5), transitions, SPEC).numbers(1, rng=rng).tolist() == list(range(3 * N))
    assert len(KeptStates(Pool(kept=0.5, share=0.01), transitions, SPEC).numbers(1, rng=rng)) == 3 * N  # no more there
    with pytest.raises(AutomatonInvalid, match="share of a pool"):
        Pool(share=0.0)


def test_what_arrives_is_remembered_until_it_is_needed() -> None:
    transitions = sequences()
    kept = KeptStates(Pool(kept=0.5, renewed=0.25), transitions, SPEC)
    epoch(transitions, kept, [1.0] * 7 + [2.0])
    only_kept = transitions.draw(np.arange(4, N) * 3 + 2, 1)  # nothing arrives in this epoch
    kept.hand_in(
        only_kept, only_kept.inputs + 10.0, torch.tensor([9.0, 1.0, 1.0, 1.0]), torch.ones(4, dtype=torch.bool)
    )
    kept.end_epoch(0.0, generator=generator())
    assert transitions.inputs[4:, 2, 0, 0, 0].tolist() == [12.0, 23.0, 23.0, 22.0]
