"""The established sampler: emcee's affine-invariant ensemble (Foreman-Mackey et al., PASP 125, 2013), group by group.

emcee comes with the extra ``samplers``. Its walkers are evaluated as one batch; groups are taken one after the other,
which is why the batched chains of ``twins.goku.inference.chains`` are the default.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Generator

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from twins.errors import SamplerMissing
from twins.goku.inference.group_density import GroupDensity
from twins.goku.inference.refine_settings import RefineEvent, RefineSettings

_LEAST_TIMES = 10.0  # autocorrelation times that the later half must last; each walker adds as many draws
_BLOCKS = 10


def require_emcee() -> None:
    """Raises SamplerMissing where emcee is not installed."""
    if importlib.util.find_spec("emcee") is None:
        raise SamplerMissing(
            "sampler='emcee' needs the package emcee, which is not installed: pip install 'labctl[samplers]', or use "
            "sampler='chains'"
        )


def run_emcee(
    density: GroupDensity,
    chosen: Tensor,
    start: Float[Tensor, "draw row free"],
    settings: RefineSettings,
    n_diverged: int,
    generator: torch.Generator,
) -> Generator[RefineEvent, None, tuple[Float[Tensor, "draw row free"], list[str]]]:
    """(draws, doubts) of the chosen groups, whose starts are the columns of `start`."""
    columns, doubts = [], []
    for number, group in enumerate(chosen.tolist()):
        seed = int(torch.randint(2**31 - 1, (1,), generator=generator))
        begin = _alive(density, group, start[:, number], max(settings.n_chains, 2 * start.shape[-1] + 2))
        if begin is None:
            columns.append(start[: settings.n_draws, number][torch.arange(settings.n_draws) % len(start)])
            doubts.append("emcee: too few starts at which the equation does not run away")
            continue
        draws, doubt = _one_group(density, group, begin, settings, seed)
        columns.append(draws)
        doubts.append(doubt)
        yield RefineEvent("sample", (number + 1) / len(chosen), len(chosen) - number - 1, n_diverged)
    return torch.stack(columns, dim=1), doubts


def _alive(density: GroupDensity, group: int, start: Tensor, n_walkers: int) -> Tensor | None:
    """As many different starts as walkers, all of a finite density."""
    n_walkers += n_walkers % 2
    different = torch.unique(start, dim=0)
    value = density.value(different.unsqueeze(1), torch.tensor([group]))[:, 0]
    alive = different[value.argsort(descending=True)][: int(torch.isfinite(value).sum())]
    return alive[torch.linspace(0, len(alive) - 1, n_walkers).long()] if len(alive) >= n_walkers else None


def _one_group(
    density: GroupDensity, group: int, begin: Tensor, settings: RefineSettings, seed: int
) -> tuple[Tensor, str]:
    import emcee

    place = torch.tensor([group])

    def log_density(x: np.ndarray) -> np.ndarray:
        found: np.ndarray = density.value(torch.from_numpy(x).unsqueeze(1), place)[:, 0].numpy()
        return found

    n_walkers, size = begin.shape
    sampler = emcee.EnsembleSampler(n_walkers, size, log_density, vectorize=True)
    state = emcee.State(begin.numpy(), random_state=np.random.RandomState(seed).get_state())
    time = np.inf
    for _ in range(_BLOCKS):
        state = sampler.run_mcmc(state, -(-settings.n_sweeps // _BLOCKS))
        time = float(sampler.get_autocorr_time(tol=0).max())
        if sampler.iteration > 2 * _LEAST_TIMES * time:
            break
    flat = torch.from_numpy(sampler.get_chain(discard=sampler.iteration // 2, flat=True).copy())
    at = torch.linspace(0, len(flat) - 1, settings.n_draws).round().to(torch.int64)
    lasted = sampler.iteration / 2 / time if np.isfinite(time) and time > 0 else 0.0
    if lasted >= _LEAST_TIMES:
        return flat[at], ""
    return flat[at], (
        f"emcee: the run lasted {lasted:.0f} autocorrelation times (at least {_LEAST_TIMES:.0f}) in "
        f"{sampler.iteration} sweeps; more n_sweeps may help"
    )
