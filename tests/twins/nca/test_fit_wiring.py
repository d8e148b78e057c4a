"""Which states become whose inputs, and how weights move, on data made by hand."""

from __future__ import annotations

import copy
import math
from typing import Any

import numpy as np
import pytest
import torch

from twins.errors import AutomatonInvalid, FramesInvalid
from twins.nca import Automaton, NcaSpec
from twins.nca.training.interpolated import Interpolated
from twins.nca.training.nadam import Nadam, normalised
from twins.nca.training.settings import NcaFitSettings, Stage
from twins.nca.training.transitions import Drawn, Transitions, checked_size
from twins.nca.training.update import Updater

DRAWS = 5


def numbered(n_sequences: int = 2, n_frames: int = 4, *, cyclic: bool = False) -> Transitions:
    """Frame f of sequence s holds 10·s + f in its observed channel, and 0 in a hidden one."""
    true = torch.zeros(n_sequences, n_frames, 2, 3, 3)
    true[:, :, 0] = (10.0 * torch.arange(n_sequences)[:, None] + torch.arange(n_frames))[:, :, None, None]
    return Transitions(true, 1, cyclic=cyclic)


def run_epoch(made: Transitions, *, propagate: bool = True, injection: float | str = 0.0, horizon: int = 1) -> None:
    """An automaton that adds 100 to what is observed, and 1 to what is hidden."""
    n = made.n_sequences * made.n_starts(horizon)
    drawn = made.draw(np.arange(n), horizon)
    outputs = drawn.inputs + torch.tensor([100.0, 1.0])[:, None, None]
    made.hand_in(drawn, outputs, torch.ones(n, dtype=torch.bool))
    made.end_epoch(propagate=propagate, injection=injection, generator=torch.Generator().manual_seed(DRAWS))  # type: ignore[arg-type]


def true_states(made: Transitions) -> torch.Tensor:
    every = torch.arange(made.n_sequences)
    return torch.stack([made.true(every, time) for time in range(made.n_frames)], dim=1)


def observed(made: Transitions) -> list[list[float]]:
    return made.inputs[:, :, 0, 0, 0].tolist()


def test_every_transition_has_the_following_frames_as_targets() -> None:
    drawn = numbered().draw(np.arange(4), horizon=2)
    assert drawn.sequences.tolist() == [0, 0, 1, 1] and drawn.starts.tolist() == [0, 1, 0, 1]
    assert drawn.inputs[:, 0, 0, 0].tolist() == [0, 1, 10, 11]
    assert drawn.targets[:, :, 0, 0, 0].tolist() == [[1, 2, 11, 12], [2, 3, 12, 13]]


def test_outputs_become_the_next_frames_inputs_with_their_hidden_channels() -> None:
    made = numbered()
    run_epoch(made)
    assert observed(made) == [[0, 100, 101, 102], [10, 110, 111, 112]]
    assert made.inputs[0, :, 1, 0, 0].tolist() == [0, 1, 1, 1]
    run_epoch(made)  # what is handed on is an output itself by now
    assert observed(made) == [[0, 100, 200, 201], [10, 110, 210, 211]]
    assert made.inputs[0, :, 1, 0, 0].tolist() == [0, 1, 2, 2]


def test_without_propagation_inputs_stay_true() -> None:
    made = numbered()
    run_epoch(made, propagate=False)
    assert torch.equal(made.inputs, true_states(made))


def test_a_cycle_hands_the_last_output_to_the_first_frame() -> None:
    made = numbered(cyclic=True)
    assert made.draw(np.array([3]), 2).targets[:, 0, 0, 0, 0].tolist() == [0, 1]
    run_epoch(made)
    assert observed(made) == [[103, 100, 101, 102], [113, 110, 111, 112]]


def test_the_first_sequence_gets_true_frames_or_a_share_of_all() -> None:
    made = numbered()
    run_epoch(made, injection="first")
    assert observed(made) == [[0, 1, 2, 3], [10, 110, 111, 112]]
    many = numbered(n_sequences=2000)
    run_epoch(many, injection=0.3)
    true = (many.inputs == true_states(many)).all(dim=(2, 3, 4))[:, 1:]
    assert 0.28 < float(true.double().mean()) < 0.32
    run_epoch(many, injection=1.0)
    assert torch.equal(many.inputs, true_states(many))


