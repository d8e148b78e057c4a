"""Ensembles of automata: several models of one kind of images. Where they disagree the data have not decided.

Members may differ in seed, and in their spec as long as what is observed is the same. Where cells fire at random every
member is run several times, so that the spread holds that chance as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import final

import numpy as np
import torch
from jaxtyping import Float, Int

from twins.errors import FramesInvalid
from twins.nca.frames import Frames
from twins.nca.model import NcaModel

MOST_MEMBERS = 64


@dataclass(frozen=True, slots=True, eq=False)
class NcaSpread:
    """What the members of an ensemble make of one frame, in the units of the images.

    mean: over all runs. sd: (trial, time, y, x, channel), standard deviation of a run about the mean (n - 1 below); zero at
    the frame begun from. runs: the runs themselves; members: (run,), which member made each.
    """

    mean: Frames
    sd: Float[np.ndarray, "trial time y x channel"]
    runs: tuple[Frames, ...]
    members: Int[np.ndarray, " run"]

    @property
    def sd_between(self) -> Float[np.ndarray, "trial time y x channel"]:
        """What the members do not agree on: standard deviation of their means, freed of the chance of firing within them.

        Where that chance explains all, it is zero.
        """
        groups = self._by_member()
        means = np.stack([group.mean(axis=0) for group in groups])
        chance = np.mean([self._variance(group) / len(group) for group in groups], axis=0)
        return np.asarray(np.sqrt(np.maximum(self._variance(means) - chance, 0.0)))

    @property
    def sd_within(self) -> Float[np.ndarray, "trial time y x channel"]:
        """What firing does by chance: root mean variance of the runs of each member; zero where there is one run each."""
        return np.asarray(np.sqrt(np.mean([self._variance(group) for group in self._by_member()], axis=0)))

    def _by_member(self) -> list[np.ndarray]:
        values = np.stack([run.values for run in self.runs]).astype(np.float64)
        return [values[self.members == member] for member in np.unique(self.members)]

    @staticmethod
    def _variance(values: np.ndarray) -> np.ndarray:
        return values.var(axis=0, ddof=1) if len(values) > 1 else np.zeros(values.shape[1:])


@final
class NcaEnsemble:
    """Models of the same images that answer together.

    Raises FramesInvalid for members with other channels, units, sampling time or conditions than the first.
    """

    def __init__(self, members: Sequence[NcaModel]) -> None:
        if not 1 <= len(members) <= MOST_MEMBERS:
            raise FramesInvalid(f"an ensemble has 1 to {MOST_MEMBERS} members, not {len(members)}")
        for number, member in enumerate(members):
            for name in ("names", "units", "dt_s", "time_unit", "condition_names"):
                mine, first = getattr(member, name), getattr(members[0], name)
                if mine != first:
                    raise FramesInvalid(f"member {number} has {name} {mine!r}, member 0 has {first!r}")
        self.members = tuple(members)

    def __len__(self) -> int:
        return len(self.members)

    def without(self, *numbers: int) -> NcaEnsemble:
        """The ensemble without these members. Raises FramesInvalid if none are left, or there is no such member."""
        if not set(numbers) <= set(range(len(self))):
            raise FramesInvalid(f"members are numbered 0 to {len(self) - 1}, not {numbers}")
        return NcaEnsemble([member for number, member in enumerate(self.members) if number not in numbers])

    def check(self, frames: Frames) -> None:
        """Raise FramesInvalid unless these frames fit every member."""
        for member in self.members:
            member.check(frames)

    def run(
        self,
        frames: Frames,
        n_frames: int,
        *,
        frame: int = 0,
        generator: torch.Generator | None = None,
        n_draws: int = 1,
    ) -> NcaSpread:
        """What the members make of one of the frames: that frame and n_frames more.

        generator: draws which cells fire, where not all do. n_draws: runs of each member that fires by chance.
        Raises FramesInvalid, which names members that ran away: leave them away with ``without``, knowingly.
        """
        if n_draws < 1:
            raise FramesInvalid(f"n_draws must be at least 1, not {n_draws}")
        self.check(frames)
        runs, numbers, ran_away = [], [], {}
        for number, member in enumerate(self.members):
            for _ in range(n_draws if member.automaton.spec.fire_rate < 1.0 else 1):
                try:
                    runs.append(member.run(frames, n_frames, frame=frame, generator=generator))
                except FramesInvalid as error:
                    ran_away[number] = error
                    break
                numbers.append(number)
        if ran_away:
            reasons = "; ".join(f"member {number}: {error}" for number, error in ran_away.items())
            raise FramesInvalid(
                f"{len(ran_away)} of {len(self)} members ran away, ensemble.without({', '.join(map(str, ran_away))}) "
                f"leaves them away: {reasons}"
            ) from next(iter(ran_away.values()))
        values = np.stack([run.values for run in runs]).astype(np.float64)
        sd = values.std(axis=0, ddof=1) if len(runs) > 1 else np.zeros(values.shape[1:])
        return NcaSpread(replace(runs[0], values=values.mean(axis=0)), sd, tuple(runs), np.array(numbers))
