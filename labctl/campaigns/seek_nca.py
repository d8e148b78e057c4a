"""How sensitive an automaton is to where it begins: the change of a frame that its run feels most, or least."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labctl.campaign import Campaign, Step
from labctl.campaigns.finish_twin import plain
from labctl.errors import CampaignError
from labctl.events import Figures, Progress, Reported, Warned
from labctl.images import Images, write_frames
from labctl.json_file import write_json
from labctl.nca_model import SavedNca, as_taken, origin

if TYPE_CHECKING:
    from twins.nca import Frames
    from twins.nca.stability import SearchSettings, SoughtStart


@dataclass(frozen=True, slots=True, kw_only=True)
class SeekSettings:
    """What is sought, as plain data. begin: the frame of every sequence that is changed. n_frames: how many are run; all that
    follow in the data if not given. bound: fields of twins.nca.stability.Bound. search: fields of SearchSettings.

    Raises CampaignError; what does not fit raises twins.AutomatonInvalid when it is used.
    """

    seek: str = "largest"
    begin: int = 0
    n_frames: int | None = None
    bound: Mapping[str, Any] = field(default_factory=lambda: {"size": 1.0})
    search: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.begin < 0 or (self.n_frames is not None and self.n_frames < 1):
            raise CampaignError(
                f"begin is a frame from 0 on and n_frames at least 1, not {self.begin} and {self.n_frames}"
            )

    def made(self) -> SearchSettings:
        """The settings of the search. Raises CampaignError, twins.AutomatonInvalid."""
        from twins.nca.stability import Bound, SearchSettings

        try:
            return SearchSettings(seek=self.seek, bound=Bound(**self.bound), **self.search)  # type: ignore[arg-type]
        except TypeError as error:
            raise CampaignError(f"no such option of a search: {error}") from error


@dataclass(frozen=True, slots=True, eq=False)
class SoughtNca:
    """found: the starts, one a sequence. begun: the frames that were changed, and what follows. figures: plain data."""

    found: SoughtStart
    begun: Frames
    figures: Mapping[str, Any]
    files: tuple[Path, ...]


def seek_nca(
    saved: SavedNca, images: Images, *, seed: int, settings: SeekSettings, files: Sequence[Path] = ()
) -> Campaign[SoughtNca]:
    """Search from a frame of every sequence. files: .json figures, .png a picture, .npz the starts, to run on from.

    Raises CampaignError, twins.TwinError.
    """
    key = f"nca/seek/{saved.name}"
    images = as_taken(saved, images)
    for words in images.told:
        yield Warned(key, words)
    frames, search = images.frames, settings.made()
    if settings.begin >= frames.n_frames:
        raise CampaignError(f"the sequences have the frames 0 to {frames.n_frames - 1}, not {settings.begin}")
    begun = frames.span(settings.begin, frames.n_frames)
    if settings.n_frames is None and begun.n_frames < 2:
        raise CampaignError("nothing follows that frame: say how many frames to run (--n-frames)")
    step = Step(key, f"Seek the start whose run deviates {'most' if settings.seek == 'largest' else 'least'}")
    yield step.started()
    found = yield from _searched(saved, begun, search, seed, settings.n_frames, key)
    figures = dict(plain({"model": str(saved.path), **seek_figures(found), "simulated": True}))
    told = {"model": str(saved.path), "model_about": dict(saved.about), "seek": figures["seek"]}
    about = dict(plain(origin([images], seed=seed, simulated=True, told=told)))
    written = _written(saved, begun, found, figures, about, files)
    yield step.finished(one_line(figures))
    yield Reported(key, figures, tuple(map(str, written)))
    return SoughtNca(found, begun, figures, tuple(written))


def _searched(
    saved: SavedNca, begun: Frames, search: SearchSettings, seed: int, n_frames: int | None, key: str
) -> Campaign[SoughtStart]:
    from twins.nca.stability import seek_start

    updates = seek_start(saved.model, begun, settings=search, seed=seed, n_frames=n_frames)
    try:
        while True:
            try:
                update = next(updates)
            except StopIteration as finished:
                found: SoughtStart = finished.value
                return found
            if math.isfinite(update.deviation):
                yield Figures(key, update.update, {"deviation": update.deviation})
            yield Progress(key, update.progress, 1.0, f"update {update.update}, deviation {update.deviation:.3g}")
    finally:
        updates.close()


def seek_figures(found: SoughtStart) -> dict[str, Any]:
    """Deviations by frame, of each sequence, in the loss's unit; growth: at the last frame, over the size of the change."""
    settings = found.settings
    last, size = found.deviation[:, -1].astype(float), found.size.astype(float)
    random = found.random_deviation[:, -1].astype(float)
    return {
        "seek": settings.seek, "against": settings.against, "loss": settings.loss, "bound": settings.bound.kind,
        "bound_size": settings.bound.size, "channels": settings.bound.channels, "frames": found.n_frames,
        "size": size.tolist(), "deviation_at_end": last.tolist(), "random_deviation_at_end": random.tolist(),
        "growth": [_over(one, own) for one, own in zip(last, size, strict=True)],
        "random_growth": [_over(one, own) for one, own in zip(random, size, strict=True)],
        "deviation": found.deviation.astype(float).tolist(),
        "random_deviation": found.random_deviation.astype(float).tolist(),
        "given_deviation": found.given_deviation.astype(float).tolist(),
        "ran_away": found.ran_away.tolist(),
    }  # fmt: skip


def one_line(figures: Mapping[str, Any]) -> str:
    """The most telling figures, of the first sequence."""
    ours, random, size = (figures[name][0] for name in ("deviation_at_end", "random_deviation_at_end", "size"))
    away = f"; {sum(figures['ran_away'])} of {len(figures['ran_away'])} ran away" if any(figures["ran_away"]) else ""
    return (
        f"a change of size {_text(size)} has become {_text(ours)} after {figures['frames']} frames, random ones of the same size "
        f"{_text(random)}{away}"
    )


def _over(value: float, size: float) -> float | None:
    return value / size if size > 0 and math.isfinite(value) else None


def _text(value: float | None) -> str:
    return "infinite" if value is None else f"{value:.3g}"


def _written(
    saved: SavedNca, begun: Frames, found: SoughtStart, figures: Mapping[str, Any], about: Mapping[str, Any],
    files: Sequence[Path],
) -> list[Path]:  # fmt: skip
    from labctl.nca_seek_picture import write_picture

    for path in files:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix.lower() == ".json":
            write_json(path, {**figures, "provenance": dict(about)})
        elif path.suffix.lower() == ".png":
            write_picture(path, saved, begun, found)
        else:
            write_frames(path, found.initial, provenance=about, extra={"state": found.state, "change": found.change})
    return list(files)
