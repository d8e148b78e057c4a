"""How fast a closed loop through the instruments can go: measured, with the outputs held at rest."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from labctl.bench.session import Session
from labctl.bench.stepped import SteppedBench, Turn
from labctl.errors import ExcitationError

Array = NDArray[np.float64]
MARGIN = 1.5
"""The sampling time that is promised is this much longer than what 99 of 100 turns took."""
FEWEST_TURNS = 20
_FIRST_TURNS = 3
"""The first turns set instruments up and are not counted."""


@dataclass(frozen=True, slots=True)
class LoopRate:
    """What turns of the loop took: read every response, compute, set every drive, as fast as it goes (s).

    n_turns: how many were measured. read_s, compute_s, set_s: medians of the parts. devices: that were in the loop.
    paced_p99_s: the 99th percentile of turns that came at a steady pace, with pauses, as in a recording: processors and
    instruments that had time to fall asleep can be slower than those that are kept busy. measured_utc: when.
    """

    devices: tuple[str, ...]
    n_turns: int
    median_s: float
    p95_s: float
    p99_s: float
    worst_s: float
    read_s: float
    compute_s: float
    set_s: float
    paced_p99_s: float
    measured_utc: str = ""

    @property
    def shortest_dt_s(self) -> float:
        """The shortest sampling time that can be promised (s): MARGIN times the 99th percentile, of the slower kind."""
        return MARGIN * max(self.p99_s, self.paced_p99_s)

    @property
    def fastest_Hz(self) -> float:
        """The highest sample rate that can be promised."""
        return 1.0 / self.shortest_dt_s

    def as_dict(self) -> dict[str, object]:
        """Plain data, for a recording's provenance and reports."""
        return {
            **asdict(self),
            "devices": list(self.devices),
            "shortest_dt_s": self.shortest_dt_s,
            "fastest_Hz": self.fastest_Hz,
        }

    def check(self, dt_s: float) -> None:
        """Raise ExcitationError if this sampling time is shorter than what can be promised."""
        if dt_s < self.shortest_dt_s * (1.0 - 1e-9):
            raise ExcitationError(
                f"a closed loop over {', '.join(self.devices)} every {dt_s:g} s is too fast for the instruments: {self}. "
                "Lower the devices' sample_rate_Hz (and learn the twins at that rate), have fewer devices in the loop, or "
                "make the instruments faster (shorter integration times, a faster line)"
            )

    def __str__(self) -> str:
        return (
            f"a turn took {1e3 * self.median_s:.3g} ms (median; 95 %: {1e3 * self.p95_s:.3g}, worst {1e3 * self.worst_s:.3g} "
            f"of {self.n_turns}), so at most {self.fastest_Hz:.3g} samples a second can be promised"
        )


def measure_turns(
    session: Session, bench: SteppedBench, compute: Callable[[Array], object], *, duration_s: float
) -> LoopRate:
    """Turn after turn through the checks of a recording, every drive set to its rest level: as fast as it goes for half of
    `duration_s`, then at the steady pace that this seems to allow.

    compute: what is to be computed from what was measured (response channel,), for the time that it takes. Raises as a
    stepped recording does.
    """
    with bench.ready(session) as turn:
        _turns(session, turn, compute, at_least=_FIRST_TURNS)
        parts = _turns(session, turn, compute, until_s=0.5 * duration_s)
        turns = parts.sum(axis=1)
        p99_s = float(np.percentile(turns, 99.0))
        paced = _turns(session, turn, compute, until_s=0.5 * duration_s, pace_s=MARGIN * p99_s).sum(axis=1)
    read_s, compute_s, set_s = (float(part) for part in np.median(parts, axis=0))
    return LoopRate(
        devices=tuple(device.name for device in session.plan.devices),
        n_turns=len(turns) + len(paced),
        median_s=float(np.median(turns)),
        p95_s=float(np.percentile(turns, 95.0)),
        p99_s=p99_s,
        worst_s=float(max(turns.max(), paced.max())),
        read_s=read_s,
        compute_s=compute_s,
        set_s=set_s,
        paced_p99_s=float(np.percentile(paced, 99.0)),
        measured_utc=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _turns(
    session: Session,
    turn: Turn,
    compute: Callable[[Array], object],
    *,
    until_s: float = 0.0,
    at_least: int = FEWEST_TURNS,
    pace_s: float = 0.0,
) -> Array:
    """(turn, part): how long reading, computing and setting took (s)."""
    spent: list[tuple[float, float, float]] = []
    rest = session.plan.rest
    began = time.perf_counter()
    while time.perf_counter() - began < until_s or len(spent) < at_least:
        session.wait(max(0.0, began + len(spent) * pace_s - time.perf_counter()) if pace_s else 0.0)
        session.check()
        reading = time.perf_counter()
        measured = turn.read()
        read = time.perf_counter()
        compute(measured)
        computed = time.perf_counter()
        turn.set(rest)
        spent.append((read - reading, computed - read, time.perf_counter() - computed))
    return np.array(spent)
