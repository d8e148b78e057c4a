"""Gates: what a twin must show on held-out inputs before anything optimised on it may be applied to its device.

    report = judge_gates(calibrate(twin, held_out, generator=generator))
    report.passed, report.reasons

Each figure of each channel may miss its ideal by a fixed tolerance, or by three times what chance alone does to it in
these data. Where that is so much that a wrong twin would pass, the figure is not judged, and what to record is said.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from twins.errors import CheckpointInvalid
from twins.gate_limits import Gate, GateThresholds

if TYPE_CHECKING:
    from twins.calibration import Calibration, ChannelFigures

__all__ = ["Gate", "GateReport", "GateThresholds", "judge_gates"]


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
        """Why it did not pass: a sentence for each gate at fault, and one for all that the data cannot tell."""
        unjudged = [gate.why for gate in self.gates if not gate.judged]
        return (*(gate.why for gate in self.gates if gate.judged and not gate.passed), *unjudged[:1])

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
    if not all(gate.passed for gate in evidence):
        return GateReport(evidence)
    ratio, coverage = _std_ratio(calibration, allowed), _coverage(calibration, allowed)
    energy = None  # single-shot data have no law to compare with
    if calibration.energy_relative is not None:
        energy = _energy(calibration.energy_relative, calibration.energy_relative_floor, allowed)
        ratio = _carried(ratio, coverage, energy, allowed)
    gates = [
        _stability(calibration, allowed),
        coverage,
        _worst_input(calibration, allowed),
        ratio,
        _autocorrelation(calibration, allowed),
        _mean_bias(calibration, allowed),
        _mean_error(calibration, allowed),
        energy,
    ]
    return GateReport((*evidence, *_one_demand([gate for gate in gates if gate is not None], allowed)))


def _evidence(calibration: Calibration, allowed: GateThresholds) -> tuple[Gate, ...]:
    counts = (
        ("held_out_inputs", calibration.n_inputs, allowed.min_inputs),
        ("held_out_trials", calibration.n_trials, allowed.min_trials),
    )
    short = [(name, value, least) for name, value, least in counts if value < least]
    if short:  # one sentence for whatever is missing
        name, value, least = short[0]
        words = (
            f"nothing is judged: there are {calibration.n_inputs} held-out inputs in {calibration.n_trials} trials, and at "
            f"least {allowed.min_inputs} inputs and {allowed.min_trials} trials are needed; record other inputs than those "
            "of the fit, each several times, or keep more of a recording from the fit"
        )
        return (Gate(name, float(value), float(least), None, passed=False, why=words, judged=False),)
    return tuple(
        Gate(name, float(value), float(least), None, True, _enough(name, value, least)) for name, value, least in counts
    )


def _enough(name: str, value: int, least: int) -> str:
    return f"{value} {name.replace('_', ' ').replace('held out', 'held-out')}, at least {least} are needed to judge"


def _one_demand(gates: Sequence[Gate], allowed: GateThresholds) -> list[Gate]:
    """The same gates, where those that the data cannot judge share one sentence: that of the one that lacks most."""
    unjudged = [gate for gate in gates if not gate.judged]
    if len(unjudged) < 2:
        return list(gates)
    widest = {
        "coverage_90": allowed.coverage_90_widest,
        "std_ratio": allowed.std_ratio_widest,
        "lag1_autocorrelation_difference": allowed.lag1_autocorrelation_widest,
        "mean_bias": allowed.mean_bias_widest,
    }
    most = max(unjudged, key=lambda gate: ((gate.upper or 0.0) - (gate.lower or 0.0)) / widest[gate.name])
    others = ", ".join(gate.name for gate in unjudged if gate is not most)
    told = replace(most, why=f"{most.why}; the same goes for {others}")
    brief = [replace(gate, why=f"{gate.name} likewise") for gate in unjudged if gate is not most]
    return [*(gate for gate in gates if gate.judged), told, *brief]


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
    readings = [(one.channel, one.coverage_90, one.coverage_90_floor) for one in _varying(calibration)]
    readings = readings or [("", calibration.coverage_90, calibration.coverage_90_floor)]
    limits = _Limits("coverage_90", 0.9, allowed.coverage_90, allowed.coverage_90_widest)
    return _about(limits, readings, calibration, allowed)


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
    readings = [(one.channel, one.std_ratio, one.std_ratio_floor) for one in _varying(calibration)]
    readings = readings or [("", calibration.std_ratio, calibration.std_ratio_floor)]
    limits = _Limits("std_ratio", 1.0, allowed.std_ratio, allowed.std_ratio_widest)
    return _about(limits, readings, calibration, allowed)


def _carried(ratio: Gate, coverage: Gate, energy: Gate, allowed: GateThresholds) -> Gate:
    """The spread's gate, passed where the data cannot tell it, but tell the coverage well and the energy is right."""
    room = (coverage.upper or 1.0) - 0.9
    known = room <= allowed.coverage_90_carrying and (energy.upper or 0.0) <= allowed.energy_relative_carrying
    if ratio.judged or not (coverage.passed and energy.passed and known):
        return ratio
    assert ratio.upper is not None  # both sides are limited
    words = (
        f"std_ratio is {ratio.value:.4g}; chance alone moves it by up to {ratio.upper - 1.0:.2g} in these data, so the "
        f"coverage (known to {room:.2g}) and the energy distance of whole responses (known to {energy.upper:.2g}), which "
        "passed, were judged in its place"
    )
    return replace(ratio, passed=True, judged=True, why=words)


