"""What is asked of a twin that is fitted while its device is recorded, and what came of it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from labctl.campaigns.finish_twin import FittedTwin
from labctl.recording import Recording
from labctl.twin_data import TwinData

if TYPE_CHECKING:
    from labctl.judging import Judgement

Drives = Literal["random", "chosen"]
N_MEMBERS = 3  # of the ensemble that chooses
CANDIDATES = 8  # random trials to choose each one from


@dataclass(frozen=True, slots=True)
class StreamDesign:
    """How much to measure at a time.

    Training: n_first trials of n_samples samples in the first round, n_trials in every further one, levels held for
    one of `holds` (samples). Held out, recorded first: n_inputs other inputs of n_heldout_samples, n_repeats times each;
    every further round adds n_more_repeats. Few repeats pass a twin easily, since chance is allowed for: so after a
    judgement that was passed they are filled up to sure_repeats, and with fewer the recording does not end as passed.
    fit_epochs: of each phase of training a round, for fit_seconds at most. in_succession: judgements that must be passed
    one after another.
    """

    n_first: int = 10
    n_trials: int = 6
    n_samples: int = 300
    holds: tuple[int, ...] = (2, 3, 5, 15)
    n_inputs: int = 12
    n_heldout_samples: int = 200
    n_repeats: int = 5
    n_more_repeats: int = 1
    sure_repeats: int = 20
    low: float | None = None
    high: float | None = None
    fit_epochs: int = 120
    fit_seconds: float = 60.0
    in_succession: int = 2

    @property
    def sure_trials(self) -> int:
        """Held-out trials of the last judgement, without which it may have been passed by luck."""
        return self.sure_repeats * self.n_inputs

    @property
    def unsure(self) -> str:
        """Why a twin is not cleared that may have passed its last judgement, but not as often as it must."""
        return (
            f"the recording ended before {self.in_succession} judgements in succession were passed, the last one on "
            f"{self.sure_trials} held-out trials; record more, or check the twin on other recordings "
            "(`labctl twin check --store`)"
        )


@dataclass(frozen=True, slots=True)
class StreamBudget:
    """What may be spent: device time (preparations included), and wall time, which is looked at between rounds."""

    device_seconds: float
    wall_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class StreamRound:
    """One judgement: after how much device time, on how many trials it was trained, and the figures."""

    number: int
    device_seconds: float
    n_training_trials: int
    n_heldout_trials: int
    passed: bool
    failed: tuple[str, ...]
    coverage_90: float
    std_ratio: float | None
    free_run_score: float

    @classmethod
    def of(
        cls, number: int, device_seconds: float, data: TwinData, judged: TwinData, judgement: Judgement, score: float
    ) -> StreamRound:
        """From the data that the twin was trained and judged on."""
        ratio, coverage = judgement.figures["std_ratio"], judgement.figures["coverage_90"]
        assert coverage is not None  # it always is known
        return cls(
            number=number,
            device_seconds=device_seconds,
            n_training_trials=sum(part.n_trials for part in data.traces),
            n_heldout_trials=sum(part.n_trials for part in judged.traces),
            passed=judgement.passed,
            failed=tuple(str(one["name"]) for one in judgement.gates["gates"] if not one["passed"]),
            coverage_90=float(coverage),
            std_ratio=None if ratio is None else float(ratio),
            free_run_score=score,
        )


@dataclass(frozen=True, slots=True)
class StreamedTwin:
    """What came of it. device_seconds: of all that was recorded. ended: why, in words. passed: its gates, in succession."""

    fitted: FittedTwin
    device_seconds: float
    rounds: tuple[StreamRound, ...]
    passed: bool
    ended: str
    training: tuple[Recording, ...] = field(repr=False)
    heldout: tuple[Recording, ...] = field(repr=False)

    def as_dict(self) -> dict[str, Any]:
        """Plain data, without the recordings."""
        return {
            "twin": str(self.fitted.path),
            "report": str(self.fitted.report),
            "gates_passed": self.passed,
            "ended": self.ended,
            "device_seconds": self.device_seconds,
            **self.fitted.figures,
            "gates": self.fitted.gates["gates"],
            "rounds": [asdict(one) for one in self.rounds],
        }
