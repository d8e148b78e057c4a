"""How far a start may be moved."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor

from twins.errors import AutomatonInvalid
from twins.nca.spec import NcaSpec

Kind = Literal["norm", "box"]
Channels = Literal["observed", "all"]
KINDS: tuple[Kind, ...] = get_args(Kind)
CHANNELS: tuple[Channels, ...] = get_args(Channels)
_ALTERNATIONS = 10
"""Of the two conditions, at most: each is convex, and few are enough unless the range leaves no room."""

State = Float[Tensor, "batch channel y x"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """What change of a start is allowed, in the automaton's units, in which the data fill [0, 1].

    size: of the Euclidean norm of a trial's change over cells and channels ("norm"), or of the change of every single value
    ("box"). channels: whether hidden channels may be changed too; the environment never is.
    in_range: observed values stay within [0, 1] by projection; a value that lies outside already moves no further out.

    Raises AutomatonInvalid.
    """

    size: float
    kind: Kind = "norm"
    channels: Channels = "observed"
    in_range: bool = True

    def __post_init__(self) -> None:
        if not 0.0 < self.size < float("inf"):
            raise AutomatonInvalid(f"the size of a change must be finite and above 0, not {self.size!r}")
        for name, allowed in (("kind", KINDS), ("channels", CHANNELS)):
            if getattr(self, name) not in allowed:
                raise AutomatonInvalid(f"{name} must be one of {', '.join(allowed)}, not {getattr(self, name)!r}")

    def projected(self, change: State, start: State, spec: NcaSpec, *, whole: bool) -> State:
        """An allowed change near this one. whole: its norm is to be just `size`, as nearly as the range leaves room."""
        change = change * self.free(start, spec)
        if self.kind == "box":
            return self._in_range(change.clamp(-self.size, self.size), start, spec)
        for _ in range(_ALTERNATIONS):
            change = self._in_range(self._sized(change, whole=whole), start, spec)
            norm = norms(change)
            if bool(((norm <= self.size) & ((norm >= 0.999 * self.size) | (not whole))).all()):
                return change
        # both sets are convex and hold no change at all, so that less of an allowed change is allowed
        return self._sized(change, whole=False)

    def free(self, start: State, spec: NcaSpec) -> Float[Tensor, "1 channel 1 1"]:
        """1 for channels that may be changed, 0 for the others."""
        free = start.new_zeros(1, spec.n_channels, 1, 1)
        free[:, : spec.n_observed] = 1.0
        if self.channels == "all":
            free[:, spec.n_observed + spec.n_environment :] = 1.0
        return free

    def _sized(self, change: State, *, whole: bool) -> State:
        norm = norms(change)
        scale = self.size / norm.clamp_min(1e-30)
        return change * (scale if whole else scale.clamp_max(1.0))[:, None, None, None]

    def _in_range(self, change: State, start: State, spec: NcaSpec) -> State:
        if not self.in_range:
            return change
        observed = start[:, : spec.n_observed]
        low, high = observed.clamp_max(0.0), observed.clamp_min(1.0)
        moved = torch.maximum(torch.minimum(observed + change[:, : spec.n_observed], high), low)
        return torch.cat((moved - observed, change[:, spec.n_observed :]), dim=1)


def norms(change: State) -> Float[Tensor, " batch"]:
    """Euclidean, of every trial."""
    return change.flatten(1).square().sum(dim=1).sqrt()
