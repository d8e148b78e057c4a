"""What applying a network would change, told before anything is written; and the deployment that puts promised beside measured."""

from __future__ import annotations

import json
import pickle
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from labctl.apply_table import apply_table
from labctl.apply_words import in_words
from labctl.bench import Bench
from labctl.campaign import run
from labctl.campaigns.deploy_network import deploy_network, measure_proposal, outcome_of, save_traces
from labctl.clearance import clear
from labctl.errors import DeploymentError
from labctl.events import Event, Sampled
from labctl.proposal import Proposal
from twins.network.initialise import Architecture, random_wiring
from twins.network.ports import DevicePort
from twins.network.tasks import Narma10
from twins.network.wiring import Wiring

ARCHITECTURE = Architecture(
    layers=(("leaky", "duffing"),),
    samples_per_step=2,
    sample_offsets=(0, 1),
    dt_s=2e-4,
    input_taps=(0, 1),
    coupling_delays=(0,),
    washout=20,
)


def a_wiring(leaky_V: float = 1.0, **conditions: float) -> Wiring:
    ports = (
        DevicePort.from_range("leaky", -leaky_V, leaky_V),
        DevicePort.from_range("duffing", -0.5, 0.5),
    )
    return replace(random_wiring(ARCHITECTURE, ports, np.random.default_rng(0)), conditions=conditions)


def a_proposal(wiring: Wiring, conditions: Mapping[str, float] | None = None, **others: Any) -> Proposal:
    task, rng = Narma10(washout=20), np.random.default_rng(1)
    examples = (task.sample(12, 30, rng), task.sample(4, 30, rng))
    return Proposal(
        folder=Path("net"),
        task="narma10",
        metric="nrmse",
        devices=("leaky", "duffing"),
        wirings={"optimised": wiring, **others},
        examples=examples,
        examples_seed=2,
        conditions=conditions or {},
        gates={},
        simulated=True,
        promised=0.5,
        promised_std=0.01,
        linear_same_taps=0.6,
        linear_20_taps=0.4,
        promised_outputs=np.zeros_like(examples[1].targets),
    )


def written(bench: Bench) -> list[bool]:
    """Whether anything was written since the bench was opened."""
    return [bench.safe_states.armed, bench._written_epoch >= 0]


def test_the_table_reads_what_is_and_writes_to_no_output(demo_station: Path) -> None:
    with Bench.open(demo_station) as bench:
        before = written(bench)
        table = apply_table(bench, a_proposal(a_wiring(), {"duffing_bias": 0.05}))
        assert written(bench) == before
    rows = {row.channel: row for row in table.rows}
    bias, drive = rows["duffing_bias"], rows["leaky_drive"]
    assert table.ok
    assert bias.kind == "set-point"
    assert bias.current == pytest.approx(0.0, abs=1e-6)
    assert bias.proposed == (0.05, 0.05)
    assert bias.limits == (-0.2, 0.2)
    assert bias.ramp_s == pytest.approx(0.05, rel=1e-3)
    assert drive.kind == "drive"
    assert drive.proposed == pytest.approx((-1.0, 1.0), rel=1e-5)
    assert drive.device == "leaky"


def test_a_set_point_beyond_its_limits_is_refused_with_file_and_line(demo_station: Path) -> None:
    with Bench.open(demo_station) as bench:
        table = apply_table(bench, a_proposal(a_wiring(), {"duffing_bias": 0.5}))
    (row,) = (row for row in table.rows if row.channel == "duffing_bias")
    assert not row.ok
    assert not table.ok
    assert "0.5 V is proposed; -0.2..0.2 V is allowed" in table.why_not()
    assert f"{demo_station}:" in row.refused


def test_a_drive_beyond_its_limits_is_refused_also_where_only_a_rival_has_it(demo_station: Path) -> None:
    proposal = a_proposal(a_wiring(), reservoir=a_wiring(3.0))
    with Bench.open(demo_station) as bench:
        table = apply_table(bench, proposal)
        alone = apply_table(bench, proposal, rivals=False)
    assert "leaky_drive: -3..3 V is proposed; -2..2 V is allowed" in table.why_not()
    assert alone.ok


