"""How much the solver's steps matter to a likelihood, and how many are enough."""

from __future__ import annotations

import copy
import math

import torch
from jaxtyping import Float
from torch import Tensor

from twins.errors import EquationInvalid
from twins.goku.inference.likelihood import TraceLikelihood
from twins.goku.inference.prediction import Prediction
from twins.goku.simulated.substeps import Steps, fewest_steps

_ENOUGH = 0.2
_MOST_SUBSTEPS = 64


def with_substeps(likelihood: TraceLikelihood, substeps: int) -> TraceLikelihood:
    """The same likelihood, solved by so many steps a sample."""
    other = copy.copy(likelihood)
    other.substeps = substeps
    return other


def solver_error(
    likelihood: TraceLikelihood, parameters: Tensor, initial: Tensor, noise_sd: Tensor
) -> Float[Tensor, " trace"]:
    """The change of a trace's whole prediction when the steps are halved, in standard deviations of the noise: no
    estimate is moved by more of its own standard deviations than that. inf where either diverges."""
    here = likelihood.predict(parameters, initial, noise_sd)
    return _change(
        likelihood, here, with_substeps(likelihood, 2 * likelihood.substeps).predict(parameters, initial, noise_sd)
    )


def _change(likelihood: TraceLikelihood, here: Prediction, finer: Prediction) -> Float[Tensor, " trace"]:
    error = (here.mean - finer.mean) * likelihood.data.seen
    if here.covariance is None or finer.covariance is None:
        squares = (error.square() / finer.variance).sum(dim=(0, -1))
    else:
        factor, _ = torch.linalg.cholesky_ex(finer.covariance)
        white = torch.linalg.solve_triangular(factor, error.unsqueeze(-1), upper=False)
        change = torch.linalg.solve_triangular(factor, here.covariance - finer.covariance, upper=False)
        change = torch.linalg.solve_triangular(factor, change.mT, upper=False)
        squares = white.square().sum(dim=(0, -2, -1)) + 0.5 * change.square().sum(dim=(0, -2, -1))
    bad = here.diverged | finer.diverged | ~torch.isfinite(squares)
    return torch.where(bad, torch.inf, squares.sqrt())


def enough_substeps(likelihood: TraceLikelihood, parameters: Tensor, initial: Tensor, noise_sd: Tensor) -> int:
    """The fewest steps a sample, 1 to 64 by doubling, that leave nine in ten of the traces an error below 0.2 standard
    deviations; traces that diverge do not count. 64 where these are not enough: for a search that begins at draws from
    the prior and tells the ``solver_error`` of its outcome. Everything else asks ``solved_enough``."""
    return _steps(likelihood, parameters, initial, noise_sd).substeps


def solved_enough(
    likelihood: TraceLikelihood, parameters: Tensor, initial: Tensor, noise_sd: Tensor
) -> TraceLikelihood:
    """The same likelihood by ``enough_substeps`` here. Raises EquationInvalid where 64 steps a sample are not enough."""
    steps = _steps(likelihood, parameters, initial, noise_sd)
    if not steps.enough and math.isfinite(steps.error):  # where all traces diverge, no steps are at fault
        raise EquationInvalid(
            f"{likelihood.system.name}: {steps.substeps} steps a sample leave an error of {steps.error:.2g} standard "
            f"deviations, and {_ENOUGH:g} are allowed; give substeps=, sample faster, or a likelier estimate"
        )
    return with_substeps(likelihood, steps.substeps)


def _steps(likelihood: TraceLikelihood, parameters: Tensor, initial: Tensor, noise_sd: Tensor) -> Steps:
    def predict(substeps: int) -> Prediction:
        return with_substeps(likelihood, substeps).predict(parameters, initial, noise_sd)

    def change(here: Prediction, finer: Prediction) -> float:
        error = _change(likelihood, here, finer)
        counted = error[torch.isfinite(error)]
        return float(counted.quantile(0.9)) if len(counted) else math.inf

    return fewest_steps(predict, change, tolerance=_ENOUGH, most=_MOST_SUBSTEPS)