def _autocorrelation(calibration: Calibration, allowed: GateThresholds) -> Gate:
    twin, device = calibration.lag1_autocorrelation_twin, calibration.lag1_autocorrelation_device
    difference = None if twin is None or device is None else twin - device
    readings = [(one.channel, one.lag1_difference, one.lag1_floor) for one in _varying(calibration)]
    readings = readings or [("", difference, calibration.lag1_autocorrelation_floor)]
    tolerance, widest = allowed.lag1_autocorrelation, allowed.lag1_autocorrelation_widest
    return _about(_Limits("lag1_autocorrelation_difference", 0.0, tolerance, widest), readings, calibration, allowed)


def _mean_bias(calibration: Calibration, allowed: GateThresholds) -> Gate | None:
    readings = [(one.channel, one.mean_bias, one.mean_bias_floor) for one in _varying(calibration)]
    readings = readings or [("", calibration.mean_bias, calibration.mean_bias_floor)]
    known = [reading for reading in readings if reading[1] is not None]
    limits = _Limits("mean_bias", 0.0, allowed.mean_bias, allowed.mean_bias_widest)
    return _about(limits, known, calibration, allowed) if known else None


def _mean_error(calibration: Calibration, allowed: GateThresholds) -> Gate | None:
    """Judged wherever there are repeats; where they are few, the bias tells more."""
    readings = [(one.channel, one.mean_error, one.mean_error_floor) for one in _varying(calibration)]
    readings = readings or [("", calibration.mean_error, calibration.mean_error_floor)]
    floors = allowed.floors_of(len(readings))
    found = []
    for channel, value, floor in readings:
        if value is None:
            continue
        by_chance = math.sqrt(floors) * (floor or 0.0)  # squares are what chance adds to
        upper = max(allowed.mean_error, by_chance)
        why = f"chance gives {by_chance:.2g}" if by_chance > allowed.mean_error else f"fixed tolerance {upper:g}"
        words = f"mean_error{_of(channel, readings)} is {value:.4g}, allowed up to {upper:.4g} ({why})"
        found.append(Gate("mean_error", value, None, upper, value <= upper, words))
    return max(found, key=lambda gate: (gate.value or 0.0) / (gate.upper or 1.0)) if found else None


def _energy(value: float, floor: float | None, allowed: GateThresholds) -> Gate:
    room, why = _room(allowed.energy_relative, floor, allowed.floors)
    words = f"energy_relative is {value:.4g}, allowed up to {room:.4g} ({why})"
    return Gate("energy_relative", value, None, room, value <= room, words)


_Reading = tuple[str, float | None, float | None]
"""Channel, figure and what chance does to it."""


@dataclass(frozen=True, slots=True)
class _Limits:
    name: str
    ideal: float
    tolerance: float
    widest: float


def _varying(calibration: Calibration) -> list[ChannelFigures]:
    return [one for one in calibration.channels if one.varies]


def _room(tolerance: float, floor: float | None, floors: float) -> tuple[float, str]:
    """How far a figure may be off, and why."""
    by_chance = floors * floor if floor is not None else 0.0
    if by_chance > tolerance:
        return by_chance, f"{floors:.3g} deviations by chance of {floor:.2g}"
    return tolerance, f"fixed tolerance {tolerance:g}"


def _about(limits: _Limits, readings: Sequence[_Reading], calibration: Calibration, allowed: GateThresholds) -> Gate:
    """The gate of the channel that is furthest from passing."""
    gates = [_of_channel(limits, reading, readings, allowed) for reading in readings]
    worst = max(gates, key=lambda gate: _rank(gate, limits))
    constant = [one.channel for one in calibration.channels if not one.varies]
    if constant and len(constant) < len(calibration.channels):
        return replace(worst, why=f"{worst.why}; left out, since constant: {', '.join(constant)}")
    return worst


def _rank(gate: Gate, limits: _Limits) -> tuple[int, float]:
    if gate.value is None or gate.upper is None:
        return 2, math.inf
    room = gate.upper - limits.ideal
    if not gate.judged:
        return 1, room
    return (0 if gate.passed else 2), abs(gate.value - limits.ideal) / room


def _of_channel(limits: _Limits, reading: _Reading, readings: Sequence[_Reading], allowed: GateThresholds) -> Gate:
    channel, value, floor = reading
    room, why = _room(limits.tolerance, floor, allowed.floors_of(len(readings)))
    lower, upper = limits.ideal - room, limits.ideal + room
    name = f"{limits.name}{_of(channel, readings)}"
    if value is None:
        words = f"{name} is not known: the device shows no spread"
        return Gate(limits.name, None, lower, upper, passed=False, why=words)
    if lower <= value <= upper and room > max(limits.widest, limits.tolerance):
        times = math.ceil((room / limits.widest) ** 2 - 1e-6)
        words = (
            f"{name} is not judged: these data cannot tell it better than {room:.2g} ({why}), and {limits.widest:g} is the "
            f"most that tells a wrong twin from a right one; record at least {times} times as many held-out inputs or repeats"
        )
        return Gate(limits.name, value, lower, upper, passed=False, why=words, judged=False)
    words = f"{name} is {value:.4g}, allowed {lower:.4g} to {upper:.4g} ({why})"
    return Gate(limits.name, value, lower, upper, lower <= value <= upper, words)


def _of(channel: str, readings: Sequence[_Reading]) -> str:
    return f" of {channel}" if channel and len(readings) > 1 else ""
