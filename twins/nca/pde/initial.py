"""Initial conditions: states (trial, field, y, x) in float64 for any equation.

Blocks, spots and stripes hold an equation's `seed` values on its `background`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from twins.errors import EquationInvalid
from twins.nca.pde.equation import Pde

Size = int | tuple[int, int]
States = Float[Tensor, "trial field y x"]

_FULL = 64
_BLOCKS: tuple[tuple[tuple[int, int, int, int], ...], ...] = (
    ((24, 40, 24, 40),),
    ((16, 24, 16, 24), (48, 56, 48, 56), (10, 30, 34, 54), (34, 54, 10, 30)),
    ((30, 34, 0, 64), (40, 44, 30, 34), (20, 24, 24, 40)),
    ((4, 24, 16, 24), (42, 46, 40, 60), (16, 24, 40, 48), (40, 48, 16, 24)),
)
"""(top, bottom, left, right) on 64 × 64 cells: where Richardson et al. (github AlexDR1998/NCA) begin their four trials."""


def rows_and_columns(size: Size) -> tuple[int, int]:
    """(rows, columns) of a size; a number is the side of a square. Raises EquationInvalid below 3 cells."""
    n_rows, n_columns = (size, size) if isinstance(size, int) else size
    if min(n_rows, n_columns) < 3:
        raise EquationInvalid(f"a field needs at least 3 × 3 cells, not {n_rows} × {n_columns}")
    return n_rows, n_columns


def seeded(pde: Pde, inside: Bool[Tensor, "trial y x"]) -> States:
    """The equation's `seed` where `inside`, its `background` elsewhere."""
    if not len(pde.seed) == len(pde.background) == len(pde.fields):
        raise EquationInvalid(f"{pde.name} does not say its background and seed values; begin at noise, or a state")
    seed, background = (torch.tensor(v, dtype=torch.float64)[:, None, None] for v in (pde.seed, pde.background))
    return torch.where(inside[:, None], seed, background)


def blocks(pde: Pde, *, size: Size = _FULL, which: Sequence[int] = (0, 1, 2, 3)) -> States:
    """The four block initial conditions of the publication (or some of them), stretched to another size."""
    n_rows, n_columns = rows_and_columns(size)
    inside = torch.zeros(len(which), n_rows, n_columns, dtype=torch.bool)
    for trial, index in enumerate(which):
        if index not in range(len(_BLOCKS)):
            raise EquationInvalid(f"there are the blocks 0..{len(_BLOCKS) - 1}, not {index!r}")
        for top, bottom, left, right in _BLOCKS[index]:
            rows = slice(*(round(edge * n_rows / _FULL) for edge in (top, bottom)))
            inside[trial, rows, slice(*(round(edge * n_columns / _FULL) for edge in (left, right)))] = True
    return seeded(pde, inside)


def random_blocks(
    pde: Pde,
    n: int,
    *,
    size: Size = _FULL,
    generator: torch.Generator,
    n_blocks: tuple[int, int] = (1, 5),
    side: tuple[int, int] = (4, 20),
) -> States:
    """`n` trials with so many (from, to) rectangles at random places; sides are in cells of a field of 64 × 64, and are
    stretched with it as the publication's are. They wrap around the edges."""
    n_rows, n_columns = rows_and_columns(size)
    inside = torch.zeros(n, n_rows, n_columns, dtype=torch.bool)
    for trial in range(n):
        for _ in range(_drawn(*n_blocks, generator)):
            height, width = (max(1, round(_drawn(*side, generator) * m / _FULL)) for m in (n_rows, n_columns))
            rows = (_drawn(0, n_rows - 1, generator) + torch.arange(height)) % n_rows
            columns = (_drawn(0, n_columns - 1, generator) + torch.arange(width)) % n_columns
            inside[trial, rows[:, None], columns] = True
    return seeded(pde, inside)


def spots(
    pde: Pde,
    n: int,
    *,
    size: Size = _FULL,
    generator: torch.Generator,
    n_spots: tuple[int, int] = (3, 12),
    radius: tuple[float, float] = (2.0, 5.0),
) -> States:
    """`n` trials with so many (from, to) discs at random places, of radii in cells; they wrap around the edges."""
    n_rows, n_columns = rows_and_columns(size)
    y, x = torch.meshgrid(torch.arange(float(n_rows)), torch.arange(float(n_columns)), indexing="ij")
    inside = torch.zeros(n, n_rows, n_columns, dtype=torch.bool)
    for trial in range(n):
        for _ in range(_drawn(*n_spots, generator)):
            at_y, at_x, share = torch.rand(3, generator=generator).tolist()
            away_y = (y - at_y * n_rows + n_rows / 2) % n_rows - n_rows / 2
            away_x = (x - at_x * n_columns + n_columns / 2) % n_columns - n_columns / 2
            inside[trial] |= away_y.hypot(away_x) <= radius[0] + share * (radius[1] - radius[0])
    return seeded(pde, inside)


