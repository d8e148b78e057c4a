"""What a twin is judged on, and how several lots of data come together in one verdict."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from labctl.background import in_background
from labctl.campaign import run
from labctl.events import Event, Waiting
from labctl.judging import diverges, judge, merged
from labctl.twin_data import TwinData
from labctl.twin_evidence import evidence_of
from twins import DeviceTwin, DeviceTwinSpec, Traces, fit


def device(n_inputs: int, n_repeats: int = 1, *, n_samples: int = 60, seed: int = 0, bias: float = 0.0) -> Traces:
    """x' = 0.8 x + 0.2 u + bias + 0.02 w: linear, so that a backbone alone is a perfect twin of it."""
    rng = np.random.default_rng(seed)
    drive = np.tile(np.repeat(rng.uniform(-1, 1, (n_inputs, n_samples // 3, 1)), 3, axis=1), (n_repeats, 1, 1))
    response = np.zeros_like(drive)
    for k in range(n_samples - 1):
        kick = 0.02 * rng.standard_normal((len(drive), 1))
        response[:, k + 1] = 0.8 * response[:, k] + 0.2 * drive[:, k] + bias + kick
    return Traces(
        drive,
        response,
        1e-3,
        ("u",),
        ("V",),
        ("x",),
        ("V",),
        n_prepare=4,
        input_id=np.tile(np.arange(n_inputs), n_repeats),
        conditions={"bias": bias},
    )


@pytest.fixture(scope="module")
def twin() -> DeviceTwin:
    traces = device(160)
    made = DeviceTwin(DeviceTwinSpec.for_traces(traces, response_delays=0, drive_delays=0, hidden=(6,)))
    for _ in fit(made, [traces], seed=0, max_epochs=5):
        pass
    return made


def test_a_good_twin_passes_and_the_evidence_agrees_with_the_figures(twin: DeviceTwin) -> None:
    held = device(6, 20, seed=1)
    judgement = judge(twin, [held], n_draws=99, seed=0)
    assert judgement.passed
    evidence = evidence_of(twin, held, n_draws=99, seed=0)
    [row] = evidence.channels
    assert row.coverage_90 == pytest.approx(judgement.figures["coverage_90"], abs=0.01)
    assert row.twin_std / row.device_std == pytest.approx(judgement.figures["std_ratio"], abs=0.03)
    assert np.abs(evidence.covered - evidence.levels).max() < 0.04
    assert evidence.acf_device[0] == pytest.approx(1.0, abs=0.03)
    # x' = 0.8 x + …: deviations forget by 0.8 a sample.
    assert evidence.acf_twin[1] == pytest.approx(0.8, abs=0.06)
    assert np.diff(evidence.frequency_Hz)[0] * evidence.power_device.sum() == pytest.approx(
        (row.device_std / held.scored()[1].std()) ** 2, rel=0.15
    )
    assert len(evidence.shown) == 3
    assert evidence.shown[0].measured.shape[0] == 20


def test_a_twin_that_fails_on_one_lot_does_not_pass(twin: DeviceTwin) -> None:
    good, longer = device(6, 20, seed=1), device(6, 20, seed=2, n_samples=90, bias=0.05)
    judgement = judge(twin, [good, longer], n_draws=60, seed=0)
    assert not judgement.passed
    failed = {gate["name"] for gate in judgement.gates["gates"] if not gate["passed"]}
    assert any("bias 0.05" in name for name in failed)
    assert not any("bias 0)" in name for name in failed)


def test_lots_of_one_length_and_conditions_are_joined_and_the_same_drive_is_one_input() -> None:
    first, other = device(5, 2), device(3, 1, seed=9)
    lots = merged([first, first, other, device(2, n_samples=90)])
    assert [lot.n_trials for lot in lots] == [23, 2]
    assert sorted(np.unique(lots[0].inputs, return_counts=True)[1]) == [1, 1, 1, 4, 4, 4, 4, 4]


def test_a_polynomial_that_runs_away_is_found_out(twin: DeviceTwin) -> None:
    assert not diverges(twin, [device(40)], seed=0)
    spec = replace(twin.spec, backbone_order=3)
    wild = DeviceTwin(spec)
    for _ in fit(wild, [device(40)], seed=0, max_epochs=1):
        pass
    with torch.no_grad():
        wild.higher_weight.fill_(3.0)
    assert diverges(wild, [device(40)], seed=0)


def test_whole_inputs_are_kept_from_the_fit_where_there_are_enough() -> None:
    data = TwinData((device(10, 3),))
    fitted, judged, how = data.split(fraction=0.2, seed=1)
    drives = [{trial.tobytes() for part in some.traces for trial in part.scored()[0]} for some in (fitted, judged)]
    assert not drives[0] & drives[1]
    assert len(drives[1]) == 2
    assert judged.traces[0].n_trials == 6
    assert "2 of 10 inputs" in how


def test_too_few_held_out_trials_are_judged_in_shorter_stretches() -> None:
    data = TwinData((device(15, n_samples=300),))
    fitted, judged, how = data.split(fraction=0.2, seed=1)
    [held] = judged.traces
    assert held.n_trials == len(np.unique(held.inputs)) == 12
    assert fitted.traces[0].n_trials == 12
    assert how == "3 of 15 inputs, drawn at random, each in 4 stretches of 74 samples"


def test_the_ends_of_trials_are_kept_from_the_fit_where_inputs_are_few() -> None:
    data = TwinData((device(1, n_samples=900),))
    fitted, judged, how = data.split(fraction=0.2, seed=1)
    [early], [late] = fitted.traces, judged.traces
    assert early.n_trials == late.n_trials == 12
    assert "last 20 %" in how
    edge = 900 - round(0.2 * 896)
    whole = data.traces[0].response[0, :, 0]
    assert set(early.response.ravel()) <= set(whole[:edge])
    assert set(late.response.ravel()) <= set(whole[edge:])


def test_conditions_that_all_share_are_told_and_the_seconds_add_up() -> None:
    data = TwinData((device(5, bias=0.1), device(5, bias=0.2)))
    assert data.conditions == {}
    assert TwinData((device(5, bias=0.1),)).conditions == {"bias": 0.1}
    assert data.seconds == pytest.approx(10 * 60 * 1e-3)


def test_silent_work_lets_stop_act_and_gives_its_result_or_its_error() -> None:
    events: list[Event] = []
    import threading

    seen = threading.Event()

    def on_event(event: Event) -> None:
        events.append(event)
        seen.set()

    assert run(in_background(lambda: seen.wait(30.0), key="k"), on_event=on_event) is True
    assert events and all(isinstance(event, Waiting) for event in events)

    def fail() -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        run(in_background(fail, key="k"))
