"""Conway's Game of Life, as a rule in discrete time."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from twins.errors import EquationInvalid
from twins.nca.pde.equation import Pde
from twins.nca.pde.initial import Size, States, rows_and_columns
from twins.nca.pde.neighbourhood import Neighbourhood


@dataclass(frozen=True)
class GameOfLife(Pde):
    """A cell lives on with two or three living neighbours of eight, and is born with three. States are 0 and 1.

    Source: M. Gardner, Sci. Am. 223 (4), 120 (1970). One step is dt = 1.
    """

    name = "game_of_life"
    fields = ("alive",)
    background = (0.0,)
    seed = (1.0,)
    discrete = True

    def change(self, state: Float[Tensor, "batch field y x"], near: Neighbourhood) -> Float[Tensor, "batch field y x"]:
        """The next state less this one."""
        neighbours = near.neighbour_sum(state)
        alive = (neighbours == 3.0) | ((neighbours == 2.0) & (state == 1.0))
        return alive.to(state.dtype) - state

    @property
    def start(self) -> str:
        """Every cell drawn on its own."""
        return "soup"

    def stiffness(self, state: Float[Tensor, "batch field y x"]) -> float:  # noqa: ARG002 - nothing to follow
        """None: it is exact."""
        return 0.0

    def check_initial(self, state: Float[Tensor, "batch field y x"]) -> None:
        """As every equation, and only 0 and 1. Raises EquationInvalid."""
        super().check_initial(state)
        if not bool(((state == 0.0) | (state == 1.0)).all()):
            raise EquationInvalid("game_of_life: cells are 0 or 1; begin at soup, blocks, spots or a life_pattern")


LIFE_PATTERNS: dict[str, tuple[str, ...]] = {
    "glider": (".#.", "..#", "###"),
    "blinker": ("###",),
    "block": ("##", "##"),
    "toad": (".###", "###."),
    "beacon": ("##..", "##..", "..##", "..##"),
    "lightweight_spaceship": (".#..#", "#....", "#...#", "####."),
    "r_pentomino": (".##", "##.", ".#."),
    "acorn": (".#.....", "...#...", "##..###"),
}
"""Living cells as #. A glider goes one cell down and one to the right in four steps."""


def life_pattern(name: str, *, size: Size = 64, at: tuple[int, int] | None = None) -> States:
    """One of LIFE_PATTERNS, alone, its top left corner `at` (row, column); in the middle if not given.

    Raises EquationInvalid for an unknown one, or one that does not fit.
    """
    if name not in LIFE_PATTERNS:
        raise EquationInvalid(f"there is no pattern named {name!r}; there are {', '.join(LIFE_PATTERNS)}")
    cells = torch.tensor([[cell == "#" for cell in row] for row in LIFE_PATTERNS[name]]).double()
    (n_rows, n_columns), (height, width) = rows_and_columns(size), cells.shape
    row, column = ((n_rows - height) // 2, (n_columns - width) // 2) if at is None else at
    if not (0 <= row <= n_rows - height and 0 <= column <= n_columns - width):
        raise EquationInvalid(
            f"{name} of {height} × {width} cells does not fit into {n_rows} × {n_columns} at {(row, column)}"
        )
    state = torch.zeros(1, 1, n_rows, n_columns, dtype=torch.float64)
    state[0, 0, row : row + height, column : column + width] = cells
    return state