def soup(pde: Pde, n: int, *, size: Size = _FULL, generator: torch.Generator, density: float = 0.37) -> States:
    """Every cell drawn on its own: the equation's `seed` with this probability, else its `background`."""
    if not 0.0 <= density <= 1.0:
        raise EquationInvalid(f"density must lie in 0..1, not {density!r}")
    return seeded(pde, torch.rand(n, *rows_and_columns(size), generator=generator) < density)


def noise(
    pde: Pde,
    n: int,
    *,
    size: Size = _FULL,
    generator: torch.Generator,
    sd: float = 0.05,
    about: Sequence[float] | None = None,
) -> States:
    """Normal noise of this standard deviation about the equation's rest state, or `about` one value a field."""
    rest = torch.tensor(pde.rest() if about is None else about, dtype=torch.float64)[:, None, None]
    if len(rest) != len(pde.fields):
        raise EquationInvalid(f"{pde.name} has the fields {', '.join(pde.fields)}; say `about` which value of each")
    drawn = torch.randn(n, len(rest), *rows_and_columns(size), generator=generator, dtype=torch.float64)
    return rest + sd * drawn


def smooth_noise(
    pde: Pde, n: int, *, size: Size = _FULL, generator: torch.Generator, sd: float = 0.5, length: float = 6.0
) -> States:
    """Noise about the rest state that varies over `length` cells: each wave exp(-(k·length)²/4) as strong, periodic.

    Spirals begin where an oscillating medium has every phase around a point, as in such noise.
    """
    white = noise(pde, n, size=size, generator=generator, sd=1.0, about=[0.0] * len(pde.fields))
    n_rows, n_columns = white.shape[2:]
    frequency = torch.fft.fftfreq(n_rows)[:, None].square() + torch.fft.rfftfreq(n_columns).square()
    weight = torch.exp(-((2.0 * torch.pi * length) ** 2) / 4.0 * frequency.double())
    smooth = torch.fft.irfft2(weight * torch.fft.rfft2(white), (n_rows, n_columns))
    rest = torch.tensor(pde.rest(), dtype=torch.float64)[:, None, None]
    found: Tensor = rest + sd * smooth / smooth.std(dim=(2, 3), correction=0, keepdim=True)
    return found


def random_values(pde: Pde, n: int, *, size: Size = _FULL, generator: torch.Generator) -> States:
    """Every cell and field drawn uniformly between the equation's background and seed value."""
    drawn = torch.rand(n, len(pde.fields), *rows_and_columns(size), generator=generator, dtype=torch.float64)
    low, high = (torch.tensor(v, dtype=torch.float64)[:, None, None] for v in (pde.background, pde.seed))
    return low + drawn * (high - low)


INITIAL_CONDITIONS: dict[str, Callable[..., States]] = {
    "random_blocks": random_blocks,
    "spots": spots,
    "soup": soup,
    "noise": noise,
    "smooth_noise": smooth_noise,
    "random_values": random_values,
}


def initial_named(
    name: str, pde: Pde, n: int, *, size: Size = _FULL, generator: torch.Generator, **options: Any
) -> States:
    """One of INITIAL_CONDITIONS, or "blocks" (the first n of the publication's four). Raises EquationInvalid."""
    if name == "blocks":
        return blocks(pde, size=size, which=range(n), **options)
    if name not in INITIAL_CONDITIONS:
        raise EquationInvalid(
            f"there is no initial condition named {name!r}; there are blocks, {', '.join(INITIAL_CONDITIONS)}"
        )
    return INITIAL_CONDITIONS[name](pde, n, size=size, generator=generator, **options)


def _drawn(low: int, high: int, generator: torch.Generator) -> int:
    """A whole number from low to high, both included."""
    if low > high:
        raise EquationInvalid(f"a range must be (from, to), not {(low, high)}")
    return int(torch.randint(low, high + 1, (), generator=generator))
