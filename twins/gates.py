"""Gates: what a twin must show on held-out inputs before anything optimised on it may be applied to its device.

    report = judge_gates(calibrate(twin, held_out, generator=generator))
    report.passed, report.reasons

Each figure may miss its ideal by a fixed tolerance, or by three times what chance alone does to it in these data.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from twins.errors import CheckpointInvalid

if TYPE_CHECKING:
    from twins.calibration import Calibration


@dataclass(frozen=True, slots=True, kw_only=True)
class GateThresholds:
    """Fixed tolerances, about the ideal; floors: how many deviations by chance are allowed where that is more.

    excursion: of free runs, in half-ranges of the measured response about its middle. min_inputs, min_trials: held-out
    evidence, below which nothing is judged.
    """

    coverage_90: float = 0.02
    coverage_90_worst_input: float = 0.8
    std_ratio: float = 0.03
    lag1_autocorrelation: float = 0.01
    energy_relative: float = 0.01
    excursion: float = 3.0
    floors: float = 3.0
    min_inputs: int = 4
    min_trials: int = 10


@dataclass(frozen=True, slots=True)
class Gate:
    """One figure, the range allowed to it (None: open), whether it passed, and why in words.

    judged: False where the data do not hold enough evidence; such a gate has not passed.
    """

    name: str
    value: float | None
    lower: float | None
    upper: float | None
    passed: bool
    why: str
    judged: bool = True


@dataclass(frozen=True, slots=True)
class GateReport:
    """All gates of one twin on one set of held-out inputs."""

    gates: tuple[Gate, ...]

    @property
    def passed(self) -> bool:
        """Whether every gate was judged and passed."""
        return bool(self.gates) and all(gate.passed for gate in self.gates)

    @property
    def judged(self) -> bool:
        """Whether there was evidence enough to judge."""
        return bool(self.gates) and all(gate.judged for gate in self.gates)

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why it did not pass, a sentence for each gate at fault."""
        return tuple(gate.why for gate in self.gates if not gate.passed)

    def as_dict(self) -> dict[str, Any]:
        """Plain data, for the checkpoint's provenance."""
        return {
            "passed": self.passed,
            "judged": self.judged,
            "gates": [asdict(gate) for gate in self.gates],
            "reasons": list(self.reasons),
        }

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> GateReport:
        """The report that `as_dict` gave; whether it passed follows from its gates. Raises CheckpointInvalid."""
        try:
            return cls(tuple(Gate(**gate) for gate in stored["gates"]))
        except (KeyError, TypeError) as error:
            raise CheckpointInvalid(
                f"these are not gates as GateReport.as_dict gives them ({error}); judge the twin again on held-out inputs"
            ) from error


def judge_gates(calibration: Calibration, *, thresholds: GateThresholds | None = None) -> GateReport:
    """Judge a twin by its calibration on inputs that it has not seen."""
    allowed = thresholds or GateThresholds()
    evidence = _evidence(calibration, allowed)
    gates = [
        _stability(calibration, allowed),
        _coverage(calibration, allowed),
        _worst_input(calibration, allowed),
        _std_ratio(calibration, allowed),
        _autocorrelation(calibration, allowed),
    ]
    if calibration.energy_relative is not None:  # single-shot data have no law to compare with
        gates.append(_energy(calibration, allowed))
    if not all(gate.passed for gate in evidence):
        gates = [_not_judged(gate) for gate in gates]
    return GateReport((*evidence, *gates))


def _evidence(calibration: Calibration, allowed: GateThresholds) -> list[Gate]:
    found = []
    for name, value, least in (
        ("held_out_inputs", calibration.n_inputs, allowed.min_inputs),
        ("held_out_trials", calibration.n_trials, allowed.min_trials),
    ):
        enough = value >= least
        words = (
            f"{value} {name.replace('_', ' ').replace('held out', 'held-out')}, at least {least} are needed to judge"
        )
        found.append(Gate(name, float(value), float(least), None, enough, words, judged=enough))
    return found


