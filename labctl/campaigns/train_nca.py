"""One training of an automaton as a campaign: the learning curve as events, the best so far on disk."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labctl.campaign import Campaign
from labctl.campaigns.finish_twin import plain
from labctl.campaigns.nca_settings import NcaTraining
from labctl.errors import CampaignError
from labctl.events import Figures, Progress, Warned
from labctl.images import Images
from labctl.nca_model import SavedNca, origin, save_in_any_case, save_model

if TYPE_CHECKING:
    from twins.nca import NcaModel
    from twins.nca.training.events import FittedNca, NcaEpoch
    from twins.nca.training.settings import NcaFitSettings

_SAVE_EVERY_S = 3.0


@dataclass(frozen=True, slots=True, eq=False)
class NcaJob:
    """One training, and what its file says of where it came from."""

    name: str
    images: Images
    validation: Images | None
    seed: int
    training: NcaTraining
    folder: Path

    @property
    def key(self) -> str:
        """Of its events."""
        return f"nca/fit/{self.name}"

    @property
    def simulated(self) -> bool:
        """Whether any of its images were simulated."""
        return self.images.frames.simulated or bool(self.validation and self.validation.frames.simulated)

    def about(self, told: Mapping[str, Any]) -> dict[str, Any]:
        """Provenance; told: what else is known."""
        given = [self.images, *([self.validation] if self.validation else [])]
        told = {"training": self.training.as_dict(), **told}
        return dict(plain(origin(given, seed=self.seed, simulated=self.simulated, told=told)))


def trained_nca(job: NcaJob, settings: NcaFitSettings) -> Campaign[FittedNca]:
    """Train, with the learning curve as events and the best so far on disk."""
    import torch

    from twins.nca import Automaton, Scaling
    from twins.nca.training.fit import fit_nca as train
    from twins.nca.training.fit import model_for

    frames = job.images.frames
    if frames.n_frames < 2:
        raise CampaignError("one frame tells nothing of how it goes on; give sequences of two frames and more")
    if all(bool((trial == trial[:1]).all()) for trial in frames.values):
        raise CampaignError("the frames do not change from one to the next: there is nothing to be learned from them")
    automaton = Automaton(job.training.spec_for(frames), generator=torch.Generator().manual_seed(job.seed))
    held = None if job.validation is None else job.validation.frames
    scaling = Scaling.of(frames, per=job.training.scaling)
    epochs = train(automaton, frames, held, seed=job.seed, settings=settings, scaling=scaling)
    keeper = _Keeper(job, model_for(automaton, frames, held, seed=job.seed, settings=settings, scaling=scaling))
    try:
        return (yield from _epochs(job.key, epochs, keeper))
    except BaseException as stopped:
        epochs.close()  # the automaton has the best weights so far
        told = keeper.keep()
        if isinstance(stopped, KeyboardInterrupt):
            stopped.add_note(told)
        raise


class _Keeper:
    """Writes the best automaton so far, now and then, and when the training is cut short."""

    def __init__(self, job: NcaJob, model: NcaModel) -> None:
        self._job, self._model = job, model
        self._written_s = -math.inf
        self._best: NcaEpoch | None = None

    def better(self, epoch: NcaEpoch) -> str:
        """The automaton has the best weights so far. Returns what wants saying where it could not be written."""
        self._best = epoch
        if time.monotonic() - self._written_s < _SAVE_EVERY_S:
            return ""
        self._written_s = time.monotonic()
        try:
            self._write()
        except OSError as error:
            return (
                f"{self._job.folder / self._job.name}: the best so far cannot be written: {error}; the training goes on"
            )
        return ""

    def keep(self) -> str:
        """Write what the automaton holds, the best weights, and say so."""
        if self._best is None:
            return "no automaton was judged yet, and nothing was written"
        try:
            path = self._write(save_in_any_case)
        except (OSError, CampaignError) as error:
            return f"the best automaton so far: {error}"
        return (
            f"{path}: the best automaton so far (epoch {self._best.epoch}, free-run error {self._best.validation:.3g}), not "
            f"evaluated; labctl nca evaluate {path} SOURCE does that"
        )

    def _write(self, save: Callable[..., SavedNca] = save_model) -> Path:
        assert self._best is not None
        told = {"interrupted": True, "best_epoch": self._best.epoch, "validation": self._best.validation}
        return save(self._model, self._job.folder / self._job.name, self._job.about({"fit": told})).path


def _epochs(key: str, epochs: Generator[NcaEpoch, None, FittedNca], keeper: _Keeper) -> Campaign[FittedNca]:
    while True:
        try:
            epoch = next(epochs)
        except StopIteration as finished:
            fitted: FittedNca = finished.value
            return fitted
        if epoch.best and (told := keeper.better(epoch)):
            yield Warned(key, told)
        figures = {"train_loss": epoch.train_loss, "validation": epoch.validation, "overshoot": epoch.overshoot}
        yield Figures(
            key, epoch.epoch, {name: one for name, one in figures.items() if one is not None and math.isfinite(one)}
        )
        judged = "" if epoch.validation is None else f", free-run error {epoch.validation:.3g}"
        yield Progress(key, epoch.progress, 1.0, f"epoch {epoch.epoch}, loss {epoch.train_loss:.3g}{judged}")
