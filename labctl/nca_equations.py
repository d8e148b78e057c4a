"""The equations there are, with usual sizes of a first training, without loading any of them.

A table rather than the classes themselves: a window must not load torch. A test holds them together.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Equation:
    """name: as labctl.nca_pde.PdeSource takes it. title: for people. size: cells a side. n_frames: of each sequence.
    pde_steps, steps_per_frame: time steps of the equation, and steps of the automaton, from frame to frame."""

    name: str
    title: str
    fields: tuple[str, ...]
    size: int = 24
    n_frames: int = 17
    pde_steps: int = 16
    steps_per_frame: int = 16


EQUATIONS: tuple[Equation, ...] = (
    Equation(name="gray_scott", title="Gray-Scott: a maze grows", fields=("A", "B")),
    Equation(name="gray_scott_maze", title="Gray-Scott: a maze, by its own name", fields=("A", "B")),
    Equation(name="gray_scott_mitosis", title="Gray-Scott: spots divide", fields=("A", "B"), size=32),
    Equation(name="heat", title="Heat: all evens out", fields=("u",), pde_steps=4, steps_per_frame=4),
    Equation(name="fitzhugh_nagumo", title="FitzHugh-Nagumo: waves", fields=("u", "v"), pde_steps=20),
    Equation(
        name="fitzhugh_nagumo_spirals", title="FitzHugh-Nagumo: spirals", fields=("u", "v"), size=32, pde_steps=20
    ),
    Equation(name="fitzhugh_nagumo_labyrinth", title="FitzHugh-Nagumo: a labyrinth", fields=("u", "v"), pde_steps=20),
    Equation(name="brusselator", title="Brusselator: spots and stripes", fields=("u", "v"), pde_steps=40),
    Equation(name="cahn_hilliard", title="Cahn-Hilliard: two substances part", fields=("u",), pde_steps=64),
    Equation(name="game_of_life", title="Game of Life", fields=("alive",), pde_steps=1, steps_per_frame=1),
    Equation(name="advection_diffusion", title="Advection and diffusion: a cloud drifts", fields=("u",)),
)


def equation_named(name: str) -> Equation | None:
    """That of this name; None for one that is written in a file."""
    return next((one for one in EQUATIONS if one.name == name), None)
