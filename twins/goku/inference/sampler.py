"""Draws from the posterior of every group: by importance, and by Markov chains where importance draws fail."""

from __future__ import annotations

import dataclasses
from collections.abc import Generator
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from twins.goku.inference.adapted import draw_adapted
from twins.goku.inference.chains import run_chains
from twins.goku.inference.deadline import NEVER, Deadline
from twins.goku.inference.funnel import Funnel
from twins.goku.inference.group_density import GroupDensity
from twins.goku.inference.importance import Draws, Mixture, draw_weighted, flattened, mixture_of_tops, put, rows_of
from twins.goku.inference.nested_importance import draw_nested
from twins.goku.inference.refine_settings import RefineEvent, RefineSettings
from twins.goku.inference.starts import Tops
from twins.goku.inference.straightened import draw_straightened

_ROUNDS = 2
_BETTER_THAN_STUCK = 30.0  # equal draws: so many are kept rather than chains that do not agree
_SURE_K_HAT, _SURE_SHARE = 0.4, 0.25
"""Plain draws count from here on: their weights look better than they are where a bent ridge is left at its ends, which
draws along the bends are not, so that those are made for all others."""
_ADAPTED_K_HAT, _ADAPTED_SHARE = 0.5, 0.4
"""All draws worse than this are followed by ones from fitted proposals, which go on until here. Draws that only just reach
the settings' limits may lack a part of the density: a noise level that may be 0, or an end of a ridge."""
_ONE_TOP = 0.9  # share from which a density counts as having one
_STARTS_WORTH = 40.0  # equal draws


@dataclass(frozen=True, slots=True)
class Found:
    """What is known of the groups of one density: tops and draws. how: each group's draws were made, by "importance",
    "straightened" (importance draws along the bends), "adapted" (from
    proposals fitted to the draws), "chains" or "emcee". why: they cannot be trusted ("" where they can)."""

    density: GroupDensity
    tops: Tops
    draws: Draws
    how: list[str]
    why: list[str]


def sample_where_needed(
    density: GroupDensity,
    tops: Tops,
    settings: RefineSettings,
    generator: torch.Generator,
    out_of_time: Deadline = NEVER,
) -> Generator[RefineEvent, None, Found]:
    """Importance draws of all groups; then the sampler for those where they cannot be trusted (or for all)."""
    groups = torch.arange(density.n_groups)
    n_diverged = int(tops.n_diverged.sum())
    drawing = draw_weighted(
        density, groups, mixture_of_tops(tops.x, tops.covariance, tops.share()),
        n_draws=settings.n_draws, rounds=_ROUNDS, largest_k_hat=min(_SURE_K_HAT, settings.largest_k_hat),
        least_effective=max(_SURE_SHARE * settings.n_draws, settings.least_effective), generator=generator,
    )  # fmt: skip
    number = 0
    while True:
        try:
            n_failed = next(drawing)
        except StopIteration as stopped:
            draws = stopped.value
            break
        number += 1
        yield RefineEvent("draw", number / _ROUNDS, n_failed, n_diverged)
    how = ["importance"] * density.n_groups
    settled = torch.zeros(density.n_groups, dtype=torch.bool)
    if density.members.shape[1] > 1 and not out_of_time():
        draws, settled = yield from _nested(density, tops, draws, settings, n_diverged, generator)
    funnel = Funnel(density, tops.x[:, 0]) if density.likelihood.system.stochastic else None
    if funnel is None and not out_of_time():
        draws = yield from _straightened(density, tops, draws, how, settings, n_diverged, generator)
    sure = draws.good(*_adapted_limits(settings)) | settled
    wanted = ~tops.diverged if settings.always_sample else ~sure & ~tops.diverged
    chosen = wanted.nonzero().squeeze(-1)
    mixture, failed = None, torch.zeros(density.n_groups, dtype=torch.bool)
    if len(chosen) and not out_of_time():
        draws, mixture, failed = yield from _adapted(
            density, funnel, chosen, draws, how, settings, n_diverged, generator, out_of_time
        )
    good = draws.good(settings.largest_k_hat, settings.least_effective) & ~tops.diverged
    if out_of_time():
        good &= tops.converged  # draws around a place that is no top may miss all that counts
    why = [_why(draws, tops, group, settings) if not good[group] else "" for group in range(density.n_groups)]
    kept = chosen if settings.always_sample else ((~good | failed) & ~tops.diverged).nonzero().squeeze(-1)
    if settings.sampler == "none" or not len(kept):
        return Found(density, tops, draws, how, why)
    if out_of_time():
        for group in (~good & ~tops.diverged).nonzero().squeeze(-1).tolist():
            why[group] = f"{why[group]}; out of time after {settings.max_seconds:g} s"
        return Found(density, tops, draws, how, why)
    if mixture is not None:
        place = torch.searchsorted(chosen, kept)
        mixture = Mixture(mixture.centre[place], mixture.factor[place], mixture.share[place])
    sampled, doubts = yield from _sampled(
        density, kept, draws, mixture, funnel, settings, n_diverged, generator, out_of_time
    )
    return _joined(Found(density, tops, draws, how, why), kept, sampled, doubts, settings)


