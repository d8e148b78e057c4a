"""How far recovered parameters are from the true ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float64

from twins.goku.scoring.matching import Matching, match_parameters
from twins.goku.system import System


@dataclass(frozen=True, slots=True, eq=False)
class ParameterErrors:
    """Errors of recovered parameters after matching, (trace, parameter) each.

    estimate: the matched estimates. relative: |error| / |truth|, infinite where the truth is 0 and the estimate is not.
    of_range: |error| / width of the prior range, both in the logarithm where the parameter's scale is. matching: which
    change brought each trace there; ``matching.apply`` does the same to the draws of a posterior.
    """

    names: tuple[str, ...]
    estimate: Float64[np.ndarray, "trace parameter"]
    relative: Float64[np.ndarray, "trace parameter"]
    of_range: Float64[np.ndarray, "trace parameter"]
    matching: Matching

    def by_parameter(self) -> dict[str, dict[str, float]]:
        """{name: {"relative": median over traces, "of_range": median}}."""
        relative, of_range = np.median(self.relative, axis=0), np.median(self.of_range, axis=0)
        return {
            name: {"relative": float(relative[index]), "of_range": float(of_range[index])}
            for index, name in enumerate(self.names)
        }

    def pooled(self) -> dict[str, float]:
        """{"relative": median over traces and parameters, "of_range": median}."""
        return {"relative": float(np.median(self.relative)), "of_range": float(np.median(self.of_range))}


def parameter_errors(
    system: System,
    estimate: Float64[np.ndarray, "trace parameter"],
    truth: Float64[np.ndarray, "trace parameter"],
    *,
    observed: Sequence[str] | None,
) -> ParameterErrors:
    """Errors after the change of parameters that data cannot tell and that leaves the smallest error.

    observed: names of the outputs that were observed through a known operator, or None where the observation was free or
    learned; see ``match_parameters``. Raises EquationInvalid.
    """
    matching = match_parameters(system, estimate, truth, observed=observed)
    matched = matching.apply(estimate)
    error, size = np.abs(matched - truth), np.abs(np.asarray(truth, dtype=np.float64))
    known = np.where(size > 0.0, size, 1.0)
    relative = np.where(size > 0.0, error / known, np.where(error > 0.0, np.inf, 0.0))
    placed = [system.parameters_to_unit(torch.as_tensor(values, dtype=torch.float64)) for values in (matched, truth)]
    of_range = (placed[0] - placed[1]).abs().numpy()
    return ParameterErrors(system.parameter_names, matched, relative, of_range, matching)
