"""What is sought, and how: plain data, checked when made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal, get_args

from twins.errors import AutomatonInvalid
from twins.nca.losses import Loss, loss_named
from twins.nca.stability.bound import Bound

Seek = Literal["largest", "least"]
Against = Literal["unperturbed", "frames"]
Judged = Literal["last", "mean"]
SEEK: tuple[Seek, ...] = get_args(Seek)
AGAINST: tuple[Against, ...] = get_args(Against)
JUDGED: tuple[Judged, ...] = get_args(Judged)


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchSettings:
    """seek: the start whose free run deviates most, or least. bound: what may be changed of the start.

    against: from what it deviates: from the run of the start as it is ("unperturbed"; the change then always has the whole
    size of the bound, as no change at all would be the least), or from the frames.
    judged: the deviation at the last frame, or the mean over all that follow the first.
    loss, loss_options: how deviations are measured, see twins.nca.losses.
    n_updates: of projected gradient steps. n_starts: random changes to begin at, for every trial, and
    against the frames the start as it is; the best is kept.
    step: of the first update, in sizes of the bound; falls to a fiftieth of it along a cosine.
    checkpoint_every: see Automaton.unroll.

    Raises AutomatonInvalid.
    """

    seek: Seek
    bound: Bound
    against: Against = "unperturbed"
    judged: Judged = "last"
    loss: str = "euclidean"
    loss_options: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    n_updates: int = 60
    n_starts: int = 4
    step: float = 0.5
    checkpoint_every: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "loss_options", MappingProxyType(dict(self.loss_options)))
        self.make_loss()
        for name, allowed in (("seek", SEEK), ("against", AGAINST), ("judged", JUDGED)):
            if getattr(self, name) not in allowed:
                raise AutomatonInvalid(f"{name} must be one of {', '.join(allowed)}, not {getattr(self, name)!r}")
        for name in ("n_updates", "n_starts"):
            if getattr(self, name) < 1:
                raise AutomatonInvalid(f"{name} must be at least 1, not {getattr(self, name)!r}")
        if not 0.0 < self.step <= 10.0:
            raise AutomatonInvalid(f"step must be above 0 and at most 10 sizes of the bound, not {self.step!r}")
        if self.seek == "least" and self.against == "unperturbed" and self.bound.kind == "box":
            raise AutomatonInvalid(
                "the least deviation from the unperturbed run within a box is that of no change at all; take a bound of "
                'kind "norm", whose whole size is then used, or against="frames"'
            )

    def make_loss(self) -> Loss:
        """The loss by its name and options."""
        return loss_named(self.loss, **self.loss_options)

    @property
    def whole(self) -> bool:
        """Whether a change must have the whole size of the bound."""
        return self.against == "unperturbed" and self.bound.kind == "norm"
