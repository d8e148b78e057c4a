"""From a camera to an automaton: film a device under chosen conditions, make it safe, fit, evaluate on unseen trials."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from labctl.bench import Bench
from labctl.bench.film_plan import FilmRequest
from labctl.campaign import Campaign
from labctl.campaigns.evaluate_nca import EvaluationSettings
from labctl.campaigns.fit_nca import FittedAutomata, fit_nca
from labctl.campaigns.nca_settings import NcaTraining
from labctl.campaigns.record_frames import record_frames
from labctl.errors import CampaignError, SafetyError
from labctl.images import ImageTreatments, open_images


@dataclass(frozen=True, slots=True, kw_only=True)
class FilmDesign:
    """What is filmed. n_trials, n_frames: to learn from; n_validation: trials that only judge, begun otherwise.

    conditions: set-points by name; several values go round over the trials, and the automaton is told them. interval_s, start:
    as the station says if None. dark: also film so many frames without light, whose mean is taken off. flat: also film one
    frame of this start of the station (something uniform), by which is divided; "" for none.

    Raises CampaignError.
    """

    n_trials: int = 4
    n_frames: int = 33
    n_validation: int = 1
    conditions: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    interval_s: float | None = None
    start: str | None = None
    dark: int = 0
    flat: str = ""

    def __post_init__(self) -> None:
        if self.n_trials < 1 or self.n_frames < 2 or self.n_validation < 0 or self.dark < 0:
            raise CampaignError(
                f"a film needs at least 1 trial and 2 frames, not {self.n_trials} and {self.n_frames}; n_validation and dark are "
                "0 or more"
            )
        empty = [name for name, values in self.conditions.items() if not values]
        if empty:
            raise CampaignError(f"condition {empty[0]}: give at least one value")

    def conditions_of(self, n_trials: int) -> list[dict[str, float]]:
        """One mapping a trial; several values go round."""
        return [
            {name: values[trial % len(values)] for name, values in self.conditions.items()} for trial in range(n_trials)
        ]


@dataclass(frozen=True, slots=True, eq=False)
class CharacterisedPattern:
    """recordings: as filmed (references among them). fitted: the automata, with their reports."""

    recordings: tuple[Path, ...]
    fitted: FittedAutomata


def characterise_nca(
    bench: Bench,
    device: str,
    *,
    folder: Path,
    seed: int,
    design: FilmDesign | None = None,
    training: NcaTraining | None = None,
    treatments: ImageTreatments | None = None,
    evaluation: EvaluationSettings | None = None,
) -> Campaign[CharacterisedPattern]:
    """Film, make safe, fit and evaluate; all files in `folder`. What was filmed is in its files whatever comes after.

    treatments: of the films (every, crop, downsample …); dark and flat references of the design come on top.
    Raises what the bench and ``fit_nca`` raise.
    """
    design = design or FilmDesign()
    films = yield from film_all(bench, device, folder=folder, seed=seed, design=design)
    report = bench.make_safe()  # nothing stays driven while the computer thinks
    if not report.ok:
        raise SafetyError(str(report))
    wanted = _with_references(treatments or ImageTreatments(), films)
    images = open_images([films["frames"]], wanted)
    known = images.frames.condition_names  # one trial alone does not tell what varies
    validation = open_images([films["validation"]], wanted, conditions=known) if "validation" in films else None
    fitted = yield from fit_nca(
        device, images, validation, seed=seed, training=training or NcaTraining(preset="images"), folder=folder,
        evaluation=evaluation,
    )  # fmt: skip
    return CharacterisedPattern(tuple(films.values()), fitted)


def film_all(bench: Bench, device: str, *, folder: Path, seed: int, design: FilmDesign) -> Campaign[dict[str, Path]]:
    """The films by what they are for: "dark", "flat", "frames", "validation"."""
    made: dict[str, Path] = {}
    plans: list[tuple[str, dict[str, Any]]] = []
    if design.dark:
        plans.append(("dark", {"n_trials": 1, "n_frames": design.dark, "light": False, "start": ""}))
    if design.flat:
        plans.append(("flat", {"n_trials": 1, "n_frames": 1, "start": design.flat}))
    plans.append(("frames", {"n_trials": design.n_trials, "n_frames": design.n_frames, "start": design.start}))
    if design.n_validation:
        more = {"n_trials": design.n_validation, "n_frames": design.n_frames, "start": design.start}
        plans.append(("validation", more))
    for number, (name, plan) in enumerate(plans):
        request = FilmRequest(
            device=device, seed=seed + number, interval_s=design.interval_s,
            conditions=design.conditions_of(plan["n_trials"]), **plan,
        )  # fmt: skip
        recording = yield from record_frames(
            bench, request, path=folder / file_names(device, design)[number], key=f"nca/film/{device}-{name}",
            title=f"Film {device}: {name}",
        )  # fmt: skip
        assert recording.path is not None
        made[name] = recording.path
    return made


def file_names(device: str, design: FilmDesign) -> list[str]:
    """What ``film_all`` writes, in its order."""
    parts = [*(["dark"] if design.dark else []), *(["flat"] if design.flat else []), "frames"]
    parts += ["validation"] if design.n_validation else []
    return [f"{device}-{part}.h5" for part in parts]


def _with_references(treatments: ImageTreatments, films: Mapping[str, Path]) -> ImageTreatments:
    from dataclasses import replace

    references = {name: films[name] for name in ("dark", "flat") if name in films}
    return replace(treatments, **references)  # type: ignore[arg-type] # paths, both of them
