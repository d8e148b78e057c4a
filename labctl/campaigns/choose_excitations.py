"""Choose what to measure next: the drives on which the twins of an ensemble disagree most, and not all alike.

Where twins of the same data disagree, the data have not decided yet; where they agree, however noisy the device is, more
data teach little. Each candidate is answered by every member with the same noise (twins.TwinEnsemble.disagreement), and
what counts is the spread of the members' means over the noise of their own. A batch is then chosen one by one: what an
earlier choice will show already counts for less, cell by cell of the plane of drive and response.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from labctl.background import in_background
from labctl.bench import Bench
from labctl.campaign import Campaign
from labctl.designs import combine, random_steps
from labctl.errors import CampaignError, OutOfLimits
from labctl.excitation import Excitation, concatenate

if TYPE_CHECKING:
    from twins import DeviceTwin

Array = NDArray[np.float64]

N_DRAWS = 16
N_BINS = 8
"""Of each channel, by its quantiles over all candidates."""
SHARES = (1.0, 0.5, 0.25)
"""Widths of the candidates' drives, as shares of the whole range: wide steps reach everywhere, narrow ones stay somewhere."""


@dataclass(frozen=True, slots=True)
class ChosenExcitations:
    """The trials to record next, and how much the members disagree on them: root mean square of the spread of their
    means over the spread within the members. candidates: the same of all candidates, (candidate,)."""

    excitation: Excitation
    disagreement: Array
    candidates: Array


def choose_excitations(
    twins: Sequence[DeviceTwin],
    candidates: Excitation,
    *,
    n: int,
    seed: int,
    conditions: Mapping[str, float] | None = None,
    key: str = "choose",
) -> Campaign[ChosenExcitations]:
    """Choose `n` of the candidates by the disagreement of `twins`, members of an ensemble.

    Candidates are the trials of one excitation, inside the limits of their channels (see `playable`). conditions: under
    which they will be recorded. Raises CampaignError for fewer than two twins or too few candidates.
    """
    if len(twins) < 2:
        raise CampaignError("choosing by disagreement needs at least two twins of the device")
    if not 1 <= n <= candidates.n_trials:
        raise CampaignError(f"{n} trials cannot be chosen among {candidates.n_trials} candidates")
    maps, ratio = yield from in_background(lambda: _maps(twins, candidates, seed, conditions or {}), key=key)
    picked = greedy_cover(maps, n)
    chosen = candidates.trials(np.array(picked))
    description = {"design": "chosen by disagreement", "of": dict(candidates.description), "candidates": len(ratio)}
    excitation = Excitation(chosen.drive, chosen.channels, chosen.dt_s, description=description)
    return ChosenExcitations(excitation, ratio[picked], ratio)


