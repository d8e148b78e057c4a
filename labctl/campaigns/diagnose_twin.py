"""Diagnose recordings before a twin is fitted: what noise, memory and drift they show, and which twin they call for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from labctl.background import in_background
from labctl.campaign import Campaign, Step
from labctl.diagnosis_words import diagnosis_lines
from labctl.events import Reported, Warned
from labctl.recording import Recording
from labctl.twin_data import TwinData

if TYPE_CHECKING:
    from twins.diagnosis import Diagnosis, Recommendation


@dataclass(frozen=True, slots=True)
class DiagnosedTwin:
    """What was found, and the twin that follows from it."""

    diagnosis: Diagnosis
    recommendation: Recommendation
    simulated: bool

    @property
    def lines(self) -> list[str]:
        """The diagnosis in words and figures."""
        return diagnosis_lines(self.diagnosis)

    def as_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "simulated": self.simulated,
            "diagnosis": self.diagnosis.as_dict(),
            "recommendation": self.recommendation.as_dict(),
        }


def diagnose_twin(name: str, recordings: Sequence[Recording] | TwinData, *, seed: int = 0) -> Campaign[DiagnosedTwin]:
    """Diagnose the recordings of one device and recommend a twin. seed: of the stretches that are looked at.

    Raises RecordingError for recordings that do not belong together, and twins.TwinError.
    """
    from twins.diagnosis import diagnose, recommend

    data = recordings if isinstance(recordings, TwinData) else TwinData.of(recordings)
    key = f"twin/{name}/diagnosis"
    step = Step(key, f"Diagnose {name}")
    yield step.started()
    held = not any(_as_it_stands(source) for source in data.sources)
    diagnosis = yield from in_background(lambda: diagnose(data.traces, seed=seed, drive_held=held), key=key)
    recommendation = recommend(diagnosis, data.traces)
    for warning in diagnosis.warnings:
        yield Warned(key, warning)
    found = DiagnosedTwin(diagnosis, recommendation, data.simulated)
    yield Reported(key, {"found": found.lines, "recommended": list(recommendation.reasons)})
    yield step.finished(f"phases {' and '.join(recommendation.phases)}, ensemble of {recommendation.ensemble}")
    return found


def diagnosis_of(name: str, recordings: Sequence[Recording], *, seed: int = 0) -> Campaign[dict[str, Any]]:
    """As `diagnose_twin`, with the outcome as plain data for programs without torch: `DiagnosedTwin.as_dict` and in "lines"
    the diagnosis in words."""
    found = yield from diagnose_twin(name, recordings, seed=seed)
    return {**found.as_dict(), "lines": found.lines}


def _as_it_stands(source: Mapping[str, Any]) -> bool:
    """Whether the drive is another program's, as it was measured; labctl's own is held from its sample on."""
    return "outside_data" in source and not source["outside_data"].get("drive_ahead", 0)
