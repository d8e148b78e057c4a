"""The films that an automaton can be fitted to, without the fit: what happens on the bench ends before the computer thinks."""

from __future__ import annotations

from pathlib import Path

from labctl.bench import Bench
from labctl.campaign import Campaign
from labctl.campaigns.characterise_nca import FilmDesign, film_all
from labctl.errors import SafetyError
from labctl.events import Reported


def film_nca(
    bench: Bench, device: str, *, folder: Path, seed: int, design: FilmDesign | None = None
) -> Campaign[dict[str, str]]:
    """The films of ``characterise_nca`` in `folder`, by what they are for: frames, validation, dark, flat. Ends safe.

    Raises what the bench raises, SafetyError.
    """
    films = yield from film_all(bench, device, folder=folder, seed=seed, design=design or FilmDesign())
    report = bench.make_safe()
    if not report.ok:
        raise SafetyError(str(report))
    found = {name: str(path) for name, path in films.items()}
    yield Reported(f"nca/film/{device}", {"simulated": bench.simulated}, tuple(found.values()))
    return found