def test_a_state_that_ran_away_is_replaced_by_the_true_frame_and_hands_nothing_on() -> None:
    made = numbered(n_sequences=1)
    run_epoch(made)
    drawn = made.draw(np.arange(3), 1)
    made.hand_in(drawn, drawn.inputs + 1000.0, torch.tensor([True, False, True]))
    made.end_epoch(propagate=True, injection=0.0, generator=torch.Generator())
    assert observed(made) == [[0, 1000, 101, 1101]]


def test_a_horizon_longer_than_the_sequences_is_refused() -> None:
    with pytest.raises(FramesInvalid, match="horizon of 4"):
        numbered().n_starts(4)


def test_nadam_takes_dozats_steps() -> None:
    """Written out from the paper: m' = (1-μ_t) g / (1-Πμ) + μ_{t+1} m / (1-Πμ·μ_{t+1})."""
    weight = torch.nn.Parameter(torch.tensor([1.0, -2.0], dtype=torch.float64))
    nadam, rng = Nadam([weight]), np.random.default_rng(0)
    place, mean, square, product = np.array([1.0, -2.0]), np.zeros(2), np.zeros(2), 1.0
    for step in range(1, 40):
        gradient = rng.normal(size=2)
        assert nadam.move([torch.from_numpy(gradient)], 0.01)
        now, ahead = (0.9 * (1 - 0.5 * 0.96 ** (n / 250)) for n in (step, step + 1))
        product *= now
        mean = 0.9 * mean + 0.1 * gradient
        square = 0.999 * square + 0.001 * gradient**2
        looked_ahead = (1 - now) * gradient / (1 - product) + ahead * mean / (1 - product * ahead)
        place = place - 0.01 * looked_ahead / (np.sqrt(square / (1 - 0.999**step)) + 1e-8)
        np.testing.assert_allclose(weight.detach().numpy(), place, rtol=1e-10)


def test_a_gradient_that_is_not_finite_moves_nothing() -> None:
    weight = torch.nn.Parameter(torch.ones(2))
    nadam = Nadam([weight])
    assert not nadam.move([torch.tensor([math.nan, 1.0])], 0.1)
    assert weight.tolist() == [1.0, 1.0] and nadam.n_steps == 0


def test_every_tensor_is_normalised_by_itself() -> None:
    small, large, none = normalised([torch.full((4,), 1e-3), torch.full((9,), 1e3), torch.zeros(2)])
    assert small.norm().item() == pytest.approx(1.0, abs=1e-4) and large.norm().item() == pytest.approx(1.0)
    assert none.tolist() == [0.0, 0.0]


def test_stages_and_rates_follow_the_progress() -> None:
    stages = Stage(10, parts=4, learning_rate=5.0), Stage(30, horizon=4)
    settings = NcaFitSettings(stages=stages, learning_rate=2.0)
    assert settings.n_epochs == 40
    assert [settings.stage_at(at)[0] for at in (0.0, 9 / 40, 10 / 40, 1.0)] == [0, 0, 1, 1]
    assert settings.stage_at(0.125)[1] == pytest.approx(0.5) and settings.stage_at(1.0)[1] == 1.0
    assert settings.rate(0, 0.0) == pytest.approx(5.0) and settings.rate(1, 1.0) == pytest.approx(0.02)
    assert NcaFitSettings(schedule="exponential", learning_rate=1e-3).rate(0, 0.5) == pytest.approx(1e-4)
    assert NcaFitSettings(schedule="constant").rate(0, 0.9) == 2e-3


def test_the_first_lesson_is_of_parts_of_frames() -> None:
    assert NcaFitSettings(epochs=10, warm_start=0.3, steps_per_frame=12).plan == (
        Stage(3, parts=6, learning_rate=4e-3), Stage(7),
    )  # fmt: skip
    assert NcaFitSettings(epochs=10, steps_per_frame=1).plan == (Stage(10),)
    with pytest.raises(AutomatonInvalid, match="divisors of steps_per_frame = 32"):
        NcaFitSettings(stages=(Stage(3, parts=5),))


def test_between_smooth_frames_runs_the_cubic_and_rough_ones_are_left_out() -> None:
    time = torch.arange(8.0)
    true = torch.zeros(2, 8, 2, 2, 2)
    true[0, :, 0] = (time**2)[:, None, None]
    true[1, :, 0] = torch.tensor([0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0])[:, None, None]
    made = Interpolated(Transitions(true, 1))
    assert set(made.places[:, 0].tolist()) == {0} and made.usable == (len(made.places) >= 7)
    drawn = made.draw(200, 4, rng=np.random.default_rng(0))
    inside = (drawn.starts > 0) & (drawn.starts < 6)  # at the ends the slopes are one-sided
    begun, ended = drawn.before[inside, 0, 0, 0].sqrt(), drawn.targets[0, inside, 0, 0, 0].sqrt()
    torch.testing.assert_close(ended - begun, torch.full_like(begun, 0.25), atol=1e-4, rtol=0)
    assert torch.equal(drawn.inputs[:, :1], drawn.before) and not drawn.inputs[:, 1].any()


