"""What a search for starts says, and what it finds: plain data."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from twins.nca.frames import Frames
from twins.nca.stability.settings import SearchSettings


@dataclass(frozen=True, slots=True)
class SearchUpdate:
    """An update is done; counted from 1. deviation: of the best start of each trial so far, mean over trials (infinite
    where one ran away). progress: 0..1."""

    update: int
    deviation: float
    progress: float


SearchEvent = SearchUpdate


@dataclass(frozen=True, slots=True, eq=False)
class SoughtStart:
    """The starts that were found, one a trial.

    initial: their observed channels, one frame, in the units of the images. state: all channels, in the automaton's units.
    change: state less the start that was given. size: the norm of each trial's change.
    deviation: (trial, frame) of the frames after the first, by the loss of the settings; not finite once a run ran away.
    given_deviation: the same of the start that was given (0 against its own run).
    random_deviation: the same, median over the random changes of the same size that the search began at.
    ran_away: trials whose run is no longer finite. settings: what was sought and allowed. n_frames: run after the first.
    """

    initial: Frames
    state: Float[np.ndarray, "trial channel y x"]
    change: Float[np.ndarray, "trial channel y x"]
    size: Float[np.ndarray, " trial"]
    deviation: Float[np.ndarray, "trial frame"]
    given_deviation: Float[np.ndarray, "trial frame"]
    random_deviation: Float[np.ndarray, "trial frame"]
    ran_away: Bool[np.ndarray, " trial"]
    settings: SearchSettings
    n_frames: int
    seed: int

    @property
    def judged(self) -> Float[np.ndarray, " trial"]:
        """The deviation that was sought: at the last frame, or the mean over frames."""
        return np.asarray(self.deviation[:, -1] if self.settings.judged == "last" else self.deviation.mean(axis=1))
