"""What chooses the best: a cycle is closed where it closes, single recordings are run from their first frame, patterns last."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch

from twins.nca import Automaton, Frames, NcaFitSettings, NcaModel, NcaSpec, Scaling, finished, fit_nca
from twins.nca.free_run import FreeRun, free_run
from twins.nca.training.fit import divided_for
from twins.nca.training.held_out import Divided, cycles
from twins.nca.training.judging import Judge, Judged, Kept


def wave(n_frames: int = 24, size: int = 6) -> Frames:
    """One period of a wave that travels along x."""
    phase = np.arange(n_frames)[:, None, None] / n_frames + np.arange(size)[None, None, :] / size
    values = 0.5 + 0.5 * np.sin(2 * np.pi * np.broadcast_to(phase, (n_frames, size, size)))
    return Frames(values[None, ..., None], 1.0, ("a",), ("1",))


def automaton(seed: int = 0) -> Automaton:
    spec = NcaSpec(n_channels=2, n_observed=1, kernels="ID_LAP")
    return Automaton(spec, generator=torch.Generator().manual_seed(seed))


def settings(**changes: Any) -> NcaFitSettings:
    return NcaFitSettings(**{"steps_per_frame": 1, "batch": 8, "epochs": 1, **changes})


def fading(times: tuple[float, ...], n_trials: int = 1) -> Frames:
    """A random picture about 0.5, whose contrast is multiplied by these numbers from frame to frame."""
    first = np.random.default_rng(0).uniform(-0.5, 0.5, (n_trials, 1, 6, 6, 1))
    return Frames(0.5 + first * np.array(times)[None, :, None, None, None], 1.0, ("a",), ("1",))


class Replay(NcaModel):
    """An automaton that shows given contrasts, and then the last of them."""

    _times: tuple[float, ...] = ()

    def showing(self, times: tuple[float, ...]) -> Replay:
        object.__setattr__(self, "_times", times)
        return self

    def states(self, frames: Frames, n_frames: int, **_: Any) -> Any:
        first = self.observed(frames)[:, 0] - 0.5
        for number in range(1, n_frames + 1):
            shown = 0.5 + self._times[min(number, len(self._times) - 1)] / self._times[0] * first
            yield torch.cat((shown, torch.zeros_like(shown)), dim=1)


def replayed(data: tuple[float, ...], shown: tuple[float, ...], *, n_frames: int) -> FreeRun:
    model = Replay(automaton(), Scaling((0.0,), (1.0,)), 1, 1.0, ("a",), ("1",)).showing(shown)
    return free_run(model, fading(data), n_frames=n_frames)


def test_of_one_cycle_nothing_is_held_out_and_it_is_run_through_several_times() -> None:
    data = wave()
    chosen = settings(cyclic=True, beyond=3.5)
    parts = divided_for(automaton(), data, seed=0, settings=chosen)
    assert parts.trained.n_frames == parts.judged.n_frames == 24 and parts.validated_on == "training frames"
    fitted = finished(fit_nca(automaton(), data, seed=0, settings=chosen))
    assert fitted.validation_run.error.shape == (1, 4 * 24 - 1)
    assert cycles(data, 1.0).n_frames == 3 * 24 and np.array_equal(cycles(data, 1.0).values[:, 24], data.values[:, 0])


def test_of_a_single_recording_the_error_is_the_ends_and_stability_is_judged_from_the_first_frame() -> None:
    fitted = finished(fit_nca(automaton(), wave(), seed=0, settings=settings(beyond=2.0)))
    assert fitted.validated_on == "end of the sequence"
    assert fitted.validation_run.error.shape == (1, 4) and fitted.validation == fitted.validation_run.score
    assert fitted.whole_run.error.shape == (1, 23) and fitted.whole_run.highest.shape == (1, 46)


def test_a_rule_that_only_fails_from_the_first_frame_is_not_stable_on_a_single_recording() -> None:
    """It multiplies the picture by 1.06: within 4 frames of the end that is little, over 23 frames it is not."""
    data = fading((1.0,) * 24)
    model = NcaModel(growing(0.06), Scaling((0.0,), (1.0,)), 1, 1.0, ("a",), ("1",))
    judge = Judge(model, Divided(data.span(0, 20), data.span(19, 24), "end of the sequence", whole=data), settings(), 0)
    judged = judge.judge(1, 0.5)
    assert judged.run.stable and not judged.whole.stable and not judged.stable


def growing(rate: float) -> Automaton:
    made = Automaton(
        NcaSpec(n_channels=1, n_observed=1, kernels="ID", activation="linear"),
        generator=torch.Generator().manual_seed(0),
    )
    with torch.no_grad():
        made.hidden_weights[0].fill_(1.0)
        made.out_weight.fill_(rate / made.out_weight.shape[1])
    return made


def test_a_pattern_that_dies_after_the_datas_end_is_stable_but_not_kept() -> None:
    steady = (1.0,) * 9
    dies, lasts = (replayed(steady, steady + after, n_frames=16) for after in ((0.02,), (0.9,)))
    assert dies.stable and not dies.kept and not dies.kept_trials.any()
    assert lasts.stable and lasts.kept
    assert not replayed(steady, (1.0, 0.02), n_frames=16).kept  # nor is what died within the data


def test_a_pattern_whose_data_fade_may_go_on_fading_or_stay_but_not_grow() -> None:
    fades = tuple(0.8**k for k in range(9))
    goes_on = tuple(0.8**k for k in range(17))
    for shown, kept in ((goes_on, True), (fades, True), ((*fades, 0.0), True), ((*fades, 0.8), False)):
        run = replayed(fades, shown, n_frames=16)
        assert run.stable and run.kept is kept, shown
    grows = tuple(0.4 * 1.1**k for k in range(9))
    assert replayed(grows, (*grows, 0.4 * 1.1**16), n_frames=16).kept
    assert not replayed(grows, (*grows, 0.2), n_frames=16).kept


def test_the_best_is_stable_first_then_lasts_and_then_has_the_least_error() -> None:
    steady = (1.0,) * 9
    runs = {
        "dies at once": replayed(steady, (1.0, 0.1), n_frames=16),
        "dies late": replayed(steady, (*steady, 0.02), n_frames=16),
        "is less like it and lasts": replayed(steady, (1.0, 0.8), n_frames=16),
        "lasts": replayed(steady, (1.0, 0.9), n_frames=16),
    }
    kept = [Kept({}, Judged(run, run), number, 0.0) for number, run in enumerate(runs.values())]
    assert runs["dies late"].score < runs["lasts"].score
    for worse, better in pairwise(kept):
        assert better.beats(worse) and not worse.beats(better)


def test_free_runs_become_rarer_where_they_cost_more_than_a_tenth_of_the_training() -> None:
    data = wave()
    model = NcaModel(automaton(), Scaling((0.0,), (1.0,)), 1, 1.0, ("a",), ("1",))
    parts = Divided(data.span(0, 20), data.span(19, 24), "end of the sequence", whole=data)
    judge = Judge(model, parts, settings(epochs=1000), 0)
    assert judge.work == 36 * (4 + 46)
    judge.trained(9.9 * judge.work)
    assert not judge.due(10, 0.01) and judge.due(10, 1.0)
    judge.trained(0.2 * judge.work)
    assert judge.due(10, 0.01) and not judge.due(9, 0.01) and judge.due(9, 0.1)
    judge.judge(10, 0.01)
    assert not judge.due(20, 0.02)
    assert Judge(model, parts, settings(validate_every=3), 0).due(3, 0.01)


def test_an_epoch_longer_than_its_share_of_the_time_ends_early(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that goes on by a second with every look at it; a whole pass has 100 minibatches."""
    clock = iter(range(10**6))
    monkeypatch.setattr("twins.nca.training.fit.time.monotonic", lambda: float(next(clock)))
    data = Frames(np.random.default_rng(0).random((10, 11, 4, 4, 1)), 1.0, ("a",), ("1",))
    chosen = settings(batch=1, epochs=10**6, max_seconds=200.0)
    events = list(fit_nca(automaton(), data, data, seed=0, settings=chosen))
    assert len(events) >= 20 and events[-1].seconds <= 210.0
    assert events[-1].learning_rate < 0.1 * events[0].learning_rate
