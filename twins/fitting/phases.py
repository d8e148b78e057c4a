"""The phases of a fit by name. Each judges the twin now and then by its free run and keeps the best of its checkpoints."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence

from twins.fitting.adversarial_phase import adversarial_phase
from twins.fitting.course import Course, PhaseOptions
from twins.fitting.events import Epoch
from twins.fitting.filter_phase import filter_phase
from twins.fitting.likelihood_phase import likelihood_phase
from twins.fitting.rollout_phase import rollout_phase
from twins.fitting.simulation_phase import simulation_phase
from twins.fitting.window_phase import window_phase
from twins.traces import Traces

Phase = Callable[[Course, Sequence[Traces], PhaseOptions], Generator[Epoch, None, None]]

PHASES: Mapping[str, Phase] = {
    "likelihood": likelihood_phase,
    "filter": filter_phase,
    "windows": window_phase,
    "adversarial": adversarial_phase,
    "rollout": rollout_phase,
    "simulation": simulation_phase,
}
# Which of them train the parts of a twin that the one-step likelihood cannot see.
TRAIN_AUXILIARIES: frozenset[str] = frozenset({"filter", "windows", "adversarial"})
TRAIN_HEAD: frozenset[str] = frozenset({"filter", "windows"})
MATCH_NOISE: frozenset[str] = frozenset({"rollout", "simulation"})
# How a budget in seconds is divided among the phases of a fit.
SHARES: Mapping[str, float] = {
    "likelihood": 3.0,
    "windows": 1.0,
    "filter": 6.0,
    "rollout": 3.0,
    "simulation": 3.0,
    "adversarial": 6.0,
}
