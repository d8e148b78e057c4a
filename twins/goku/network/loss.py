"""What training makes small: the published losses, and the likelihood with its evidence lower bound.

relative (GOKU-UI): mean((x - x̂)²) / mean|x| + continuity_weight · gaps [+ β KL].
summed (2021): the squared error summed over channels, averaged over traces and samples, [+ β KL].
likelihood: minus the logarithm of the Gaussian density of what was observed, with a noise level a channel that is
learned, + β KL, all by the number of values observed. With β = 1 it is minus the evidence lower bound, nats a value.

All in normalised channels; missing samples and diverged traces have no part. Where posterior = "physical" the KL holds
the gaps between windows (``twins.goku.network.latent``), and the continuity term is left away.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor
from torch.linalg import vector_norm

from twins.goku.network.batch import Batch, all_seen
from twins.goku.network.model import GokuNet, GokuOutput
from twins.goku.network.squared_error import LastLayer, sum_of_squares

_SMALLEST_NOISE = 1e-4  # of the normalised channels; a perfect fit must not make the likelihood infinite


@dataclass(frozen=True, slots=True)
class GokuLoss:
    """total: what is made small. reconstruction (its part of data), continuity and kl: without their weights."""

    total: Float[Tensor, ""]
    reconstruction: Float[Tensor, ""]
    continuity: Float[Tensor, ""]
    kl: Float[Tensor, ""]


def goku_loss(net: GokuNet, batch: Batch, output: GokuOutput, *, kl_share: float = 1.0) -> GokuLoss | None:
    """The loss of a batch, kl_share (0..1, annealed) on the KL; None if no trace has anything to say.

    A trace that diverged, or of which nothing was seen, is left out.
    """
    complete = all_seen(batch.seen)
    kept = ~output.diverged if complete else ~output.diverged & batch.seen.any(2).any(1)
    if not bool(kept.any()):
        return None
    values, seen, outcome = net.normalised(batch), batch.seen, output.outcome
    continuity, kl = output.continuity, output.kl
    if not bool(kept.all()):
        values, seen, outcome = values[kept], seen[kept], outcome[kept]
        continuity, kl = continuity[kept], kl[kept]
    reconstruction = _of_data(net, values, outcome, None if complete else seen)
    total, spec = reconstruction, net.spec
    if spec.posterior != "physical":
        total = total + spec.continuity_weight * continuity.mean()
    if spec.variational and kl_share > 0.0:
        per = (values.numel() if complete else int(seen.count_nonzero())) if spec.loss == "likelihood" else len(kl)
        total = total + (kl_share * spec.kl_weight / per) * kl.sum()
    return GokuLoss(total, reconstruction, continuity.mean(), kl.mean())


def _of_data(net: GokuNet, values: Tensor, outcome: Tensor | LastLayer, seen: Tensor | None) -> Tensor:
    """seen: None where all are."""
    n = values.numel() if seen is None else int(seen.count_nonzero())
    if net.spec.loss != "likelihood" and seen is None:
        if isinstance(outcome, LastLayer):
            mean = outcome.squared_error(values) / n
        else:
            mean = sum_of_squares((values - outcome).flatten(0, -2)) / n
    else:
        expected = outcome.expected if isinstance(outcome, LastLayer) else outcome
        squared = (values - expected).square()
        if seen is not None:
            squared = squared.where(seen, 0.0)
        if net.spec.loss == "likelihood":
            variance = (2.0 * net.log_noise_sd).exp() + _SMALLEST_NOISE**2
            count = values.new_full((values.shape[2],), n // values.shape[2])
            if seen is not None:
                count = seen.count_nonzero(dim=(0, 1)).to(values)
            nats = 0.5 * (squared.sum(dim=(0, 1)) / variance + count * (variance.log() + math.log(2.0 * math.pi)))
            return nats.sum() / n
        mean = squared.sum() / n
    if net.spec.loss == "summed":
        return mean * values.shape[2]
    size = vector_norm(values, 1, dim=-1).sum() if seen is None else values.abs().where(seen, 0.0).sum()
    return mean / (size / n)