def _nested(
    density: GroupDensity,
    tops: Tops,
    draws: Draws,
    settings: RefineSettings,
    n_diverged: int,
    generator: torch.Generator,
) -> Generator[RefineEvent, None, tuple[Draws, Tensor]]:
    """(draws of the shared parameters, each with several of every trace's own unknowns, for groups whose plain draws fail,
    kept where they are better; (group,), where they will do: noise levels that may be 0 were proposed as well)."""
    limits = _adapted_limits(settings)
    settled = torch.zeros(density.n_groups, dtype=torch.bool)
    rows = (~draws.good(*limits) & ~tops.diverged).nonzero().squeeze(-1)
    if not len(rows):
        return draws, settled
    limits = limits[0], max(_SURE_SHARE * settings.n_draws, settings.least_effective)
    proposal = rows_of(mixture_of_tops(tops.x, tops.covariance, tops.share()), rows)
    drawing = draw_nested(
        density, rows, proposal, n_draws=settings.n_draws, largest_k_hat=limits[0], least_effective=limits[1],
        generator=generator,
    )  # fmt: skip
    while True:
        try:
            yield RefineEvent("draw", next(drawing), len(rows), n_diverged)
        except StopIteration as stopped:
            again: Draws = stopped.value
            break
    settled[rows] = again.good(*limits)
    better = settled[rows] | ((again.k_hat < draws.k_hat[rows]) & (again.effective > draws.effective[rows]))
    return put(draws, rows[better], again, better), settled


def _joined(
    found: Found, chosen: Tensor, sampled: Float[Tensor, "draw row free"], doubts: list[str], settings: RefineSettings
) -> Found:
    """With the chains' draws, but where they do not agree and the others are worth something."""
    draws, how, why = found.draws, list(found.how), list(found.why)
    x, weights = draws.x.clone(), draws.weights.clone()
    for place, (group, doubt) in enumerate(zip(chosen.tolist(), doubts, strict=True)):
        if doubt and draws.effective[group] > _BETTER_THAN_STUCK and draws.k_hat[group] < 1.0:
            why[group] = f"{why[group]}; {doubt}" if why[group] else ""
            continue
        x[:, group], weights[:, group] = sampled[:, place], 1.0 / settings.n_draws
        how[group], why[group] = settings.sampler, doubt
    kept = Draws(x, weights, draws.k_hat, draws.effective, draws.log_evidence)
    return Found(found.density, found.tops, kept, how, why)


def _adapted_limits(settings: RefineSettings) -> tuple[float, float]:
    """(largest k-hat, least equal draws)."""
    return (
        min(_ADAPTED_K_HAT, settings.largest_k_hat),
        max(_ADAPTED_SHARE * settings.n_draws, settings.least_effective),
    )


def _adapted(
    density: GroupDensity,
    funnel: Funnel | None,
    rows: Tensor,
    draws: Draws,
    how: list[str],
    settings: RefineSettings,
    n_diverged: int,
    generator: torch.Generator,
    out_of_time: Deadline,
) -> Generator[RefineEvent, None, tuple[Draws, Mixture, Tensor]]:
    """(draws from proposals fitted to those that fail, kept where they are better; the last proposals; (group,), whether
    they fail as well, so that chains are run even where the earlier ones passed)."""
    some = Draws(
        draws.x[:, rows], draws.weights[:, rows], draws.k_hat[rows], draws.effective[rows], draws.log_evidence[rows]
    )
    if funnel is not None:
        some = dataclasses.replace(some, x=funnel.into(some.x, rows)[0])
    drawing = draw_adapted(
        funnel or density, rows, some, n_draws=settings.n_draws, limits=_adapted_limits(settings), generator=generator,
        out_of_time=out_of_time,
    )  # fmt: skip
    while True:
        try:
            yield RefineEvent("draw", next(drawing), len(rows), n_diverged)
        except StopIteration as stopped:
            again: Draws = stopped.value[0]
            mixture: Mixture = stopped.value[1]
            break
    if funnel is not None:
        again = dataclasses.replace(again, x=funnel.out(again.x, rows)[0])
    better = again.good(settings.largest_k_hat, settings.least_effective) | (
        (again.k_hat < some.k_hat) & (again.effective > some.effective)
    )
    for row in rows[better].tolist():
        how[row] = "adapted"
    failed = torch.zeros(density.n_groups, dtype=torch.bool)
    failed[rows] = ~again.good(settings.largest_k_hat, settings.least_effective)
    return put(draws, rows[better], again, better), mixture, failed


