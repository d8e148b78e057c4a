"""The read-out-only reservoir, made as strong as we can: same nodes, taps and ranges, random weights, searched on the
twins.

Every draw has fresh random weights AND fresh scales of input, coupling and bias. The first half of the draws covers a
wide range of scales evenly (on a logarithm); the second half stays near the best scales found so far. The few best
are judged again on fresh examples and fresh noise, so that luck does not choose. Only the read-out is ever fitted to
the task.
"""

from __future__ import annotations

import math
import time
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from twins.network.initialise import Architecture, InitialScales, random_wiring
from twins.network.judging import FixedJudge, NoisePass
from twins.network.network import PhysicalNetwork, StackMaker
from twins.network.ports import DevicePort
from twins.network.readout import Readout
from twins.network.scores import NetworkDivergedError, Score
from twins.network.tasks import Task, TaskError
from twins.network.wiring import Wiring

SCALE_RANGES = {"input": (0.15, 4.0), "coupling": (0.1, 3.0), "bias": (0.05, 2.0)}


@dataclass(frozen=True, slots=True)
class ReservoirDraw:
    """One draw was judged on the twins: its score (lower is better) and the best so far."""

    draw: int
    n_draws: int
    score: float
    best: float
    seconds: float


ReservoirEvent = ReservoirDraw | NoisePass


@dataclass(frozen=True, slots=True)
class ReservoirResult:
    """wiring: the best draw, its read-out fitted on the twins. validation: on fresh examples. scores: of all draws,
    in order."""

    wiring: Wiring
    scales: InitialScales
    validation: Score
    scores: tuple[float, ...]
    seconds: float


def search_reservoir(
    architecture: Architecture,
    ports: Sequence[DevicePort],
    twins: Mapping[str, Any],
    task: Task,
    *,
    seed: int,
    n_steps: int,
    n_trials: int = 48,
    n_draws: int = 40,
    n_finalists: int = 4,
    n_final_noise_draws: int = 4,
    regularisation: float = 1e-3,
    stack: StackMaker | None = None,
) -> Generator[ReservoirEvent, None, ReservoirResult]:
    """Search the best random network for `task`; a generator of events that returns the result.

    n_trials, n_steps: examples that fit each draw's read-out, and as many others that score it. regularisation: of those
    read-outs, the returned one among them. Raises TaskError for
    fewer than 20 draws: a baseline of fewer would flatter whatever is compared with it. A draw whose features are not
    finite scores infinity; raises NetworkDivergedError if none of the best is finite.
    """
    if n_draws < 20 or not 1 <= n_finalists <= n_draws:
        raise TaskError(
            f"a reservoir needs n_draws >= 20 and 1 <= n_finalists <= n_draws, not {n_draws}, {n_finalists}"
        )
    begin = time.monotonic()
    streams = np.random.SeedSequence(seed).spawn(4)
    rng = np.random.default_rng(streams[0])
    judge = FixedJudge(task, n_trials, n_steps, n_draws=1, seed=streams[1])
    found: list[tuple[float, int, InitialScales, Wiring]] = []
    for draw in range(n_draws):
        scales = _wide(rng) if draw < n_draws // 2 else _near(min(found)[2], rng)
        wiring = random_wiring(architecture, ports, rng, scales=scales)
        result, _ = yield from judge.judge(PhysicalNetwork(wiring, twins, stack=stack), regularisation=regularisation)
        found.append((result.value, draw, scales, wiring))
        yield ReservoirDraw(draw + 1, n_draws, result.value, min(found)[0], time.monotonic() - begin)
    final_judge = FixedJudge(task, n_trials, n_steps, n_draws=n_final_noise_draws, seed=streams[2])
    finals: list[tuple[Score, Readout, InitialScales, Wiring]] = []
    for _, _, scales, wiring in sorted(found)[:n_finalists]:
        result, readout = yield from final_judge.judge(
            PhysicalNetwork(wiring, twins, stack=stack), regularisation=regularisation
        )
        if readout is not None:
            finals.append((result, readout, scales, wiring))
    if not finals:
        raise NetworkDivergedError(
            f"none of the best {n_finalists} of {n_draws} random networks is finite on the twins"
        )
    best, readout, scales, wiring = min(finals, key=lambda final: final[0].value)
    scores = tuple(one[0] for one in found)
    return ReservoirResult(wiring.with_readout(readout), scales, best, scores, time.monotonic() - begin)


def _wide(rng: np.random.Generator) -> InitialScales:
    drawn = {name: math.exp(rng.uniform(math.log(low), math.log(high))) for name, (low, high) in SCALE_RANGES.items()}
    return InitialScales(**drawn)


def _near(scales: InitialScales, rng: np.random.Generator) -> InitialScales:
    near = {name: getattr(scales, name) * math.exp(rng.normal(0.0, 0.35)) for name in SCALE_RANGES}
    return InitialScales(**near)
