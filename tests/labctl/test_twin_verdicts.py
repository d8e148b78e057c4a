"""What people read of a twin: verdicts that say what to do, and reports without raw data structures."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from labctl.clearance import verdict_in_words
from labctl.judging import judge
from labctl.twin_data import treatment_in_words
from labctl.twin_evidence import evidence_of
from labctl.twin_report import TwinAccount, write_twin_report
from twins import DeviceTwin, DeviceTwinSpec, Traces, fit


def device(n_inputs: int, *, seed: int = 0, noise: float = 0.02) -> Traces:
    rng = np.random.default_rng(seed)
    drive = np.repeat(rng.uniform(-1, 1, (n_inputs, 20, 1)), 3, axis=1)
    response = np.zeros_like(drive)
    for k in range(59):
        response[:, k + 1] = 0.8 * response[:, k] + 0.2 * drive[:, k] + noise * rng.standard_normal((n_inputs, 1))
    return Traces(drive, response, 1e-3, ("u",), ("",), ("Y",), ("",), n_prepare=4)


@pytest.fixture(scope="module")
def twin() -> DeviceTwin:
    made = DeviceTwin(DeviceTwinSpec.for_traces(device(30), response_delays=0, drive_delays=0, hidden=(4,)))
    for _ in fit(made, [device(30)], seed=0, max_epochs=3):
        pass
    return made


def test_a_twin_that_plainly_fails_has_failed_however_little_is_held_out(twin: DeviceTwin) -> None:
    few = device(2, seed=1)
    wrong = judge(twin, [replace(few, response=few.response + 5.0)], n_draws=20, seed=0)
    assert not wrong.passed
    assert "FAILED" in verdict_in_words("d", wrong.gates)
    assert "lie in its 90 % interval" in verdict_in_words("d", wrong.gates)
    right = judge(twin, [few], n_draws=20, seed=0)
    assert not right.passed
    said = verdict_in_words("d", right.gates)
    assert "NOT JUDGED" in said and "--held-out-fraction" in said and "--heldout" in said


def test_verdicts_name_a_figure_once() -> None:
    gate = {"name": "std_ratio", "value": 1.4, "lower": 0.9, "upper": 1.1, "passed": False, "judged": True, "why": "w"}
    assert verdict_in_words("d", {"passed": True, "gates": [{**gate, "passed": True}]}).endswith("PASSED its gates")
    said = verdict_in_words("d", {"passed": False, "gates": [gate, gate]})
    assert said == "the twin of d FAILED its gates: std_ratio 1.4 (allowed 0.9 to 1.1)"


def test_a_report_shows_no_empty_units_and_no_raw_data(twin: DeviceTwin, tmp_path: Path) -> None:
    held = device(12, seed=1)
    judgement = judge(twin, [held], n_draws=40, seed=0)
    account = TwinAccount(
        name="d",
        simulated=True,
        gates=judgement.gates,
        figures=judgement.figures,
        evidence=evidence_of(twin, held, n_draws=40, seed=0),
        facts={"structure": {"hidden": [4, 4], "noise": True}, "phases": ["likelihood"], "nothing": [], "seed": None},
    )
    write_twin_report(tmp_path / "d.html", account)
    page = (tmp_path / "d.html").read_text(encoding="utf-8")
    assert "Y ()" not in page and "&quot;" not in page and "{" not in page.split("</style>")[1].split("base64")[0]
    assert "hidden 4, 4; noise yes" in page
    for gate in judgement.gates["gates"]:
        assert f"<td>{gate['name']}</td><td>{gate['name']}" not in page


def test_treatments_are_told_in_words() -> None:
    said = treatment_in_words({"treatment": "cut to segments", "segments": 45, "left_away": 0.25})
    assert said == "Data: cut to segments (segments 45, left away 0.25)."
    assert treatment_in_words({"treatment": "gaps: split"}) == "Data: gaps: split."


def test_diverged_runs_are_a_plain_failure(twin: DeviceTwin) -> None:
    wild = DeviceTwin(replace(twin.spec, backbone_order=3))
    for _ in fit(wild, [device(30)], seed=0, max_epochs=1):
        pass
    with torch.no_grad():
        wild.higher_weight.fill_(50.0)
    judgement = judge(wild, [device(2, seed=1)], n_draws=20, seed=0)
    assert "diverged" in verdict_in_words("d", judgement.gates)
