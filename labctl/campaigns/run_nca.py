"""Run an automaton from a frame on: beyond the end of a sequence, on another size, turned, damaged; or several together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from labctl.background import in_background
from labctl.campaign import Campaign, Step
from labctl.campaigns.finish_twin import plain
from labctl.errors import CampaignError
from labctl.events import Progress, Reported, Warned
from labctl.images import Images, write_frames
from labctl.nca_model import SavedNca, as_taken, origin, outside_range

if TYPE_CHECKING:
    import torch

    from twins.nca import Frames, NcaModel

TURNS = (0, 90, 180, 270)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSettings:
    """n_frames: how many to run. begin: the frame to begin at: "first", "last", or its number. turn_deg: the frames are turned
    counterclockwise first; flip: mirrored left to right. damage: "disc", "rectangle", "half" or "noise" wiped out after
    damage_after frames, of a radius (share of the shorter side). hidden: keep the hidden channels too. any_range: begin even at
    values far outside of what the automaton was trained on.

    Raises CampaignError.
    """

    n_frames: int
    begin: int | Literal["first", "last"] = "last"
    turn_deg: int = 0
    flip: bool = False
    damage: str = "none"
    damage_after: int = 0
    damage_radius: float = 0.2
    hidden: bool = False
    any_range: bool = False

    def __post_init__(self) -> None:
        if self.n_frames < 1:
            raise CampaignError(f"an automaton runs for 1 frame or more, not {self.n_frames}")
        if self.turn_deg not in TURNS:
            raise CampaignError(f"pictures are turned by {', '.join(map(str, TURNS))} degrees, not {self.turn_deg}")
        if not 0 <= self.damage_after < self.n_frames:
            raise CampaignError(f"damage_after must lie in 0..{self.n_frames - 1}, not {self.damage_after}")


@dataclass(frozen=True, slots=True, eq=False)
class RanNca:
    """frames: the one begun from and those that were run; fewer where it ran away or was stopped. sd: of an ensemble, the
    standard deviation of its members. hidden: (trial, time, y, x, channel), if asked for. finite: whether all were run."""

    frames: Frames
    sd: NDArray[np.float64] | None
    hidden: NDArray[np.float32] | None
    finite: bool
    files: tuple[Path, ...]
    about: Mapping[str, Any]


def run_nca(
    saved: SavedNca,
    images: Images,
    *,
    seed: int,
    settings: RunSettings,
    files: Sequence[Path] = (),
    others: Sequence[SavedNca] = (),
) -> Campaign[RanNca]:
    """Run from a frame of every sequence, and write the frames (.npz, .tif, .gif, .png). others: of an ensemble with `saved`.

    What was run before a stop is written. Raises CampaignError, UsageError, twins.TwinError.
    """
    key = f"nca/run/{saved.name}"
    images = as_taken(saved, images)
    begun = _begun(images.frames, settings)
    far = outside_range(saved.model, begun)
    if far and not settings.any_range:
        raise CampaignError(
            f"{'; '.join(far)}. Bring the images to the trained range, or --any-range to run all the same"
        )
    for words in images.told:
        yield Warned(key, words)
    about = _about(saved, images, seed, settings, others)
    step = Step(key, f"Run {saved.name} for {settings.n_frames} frames on {begun.n_trials} sequences")
    yield step.started()
    if others:
        ran = yield from _together([saved, *others], begun, settings, seed, key, about)
    else:
        ran = yield from _alone(saved, begun, settings, seed, key, about, files)
    written = _written(ran, files)
    if not ran.finite:
        yield Warned(key, f"it ran away after {ran.frames.n_frames - 1} frames; those before are kept")
    outcome = {"frames": ran.frames.n_frames - 1, "finite": ran.finite, "simulated": ran.frames.simulated}
    yield Reported(key, outcome, tuple(map(str, written)))
    yield step.finished(f"{ran.frames.n_frames - 1} frames{'' if ran.finite else ', then it ran away'}")
    return replace(ran, files=tuple(written))


def _begun(frames: Frames, settings: RunSettings) -> Frames:
    """The frame to begin at, turned. Raises CampaignError."""
    number = {"first": 0, "last": frames.n_frames - 1}.get(str(settings.begin), settings.begin)
    if not isinstance(number, int) or not 0 <= number < frames.n_frames:
        raise CampaignError(f"the sequences have the frames 0 to {frames.n_frames - 1}, not {settings.begin}")
    one = frames.span(number, number + 1)
    n_turns = settings.turn_deg // 90

    def moved(values: NDArray[Any], rows_at: int) -> NDArray[Any]:
        turned = np.rot90(values, n_turns, axes=(rows_at, rows_at + 1))
        return np.flip(turned, axis=rows_at + 1) if settings.flip else turned

    environment = None if one.environment is None else moved(one.environment, 1)
    return replace(one, values=moved(one.values, 2), environment=environment)


def _alone(
    saved: SavedNca, begun: Frames, settings: RunSettings, seed: int, key: str, about: Mapping[str, Any],
    files: Sequence[Path],
) -> Campaign[RanNca]:  # fmt: skip
    import torch

    generator = torch.Generator().manual_seed(seed)
    state = saved.model.start(begun)
    kept = [state]
    finite = True
    try:
        for number in range(settings.n_frames):
            if number == settings.damage_after and settings.damage != "none":
                state = _damaged(saved.model, state, settings, generator)
                kept[-1] = state
            state = yield from _one_frame(saved.model, begun, state, generator, key)
            if not bool(torch.isfinite(state).all()):
                finite = False
                break
            kept.append(state)
            yield Progress(key, number + 1, settings.n_frames, f"frame {number + 1}")
    except KeyboardInterrupt as stopped:
        ran = _ran(saved.model, begun, kept, settings, True, about)
        written = _written(ran, files)
        stopped.add_note(f"{len(kept) - 1} frames were run and written to {', '.join(map(str, written)) or 'no file'}")
        raise
    return _ran(saved.model, begun, kept, settings, finite, about)


def _one_frame(
    model: NcaModel, begun: Frames, state: torch.Tensor, generator: torch.Generator, key: str
) -> Campaign[torch.Tensor]:
    import torch

    def work() -> torch.Tensor:
        with torch.no_grad():
            return model.automaton.unroll(
                state, model.steps_per_frame, generator=generator, conditions=model.conditions(begun)
            ).state

    return (yield from in_background(work, key=key))


def _damaged(model: NcaModel, state: torch.Tensor, settings: RunSettings, generator: torch.Generator) -> torch.Tensor:
    from twins.nca.training.damage import Damage

    radius = settings.damage_radius
    hole = Damage(kind=settings.damage, share=1.0, radius=(radius, radius))  # type: ignore[arg-type]
    return hole.apply(state, model.automaton.spec, generator=generator)


def _ran(
    model: NcaModel, begun: Frames, states: Sequence[torch.Tensor], settings: RunSettings, finite: bool,
    about: Mapping[str, Any],
) -> RanNca:  # fmt: skip
    import torch

    spec = model.automaton.spec
    all_states = torch.stack(list(states), dim=1).permute(0, 1, 3, 4, 2).cpu().numpy()
    values = model.scaling.from_unit(all_states[..., : spec.n_observed])
    hidden = all_states[..., spec.n_observed + spec.n_environment :] if settings.hidden else None
    return RanNca(replace(begun, values=values, simulated=True), None, hidden, finite, (), about)


def _together(
    members: Sequence[SavedNca], begun: Frames, settings: RunSettings, seed: int, key: str, about: Mapping[str, Any]
) -> Campaign[RanNca]:
    import torch

    from twins.nca.ensemble import NcaEnsemble

    if settings.damage != "none" or settings.hidden:
        raise CampaignError("damage and hidden channels are of one automaton; run the members one by one")
    ensemble = NcaEnsemble([one.model for one in members])
    generator = torch.Generator().manual_seed(seed)
    spread = yield from in_background(lambda: ensemble.run(begun, settings.n_frames, generator=generator), key=key)
    return RanNca(spread.mean, np.asarray(spread.sd), None, True, (), about)


def _about(
    saved: SavedNca, images: Images, seed: int, settings: RunSettings, others: Sequence[SavedNca]
) -> dict[str, Any]:
    from dataclasses import asdict

    told = {
        "made_by": "an automaton, not measured",
        "model": str(saved.path),
        "ensemble": [str(one.path) for one in others],
        "run": asdict(settings),
        "model_about": dict(saved.about),
    }
    return dict(plain(origin([images], seed=seed, simulated=True, told=told)))


def _written(ran: RanNca, files: Sequence[Path]) -> list[Path]:
    extra = {name: one for name, one in (("hidden", ran.hidden), ("sd", ran.sd)) if one is not None}
    return [made for path in files for made in write_frames(path, ran.frames, provenance=ran.about, extra=extra)]
