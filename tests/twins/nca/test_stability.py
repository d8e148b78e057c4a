"""Starts that are sought against automata whose answers are known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from twins.errors import AutomatonInvalid, FramesInvalid
from twins.nca import Automaton, Frames, NcaModel, NcaSpec, Scaling, finished
from twins.nca.stability import Bound, SearchSettings, SearchUpdate, SoughtStart, seek_start

N_CELLS = 8
NAMES = ("A", "B", "C")


def linear(change: np.ndarray) -> Automaton:
    """x ← x + change · (each channel, and its Laplacian): (channel, 2·channel), features channel by channel."""
    n_channels = len(change)
    spec = NcaSpec(n_channels=n_channels, n_observed=n_channels, kernels="ID_LAP", activation="linear")
    made = Automaton(spec, generator=torch.Generator()).double()
    with torch.no_grad():
        made.hidden_weights[0].copy_(torch.eye(*made.hidden_weights[0].shape))
        made.out_weight[:, : 2 * n_channels] = torch.from_numpy(change)
    return made


def nonlinear(seed: int, **choices: Any) -> Automaton:
    spec = NcaSpec(**{"n_channels": 4, "n_observed": 2, "kernels": "ID_LAP", "activation": "tanh", **choices})
    made = Automaton(spec, generator=torch.Generator().manual_seed(seed)).double()
    with torch.no_grad():
        made.out_weight.normal_(std=0.25, generator=torch.Generator().manual_seed(seed))
    return made


def model_of(automaton: Automaton, *, low: float = 0.0, high: float = 1.0, steps_per_frame: int = 2) -> NcaModel:
    n = automaton.spec.n_observed
    return NcaModel(automaton, Scaling((low,) * n, (high,) * n), steps_per_frame, 1.0, NAMES[:n], ("1",) * n)


def frames_of(n_observed: int, *, n_trials: int = 2, n_frames: int = 4, even: bool = False) -> Frames:
    values = 0.2 + 0.6 * np.random.default_rng(0).random((n_trials, n_frames, N_CELLS, N_CELLS, n_observed))
    return Frames(np.full_like(values, 0.5) if even else values, 1.0, NAMES[:n_observed], ("1",) * n_observed)


def found(
    model: NcaModel, frames: Frames, *, n_frames: int | None = None, seed: int = 1, **choices: Any
) -> SoughtStart:
    settings = SearchSettings(**choices)
    return finished(seek_start(model, frames, settings=settings, seed=seed, n_frames=n_frames))


def growths(change: np.ndarray, n_steps: int) -> np.ndarray:
    """Singular values of n_steps steps, for every wave that fits into the field."""
    waves = 2.0 * np.pi * np.arange(N_CELLS) / N_CELLS
    eigenvalues = [-3 + np.cos(a) + np.cos(b) + np.cos(a) * np.cos(b) for a in waves for b in waves]
    steps = [np.eye(len(change)) + change[:, ::2] + change[:, 1::2] * eigenvalue for eigenvalue in eigenvalues]
    return np.stack([np.linalg.svd(np.linalg.matrix_power(step, n_steps))[1] for step in steps])


def test_of_the_heat_equation_the_even_change_stays_and_the_roughest_dies_first() -> None:
    heat, frames = linear(np.array([[0.0, 0.2]])), frames_of(1, even=True)
    largest = found(model_of(heat), frames, seek="largest", bound=Bound(size=0.8), n_updates=80, step=2.0)
    np.testing.assert_allclose(largest.deviation, 0.8, rtol=1e-3)
    even = np.abs(largest.change.mean(axis=(2, 3), keepdims=True))
    np.testing.assert_allclose(np.abs(largest.change), np.broadcast_to(even, largest.change.shape), rtol=0.05)
    least = found(model_of(heat), frames, n_frames=1, seek="least", bound=Bound(size=0.8), n_updates=150)
    np.testing.assert_allclose(least.size, 0.8, rtol=1e-6)
    assert (least.judged < 2.0 * 0.8 * growths(np.array([[0.0, 0.2]]), 2).min()).all()
    assert (least.judged < 0.2 * least.random_deviation[:, -1]).all()


def test_the_largest_growth_of_two_coupled_substances_is_that_of_the_known_wave() -> None:
    change = np.array([[0.15, 0.01, -0.12, 0.0], [0.3, 0.0, -0.2, 0.2]])  # an activator, and an inhibitor that spreads
    known = growths(change, 24).max(axis=1)
    assert known.max() > 2.0 * known[0]  # even changes grow too, but less
    turing = found(
        model_of(linear(change), steps_per_frame=8),
        frames_of(2, n_trials=1),
        seek="largest",
        bound=Bound(size=0.01),
        n_updates=60,
        step=10.0,
    )
    np.testing.assert_allclose(turing.judged / turing.size, known.max(), rtol=0.01)
    strength = np.abs(np.fft.fft2(turing.change[0])).sum(axis=0).ravel()
    np.testing.assert_allclose(known[strength.argmax()], known.max(), rtol=0.02)


@pytest.mark.parametrize("kind", ["norm", "box"])
@pytest.mark.parametrize("judged", ["last", "mean"])
def test_what_is_found_grows_more_than_random_changes_of_its_size(kind: str, judged: str) -> None:
    size = 0.5 if kind == "norm" else 0.05
    bound = Bound(size=size, kind=kind)  # type: ignore[arg-type]
    model = model_of(nonlinear(0))
    largest = found(model, frames_of(2), seek="largest", bound=bound, judged=judged, n_updates=40)
    beside = largest.random_deviation[:, -1] if judged == "last" else largest.random_deviation.mean(axis=1)
    assert (largest.judged > 1.3 * beside).all()
    change = largest.state - model.start(frames_of(2)).numpy()
    np.testing.assert_allclose(change, largest.change, atol=1e-12)
    assert not change[:, 2:].any()  # hidden channels
    if kind == "norm":
        assert (np.linalg.norm(change.reshape(2, -1), axis=1) <= size * (1 + 1e-9)).all()
    else:
        assert (np.abs(change) <= size * (1 + 1e-9)).all()


def test_the_deviations_told_are_those_of_the_start_that_is_handed_over() -> None:
    model, frames = model_of(nonlinear(0), low=-3.0, high=5.0), frames_of(2)
    frames = Frames(-3.0 + 8.0 * frames.values, 1.0, frames.names, frames.units)
    largest = found(model, frames, seek="largest", bound=Bound(size=0.3), n_updates=10)
    ran = model.run(largest.initial, 3).values - model.run(frames, 3).values
    told = np.linalg.norm((ran[:, 1:] / 8.0).reshape(2, 3, -1), axis=2)
    np.testing.assert_allclose(told, largest.deviation, rtol=1e-3)
    assert largest.initial.simulated and largest.initial.n_frames == 1


def test_a_start_is_sought_that_comes_nearest_to_frames_or_strays_farthest() -> None:
    model = model_of(nonlinear(0))
    hidden_start = frames_of(2, n_trials=1)
    truth = model.run(hidden_start, 3)
    blurred = truth.values.copy()
    blurred[:, 0] = np.clip(blurred[:, 0] + 0.05 * np.random.default_rng(1).standard_normal(blurred[:, 0].shape), 0, 1)
    frames = Frames(blurred, 1.0, truth.names, truth.units)
    options = {"against": "frames", "bound": Bound(size=2.0), "judged": "mean", "n_updates": 60}
    given = np.linalg.norm((model.run(frames, 3).values - frames.values)[0, 1:].reshape(3, -1), axis=1)
    least = found(model, frames, seek="least", step=0.2, **options)
    np.testing.assert_allclose(least.given_deviation[0], given, rtol=1e-3)
    assert least.judged[0] < 0.3 * given.mean()
    assert (
        np.abs(least.initial.values[:, 0] - truth.values[:, 0]).mean()
        < np.abs(frames.values[:, 0] - truth.values[:, 0]).mean()
    )
    largest = found(model, frames, seek="largest", **options)
    assert largest.judged[0] > 1.5 * given.mean() and largest.size[0] <= 2.0 * (1 + 1e-9)


def test_observed_values_stay_in_range_and_those_outside_move_no_further() -> None:
    frames = frames_of(2)
    values = frames.values.copy()
    values[:, :, 0, 0] = 1.2
    frames = Frames(values, 1.0, frames.names, frames.units)
    bound = Bound(size=6.0)
    largest = found(model_of(nonlinear(0)), frames, seek="largest", bound=bound, n_updates=15)
    assert largest.state[:, :2].min() >= 0.0 and largest.state[:, :2].max() <= 1.2 + 1e-6
    assert (largest.state[:, :2, 1:].max() <= 1.0) and (largest.size <= 6.0 * (1 + 1e-9)).all()
    free = found(model_of(nonlinear(0)), frames, seek="largest", bound=Bound(size=6.0, in_range=False), n_updates=15)
    np.testing.assert_allclose(free.size, 6.0, rtol=1e-6)
    assert free.state[:, :2].min() < 0.0


def test_hidden_channels_are_moved_only_if_allowed_and_the_environment_never() -> None:
    spec = {"n_channels": 5, "n_observed": 2, "n_environment": 1}
    frames = frames_of(2)
    around = Frames(
        frames.values, 1.0, frames.names, frames.units, environment=np.ones((2, N_CELLS, N_CELLS, 1), dtype=np.float32)
    )
    for channels, moved in (("observed", [True, True, False, False, False]), ("all", [True, True, False, True, True])):
        bound = Bound(size=0.5, channels=channels)
        change = found(model_of(nonlinear(0, **spec)), around, seek="largest", bound=bound, n_updates=4).change
        assert change.any(axis=(0, 2, 3)).tolist() == moved


def test_the_automaton_is_left_as_it_is_and_the_same_seed_finds_the_same() -> None:
    automaton = nonlinear(0, fire_rate=0.5)
    before = {name: value.clone() for name, value in automaton.state_dict().items()}
    options = {"seek": "largest", "bound": Bound(size=0.3), "n_updates": 5}
    first = found(model_of(automaton), frames_of(2), **options)
    again = found(model_of(automaton), frames_of(2), **options)
    np.testing.assert_array_equal(first.state, again.state)
    assert not np.allclose(first.state, found(model_of(automaton), frames_of(2), seed=2, **options).state)
    assert all(p.requires_grad and p.grad is None for p in automaton.parameters())
    assert all(torch.equal(before[name], value) for name, value in automaton.state_dict().items())


@pytest.mark.slow  # the first checkpoint of a process makes torch load its compiler
def test_states_computed_again_find_the_same_start() -> None:
    options = {"seek": "largest", "bound": Bound(size=0.3), "n_updates": 5}
    kept, again = (found(model_of(nonlinear(0)), frames_of(2), checkpoint_every=n, **options) for n in (None, 1))
    np.testing.assert_allclose(kept.state, again.state, atol=1e-9)


def test_a_run_that_is_no_longer_finite_is_the_largest_deviation_and_never_the_least() -> None:
    explosive = linear(np.array([[1e30, 0.0]])).float()
    frames = frames_of(1, even=True)
    largest = found(model_of(explosive), frames, against="frames", seek="largest", bound=Bound(size=0.1), n_updates=2)
    assert largest.ran_away.all() and not np.isfinite(largest.deviation[:, -1]).any()
    events = list(seek_start(
        model_of(nonlinear(0)), frames_of(2), settings=SearchSettings(seek="least", bound=Bound(size=0.1), n_updates=6), seed=1
    ))  # fmt: skip
    assert all(isinstance(event, SearchUpdate) for event in events) and events[-1].progress == 1.0
    deviations = [event.deviation for event in events]
    assert all(np.isfinite(deviations)) and deviations == sorted(deviations, reverse=True)


def test_what_cannot_be_sought_is_said() -> None:
    model, frames = model_of(nonlinear(0)), frames_of(2)
    for wrong, said in (
        (lambda: Bound(size=0.0), "above 0"),
        (lambda: Bound(size=1.0, kind="ball"), "norm, box"),  # type: ignore[arg-type]
        (lambda: SearchSettings(seek="most", bound=Bound(size=1.0)), "largest, least"),  # type: ignore[arg-type]
        (lambda: SearchSettings(seek="least", bound=Bound(size=1.0, kind="box")), "no change at all"),
        (lambda: SearchSettings(seek="least", bound=Bound(size=1.0), loss="vgg"), "vgg"),
        (lambda: SearchSettings(seek="least", bound=Bound(size=1.0), n_starts=0), "n_starts"),
    ):
        with pytest.raises(AutomatonInvalid, match=said):
            wrong()
    with pytest.raises(FramesInvalid, match="4 of them"):
        found(model, frames, n_frames=4, against="frames", seek="least", bound=Bound(size=1.0))
