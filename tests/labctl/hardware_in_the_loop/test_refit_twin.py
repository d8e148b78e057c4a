"""A refitted twin knows what the bench just did, and is judged on what it was not fitted to."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from labctl.bench import Bench
from labctl.campaign import run
from labctl.campaigns.network_plays import plays_of
from labctl.campaigns.refit_twin import PlayedRound, RefitSettings, RefitTwin, beyond_chance, refit_twin, surprise_of
from labctl.events import Event, Warned
from labctl.network_bench import play_network
from labctl.store import open_recording
from labctl.trained_inputs import TrainedInputs
from labctl.unseen_inputs import trained_on
from twins import DeviceTwin, FitResult, TwinEnsemble, load_ensemble, load_twin, read_provenance, save_ensemble

N_LEARNED, N_JUDGED = 10, 5


@pytest.fixture(scope="module")
def round_played(spoilt: Any, shared_sim: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, PlayedRound]:
    """(the leaky device, a deployment of the spoilt network): 10 examples to learn from, 5 that judge, twice each."""
    folder = tmp_path_factory.mktemp("round")
    task, rng = spoilt.plan.task, np.random.default_rng(5)
    learned, judged = (task.sample(n, 60, rng).inputs for n in (N_LEARNED, N_JUDGED))
    inputs = np.concatenate([learned, judged, judged])
    with Bench.open(shared_sim.write_station(folder / "station.toml")) as bench:
        run(play_network(bench, spoilt.wiring, inputs, folder=folder / "plays", key="k", title="T"))
        return bench.station.device("leaky"), PlayedRound(folder / "plays", N_LEARNED)


def refitted(
    spoilt: Any, round_played: Any, folder: Path, old: Path, *, max_epochs: int, events: list[Event]
) -> RefitTwin:
    device, played = round_played
    settings = RefitSettings(old=[old], max_seconds=None, max_epochs=max_epochs, n_judged_inputs=6)
    campaign = refit_twin(device, spoilt.twin, rounds=[played], settings=settings, seed=0, folder=folder, key="refit")
    return run(campaign, on_event=events.append)


@pytest.fixture(scope="module")
def refit(spoilt: Any, round_played: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[RefitTwin, list[Event]]:
    """Refitted with the recording of the device as it was, and what was said meanwhile."""
    events: list[Event] = []
    folder = tmp_path_factory.mktemp("refit")
    return refitted(spoilt, round_played, folder, spoilt.recording, max_epochs=60, events=events), events


def test_a_spoilt_twin_foresees_fresh_plays_better_once_it_is_refitted(
    spoilt: Any, round_played: Any, refit: tuple[RefitTwin, list[Event]]
) -> None:
    device, played = round_played
    judged = [one.traces() for one in plays_of(played.folder, device, slice(N_LEARNED, None))]
    after = surprise_of(load_twin(refit[0].fitted.path), judged)
    before = surprise_of(load_twin(spoilt.twin), judged)
    assert beyond_chance(after, before)
    assert after.mean() < before.mean() - 0.5
    assert refit[0].surprise < refit[0].surprise_before


def test_earlier_recordings_that_contradict_the_plays_are_left_out_with_a_warning(
    refit: tuple[RefitTwin, list[Event]],
) -> None:
    assert not refit[0].old_kept
    assert any("contradict" in one.message for one in refit[1] if isinstance(one, Warned))


def test_earlier_recordings_of_the_same_device_are_kept(
    spoilt: Any, round_played: Any, tmp_path: Path, record_device: Callable[..., Path]
) -> None:
    same = record_device(tmp_path / "same.h5", tau_s=1e-3, noise=0.05, seed=3)
    events: list[Event] = []
    assert refitted(spoilt, round_played, tmp_path / "twins", same, max_epochs=25, events=events).old_kept
    assert not [one for one in events if isinstance(one, Warned) and "contradict" in one.message]


def test_what_it_was_fitted_to_is_told_and_no_play_that_judges_is_among_it(
    spoilt: Any, round_played: Any, refit: tuple[RefitTwin, list[Event]]
) -> None:
    device, played = round_played
    seen = trained_on(read_provenance(refit[0].fitted.path))
    assert seen is not None
    assert seen.seen(open_recording(spoilt.recording).traces()).all()  # it began from a twin that had seen them
    for play in plays_of(played.folder, device, slice(N_LEARNED)):
        assert seen.seen(play.traces()).all()
    for play in plays_of(played.folder, device, slice(N_LEARNED, None)):
        assert not seen.seen(play.traces()).any()


def test_fingerprints_grow_with_what_a_twin_goes_on_to_learn_from(
    tmp_path: Path, record_device: Callable[..., Path]
) -> None:
    first, second, third = (
        open_recording(record_device(tmp_path / f"{seed}.h5", tau_s=1e-3, noise=0.05, seed=seed)).traces()
        for seed in range(3)
    )
    grown = TrainedInputs.from_dict(TrainedInputs.of([first]).with_more([second]).as_dict())
    assert grown.seen(first).all()
    assert grown.seen(second).all()
    assert not grown.seen(third).any()


def test_of_an_ensemble_all_members_are_refitted(spoilt: Any, round_played: Any, tmp_path: Path) -> None:
    device, played = round_played
    members = [load_twin(spoilt.twin) for _ in range(2)]
    ensemble = save_ensemble(TwinEnsemble(members), tmp_path / "both", provenance=read_provenance(spoilt.twin))
    settings = RefitSettings(max_seconds=None, max_epochs=10, n_judged_inputs=6)
    refit = run(
        refit_twin(device, ensemble, rounds=[played], settings=settings, seed=0, folder=tmp_path / "twins", key="refit")
    )
    assert refit.fitted.ensemble is not None
    first, second = load_ensemble(refit.fitted.ensemble).members
    judged = [one.traces() for one in plays_of(played.folder, device, slice(N_LEARNED, None))]
    before = surprise_of(members[0], judged).mean()
    after = [surprise_of(one, judged).mean() for one in (first, second)]
    assert max(after) < before
    assert after[0] != after[1]  # each with a seed of its own


def test_a_refit_that_makes_a_twin_worse_is_not_adopted(
    spoilt: Any, round_played: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    device, _ = round_played

    def worse(twin: DeviceTwin, *_: Any, **__: Any) -> Any:
        with torch.no_grad():
            for parameter in twin.parameters():
                parameter += 0.3 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1))
        yield from ()
        return FitResult(0, "likelihood", 1, 9.0, 0.5, 1, 0.1, 1, ())

    monkeypatch.setattr("labctl.campaigns.refit_twin._fit_one", worse)
    events: list[Event] = []
    refit = refitted(spoilt, round_played, tmp_path, spoilt.recording, max_epochs=1, events=events)
    assert refit.surprise > refit.surprise_before
    assert not refit.adopted
    assert refit.as_dict()["adopted"] is False
    assert any("stays as it was" in one.message for one in events if isinstance(one, Warned))
    kept, before = load_twin(refit.fitted.path), load_twin(spoilt.twin)
    for one, other in zip(kept.parameters(), before.parameters(), strict=True):
        assert torch.equal(one, other)
    told = read_provenance(refit.fitted.path)
    assert told["extra"]["recordings"] == []  # as the file of the twin says, whatever was tried
    assert told["gates"] == refit.fitted.gates  # but it was judged anew
    seen = trained_on(told)
    assert seen is not None
    for play in plays_of(round_played[1].folder, device, slice(N_LEARNED, None)):
        assert not seen.seen(play.traces()).any()
