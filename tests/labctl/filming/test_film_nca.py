"""Filming for an automaton without fitting one: it ends safe, and says what it filmed."""

from pathlib import Path

from labctl.bench import Bench
from labctl.campaign import run
from labctl.campaigns.characterise_nca import FilmDesign
from labctl.campaigns.film_nca import film_nca
from labctl.images.player import open_player


def test_the_films_are_there_and_all_is_safe_when_it_ends(cell, station, tmp_path):
    design = FilmDesign(n_trials=2, n_frames=3, n_validation=1, conditions={"feed": (0.0367,), "kill": (0.0649,)})
    with Bench.open(station) as bench:
        films = run(film_nca(bench, "cell", folder=tmp_path, seed=1, design=design))
        assert cell.safe()
    assert set(films) == {"frames", "validation"}
    film = open_player(Path(films["frames"]))
    assert (film.n_frames, film.size, film.simulated) == ((3, 3), (24, 32), True)
    assert film.picture(sequence=1, frame=2).shape == (24, 32, 2)
