"""Judge an automaton on image sequences: free runs, single transitions, patterns, symmetry, healing; with a page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from labctl.background import in_background
from labctl.campaign import Campaign, Step
from labctl.campaigns.finish_twin import plain
from labctl.errors import CampaignError
from labctl.events import Progress, Reported, Warned
from labctl.images import Images
from labctl.json_file import write_json
from labctl.nca_figures import (
    free_run_figures,
    longer_figures,
    pattern_figures,
    regeneration_figures,
    symmetry_figures,
)
from labctl.nca_model import SavedNca, as_taken, origin, outside_range
from labctl.nca_noise import noise_figures, noise_in_words
from labctl.nca_words import one_line, worse_than_no_change

if TYPE_CHECKING:
    from twins.nca import Frames
    from twins.nca.free_run import FreeRun
    from twins.nca.healing import Regeneration

_SYMMETRY_STEPS = 32
_MOST_HIDDEN_FRAMES = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationSettings:
    """n_frames: how many frames it runs freely (None: to twice the length of the data). damage: what is wiped out to see
    whether it heals: "disc", "rectangle", "half", "noise", or "none". n_holes: of every sequence. readable: also fit
    reaction and diffusion terms to the learned rule. window: weigh images by a Hann window before their spectrum; None: where
    the automaton's padding is not periodic.

    Raises CampaignError.
    """

    n_frames: int | None = None
    damage: str = "disc"
    n_holes: int = 2
    readable: bool = True
    window: bool | None = None

    def __post_init__(self) -> None:
        if self.n_frames is not None and self.n_frames < 1:
            raise CampaignError(f"an automaton runs for 1 frame or more, not {self.n_frames}")
        if self.n_holes < 1:
            raise CampaignError(f"n_holes must be at least 1, not {self.n_holes}; without damage: damage 'none'")


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """data: what it is judged on. run: (trial, time, y, x, channel) of the automaton left to itself, the first frame that of
    the data, in the images' units; not finite where it ran away. hidden: (frame, y, x, channel) of the first trial at
    hidden_frames. figures: plain data. remarks: what could not be judged, and why."""

    saved: SavedNca
    data: Frames
    run: NDArray[np.float32]
    hidden: NDArray[np.float32]
    hidden_frames: tuple[int, ...]
    free: FreeRun
    regeneration: Regeneration | None
    figures: Mapping[str, Any]
    remarks: tuple[str, ...] = ()
    trained_on: str = ""
    about: Mapping[str, Any] = field(default_factory=dict)


def evaluate_nca(
    saved: SavedNca,
    images: Images,
    *,
    seed: int,
    settings: EvaluationSettings | None = None,
    report: Path | None = None,
    data: Path | None = None,
) -> Campaign[Evaluation]:
    """Judge on these sequences and write the page `report` and the JSON `data`. Raises CampaignError, twins.TwinError."""
    key = f"nca/evaluate/{saved.name}"
    images = as_taken(saved, images)
    for words in images.told:
        yield Warned(key, words)
    simulated = saved.simulated or images.frames.simulated
    told = {"model": str(saved.path), "model_about": dict(saved.about)}
    about = plain(origin([images], seed=seed, simulated=simulated, told=told))
    evaluated = yield from evaluate_frames(saved, images.frames, key=key, seed=seed, settings=settings, about=about)
    write_evaluation(evaluated, report=report, data=data)
    files = tuple(str(path) for path in (report, data) if path is not None)
    yield Reported(key, dict(plain({"model": str(saved.path), **evaluated.figures})), files)
    return evaluated


def evaluate_frames(
    saved: SavedNca,
    frames: Frames,
    *,
    key: str,
    seed: int,
    settings: EvaluationSettings | None = None,
    trained_on: str = "",
    about: Mapping[str, Any] | None = None,
) -> Campaign[Evaluation]:
    """``evaluate_nca`` of frames that are ready, without files."""
    settings = settings or EvaluationSettings()
    if frames.n_frames < 2:
        raise CampaignError("one frame cannot tell how well an automaton goes on; give two frames or more")
    n_frames = settings.n_frames or 2 * (frames.n_frames - 1)
    step = Step(key, f"Evaluate {saved.name} on {frames.n_trials} sequence{'s' * (frames.n_trials > 1)}")
    yield step.started()
    job = _Job(saved, frames, seed, settings, n_frames)
    free, run, hidden, kept = yield from in_background(job.free, key=key)
    yield Progress(key, 0.4, 1.0, "free runs")
    figures: dict[str, Any] = free_run_figures(free, frames)
    figures["longer"] = yield from in_background(lambda: job.longer(free), key=key)
    remarks: list[str] = outside_range(saved.model, frames)
    noise = yield from in_background(lambda: noise_figures(frames, figures["transition_ratio_to_no_change"]), key=key)
    figures["noise"] = noise
    if noise and noise["looks_noisy"]:
        remarks.append(noise_in_words(noise))
    window = saved.model.automaton.spec.padding != "periodic" if settings.window is None else settings.window
    patterns = yield from in_background(lambda: pattern_figures(run, frames, window=window), key=key)
    figures |= patterns.figures
    remarks += patterns.remarks
    yield Progress(key, 0.6, 1.0, "patterns")
    figures["symmetry"] = yield from _tried(job.symmetry, "symmetry", remarks, key)
    healed = None
    if settings.damage != "none" and not free.stable:
        remarks.append("healing was not judged: left alone, the automaton is not stable")
        figures["regeneration"] = None
    elif settings.damage != "none":
        healed = yield from _tried(job.regeneration, "healing", remarks, key)
        figures["regeneration"] = None if healed is None else regeneration_figures(healed, saved.model.steps_per_frame)
    yield Progress(key, 0.9, 1.0, "symmetry and healing")
    if settings.readable:
        figures["readable"] = yield from _tried(job.readable, "readable rule", remarks, key)
    figures["simulated"] = saved.simulated or frames.simulated
    if words := worse_than_no_change(figures):
        remarks.insert(0, f"the free run is {words}")
    left = figures["longer"]["left_after"]
    if left is not None and free.stable:
        remarks.append(f"left alone for longer than the free run, it leaves its bounds at frame {left}")
    elif free.stable and not free.kept:
        remarks.append("beyond the data it loses the strength of the pattern that the data have at their end")
    for words in remarks:
        yield Warned(key, words)
    yield step.finished(one_line(figures))
    told = dict(about) if about is not None else dict(saved.about)
    return Evaluation(
        saved, frames, run, hidden, kept, free, healed, dict(plain(figures)), tuple(remarks), trained_on, told
    )


def write_evaluation(one: Evaluation, *, report: Path | None, data: Path | None, judged_on: str = "") -> None:
    """The page and the JSON, each whole or not at all."""
    from labctl.nca_report import write_nca_report

    if data is not None:
        data.parent.mkdir(parents=True, exist_ok=True)
        content = {"model": str(one.saved.path), "judged_on": judged_on, **one.figures, "remarks": list(one.remarks)}
        write_json(data, dict(plain({**content, "provenance": one.about})))
    if report is not None:
        write_nca_report(report, one, judged_on=judged_on)


@dataclass(frozen=True, slots=True, eq=False)
class _Job:
    """What is asked of the automaton; every method runs on a thread of its own."""

    saved: SavedNca
    frames: Frames
    seed: int
    settings: EvaluationSettings
    n_frames: int

    def _generator(self) -> Any:
        import torch

        return torch.Generator().manual_seed(self.seed)

    def free(self) -> tuple[FreeRun, NDArray[np.float32], NDArray[np.float32], tuple[int, ...]]:
        """Errors by frame, single transitions, stability; the run itself, the hidden channels of the first trial at some
        frames, and which frames these are."""
        import torch

        from twins.nca.free_run import free_run

        model, spec = self.saved.model, self.saved.model.automaton.spec
        first = spec.n_observed + spec.n_environment
        kept = tuple(sorted({round(place) for place in np.linspace(1, self.n_frames, _MOST_HIDDEN_FRAMES)}))
        observed, hidden = [model.start(self.frames)[:, : spec.n_observed]], []

        def watched(number: int, state: Any) -> None:
            observed.append(state[:, : spec.n_observed].clone())
            if number in kept:
                hidden.append(state[0, first:].clone())

        free = free_run(
            model, self.frames, n_frames=self.n_frames, generator=self._generator(), transitions=True, on_frame=watched
        )
        unit = torch.stack(observed, dim=1).permute(0, 1, 3, 4, 2).cpu().numpy()
        with np.errstate(invalid="ignore", over="ignore"):
            values = model.scaling.from_unit(unit)
        return free, values, torch.stack(hidden).permute(0, 2, 3, 1).cpu().numpy(), kept

    def longer(self, free: FreeRun) -> dict[str, Any]:
        """Far beyond the data."""
        return longer_figures(self.saved.model, self.frames, free, generator=self._generator())

    def symmetry(self) -> dict[str, Any]:
        """How far turning the picture and running it do not commute."""
        from twins.nca.symmetry import equivariance

        model = self.saved.model
        square = min(self.frames.size)
        state = model.start(self.frames)[:1, :, :square, :square]
        conditions = model.conditions(self.frames)
        found = equivariance(
            model, state, n_steps=_SYMMETRY_STEPS, generator=self._generator(),
            conditions=None if conditions is None else conditions[:1],
        )  # fmt: skip
        return symmetry_figures(found)

    def regeneration(self) -> Regeneration:
        """Damage in the middle of the data, and what becomes of it."""
        from twins.nca.healing import regeneration
        from twins.nca.training.damage import Damage

        n_before = max(1, (self.frames.n_frames - 1) // 2)
        return regeneration(
            self.saved.model, self.frames, Damage(kind=self.settings.damage), n_before=n_before,  # type: ignore[arg-type]
            n_after=max(1, self.n_frames - n_before), n_holes=self.settings.n_holes, generator=self._generator(),
        )  # fmt: skip

    def readable(self) -> dict[str, Any] | None:
        """Reaction and diffusion terms that say the same as the rule."""
        from labctl.nca_readable import readable_figures

        return readable_figures(self.saved, self.frames, seed=self.seed)


def _tried(work: Any, what: str, remarks: list[str], key: str) -> Campaign[Any]:
    """The result, or None with a remark where an automaton cannot be judged so: it ran away, or is made otherwise."""
    from twins.errors import TwinError

    try:
        return (yield from in_background(work, key=key))
    except TwinError as error:
        remarks.append(f"{what} was not judged: {error}")
        return None
