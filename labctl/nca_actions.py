"""What can be done to an automaton while it runs, as plain data: painted, wiped, turned, begun again, made larger."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from labctl.errors import CampaignError

DAMAGES = ("disc", "rectangle", "half", "noise")
QUARTER_TURNS_DEG = (90, 180, 270)
LARGEST_SIDE = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Paint:
    """A disc about (y, x), of `radius` cells. values: of the observed channels, in the images' units; None: what patterns of
    the equation start from, or the highest value. channel: only this one of the observed channels, numbered from 0."""

    y: float
    x: float
    radius: float
    values: tuple[float, ...] | None = None
    channel: int | None = None

    def __post_init__(self) -> None:
        _check_disc(self.y, self.x, self.radius)
        if self.values is not None and not all(map(math.isfinite, self.values)):
            raise CampaignError(f"values to paint must be finite, not {self.values}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Erase:
    """A disc about (y, x), of `radius` cells, in which nothing is left: observed channels at their background (an equation's
    resting state, otherwise the lowest value), hidden ones at zero."""

    y: float
    x: float
    radius: float

    def __post_init__(self) -> None:
        _check_disc(self.y, self.x, self.radius)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wipe:
    """Damage at a random place: a disc, a rectangle, half of the field, or every cell by itself ("noise").

    radius: as a share of the shorter side; of noise the probability of a cell."""

    kind: str = "disc"
    radius: float = 0.2

    def __post_init__(self) -> None:
        if self.kind not in DAMAGES:
            raise CampaignError(f"damage is one of {', '.join(DAMAGES)}, not {self.kind!r}")
        if not 0.0 < self.radius <= 1.0:
            raise CampaignError(f"the radius of damage is a share from 0 to 1, not {self.radius!r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """The whole field, all channels, counterclockwise."""

    degrees: int = 90

    def __post_init__(self) -> None:
        if self.degrees not in QUARTER_TURNS_DEG:
            raise CampaignError(f"fields are turned by {QUARTER_TURNS_DEG} degrees, not {self.degrees!r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Flip:
    """The whole field, all channels, mirrored left to right."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reset:
    """Begin anew at the first frame, hidden channels empty, upright, in the size of the data."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Jump:
    """Begin anew at this frame of the data, hidden channels empty."""

    frame: int

    def __post_init__(self) -> None:
        if self.frame < 0:
            raise CampaignError(f"frames are counted from 0, not {self.frame}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Resize:
    """Begin anew on a field of this size: of an equation at its own start; of images at their first frame, cut about its
    middle, or continued as the automaton's edges are (repeated where they are periodic)."""

    rows: int
    columns: int

    def __post_init__(self) -> None:
        if not all(3 <= side <= LARGEST_SIDE for side in (self.rows, self.columns)):
            raise CampaignError(f"a field has 3 to {LARGEST_SIDE} rows and columns, not {self.rows} × {self.columns}")


Action = Paint | Erase | Wipe | Turn | Flip | Reset | Jump | Resize
KINDS: dict[str, type[Action]] = {
    kind.__name__.lower(): kind for kind in (Paint, Erase, Wipe, Turn, Flip, Reset, Jump, Resize)
}


@dataclass(frozen=True, slots=True)
class Done:
    """An action, and after how many steps of the run it was done; steps count on over resets and jumps."""

    at_step: int
    action: Action


def as_plain(done: Sequence[Done]) -> list[dict[str, Any]]:
    """As JSON data: {"at_step": 40, "do": "paint", "y": …}."""
    told = []
    for one in done:
        fields = {name: value for name, value in asdict(one.action).items() if value is not None}
        fields = {name: list(value) if isinstance(value, tuple) else value for name, value in fields.items()}
        told.append({"at_step": one.at_step, "do": type(one.action).__name__.lower(), **fields})
    return told


def from_plain(told: Sequence[Mapping[str, Any]]) -> tuple[Done, ...]:
    """What ``as_plain`` made, in the order of steps. Raises CampaignError."""
    done = []
    for number, given in enumerate(told):
        fields = dict(given)
        try:
            at_step, kind = int(fields.pop("at_step")), KINDS[str(fields.pop("do"))]
            if fields.get("values") is not None:
                fields["values"] = tuple(map(float, fields["values"]))
            done.append(Done(at_step, kind(**fields)))
        except (KeyError, TypeError, ValueError) as error:
            raise CampaignError(
                f"action {number}: {given!r} is none ({error}); give at_step, do ({', '.join(KINDS)}) and its own fields"
            ) from error
    return tuple(sorted(done, key=lambda one: one.at_step))


def _check_disc(y: float, x: float, radius: float) -> None:
    if not (math.isfinite(y) and math.isfinite(x) and 0.0 <= radius <= LARGEST_SIDE):
        raise CampaignError(
            f"a disc has a finite place and a radius of 0 to {LARGEST_SIDE} cells, not ({y}, {x}) and {radius}"
        )
