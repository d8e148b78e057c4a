"""Clearance: nothing that was optimised on twins is applied to a device before the twins have passed their gates.

    clearance = clear(devices, gates_of_twins)                      # or GatesNotPassed, which names twin and gate
    clearance = clear(devices, gates_of_twins, override="why all the same")
    yield from deploy(bench, wiring, clearance=clearance, ...)

The gates (`twins.gates.judge_gates`) are judged on held-out inputs and stored with each twin. What was applied without
passing says so, with the reason that a person gave, in its recordings, its outcome and its report.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from labctl.errors import GatesNotPassed

Gates = Mapping[str, Any]
"""A gate report as plain data: "passed" and "gates", a list of {name, value, lower, upper, passed}; empty: not judged."""


@dataclass(frozen=True, slots=True)
class Clearance:
    """Leave to apply networks to these devices: their twins passed, or `override` says why they may all the same.

    gates: of each device's twin, as plain data. Made by `clear`.
    """

    gates: Mapping[str, Gates]
    override: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """Plain data, for recordings and outcomes."""
        return {
            "passed": not any(shortcomings(device, gates) for device, gates in self.gates.items()),
            "override": self.override,
            "twins": {device: dict(gates) for device, gates in self.gates.items()},
        }

    def lacks(self, devices: Iterable[str]) -> tuple[str, ...]:
        """Which of these devices it says nothing about."""
        return tuple(device for device in dict.fromkeys(devices) if device not in self.gates)


def clear(devices: Iterable[str], gates: Mapping[str, Gates], *, override: str | None = None) -> Clearance:
    """Leave to apply what was optimised on the twins of `devices`; `gates` of each, as stored with the twin.

    override: why it may be applied although twins were not judged or did not pass; kept with all that comes of it. It
    is not kept where all passed. Raises GatesNotPassed, which names every twin and gate at fault.
    """
    chosen = {device: dict(gates.get(device, {})) for device in devices}
    faults = [fault for device, one in chosen.items() for fault in shortcomings(device, one)]
    if not faults:
        return Clearance(chosen)
    if override is None or not override.strip():
        raise GatesNotPassed(
            "; ".join(faults) + ". Nothing optimised on these twins is applied to a device. Record more and fit again "
            "(`labctl twin fit` with --heldout, `labctl twin check`), or give a reason to apply it all the same "
            '(`labctl deploy … --override-gates "REASON"`), which is kept with all that is measured'
        )
    return Clearance(chosen, override.strip())


PLAIN_FAILURE = "plain_failure"
"""Name of the gate of a twin that fails, however little it is judged on."""
TO_BE_JUDGED = (
    "Record more inputs, or longer ones, and fit again; or give a recording of other inputs with --heldout (afterwards: "
    "`labctl twin check --store`), or keep more from the fit with --held-out-fraction"
)


def shortcomings(device: str, gates: Gates) -> tuple[str, ...]:
    """In words, what is wrong with the gates of this device's twin; nothing if it passed."""
    if not gates:
        return (f"the twin of {device} was never judged on held-out inputs",)
    failed = [gate_in_words(one) for one in gates.get("gates", ()) if not one.get("passed")]
    if gates.get("passed") is True and gates.get("gates") and not failed:
        return ()
    how = "did not pass its gates" if was_judged(gates) else "was not judged, so did not pass its gates"
    return (f"the twin of {device} {how}: {', '.join(dict.fromkeys(failed)) or 'no gate is stored'}",)


def was_judged(gates: Gates) -> bool:
    """Whether there was evidence enough to pass the twin, or to fail it."""
    faulty = [gate for gate in gates.get("gates", ()) if not gate.get("passed")]
    return bool(gates) and (not faulty or any(gate.get("judged", True) for gate in faulty))


def verdict_in_words(device: str, gates: Gates) -> str:
    """One sentence: passed, FAILED, or not judged and what to do about it."""
    if not shortcomings(device, gates):
        return f"the twin of {device} PASSED its gates"
    faulty = [gate for gate in gates.get("gates", ()) if not gate.get("passed")]
    known = [gate for gate in faulty if gate.get("judged", True)]
    why = dict.fromkeys(gate_in_words(gate) for gate in known or faulty)
    if was_judged(gates):
        return f"the twin of {device} FAILED its gates: {'; '.join(why)}"
    return f"the twin of {device} was NOT JUDGED: {'; '.join(why) or 'no gate is stored'}. {TO_BE_JUDGED}"


def gate_in_words(gate: Mapping[str, Any]) -> str:
    """One gate: its name, its value and what is allowed."""
    if gate.get("judged") is False or gate.get("name") == PLAIN_FAILURE:
        return str(gate.get("why") or f"{gate.get('name')} is not judged")
    value, allowed = gate_figures(gate)
    return f"{gate.get('name')} {value} (allowed {allowed})"


def gate_figures(gate: Mapping[str, Any]) -> tuple[str, str]:
    """(value, what is allowed)."""
    value, lower, upper = (gate.get(name) for name in ("value", "lower", "upper"))
    shown = "not known" if value is None else f"{value:.4g}"
    if lower is not None and upper is not None:
        allowed = f"{lower:.4g} to {upper:.4g}"
    elif lower is not None:
        allowed = f"at least {lower:.4g}"
    else:
        allowed = f"at most {upper:.4g}" if upper is not None else "a known value"
    return shown, allowed
