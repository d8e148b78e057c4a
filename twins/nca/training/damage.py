"""Damage: parts of a field wiped or painted over, at random in training and on purpose by hand.

An automaton that meets damage in training learns to heal it (Mordvintsev et al., "Growing Neural Cellular Automata", Distill
2020). Wiped cells lose all channels but the environment: observed ones go to a background, hidden ones to zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from twins.errors import AutomatonInvalid
from twins.nca.spec import NcaSpec

DamageKind = Literal["disc", "rectangle", "half", "noise"]
DAMAGE_KINDS: tuple[DamageKind, ...] = get_args(DamageKind)


@dataclass(frozen=True, slots=True, kw_only=True)
class Damage:
    """Random holes.

    kind: "disc" and "rectangle" of random place and size, "half" of the field (either, in y or in x), "noise": every cell
    by itself. share: of the batch that is damaged, on average exactly so. radius: smallest and largest radius (half the
    side of a rectangle), as a share of the shorter side of the field, or in cells where radius_unit says so; of "noise"
    it is the probability that a cell is wiped. middle: centres lie within this share of the field about its middle.
    background: values of the observed channels in a hole, in the automaton's units (a PDE's resting state); zero if not
    given.

    Raises AutomatonInvalid.
    """

    kind: DamageKind = "disc"
    share: float = 0.5
    radius: tuple[float, float] = (0.1, 0.25)
    radius_unit: Literal["share", "cells"] = "share"
    middle: float = 1.0
    background: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if self.kind not in DAMAGE_KINDS:
            raise AutomatonInvalid(f"kind of damage must be one of {', '.join(DAMAGE_KINDS)}, not {self.kind!r}")
        if self.radius_unit not in ("share", "cells"):
            raise AutomatonInvalid(f"radius_unit must be share or cells, not {self.radius_unit!r}")
        for name in ("share", "middle"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise AutomatonInvalid(f"{name} of damage must lie in 0..1, not {getattr(self, name)!r}")
        low, high = self.radius
        largest = 1.0 if self.kind == "noise" or self.radius_unit == "share" else float("inf")
        if not 0.0 <= low <= high <= largest:
            raise AutomatonInvalid(
                f"radius of damage must be (smallest, largest) within 0..{largest:g} {self.radius_unit}, not {self.radius!r}"
            )

    def apply(
        self,
        states: Float[Tensor, "batch channel y x"],
        spec: NcaSpec,
        *,
        generator: torch.Generator,
        items: Sequence[int] | None = None,
    ) -> Float[Tensor, "batch channel y x"]:
        """The states with holes in a share of them. items: which may be damaged, the best ones first (else any)."""
        mask = self.mask(len(states), (states.shape[2], states.shape[3]), spec, generator=generator, items=items)
        return damage(states, mask.to(states.device), spec, background=self.background)

    def mask(
        self,
        batch: int,
        size: tuple[int, int],
        spec: NcaSpec,
        *,
        generator: torch.Generator,
        items: Sequence[int] | None = None,
    ) -> Bool[Tensor, "batch y x"]:
        """Which cells are wiped."""
        mask = torch.zeros(batch, *size, dtype=torch.bool)
        order = torch.randperm(batch, generator=generator).tolist() if items is None else list(items)
        # rounded up or down at random, so that the share holds also where the batch is small
        n_damaged = int(self.share * len(order) + float(_uniform(generator)))
        for item in order[:n_damaged]:
            mask[item] = self._hole(size, spec.padding == "periodic", generator)
        return mask

    def _hole(self, size: tuple[int, int], periodic: bool, generator: torch.Generator) -> Tensor:
        draws = _uniform(generator, 4)
        if self.kind == "half":
            return half_mask(size, axis="y" if draws[0] < 0.5 else "x", first=bool(draws[1] < 0.5))
        low, high = self.radius
        extent = low + (high - low) * draws[:2]
        if self.kind == "noise":
            return torch.rand(size, generator=generator, device=generator.device).cpu() < extent[0]
        cells = extent * (min(size) if self.radius_unit == "share" else 1.0)
        place = 0.5 + self.middle * (draws[2:] - 0.5)
        centre = (float(place[0]) * (size[0] - 1), float(place[1]) * (size[1] - 1))
        if self.kind == "disc":
            return disc_mask(size, centre, float(cells[0]), periodic=periodic)
        return rectangle_mask(size, centre, (float(cells[0]), float(cells[1])), periodic=periodic)


def damage(
    states: Float[Tensor, "batch channel y x"],
    mask: Bool[Tensor, "*batch y x"],
    spec: NcaSpec,
    *,
    background: Sequence[float] = (),
) -> Float[Tensor, "batch channel y x"]:
    """The states with all channels but the environment wiped where mask is True.

    mask: (y, x) for all items, or (batch, y, x). background: of the observed channels, in the automaton's units; zero if
    not given. Raises AutomatonInvalid.
    """
    values = states.new_zeros(spec.n_channels)
    if len(background):
        values[: spec.n_observed] = states.new_tensor(_checked_values(background, spec))
    kept = ~_checked_mask(states, mask, spec) | _environment(states, spec)
    return torch.where(kept, states, values[:, None, None])


def paint(
    states: Float[Tensor, "batch channel y x"],
    mask: Bool[Tensor, "*batch y x"],
    values: Sequence[float],
    spec: NcaSpec,
) -> Float[Tensor, "batch channel y x"]:
    """The states with their observed channels set to `values` where mask is True; hidden channels are left alone.

    Raises AutomatonInvalid.
    """
    given = _checked_values(values, spec)
    painted = states.new_tensor([*given, *([0.0] * (spec.n_channels - spec.n_observed))])
    observed = (torch.arange(spec.n_channels, device=states.device) < spec.n_observed)[:, None, None]
    return torch.where(_checked_mask(states, mask, spec) & observed, painted[:, None, None], states)


def disc_mask(
    size: tuple[int, int], centre: tuple[float, float], radius: float, *, periodic: bool = False
) -> Bool[Tensor, "y x"]:
    """Cells within `radius` cells of centre = (y, x), in a field of (rows, columns). periodic: across the edges too."""
    y, x = (_distance(n, at, periodic) for n, at in zip(size, centre, strict=True))
    return y.square()[:, None] + x.square()[None] <= radius**2


def rectangle_mask(
    size: tuple[int, int], centre: tuple[float, float], halves: tuple[float, float], *, periodic: bool = False
) -> Bool[Tensor, "y x"]:
    """Cells within half a height and half a width, halves = (y, x) in cells, of centre = (y, x)."""
    y, x = (
        _distance(n, at, periodic).abs() <= half for n, at, half in zip(size, centre, halves, strict=True)
    )  # fmt: skip
    return y[:, None] & x[None]


def half_mask(size: tuple[int, int], *, axis: Literal["y", "x"], first: bool) -> Bool[Tensor, "y x"]:
    """The first or the other half of the rows ("y") or columns ("x"); the middle one belongs to the other half."""
    if axis not in ("y", "x"):
        raise AutomatonInvalid(f"axis must be y or x, not {axis!r}")
    mask = torch.zeros(size, dtype=torch.bool)
    along = mask if axis == "y" else mask.T
    middle = len(along) // 2
    along[:middle] = first
    along[middle:] = not first
    return mask


def _distance(n: int, at: float, periodic: bool) -> Tensor:
    distance = torch.arange(n, dtype=torch.float64) - at
    return (distance + n / 2) % n - n / 2 if periodic else distance


def _environment(states: Tensor, spec: NcaSpec) -> Tensor:
    number = torch.arange(spec.n_channels, device=states.device)[:, None, None]
    return (number >= spec.n_observed) & (number < spec.n_observed + spec.n_environment)


def _checked_mask(states: Tensor, mask: Tensor, spec: NcaSpec) -> Tensor:
    """(batch or 1, 1, y, x)."""
    fits = mask.ndim in (2, 3) and mask.shape[-2:] == states.shape[-2:] and mask.shape[:-2] in ((), states.shape[:1])
    if states.ndim != 4 or states.shape[1] != spec.n_channels or mask.dtype != torch.bool or not fits:
        raise AutomatonInvalid(
            f"a mask must be True or False of (y, x) or (batch, y, x) for states of (batch, {spec.n_channels}, y, x); "
            f"it is {mask.dtype} of {tuple(mask.shape)} for states of {tuple(states.shape)}"
        )
    return (mask if mask.ndim == 3 else mask[None])[:, None]


def _checked_values(values: Sequence[float], spec: NcaSpec) -> list[float]:
    if len(values) != spec.n_observed:
        raise AutomatonInvalid(f"one value for each of the {spec.n_observed} observed channels, not {len(values)}")
    return [float(value) for value in values]


def _uniform(generator: torch.Generator, n: int = 1) -> Tensor:
    return torch.rand(n, generator=generator, device=generator.device, dtype=torch.float64).cpu()
