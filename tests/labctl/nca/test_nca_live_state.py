"""An automaton at one moment: its steps, what is done to it, what it is compared with."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from labctl.campaign import run
from labctl.campaigns.play_nca import play_nca
from labctl.errors import CampaignError
from labctl.images import read_images, write_frames
from labctl.nca_actions import Done, Erase, Flip, Jump, Paint, Reset, Resize, Turn, Wipe, as_plain, from_plain
from labctl.nca_data import NcaData
from labctl.nca_live_frames import LiveFrame, LiveSource
from labctl.nca_live_state import LiveState
from labctl.nca_model import load_model


def look(state: LiveState) -> LiveFrame:
    return state.look(0, doing="paused", steps_per_s=0.0, enlarged=None)


def test_it_is_the_same_as_a_plain_free_run_in_whatever_parts_its_steps_are_taken(heat_source: LiveSource) -> None:
    model = load_model(heat_source.model).model
    frames = heat_source.data.read().frames
    plain = model.run(frames, 3).values[0]
    state = LiveState(heat_source)
    for n_steps in (1, 3, 2, 6):
        state.advance(n_steps)
    assert state.frame == 3.0
    np.testing.assert_allclose(look(state).automaton, plain[3], atol=1e-6)


def test_the_equation_beside_it_has_the_same_done_to_it(heat_source: LiveSource) -> None:
    state = LiveState(heat_source)
    for action in (Paint(y=2, x=3, radius=2), Turn(degrees=90), Flip(), Erase(y=8, x=4, radius=3), Wipe(kind="disc")):
        state.do(action)
        state.advance(3)
    seen = look(state)
    assert seen.target is not None
    assert seen.automaton.shape == (16, 12, 1)
    np.testing.assert_allclose(seen.automaton, seen.target, atol=1e-5)
    assert seen.metrics.error < 1e-3


def test_painting_changes_the_disc_and_nothing_else(heat_source: LiveSource) -> None:
    state = LiveState(heat_source)
    before = look(state).automaton
    state.do(Paint(y=5, x=7, radius=1, values=(0.75,)))
    after = look(state).automaton
    changed = np.argwhere((after != before)[..., 0])
    assert sorted(map(tuple, changed.tolist())) == [(4, 7), (5, 6), (5, 7), (5, 8), (6, 7)]
    assert after[5, 7, 0] == pytest.approx(0.75)


def test_films_are_the_target_turned_as_the_automaton_is_and_end(heat_source: LiveSource, tmp_path: Path) -> None:
    frames = heat_source.data.read().frames
    film = tmp_path / "film.npz"
    write_frames(film, frames)
    state = LiveState(replace(heat_source, data=NcaData(images=[film]), trial=1))
    np.testing.assert_allclose(look(state).automaton, frames.values[1, 0], atol=1e-6)
    state.do(Turn(degrees=90))
    state.do(Flip())
    state.advance(4)
    seen = look(state)
    assert seen.target is not None
    np.testing.assert_allclose(seen.target, np.flip(np.rot90(frames.values[1, 1]), axis=1))
    np.testing.assert_allclose(seen.automaton, seen.target, atol=1e-5)
    state.advance(17)
    beyond = look(state)
    assert beyond.target is None
    assert np.isnan(beyond.metrics.error)
    state.do(Jump(frame=5))
    np.testing.assert_allclose(look(state).automaton, frames.values[1, 5], atol=1e-6)
    with pytest.raises(CampaignError, match="frames 0 to 5"):
        state.do(Jump(frame=6))


def test_another_size_begins_anew_there(heat_source: LiveSource, tmp_path: Path) -> None:
    state = LiveState(heat_source)
    state.do(Resize(rows=20, columns=9))
    state.advance(4)
    seen = look(state)
    assert seen.automaton.shape == (20, 9, 1)
    assert seen.metrics.error < 1e-3  # the equation is as large
    film = tmp_path / "film.npz"
    write_frames(film, heat_source.data.read().frames)
    of_images = LiveState(replace(heat_source, data=NcaData(images=[film])))
    of_images.do(Resize(rows=24, columns=8))
    assert look(of_images).target is None
    first = read_images(film).values[0, 0, :, 4:12]  # the middle of its columns; its rows go on at the edges
    np.testing.assert_allclose(look(of_images).automaton, np.pad(first, ((6, 6), (0, 0), (0, 0)), "wrap"), atol=1e-6)
    of_images.do(Reset())
    assert look(of_images).automaton.shape == (12, 16, 1)


def test_what_was_done_is_done_again_from_its_list(heat_source: LiveSource, tmp_path: Path) -> None:
    state = LiveState(heat_source)
    state.advance(5)
    state.do(Paint(y=2, x=3, radius=2, values=(1.0,)))
    state.advance(3)
    state.do(Wipe(kind="noise", radius=0.3))
    state.advance(4)
    told = as_plain(state.done)
    assert [one.at_step for one in from_plain(told)] == [5, 8]
    files = [tmp_path / "again.npz", tmp_path / "again.json"]
    played = run(play_nca(heat_source, n_steps=12, actions=told, files=files), on_event=lambda _: None)
    again = read_images(files[0])
    assert again.simulated
    np.testing.assert_allclose(again.values[0, -1], look(state).automaton, atol=1e-6)
    assert played["last"]["mass"] == pytest.approx(look(state).metrics.mass)


@pytest.mark.parametrize(
    "told",
    [
        {"at_step": 1},
        {"at_step": 1, "do": "explode"},
        {"at_step": 0, "do": "paint", "y": 1},
        {"at_step": 0, "do": "turn", "degrees": 45},
    ],
)
def test_actions_that_are_none_are_refused_and_named(told: dict[str, object]) -> None:
    with pytest.raises(CampaignError, match=r"action 0|turned by"):
        from_plain([told])


def test_actions_go_to_plain_data_and_back() -> None:
    done = [Done(3, Paint(y=1, x=2, radius=3, values=(1.0, 0.0))), Done(4, Resize(rows=5, columns=6)), Done(9, Flip())]
    assert list(from_plain(as_plain(done))) == done
