"""Nothing optimised on a twin that did not pass its gates is applied without a reason that is kept."""

import pytest

from labctl.clearance import clear, gate_in_words
from labctl.errors import DeploymentError, GatesNotPassed


def a_gate(name: str = "std_ratio", value: float | None = 1.0, *, passed: bool = True) -> dict[str, object]:
    return {"name": name, "value": value, "lower": 0.97, "upper": 1.03, "passed": passed}


PASSED = {"passed": True, "gates": [a_gate()]}
FAILED = {"passed": False, "gates": [a_gate("coverage_90", 0.9), a_gate(value=1.31, passed=False)]}


def test_twins_that_passed_are_cleared_and_need_no_reason() -> None:
    clearance = clear(("leaky",), {"leaky": PASSED}, override="just in case")
    assert clearance.override is None
    assert clearance.as_dict()["passed"] is True


def test_a_gate_that_failed_is_named_with_its_value_and_limits() -> None:
    with pytest.raises(GatesNotPassed, match=r"duffing.*std_ratio 1\.31 \(allowed 0\.97 to 1\.03\)") as raised:
        clear(("leaky", "duffing"), {"leaky": PASSED, "duffing": FAILED})
    assert "coverage_90" not in str(raised.value)
    assert "--override-gates" in str(raised.value)
    assert isinstance(raised.value, DeploymentError)


@pytest.mark.parametrize("gates", [{}, {"leaky": {}}])
def test_a_twin_that_was_never_judged_is_refused(gates: dict[str, dict[str, object]]) -> None:
    with pytest.raises(GatesNotPassed, match="leaky was never judged"):
        clear(("leaky",), gates)


@pytest.mark.parametrize("gates", [{"passed": True}, {"passed": True, "gates": [a_gate(passed=False)]}])
def test_passed_without_gates_that_passed_is_not_believed(gates: dict[str, object]) -> None:
    with pytest.raises(GatesNotPassed):
        clear(("leaky",), {"leaky": gates})


@pytest.mark.parametrize("reason", [None, "", "   "])
def test_an_override_needs_a_reason(reason: str | None) -> None:
    with pytest.raises(GatesNotPassed):
        clear(("leaky",), {"leaky": FAILED}, override=reason)


def test_an_override_is_kept_with_the_gates_as_they_were() -> None:
    clearance = clear(("leaky",), {"leaky": FAILED}, override=" the sample warms up, see the log ")
    assert clearance.as_dict() == {
        "passed": False,
        "override": "the sample warms up, see the log",
        "twins": {"leaky": FAILED},
    }


def test_devices_that_were_not_cleared_are_found() -> None:
    assert clear(("leaky",), {"leaky": PASSED}).lacks(["leaky", "duffing", "duffing"]) == ("duffing",)


def test_gates_are_told_in_words() -> None:
    assert gate_in_words({"name": "a", "value": 0.5, "lower": 0.8, "upper": None}) == "a 0.5 (allowed at least 0.8)"
    assert (
        gate_in_words({"name": "a", "value": None, "lower": None, "upper": 0.01})
        == "a not known (allowed at most 0.01)"
    )
    assert gate_in_words({"name": "a", "judged": False, "why": "too little evidence"}) == "too little evidence"