def _straightened(
    density: GroupDensity,
    tops: Tops,
    draws: Draws,
    how: list[str],
    settings: RefineSettings,
    n_diverged: int,
    generator: torch.Generator,
) -> Generator[RefineEvent, None, Draws]:
    """Draws along the bends for the groups with one top whose plain draws fail; kept where they are better."""
    sure = draws.good(
        min(_SURE_K_HAT, settings.largest_k_hat), max(_SURE_SHARE * settings.n_draws, settings.least_effective)
    )
    failed = ~sure & ~tops.diverged
    rows = (failed & (tops.share()[:, 0] > _ONE_TOP)).nonzero().squeeze(-1)
    if not len(rows):
        return draws
    drawing = draw_straightened(density, rows, tops.x[rows, 0], n_draws=settings.n_draws, generator=generator)
    while True:
        try:
            yield RefineEvent("draw", next(drawing), len(rows), n_diverged)
        except StopIteration as stopped:
            again: Draws = stopped.value
            break
    better = again.good(settings.largest_k_hat, settings.least_effective)
    better |= (again.k_hat < draws.k_hat[rows]) & (again.effective > draws.effective[rows])
    for row in rows[better].tolist():
        how[row] = "straightened"
    return put(draws, rows[better], again, better)


def _why(draws: Draws, tops: Tops, group: int, settings: RefineSettings) -> str:
    if bool(tops.diverged[group]):
        return "the equation ran away from every start"
    if draws.good(settings.largest_k_hat, settings.least_effective)[group]:
        return "the climb had not reached a top"
    return (
        f"importance draws: k-hat {float(draws.k_hat[group]):.2f} (at most {settings.largest_k_hat:g}), worth "
        f"{float(draws.effective[group]):.0f} equal draws (at least {settings.least_effective:g})"
    )


def _sampled(
    density: GroupDensity,
    chosen: Tensor,
    draws: Draws,
    mixture: Mixture | None,
    funnel: Funnel | None,
    settings: RefineSettings,
    n_diverged: int,
    generator: torch.Generator,
    out_of_time: Deadline,
) -> Generator[RefineEvent, None, tuple[Float[Tensor, "draw row free"], list[str]]]:
    """(draws, doubts) of the chosen groups."""
    start = _start(draws, chosen, 2 * max(settings.n_chains, 4 * draws.x.shape[-1]), generator)
    if settings.sampler == "emcee":
        from twins.goku.inference.emcee_sampler import run_emcee

        return (yield from run_emcee(density, chosen, start, settings, n_diverged, generator))
    running = run_chains(
        density, chosen, start, n_chains=settings.n_chains, n_sweeps=settings.n_sweeps, n_draws=settings.n_draws,
        largest_r_hat=settings.largest_r_hat, generator=generator, mixture=mixture, funnel=funnel,
        out_of_time=out_of_time,
    )  # fmt: skip
    while True:
        try:
            progress, n_left = next(running)
        except StopIteration as stopped:
            chains = stopped.value
            break
        yield RefineEvent("sample", progress, n_left, n_diverged)
    late = f"; out of time after {settings.max_seconds:g} s" if out_of_time() else "; more n_sweeps may help"
    doubts = [
        "" if r_hat <= settings.largest_r_hat else f"Markov chains do not agree: R-hat {r_hat:.2f} "
        f"(at most {settings.largest_r_hat:g}) after {sweeps} sweeps{late}"
        for r_hat, sweeps in zip(chains.r_hat.tolist(), chains.sweeps.tolist(), strict=True)
    ]  # fmt: skip
    return chains.x, doubts


def _start(draws: Draws, chosen: Tensor, n: int, generator: torch.Generator) -> Float[Tensor, "draw row free"]:
    """From the weighted draws, their weights flattened until some tens of them count, so that chains start apart."""
    weights, x = flattened(draws.weights[:, chosen], _STARTS_WORTH), draws.x[:, chosen]
    pick = torch.multinomial(weights.T, n, replacement=True, generator=generator).T
    return x[pick, torch.arange(len(chosen))]