def test_trained_conditions_and_strange_channels_stand_in_the_table(demo_station: Path) -> None:
    with Bench.open(demo_station) as bench:
        table = apply_table(bench, a_proposal(a_wiring(1.0, duffing_bias=-0.1), {"heater": 4.0, "leaky_response": 0.1}))
    rows = {row.channel: row for row in table.rows}
    assert rows["duffing_bias"].proposed == (-0.1, -0.1)
    assert "the station has no channel 'heater'" in rows["heater"].refused
    assert "cannot be set" in rows["leaky_response"].refused
    assert not table.ok


def test_a_device_that_the_station_lacks_is_a_problem_of_the_table(demo_station: Path) -> None:
    port = DevicePort.from_range("vortex", -1.0, 1.0)
    wiring = random_wiring(replace(ARCHITECTURE, layers=(("vortex",),)), (port,), np.random.default_rng(0))
    with Bench.open(demo_station) as bench:
        table = apply_table(bench, a_proposal(wiring))
    assert not table.ok
    assert "vortex" in table.problems[0]


def test_a_drive_that_may_be_too_fast_is_warned_of_and_not_refused(demo_station: Path) -> None:
    text = demo_station.read_text()
    demo_station.write_text(text.replace("slew_per_s = 2.1e4", "slew_per_s = 5e3"))
    with Bench.open(demo_station) as bench:
        table = apply_table(bench, a_proposal(a_wiring()))
    (row,) = (row for row in table.rows if row.channel == "leaky_drive")
    assert row.ok
    assert "slew_per_s = 5000 V/s" in row.warned


def test_the_words_name_every_output_and_what_is_refused(demo_station: Path) -> None:
    with Bench.open(demo_station) as bench:
        lines = list(in_words(apply_table(bench, a_proposal(a_wiring(), {"duffing_bias": 0.5}))))
    told = "\n".join(lines)
    assert "REFUSED: 0.5 V is proposed" in told
    assert "within limits" in told
    assert lines[0].split() == ["output", "kind", "now", "proposed", "limits", "ramp"]


def test_a_proposal_can_be_sent_to_another_process() -> None:
    again = pickle.loads(pickle.dumps(a_proposal(a_wiring())))  # noqa: S301 - what was pickled in this very line
    np.testing.assert_array_equal(again.examples[1].targets, a_proposal(a_wiring()).examples[1].targets)


def test_a_measured_proposal_leaves_figures_and_traces_beside_each_other(demo_station: Path, tmp_path: Path) -> None:
    proposal = a_proposal(a_wiring(), {"duffing_bias": 0.02}, reservoir=a_wiring(0.5))
    clearance = clear(proposal.devices, {}, override="a test")
    events: list[Event] = []
    with Bench.open(demo_station) as bench:
        campaign = measure_proposal(bench, proposal, clearance=clearance, folder=tmp_path, n_repeats=2, rivals=True)
        measured = run(campaign, on_event=events.append)
        outcome = outcome_of(proposal, measured, clearance, bench)
    assert any(isinstance(event, Sampled) for event in events)
    assert outcome["promised"] == 0.5
    assert outcome["optimised"]["measured_mean"] > 0.0
    assert outcome["clearance"]["override"] == "a test"
    json.dumps(outcome)
    save_traces(tmp_path / "traces.safetensors", proposal, measured)
    traces = load_file(tmp_path / "traces.safetensors")
    assert traces["target"].shape == traces["promised"].shape == (4, 30, 1)
    assert traces["optimised"].shape == (2, 4, 30, 1)
    assert traces["reservoir"].shape == (1, 4, 30, 1)
    np.testing.assert_allclose(traces["target"], proposal.examples[1].targets)


def test_deploying_no_network_is_refused_and_nothing_is_written(demo_station: Path, tmp_path: Path) -> None:
    with Bench.open(demo_station) as bench:
        before = written(bench)
        with pytest.raises(DeploymentError, match=r"network\.json"):
            run(deploy_network(bench, tmp_path / "nothing", folder=tmp_path / "out"))
        assert written(bench) == before
    assert not (tmp_path / "out").exists()