def _not_judged(gate: Gate) -> Gate:
    words = f"{gate.name} is not judged: too little held-out evidence"
    return Gate(gate.name, gate.value, gate.lower, gate.upper, passed=False, why=words, judged=False)


def _stability(calibration: Calibration, allowed: GateThresholds) -> Gate:
    value = calibration.largest_excursion
    diverged = 1.0 - calibration.finite_share
    passed = diverged == 0.0 and (value is None or value <= allowed.excursion)
    shown = "not known" if value is None else f"{value:.3g}"
    words = (
        f"{100 * diverged:.3g} % of free runs diverged; the furthest went {shown} half-ranges of the measured response"
    )
    return Gate("free_run_excursion", value, None, allowed.excursion, passed, f"{words} (limit {allowed.excursion:g})")


def _coverage(calibration: Calibration, allowed: GateThresholds) -> Gate:
    room, why = _room(allowed.coverage_90, calibration.coverage_90_floor, allowed)
    return _about("coverage_90", calibration.coverage_90, 0.9, room, why)


def _worst_input(calibration: Calibration, allowed: GateThresholds) -> Gate:
    value, lower = calibration.coverage_90_worst_input, allowed.coverage_90_worst_input
    why = f"fixed limit {lower:g}"
    expected, floor = calibration.coverage_90_worst_input_expected, calibration.coverage_90_worst_input_floor
    if expected is not None and floor is not None and expected - allowed.floors * floor < lower:
        lower = max(0.0, expected - allowed.floors * floor)
        why = f"chance alone gives {expected:.3f} ± {floor:.2g}, {allowed.floors:g} deviations are allowed"
    words = f"coverage_90_worst_input is {value:.4g}, allowed from {lower:.4g} ({why})"
    return Gate("coverage_90_worst_input", value, lower, None, value >= lower, words)


def _std_ratio(calibration: Calibration, allowed: GateThresholds) -> Gate:
    room, why = _room(allowed.std_ratio, calibration.std_ratio_floor, allowed)
    return _about("std_ratio", calibration.std_ratio, 1.0, room, why)


def _autocorrelation(calibration: Calibration, allowed: GateThresholds) -> Gate:
    room, why = _room(allowed.lag1_autocorrelation, calibration.lag1_autocorrelation_floor, allowed)
    twin, device = calibration.lag1_autocorrelation_twin, calibration.lag1_autocorrelation_device
    difference = None if twin is None or device is None else twin - device
    return _about("lag1_autocorrelation_difference", difference, 0.0, room, why)


def _energy(calibration: Calibration, allowed: GateThresholds) -> Gate:
    room, why = _room(allowed.energy_relative, calibration.energy_relative_floor, allowed)
    value = calibration.energy_relative
    assert value is not None  # the caller looked
    words = f"energy_relative is {value:.4g}, allowed up to {room:.4g} ({why})"
    return Gate("energy_relative", value, None, room, value <= room, words)


def _room(tolerance: float, floor: float | None, allowed: GateThresholds) -> tuple[float, str]:
    """How far a figure may be off, and why."""
    by_chance = allowed.floors * floor if floor is not None else 0.0
    if by_chance > tolerance:
        return by_chance, f"{allowed.floors:g} deviations by chance of {floor:.2g}"
    return tolerance, f"fixed tolerance {tolerance:g}"


def _about(name: str, value: float | None, ideal: float, room: float, why: str) -> Gate:
    lower, upper = ideal - room, ideal + room
    if value is None:
        return Gate(name, None, lower, upper, passed=False, why=f"{name} is not known: the data do not vary")
    words = f"{name} is {value:.4g}, allowed {lower:.4g} to {upper:.4g} ({why})"
    return Gate(name, value, lower, upper, lower <= value <= upper, words)
