"""Networks as folders: what is read of them without torch, and what else can be done with them on the bench."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from labctl.bench import Bench
from labctl.campaign import run
from labctl.campaigns.characterise import CharacterisationDesign, excitations
from labctl.campaigns.deploy_network import deploy_network
from labctl.campaigns.network_on_bench import cascade_into, close_gap_into, compare_noise_into, train_on_bench_into
from labctl.campaigns.optimise_into import optimise_into
from labctl.campaigns.record import record
from labctl.campaigns.usual_network import preview_task, usual_network
from labctl.cli import main
from labctl.errors import CampaignError, DeploymentError, GatesNotPassed, UsageError
from labctl.events import Event, Figures, Reported, Warned
from labctl.network_card import read_card
from labctl.network_editing import new_draft, nodes_of, set_value, text_of
from labctl.noise_comparison import KNOWLEDGES
from labctl.promised_outputs import NAME, load_promised
from labctl.proposal import fingerprint_of, proposal_of
from labctl.task_names import TASK_WORDS
from labctl.unfinished import STATE
from twins import DeviceTwin, save_twin
from twins.network.tasks import TASKS

SIZES = {
    "n_steps": 40,
    "n_training_trials": 12,
    "n_heldout_trials": 6,
    "n_reservoir_draws": 20,
    "n_reservoir_trials": 4,
}
WHY = "a test of campaigns"


def small_text() -> str:
    """The usual network of two devices, made quick."""
    draft = usual_network("narma10", ["leaky", "duffing"])
    for name, count in SIZES.items():
        draft = set_value(draft, ("sizes", name), count)
    for layer in draft.layers:
        draft = set_value(draft, ("layers", layer, "nodes"), {"leaky": 1, "duffing": 1})
    draft = set_value(draft, ("conditions", "duffing_bias"), 0.05)
    draft = set_value(set_value(draft, ("initial", "n_starts"), 4), ("initial", "n_trained_starts"), 2)
    for name, value in (("n_iterations", 6), ("n_trials", 8), ("n_readout_draws", 2), ("n_readout_trials", 12)):
        draft = set_value(draft, ("optimiser", name), value)
    return text_of(draft)


@pytest.fixture(scope="module")
def twins(tmp_path_factory: pytest.TempPathFactory, fitted: dict[str, DeviceTwin]) -> dict[str, Path]:
    """Files of twins that were never judged."""
    folder = tmp_path_factory.mktemp("twins")
    for name, twin in fitted.items():
        save_twin(twin, folder / name, provenance={"simulated": True})
    return {name: folder / name for name in fitted}


@pytest.fixture(scope="module")
def events() -> list[Event]:
    return []


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory, twins: dict[str, Path], events: list[Event]) -> Path:
    """A small optimised network."""
    folder = tmp_path_factory.mktemp("networks") / "small"
    campaign = optimise_into(folder, twins, text=small_text(), seed=1)
    run(campaign, on_event=events.append)
    return folder


def test_optimising_tells_the_curves_of_every_start_and_what_is_promised(network: Path, events: list[Event]) -> None:
    names = {name for event in events if isinstance(event, Figures) for name in event.values}
    assert {"score of each random start", "best so far"} <= names
    assert sum(name.startswith("loss (") for name in names) == 2, names
    assert any(isinstance(event, Warned) and "never judged" in event.message for event in events)
    (last,) = (event for event in events if isinstance(event, Reported) and "folder" in event.outcome)
    assert last.outcome["promised"] == read_card(network).promised
    assert not (network / STATE).exists()


def test_a_card_says_what_the_folder_holds(network: Path) -> None:
    card, proposal = read_card(network), proposal_of(network)
    assert (card.task, card.metric, set(card.devices)) == ("narma10", "nrmse", {"leaky", "duffing"})
    assert (card.promised, card.promised_std) == (proposal.promised, proposal.promised_std)
    assert card.simulated
    assert len(card.faults) == 2
    assert card.traces.promised is not None
    np.testing.assert_array_equal(card.traces.promised, proposal.promised_outputs)
    assert card.traces.target.shape == (6, 40, 1)
    assert proposal.all_conditions["duffing_bias"] == 0.05


def test_the_promised_outputs_score_about_what_is_promised(network: Path) -> None:
    from twins.network.scores import score

    proposal = proposal_of(network)
    assert proposal.promised_outputs is not None
    found = score(proposal.metric, proposal.promised_outputs, proposal.examples[1]).value
    assert abs(found - proposal.promised) < 6 * proposal.promised_std, (
        "they are of one of the draws that the mean is of"
    )


def test_promised_outputs_of_other_examples_or_damaged_are_refused(network: Path, tmp_path: Path) -> None:
    heldout = proposal_of(network).examples[1]
    (tmp_path / NAME).write_bytes((network / NAME).read_bytes())
    with pytest.raises(DeploymentError, match="other examples"):
        load_promised(tmp_path, heldout.take(slice(0, 2)))
    (tmp_path / NAME).write_bytes(b"nothing")
    with pytest.raises(DeploymentError, match="damaged"):
        load_promised(tmp_path, heldout)
    assert load_promised(tmp_path / "elsewhere", heldout) is None


def test_a_folder_that_is_no_network_has_no_card(tmp_path: Path) -> None:
    with pytest.raises(DeploymentError, match=r"network\.json: no such file"):
        read_card(tmp_path)
    (tmp_path / "network.json").write_text('{"plan": 3}')
    with pytest.raises(DeploymentError, match="is no network"):
        read_card(tmp_path)


def test_every_task_is_told_in_words_and_has_a_usual_network_and_an_example() -> None:
    assert tuple(TASK_WORDS) == tuple(TASKS)
    assert nodes_of(usual_network("narma10", ["a"]), "first") == {"a": 6}
    preview = preview_task("waveform_synthesis")
    assert preview.targets.shape[1] == 3
    assert len(preview.inputs) == len(preview.targets) == len(preview.scored)
    with pytest.raises(CampaignError, match="is unknown"):
        usual_network("narma11", ["a"])


def test_what_is_asked_for_must_be_said_once(tmp_path: Path, twins: dict[str, Path]) -> None:
    wrong: tuple[dict[str, Any], ...] = ({}, {"task": "narma10", "text": small_text()})
    for given in wrong:
        with pytest.raises(UsageError, match="give one of"):
            run(optimise_into(tmp_path / "out", twins, **given))
    with pytest.raises(UsageError, match="no twin is given"):
        run(optimise_into(tmp_path / "out", {}, task="narma10"))
    with pytest.raises(UsageError, match=r"duffing was fitted at several values of it, from -0\.1 to 0\.1"):
        run(optimise_into(tmp_path / "out", twins, task="narma10"))
    assert not (tmp_path / "out").exists()


def test_nothing_is_played_with_twins_that_were_not_judged_unless_a_reason_is_given(
    demo_station: Path, network: Path, twins: dict[str, Path], tmp_path: Path
) -> None:
    with Bench.open(demo_station) as bench:
        for campaign in (
            close_gap_into(bench, network, twins, folder=tmp_path / "a", budget_s=10.0),
            train_on_bench_into(bench, network, twins, folder=tmp_path / "a", budget_s=10.0),
            cascade_into(bench, twins, text=small_text(), folder=tmp_path / "a"),
        ):
            with pytest.raises(GatesNotPassed, match="never judged"):
                run(campaign)
        with pytest.raises(UsageError, match="names no recording"):
            run(compare_noise_into(bench, twins, text=small_text(), folder=tmp_path / "a", override=WHY))
        with pytest.raises(UsageError, match="plays on duffing"):
            run(close_gap_into(bench, network, {"leaky": twins["leaky"]}, folder=tmp_path / "a", budget_s=10.0))
        assert bench.device_seconds == 0.0
    assert not (tmp_path / "a").exists()


@pytest.mark.slow
def test_a_cascade_leaves_its_outcome_and_a_network_that_can_be_deployed(
    demo_station: Path, twins: dict[str, Path], tmp_path: Path
) -> None:
    with Bench.open(demo_station) as bench:
        outcome = run(
            cascade_into(
                bench, twins, text=small_text(), folder=tmp_path / "c", validation=8, repeats=1, override=WHY, seed=1
            )
        )
    assert json.loads((tmp_path / "c" / "outcome.json").read_text())["task"] == "narma10"
    assert len(outcome["layers"]) == 2
    assert read_card(tmp_path / "c" / "network").task == "narma10"


@pytest.mark.slow
def test_training_on_the_bench_leaves_a_network_with_a_promise_of_its_own(
    demo_station: Path, network: Path, twins: dict[str, Path], tmp_path: Path
) -> None:
    with Bench.open(demo_station) as bench:
        outcome = run(
            train_on_bench_into(
                bench, network, twins, folder=tmp_path / "t", budget_s=40.0, iterations=2, validations=1, override=WHY
            )
        )
    assert outcome["n_iterations"] == 2
    left = proposal_of(tmp_path / "t" / "network")
    assert left.promised != proposal_of(network).promised
    assert left.promised_outputs is not None
    assert replace(left, folder=network).task == "narma10"


@pytest.mark.slow
def test_closing_the_gap_leaves_its_rounds_and_a_network_that_can_be_deployed(
    demo_station: Path, network: Path, twins: dict[str, Path], tmp_path: Path
) -> None:
    told: list[Event] = []
    with Bench.open(demo_station) as bench:
        campaign = close_gap_into(
            bench, network, twins, folder=tmp_path / "g", budget_s=60.0, rounds=1, repeats=3, spreads=1e6, examples=10,
            judged=4, override=WHY, seed=1,
        )  # fmt: skip
        outcome = run(campaign, on_event=told.append)
        assert bench.get("duffing_bias") == pytest.approx(0.0, abs=1e-6), (
            "the outputs are safe before the bench is closed"
        )
    assert outcome["ended"] == "closed"
    assert outcome["outputs_safe"] and outcome["simulated"]
    assert json.loads((tmp_path / "g" / "gap.json").read_text()) == outcome
    left = proposal_of(tmp_path / "g" / "network")
    assert left.task == "narma10"
    assert left.promised != proposal_of(network).promised
    warned = [event.message for event in told if isinstance(event, Warned)]
    assert any("will refuse this network" in one for one in warned), "the twins were never judged"


@pytest.mark.slow
def test_comparing_noise_leaves_its_figures_and_a_page(
    demo_station: Path, fitted: dict[str, DeviceTwin], tmp_path: Path
) -> None:
    twin = {"leaky": save_twin(fitted["leaky"], tmp_path / "leaky", provenance={"simulated": True})}
    draft = new_draft("narma10", {"only": {"leaky": 2}})
    for name, count in SIZES.items():
        draft = set_value(draft, ("sizes", name), count)
    draft = set_value(set_value(draft, ("initial", "n_starts"), 1), ("optimiser", "n_iterations"), 2)
    draft = set_value(set_value(draft, ("optimiser", "n_trials"), 8), ("optimiser", "n_readout_draws"), 2)
    with Bench.open(demo_station) as bench:
        design = CharacterisationDesign(n_trials=4, n_samples=60, n_inputs=1, n_repeats=2)
        wanted, _ = excitations(bench, "leaky", design=design, rng=np.random.default_rng(0))
        run(record(bench, wanted, path=tmp_path / "leaky.h5", key="r", title="R"))
        campaign = compare_noise_into(
            bench, twin, text=text_of(draft), folder=tmp_path / "n", recordings={"leaky": [tmp_path / "leaky.h5"]},
            ridges=[1e-3], repeats=2, override=WHY, seed=1,
        )  # fmt: skip
        outcome = run(campaign)
    assert outcome["outputs_safe"]
    assert {one["knowledge"] for one in outcome["outcomes"]} == set(KNOWLEDGES)
    assert all(one["repeats"] == 2 and one["measured"] > 0 for one in outcome["outcomes"])
    assert json.loads((tmp_path / "n" / "comparison.json").read_text())["task"] == "narma10"
    assert "SIMULATED" in (tmp_path / "n" / "report.html").read_text()


def test_a_network_that_was_written_anew_since_a_person_looked_is_not_played(
    demo_station: Path, network: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changed = tmp_path / "changed"
    shutil.copytree(network, changed)
    seen = fingerprint_of(changed)
    assert seen == proposal_of(changed).fingerprint == fingerprint_of(network)
    file = changed / "network.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "conditions": {"duffing_bias": -0.05}}))
    with Bench.open(demo_station) as bench:
        with pytest.raises(DeploymentError, match="not the network that was confirmed"):
            run(deploy_network(bench, changed, folder=tmp_path / "d", override=WHY, confirmed=seen))
        assert bench.device_seconds == 0.0
    asked = ["deploy", str(demo_station), str(changed), "--out", str(tmp_path / "d"), "--override-gates", WHY]
    assert main([*asked, "--confirmed", seen]) == 1
    assert "not the network that was confirmed" in capsys.readouterr().err
    assert not (tmp_path / "d").exists()


def test_the_dry_run_of_a_deployment_tells_everything_and_drives_nothing(
    demo_station: Path, network: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dry = ["deploy", str(demo_station), str(network), "--dry-run"]
    assert main(dry) == 1
    told = capsys.readouterr().out
    assert "SIMULATED" in told
    assert "REFUSED the twin of leaky was never judged" in told
    (bias,) = (line for line in told.splitlines() if line.startswith("duffing_bias"))
    assert bias.split()[1:6] == ["set-point", "0", "V", "0.05", "V"]
    assert "within limits" in bias
    assert f"fingerprint of the network {fingerprint_of(network)}" in told
    assert main([*dry, "--override-gates", WHY]) == 0
    demo_station.write_text(demo_station.read_text().replace("limits = [-0.2, 0.2]", "limits = [-0.02, 0.02]"))
    capsys.readouterr()
    assert main([*dry, "--override-gates", WHY]) == 1
    assert "REFUSED: 0.05 V is proposed; -0.02..0.02 V is allowed" in capsys.readouterr().out