def candidate_drives(
    drives: Sequence[tuple[str, float, float]],
    *,
    n_trials: int,
    n_samples: int,
    holds: Sequence[int],
    dt_s: float,
    generator: np.random.Generator,
) -> Excitation:
    """Random steps over the whole range of (channel, low, high), and over narrower ranges that lie anywhere in it.

    Two trials at least of each width; the number is rounded down to a multiple of the widths.
    """
    parts = []
    for share in SHARES:
        for _ in range(max(1, n_trials // len(SHARES))):
            one = []
            for channel, low, high in drives:
                width = share * (high - low)
                start = low + float(generator.uniform(0.0, 1.0)) * (high - low - width)
                hold_s = [float(generator.choice(np.asarray(holds))) * dt_s]
                one.append(
                    random_steps(
                        channel, low=start, high=min(high, start + width), hold_s=hold_s, duration_s=n_samples * dt_s,
                        n_trials=1, dt_s=dt_s, generator=generator,
                    )
                )  # fmt: skip
            parts.append(combine(*one))
    return concatenate(*parts)


def playable(bench: Bench, candidates: Excitation) -> Excitation:
    """Those of the candidates that the bench would play: inside every limit, and no faster than slew or ramp allow.

    Raises CampaignError if there are none, with what is wrong with the first.
    """
    fit, wrong = [], ""
    for trial in range(candidates.n_trials):
        try:
            bench.respond(candidates.trials([trial])).close()  # it checks all before anything is sent
        except OutOfLimits as error:
            wrong = wrong or str(error)
        else:
            fit.append(trial)
    if not fit:
        raise CampaignError(f"none of {candidates.n_trials} candidates can be played: {wrong}")
    return candidates.trials(np.array(fit))


def greedy_cover(maps: Array, n: int) -> list[int]:
    """Indices of `n` rows of (candidate, cell) that together cover most: each cell counts by log(1 + its sum / mean).

    The logarithm is concave, so what one trial shows makes another that shows the same worth less. Greedy choice reaches
    at least 1 - 1/e of the best (Nemhauser, Wolsey and Fisher, Math. Program. 14:265, 1978).
    """
    scaled = maps / max(float(maps.mean()), 1e-300)
    covered = np.zeros(maps.shape[1])
    chosen: list[int] = []
    for _ in range(n):
        gain = (np.log1p(covered + scaled) - np.log1p(covered)).sum(1)
        gain[chosen] = -np.inf
        best = int(gain.argmax())
        chosen.append(best)
        covered = covered + scaled[best]
    return chosen


def _maps(
    twins: Sequence[DeviceTwin], candidates: Excitation, seed: int, conditions: Mapping[str, float]
) -> tuple[Array, Array]:
    """((candidate, cell): squared disagreement over squared noise, summed in cells of drive and response; its root mean
    square over each candidate, (candidate,))."""
    import torch

    from twins.ensemble import TwinEnsemble

    ensemble = TwinEnsemble(twins)
    generator = torch.Generator().manual_seed(seed)
    drive = torch.tensor(candidates.drive).to(ensemble.linear_weight)
    # New drives may go a little beyond what was recorded so far: that is what they are for.
    held = {name: conditions[name] for name in ensemble.spec.condition_names}
    found = ensemble.disagreement(drive, generator=generator, n_draws=N_DRAWS, conditions=held, check_range=False)
    response = _mean_response(ensemble.members[0], drive, held, generator)
    noise = found.aleatoric.square().flatten(0, -2).mean(0)
    value = (found.epistemic.square() / noise.clamp_min(1e-30)).nan_to_num(nan=0.0, posinf=0.0).numpy()
    cells = _cells(candidates.drive, response)
    maps = np.zeros((candidates.n_trials, int(cells.max()) + 1))
    for trial in range(candidates.n_trials):
        for channel in range(value.shape[2]):
            np.add.at(maps[trial], cells[trial, :, channel], value[trial, :, channel])
    return maps, np.asarray(found.ratio.double().numpy(), dtype=np.float64)


def _mean_response(twin: DeviceTwin, drive: object, held: Mapping[str, float], generator: object) -> Array:
    """(trial, time, response): where a candidate will bring the device, roughly: one free run."""
    import torch

    assert isinstance(drive, torch.Tensor) and isinstance(generator, torch.Generator)
    with torch.no_grad():
        answer = twin.respond(drive, generator=generator, conditions=held, observed=False, check_range=False)
    return np.asarray(answer.double().nan_to_num().numpy(), dtype=np.float64)


def _cells(drive: Array, response: Array) -> NDArray[np.int64]:
    """(trial, time, response): the number of the cell in the plane of the first drive and each response channel."""
    n_responses = response.shape[2]
    of_drive = _quantile_bins(drive[..., 0])
    planes = [
        (of_drive * N_BINS + _quantile_bins(response[..., one])) * n_responses + one for one in range(n_responses)
    ]
    return np.stack(planes, axis=-1)


def _quantile_bins(values: Array) -> NDArray[np.int64]:
    edges = np.quantile(values, np.linspace(0.0, 1.0, N_BINS + 1)[1:-1])
    return np.asarray(np.searchsorted(edges, values), dtype=np.int64)
