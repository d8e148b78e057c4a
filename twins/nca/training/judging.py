"""What chooses the best weights: free runs, and how often they are worth their time."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from twins.nca.frames import Frames
from twins.nca.free_run import FreeRun, free_run
from twins.nca.model import NcaModel
from twins.nca.training.held_out import Divided, cycles
from twins.nca.training.settings import NcaFitSettings

_USUAL_EPOCHS, _USUAL_PROGRESS = 10, 0.1
"""From one judgement to the next, whichever comes first."""
_WORK_SHARE = 0.1
"""Of the training's work that free runs may take, where settings leave it open how often."""
BACKWARD_WORK = 4.0
"""A step in training costs about so many steps of a free run: forward, once more, and back."""


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """run: on the frames that are held out, which gives the error. whole: from the first frame of the sequence, on beyond
    its end; the same where the held-out frames begin with a first frame."""

    run: FreeRun
    whole: FreeRun

    @property
    def score(self) -> float:
        """The error on what was held out."""
        return self.run.score

    @property
    def stable(self) -> bool:
        """Whether both runs are."""
        return self.run.stable and self.whole.stable

    @property
    def kept(self) -> bool:
        """Whether it is stable and the pattern lasts beyond the data."""
        return self.stable and self.whole.kept


@dataclass(frozen=True, slots=True)
class Kept:
    """Weights, how they did, and in which epoch."""

    weights: dict[str, Tensor]
    judged: Judged
    epoch: int
    train_loss: float

    def beats(self, other: Kept | None) -> bool:
        """Those stable within the data before all others, then those that last beyond it, then by the error."""
        return other is None or _rank(self.judged) < _rank(other.judged)


class Judge:
    """Runs `model` freely on what `data` holds for it, the same draws every time."""

    def __init__(self, model: NcaModel, data: Divided, settings: NcaFitSettings, seed: int) -> None:
        self._model, self._settings, self._seed, self._whole = model, settings, seed, data.whole
        cyclic = settings.cyclic and data.judged.n_frames == data.trained.n_frames
        self._frames = cycles(data.judged, settings.beyond) if cyclic else data.judged
        self._beyond = 1.0 if cyclic else settings.beyond
        self._work_since, self._epoch, self._progress = 0.0, 0, 0.0

    @property
    def work(self) -> float:
        """Of one judgement, in steps of cells."""
        n_frames = self._frames.n_frames - 1
        if self._whole is None:
            return _work(self._frames, self._ahead(self._frames), self._model)
        return _work(self._frames, n_frames, self._model) + _work(self._whole, self._ahead(self._whole), self._model)

    def trained(self, work: float) -> None:
        """So much was done since, in steps of cells, forward and back counted as BACKWARD_WORK."""
        self._work_since += work

    def due(self, epoch: int, progress: float) -> bool:
        """Whether it is time to judge."""
        if progress >= 1.0:
            return True
        if self._settings.validate_every is not None:
            return epoch % self._settings.validate_every == 0
        long_ago = epoch - self._epoch >= _USUAL_EPOCHS or progress - self._progress >= _USUAL_PROGRESS
        return long_ago and self.work <= _WORK_SHARE * self._work_since

    def judge(self, epoch: int, progress: float) -> Judged:
        """Of the weights as they are."""
        self._work_since, self._epoch, self._progress = 0.0, epoch, progress
        if self._whole is None:
            found = self._run(self._frames, self._ahead(self._frames))
            return Judged(found, found)
        end = self._run(self._frames, self._frames.n_frames - 1)
        return Judged(end, self._run(self._whole, self._ahead(self._whole)))

    def _run(self, frames: Frames, n_frames: int) -> FreeRun:
        draws = torch.Generator().manual_seed(self._seed + 1)  # the same cells fire every time
        return free_run(self._model, frames, n_frames=n_frames, generator=draws)

    def _ahead(self, frames: Frames) -> int:
        return max(1, round(self._beyond * (frames.n_frames - 1)))


def _rank(judged: Judged) -> tuple[bool, bool, float]:
    return not judged.stable, not judged.kept, judged.score


def _work(frames: Frames, n_frames: int, model: NcaModel) -> float:
    rows, columns = frames.size
    return float(frames.n_trials * n_frames * model.steps_per_frame * rows * columns)
