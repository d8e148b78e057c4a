"""All parameter sets that data cannot tell from a given one: the group that a system's symmetries generate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from twins.errors import EquationInvalid
from twins.goku.system import Symmetry, System

MOST_ELEMENTS = 20_000


@dataclass(frozen=True, slots=True)
class SymmetryGroup:
    """Distinct changes of parameters, the identity first; each is a generator applied to an earlier one.

    generators: what it is made of; steps: (earlier element, generator) of every element but the first.
    """

    generators: tuple[Symmetry, ...]
    steps: tuple[tuple[int, int], ...]

    def __len__(self) -> int:
        return len(self.steps) + 1

    def images(self, parameters: Float[Tensor, "... parameter"]) -> Float[Tensor, "element ... parameter"]:
        """What every element makes of parameters."""
        found = [parameters]
        for earlier, generator in self.steps:
            found.append(self.generators[generator].parameters(found[earlier]))
        return torch.stack(found)

    def image(self, element: int, parameters: Float[Tensor, "... parameter"]) -> Float[Tensor, "... parameter"]:
        """What one element makes of parameters."""
        words = []
        while element:
            element, generator = self.steps[element - 1]
            words.append(generator)
        for generator in reversed(words):
            parameters = self.generators[generator].parameters(parameters)
        return parameters


def symmetry_group(
    system: System, symmetries: Sequence[Symmetry], *, most_elements: int = MOST_ELEMENTS
) -> SymmetryGroup:
    """The group that these symmetries generate, as far as they change parameters.

    Elements are told apart by what they make of one set of parameters without symmetries of its own. Raises EquationInvalid
    where there are more than most_elements.
    """
    probe = system.draw_parameters(1, torch.Generator().manual_seed(20))[0]
    images, seen, steps, frontier = [probe], {_key(probe)}, list[tuple[int, int]](), [0]
    while frontier:
        reached = []
        for earlier in frontier:
            for index, generator in enumerate(symmetries):
                image = generator.parameters(images[earlier])
                if _key(image) in seen:
                    continue
                if len(images) >= most_elements:
                    raise EquationInvalid(
                        f"{system.name}: its symmetries make more than {most_elements} sets of parameters of one; "
                        "too many to compare with"
                    )
                seen.add(_key(image))
                steps.append((earlier, index))
                reached.append(len(images))
                images.append(image)
        frontier = reached
    return SymmetryGroup(tuple(symmetries), tuple(steps))


def usable_symmetries(system: System, observed: Sequence[str] | None) -> tuple[Symmetry, ...]:
    """Those that leave all observed outputs alone; all, where nothing is known of the observation (None)."""
    return tuple(one for one in system.symmetries() if observed is None or set(observed) <= set(one.outputs))


def _key(parameters: Tensor) -> tuple[float, ...]:
    return tuple(round(value, 9) + 0.0 for value in parameters.tolist())
