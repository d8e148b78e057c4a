"""One equation with several sets of parameters, each trial with its own: data for automata that know the parameters."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from twins.errors import EquationInvalid
from twins.nca.frames import Frames
from twins.nca.pde.equation import Pde
from twins.nca.pde.simulate import simulate

Initial: TypeAlias = Float[Tensor, "trial field y x"] | Float[np.ndarray, "trial field y x"]


def simulate_family(
    pde: Pde,
    parameter_sets: Sequence[Mapping[str, float]],
    initial: Initial | Callable[[Pde], Initial],
    **options: Any,
) -> Frames:
    """Every initial state with every set of parameters: set by set, the initial states of a set one after another.

    initial: the same for all sets, or what draws it for the equation of a set, when that set's turn comes.
    The parameters that the sets name, the same ones in each, are the conditions of the frames. options: as ``simulate``.
    Raises as ``simulate``, and EquationInvalid for sets that name different parameters.
    """
    if not parameter_sets or not parameter_sets[0]:
        raise EquationInvalid("a family needs at least one set of parameters, with at least one parameter")
    names = tuple(parameter_sets[0])
    for one in parameter_sets:
        if set(one) != set(names):
            raise EquationInvalid(f"every set must name the same parameters: {', '.join(names)}, not {', '.join(one)}")
    runs = []
    for one in parameter_sets:
        own = pde.with_parameters(**one)
        runs.append(simulate(own, initial(own) if callable(initial) else initial, conditions=names, **options))
    return replace(
        runs[0],
        values=np.concatenate([run.values for run in runs]),
        conditions=np.concatenate([run.condition_values for run in runs]),
    )


def with_noise(frames: Frames, share: float, *, generator: torch.Generator) -> Frames:
    """Frames on the way from an equation (share = 0) to noise (share = 1): (1 - share)·frames + share·noise.

    The noise is uniform between the lowest and the highest value of the frames, drawn for every cell, frame and channel on
    its own. NOISE_SHARES are the ten levels of Richardson et al. (PLOS Comput. Biol. 2024); their code draws its noise in
    the range of the unscaled data, we in that of the data it is mixed with. Raises EquationInvalid.
    """
    if not 0.0 <= share <= 1.0:
        raise EquationInvalid(f"the share of noise must lie in 0..1, not {share!r}")
    values = frames.values.astype(np.float64)
    low, high = float(values.min()), float(values.max())
    drawn = torch.rand(values.shape, generator=generator, dtype=torch.float64).numpy()
    return replace(frames, values=(1.0 - share) * values + share * (low + (high - low) * drawn))


NOISE_SHARES = tuple(float(share) for share in np.linspace(0.0, 1.0, 10))
"""0, 1/9 … 1."""
