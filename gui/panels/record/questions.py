"""What the Record panel asks labctl before a recording, in a thread: a preview, a dry run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from gui.panels.record.wanted import Wanted
from labctl.bench import Bench
from labctl.campaigns.record_film import film_path
from labctl.dry_run import DryRun, dry_run, dry_run_film
from labctl.preview import Preview, preview_of


def question(bench: Bench, wanted: Wanted, folder: Path, part: str, trial: int | None) -> Callable[[], Preview]:
    """What a thread does for the preview: no instrument is asked."""
    station = bench.station
    if wanted.design is None:
        assert wanted.film is not None  # one of the two
        film = wanted.film
        return lambda: Preview(dry_run_film(station, film, path=film_path(folder / "new", film, wanted.name)))
    design = wanted.design
    return lambda: preview_of(
        station, wanted.device, design, seed=wanted.seed, folder=folder / "new", name=wanted.name,
        conditions=wanted.conditions, part=part, trial=trial,
    )  # fmt: skip


def tried(bench: Bench, wanted: Wanted, folder: Path) -> DryRun:
    """The dry run, with the instruments."""
    if wanted.design is None:
        assert wanted.film is not None  # one of the two
        return dry_run_film(bench.station, wanted.film, path=film_path(folder, wanted.film, wanted.name), bench=bench)
    return dry_run(
        bench.station, wanted.device, wanted.design, seed=wanted.seed, folder=folder, name=wanted.name,
        conditions=wanted.conditions, bench=bench,
    )  # fmt: skip
