"""Augmentation of image sequences: the rule must not depend on where a picture lies, nor on which way it is turned.

Frames are padded once. After that a Transform is drawn for every item of a batch and applied to input state, target and
environment alike. All but turns by any angle only move cells about and are undone exactly. With turned pictures an
automaton of anisotropic kernels learns an approximately symmetric rule (Richardson et al. 2024, doi
10.1371/journal.pcbi.1011589).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

from twins.errors import FramesInvalid
from twins.nca.frames import Frames
from twins.nca.spec import NcaSpec


@dataclass(frozen=True, slots=True, eq=False)
class Transform:
    """One motion of the cells for every item of a batch.

    sources: (batch, cell), which cell of the field (y·width + x) comes to stand in each cell. size: (rows, columns).
    angles_rad: (batch,), turns by any angle that come after it, or None.
    """

    sources: Int[Tensor, "batch cell"]
    size: tuple[int, int]
    angles_rad: Float[Tensor, " batch"] | None = None

    @property
    def exact(self) -> bool:
        """Whether .undo gives back every value as it was. Turns by any angle interpolate, which blurs."""
        return self.angles_rad is None

    def apply(self, states: Float[Tensor, "batch channel y x"]) -> Float[Tensor, "batch channel y x"]:
        """Move the cells of each item, all channels alike. Raises FramesInvalid for another batch or size."""
        moved = self._moved(states, self.sources)
        return moved if self.angles_rad is None else _turned(moved, self.angles_rad)

    def undo(self, states: Float[Tensor, "batch channel y x"]) -> Float[Tensor, "batch channel y x"]:
        """The opposite of .apply: exactly so where .exact."""
        turned_back = states if self.angles_rad is None else _turned(states, -self.angles_rad)
        return self._moved(turned_back, self.sources.argsort(dim=1))

    def _moved(self, states: Tensor, sources: Tensor) -> Tensor:
        if states.ndim != 4 or len(states) != len(sources) or tuple(states.shape[2:]) != self.size:
            raise FramesInvalid(
                f"the transform is for {len(sources)} items of {self.size[0]}×{self.size[1]} cells, "
                f"not for {tuple(states.shape)}"
            )
        index = sources.to(states.device)[:, None].expand(-1, states.shape[1], -1)
        return states.flatten(2).gather(2, index).reshape(states.shape)


@dataclass(frozen=True, slots=True, kw_only=True)
class Augmentation:
    """What is done to pictures in training.

    pad: cells added on every side of all frames, once, at `pad_value`: a number in the images' units, or "edge" for the
    value at the edge. The environment is padded likewise.
    shift: roll by a random number of whole cells, any number if True, at most so many in y and in x if a number. What
    leaves at one side comes in at the other.
    flip: mirror in y, in x, in both, or in neither. rotate: turn by a multiple of 90°, which needs square fields.
    any_angle: turn by any angle instead: bilinear interpolation, zero from outside, so that it is NOT undone exactly.
    noise_sd: standard deviation of normal noise on the observed channels of the input, in the automaton's units (0 to 1).

    Raises FramesInvalid.
    """

    pad: int = 0
    pad_value: float | Literal["edge"] = 0.0
    shift: bool | int = False
    flip: bool = False
    rotate: bool = False
    any_angle: bool = False
    noise_sd: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.pad <= 10_000:
            raise FramesInvalid(f"pad must be a number of cells from 0 to 10000, not {self.pad!r}")
        if self.pad_value != "edge" and not np.isfinite(self.pad_value):
            raise FramesInvalid(f'pad_value must be a finite number or "edge", not {self.pad_value!r}')
        if self.shift < 0:
            raise FramesInvalid(f"shift must be True, False or a largest number of cells, not {self.shift!r}")
        if not (np.isfinite(self.noise_sd) and self.noise_sd >= 0):
            raise FramesInvalid(f"noise_sd must be a number of at least 0, not {self.noise_sd!r}")

    @property
    def moves(self) -> bool:
        """Whether Transforms that are drawn move anything."""
        return bool(self.shift) or self.flip or self.rotate or self.any_angle

    def padded(self, frames: Frames) -> Frames:
        """The frames with `pad` more cells on every side."""
        if self.pad == 0:
            return frames
        environment = frames.environment
        if environment is not None:
            environment = self._wide(environment, rows_at=1)
        return replace(frames, values=self._wide(frames.values, rows_at=2), environment=environment)

    def draw(self, batch: int, size: tuple[int, int], *, generator: torch.Generator) -> Transform:
        """A motion for each of `batch` items of (rows, columns) cells. Raises FramesInvalid, see `check`."""
        self.check(size)

        def whole(low: int, high: int, wanted: bool) -> Tensor:
            if not wanted:
                return torch.zeros(batch, 1, dtype=torch.long)
            return torch.randint(low, high, (batch, 1), generator=generator, device=generator.device).cpu()

        def shifts(n: int) -> Tensor:
            if self.shift is True or 2 * self.shift + 1 >= n:  # all n there are: the same one must not come by two ways
                return whole(0, n, True)
            return whole(-self.shift, self.shift + 1, bool(self.shift))

        shift_y, shift_x = (shifts(n) for n in size)
        flip_y, flip_x = (whole(0, 2, self.flip) for _ in range(2))
        turns = whole(0, 4, self.rotate)
        angles = None
        if self.any_angle:
            angles = 2 * math.pi * torch.rand(batch, generator=generator, device=generator.device).cpu()
        return Transform(_sources(size, shift_y, shift_x, flip_y, flip_x, turns), size, angles)

    def check(self, size: tuple[int, int]) -> None:
        """Raise FramesInvalid unless fields of (rows, columns) can be turned as asked."""
        if (self.rotate or self.any_angle) and size[0] != size[1]:
            raise FramesInvalid(
                f"turning a picture by 90° or 270° swaps rows and columns, but the fields are {size[0]}×{size[1]}: cut "
                "or pad them to squares, or pass rotate=False (flip=True holds the turn by 180°)"
            )

    def noisy(
        self, states: Float[Tensor, "batch channel y x"], spec: NcaSpec, *, generator: torch.Generator
    ) -> Float[Tensor, "batch channel y x"]:
        """The states with noise of standard deviation noise_sd on their observed channels, other channels as they are."""
        if self.noise_sd == 0.0:
            return states
        observed = states[:, : spec.n_observed]
        noise = torch.randn(observed.shape, generator=generator, device=generator.device).to(observed)
        return torch.cat((observed + self.noise_sd * noise, states[:, spec.n_observed :]), dim=1)

    def _wide(self, values: np.ndarray, *, rows_at: int) -> np.ndarray:
        widths = [(self.pad, self.pad) if axis in (rows_at, rows_at + 1) else (0, 0) for axis in range(values.ndim)]
        if self.pad_value == "edge":
            return np.pad(values, widths, mode="edge")
        return np.pad(values, widths, mode="constant", constant_values=self.pad_value)


def _sources(
    size: tuple[int, int], shift_y: Tensor, shift_x: Tensor, flip_y: Tensor, flip_x: Tensor, turns: Tensor
) -> Tensor:
    """(batch, cell): the picture turned counterclockwise `turns` times, then mirrored, then rolled, by its cells."""
    rows, columns = size
    cell = torch.arange(rows * columns)[None]
    y, x = (cell // columns - shift_y) % rows, (cell % columns - shift_x) % columns
    y, x = torch.where(flip_y == 1, rows - 1 - y, y), torch.where(flip_x == 1, columns - 1 - x, x)
    for turn in range(3):  # a quarter counterclockwise brings (x, last - y) to (y, x)
        y, x = torch.where(turns > turn, x, y), torch.where(turns > turn, columns - 1 - y, x)
    return y * columns + x


def _turned(states: Tensor, angles_rad: Tensor) -> Tensor:
    """Each item turned counterclockwise about its middle, by bilinear interpolation, with zero from outside."""
    angles = angles_rad.to(states)
    zero, cosine, sine = torch.zeros_like(angles), angles.cos(), angles.sin()
    # y points down: where a value comes from is the place turned the other way
    matrix = torch.stack((torch.stack((cosine, -sine, zero), dim=1), torch.stack((sine, cosine, zero), dim=1)), dim=1)
    grid = affine_grid(matrix, list(states.shape), align_corners=False)
    return grid_sample(states, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
