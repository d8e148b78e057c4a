"""Equations and local rules that patterns come from, and frames out of them.

pde_named(name, **parameters)     one of PDES; load_pde reads one that is written as text
blocks, random_blocks, spots …    initial conditions
simulate, simulate_family         frames, for one equation or for several sets of its parameters
"""

from __future__ import annotations

from twins.errors import EquationInvalid
from twins.nca.pde.advection_diffusion import AdvectionDiffusion
from twins.nca.pde.brusselator import Brusselator
from twins.nca.pde.cahn_hilliard import CahnHilliard
from twins.nca.pde.equation import METHODS, Method, Pde
from twins.nca.pde.family import NOISE_SHARES, simulate_family, with_noise
from twins.nca.pde.fitzhugh_nagumo import LABYRINTH, SPIRALS, FitzHughNagumo
from twins.nca.pde.game_of_life import LIFE_PATTERNS, GameOfLife, life_pattern
from twins.nca.pde.gray_scott import MAZE, MITOSIS, SWEEP, GrayScott
from twins.nca.pde.heat import Heat
from twins.nca.pde.initial import (
    INITIAL_CONDITIONS,
    blocks,
    initial_named,
    noise,
    random_blocks,
    random_values,
    seeded,
    smooth_noise,
    soup,
    spots,
)
from twins.nca.pde.neighbourhood import Neighbourhood
from twins.nca.pde.simulate import simulate, states
from twins.nca.pde.written import WrittenPde, load_pde, pde_from

PDES: dict[str, Pde] = {
    "gray_scott": MAZE,
    "gray_scott_maze": MAZE,
    "gray_scott_mitosis": MITOSIS,
    "heat": Heat(),
    "fitzhugh_nagumo": FitzHughNagumo(),
    "fitzhugh_nagumo_spirals": SPIRALS,
    "fitzhugh_nagumo_labyrinth": LABYRINTH,
    "brusselator": Brusselator(),
    "cahn_hilliard": CahnHilliard(),
    "game_of_life": GameOfLife(),
    "advection_diffusion": AdvectionDiffusion(),
}
"""By name, with their default parameters; ``pde_named`` gives them others."""

__all__ = [
    "INITIAL_CONDITIONS", "LABYRINTH", "LIFE_PATTERNS", "MAZE", "METHODS", "MITOSIS", "NOISE_SHARES", "PDES", "SPIRALS",
    "SWEEP", "AdvectionDiffusion", "Brusselator", "CahnHilliard", "FitzHughNagumo", "GameOfLife", "GrayScott", "Heat",
    "Method", "Neighbourhood", "Pde", "WrittenPde", "blocks", "initial_named", "life_pattern", "load_pde", "noise",
    "pde_from", "pde_named", "random_blocks", "random_values", "seeded", "simulate", "simulate_family", "smooth_noise",
    "soup", "spots", "states", "with_noise",
]  # fmt: skip


def pde_named(name: str, **parameters: float) -> Pde:
    """One of PDES, with other parameters where given. Raises EquationInvalid, naming what there is."""
    if name not in PDES:
        raise EquationInvalid(f"there is no equation named {name!r}; there are {', '.join(PDES)}")
    return PDES[name].with_parameters(**parameters)
