"""What the form of the Record panel describes, as a job."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from labctl.bench.film_plan import FilmRequest
from labctl.calls import BENCH, FOLDER, Call, call
from labctl.design_options import Design
from labctl.job import Job
from labctl.station import Station

LONGEST_PLAY_S = 2.0
"""Trials are joined to plays of this device time at most: so long a pause may have to wait."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A recording: of a driven device by its design, or of a filmed one (`film`)."""

    device: str
    design: Design | None
    film: FilmRequest | None
    seed: int
    conditions: Mapping[str, float]
    name: str

    @property
    def title(self) -> str:
        """For people."""
        return f"Film {self.device}" if self.design is None else f"Record {self.device}: {self.design.title}"

    def job(self, station: Station, new_folder: Callable[[str], Path]) -> Job:
        """As a job for the desk."""
        what = "film" if self.design is None else self.design.name
        folder = new_folder(f"{self.name or self.device}-{what}")
        return Job(self.title, self._call(), folder, station=station.path, seed=self.seed)

    def _call(self) -> Call:
        named = {"name": self.name} if self.name else {}
        if self.design is None:
            assert self.film is not None  # one of the two
            request = _made("labctl.bench.film_plan:FilmRequest", self.film)
            return call("labctl.campaigns.record_film:record_film", BENCH, request, folder=FOLDER, **named)
        design = _made(f"labctl.design_options:{type(self.design).__name__}", self.design)
        held = {"conditions": dict(self.conditions)} if self.conditions else {}
        return call(
            "labctl.campaigns.record_designed:record_designed", BENCH, self.device, design, folder=FOLDER, seed=self.seed,
            max_play_s=LONGEST_PLAY_S, **held, **named,
        )  # fmt: skip


def _made(target: str, settings: Any) -> Call:
    """The call that makes these settings, defaults left out."""
    given = {item.name: getattr(settings, item.name) for item in fields(settings)}
    return call(
        target, **{item.name: given[item.name] for item in fields(settings) if given[item.name] != item.default}
    )