@pytest.mark.parametrize(
    "wrong",
    [
        {"steps_per_frame": 0}, {"batch": 0}, {"batch": True}, {"learning_rate": 0.0}, {"schedule": "step"},
        {"target": "half"}, {"injection": "last"}, {"injection": 1.5}, {"largest_jump": 1.0}, {"warm_up": 1.0},
        {"state_weight": -1.0}, {"weight_l1": math.nan}, {"loss": "l2"}, {"loss_options": {"mode": 1}}, {"beyond": 0.5},
        {"update_share": 0.0}, {"checkpoint_every": 0}, {"max_seconds": 0.0}, {"stride": 1.5}, {"validation_share": None},
    ],
)  # fmt: skip
def test_settings_that_cannot_be_are_refused_by_name(wrong: dict[str, object]) -> None:
    with pytest.raises(AutomatonInvalid, match=next(iter(wrong)).partition("_")[0]):
        NcaFitSettings(**wrong)  # type: ignore[arg-type]
    with pytest.raises(AutomatonInvalid):
        Stage(epochs=0)


@pytest.mark.parametrize("ruin", [math.nan, 1e30])
def test_one_state_that_overflows_costs_the_others_nothing(ruin: float) -> None:
    made = Automaton(NcaSpec(n_channels=2, n_observed=1), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        made.out_weight.normal_(0.0, 0.1, generator=torch.Generator().manual_seed(1))
    alone, drawn = copy.deepcopy(made), numbered().draw(np.array([0, 2, 4]), 1)
    drawn.inputs[:], drawn.targets[:] = drawn.inputs / 20.0, drawn.targets / 20.0
    others = Drawn(
        drawn.sequences[::2],
        drawn.starts[::2],
        drawn.inputs[::2].clone(),
        drawn.targets[:, ::2],
        drawn.before[::2],
        None,
    )
    drawn.inputs[1] = ruin
    before = made.out_weight.detach().clone()
    done, wanted = (
        Updater(one, NcaFitSettings(steps_per_frame=8), torch.Generator().manual_seed(0)).step(some, 1e-3, 8)
        for one, some in ((made, drawn), (alone, others))
    )
    assert done.good.tolist() == [True, False, True] and done.taken and wanted.taken
    assert not torch.equal(made.out_weight, before)
    torch.testing.assert_close(made.out_weight, alone.out_weight)


def test_states_are_held_twice_and_what_does_not_fit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    true = torch.rand(2, 3, 2, 4, 4)
    true[:, :, 1:] = 0.0
    made = Transitions(true, 1)
    run_epoch(made)
    held = [value for value in vars(made).values() if isinstance(value, torch.Tensor) and value.is_floating_point()]
    assert 4 * sum(value.numel() for value in held) <= checked_size(2, 3, 2, 1, (4, 4)) + 4 * 2 * 1 * 16
    monkeypatch.setattr("twins.nca.training.transitions.memory_bytes", lambda: 8_000_000_000)
    assert checked_size(1, 400, 16, 1, (128, 128)) == 4 * 400 * 33 * 128**2
    with pytest.raises(FramesInvalid, match=r"8\.7 GB.*has 8\.0 GB.*stride"):
        checked_size(10, 400, 16, 1, (128, 128))
    monkeypatch.setattr("twins.nca.training.transitions.memory_bytes", lambda: None)
    checked_size(10, 400, 16, 1, (128, 128))


def test_long_unrolls_are_kept_in_pieces_as_the_settings_say(monkeypatch: pytest.MonkeyPatch) -> None:
    made, asked = Automaton(NcaSpec(n_channels=2, n_observed=1), generator=torch.Generator().manual_seed(0)), []
    unroll = made.unroll

    def noted(*given: Any, checkpoint_every: int | None, **more: Any) -> Any:
        asked.append(checkpoint_every)
        return unroll(*given, **more)

    monkeypatch.setattr(made, "unroll", noted)
    updater = Updater(made, NcaFitSettings(steps_per_frame=4, checkpoint_every=2), torch.Generator().manual_seed(0))
    assert updater.step(numbered().draw(np.arange(4), 2), 1e-3, 4).taken and asked == [2, 2]
