"""The main job from end to end, with small budgets; its full size is what `make demo` runs."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from labctl.campaigns.characterise import CharacterisationDesign
from labctl.campaigns.close_the_loop import LoopSettings
from labctl.campaigns.fit_twin import FitSettings
from labctl.campaigns.network_files import load_network
from labctl.campaigns.plans import DEMO_PLANS, TaskPlan, plan_for
from labctl.demo import CONDITIONS, run_demo
from labctl.errors import GatesNotPassed
from labctl.events import Event, Progress, Reported, Sampled, StepFinished, Warned
from labctl.network_bench import rounds
from labctl.report import LoopOutcome
from labctl.run_index import RunIndex
from labctl.store import open_recording
from twins import load_twin, read_provenance
from twins.network.wiring_file import load_wiring

DESIGN = CharacterisationDesign(n_trials=16, n_samples=300, n_inputs=3, n_repeats=8, n_heldout_samples=100)


def small(name: str) -> TaskPlan:
    plan = plan_for(name, ("leaky", "duffing"), dt_s=2e-4)
    settings = replace(plan.settings, n_trials=16, n_validation_trials=24, n_readout_trials=24, n_readout_draws=2)
    return replace(
        plan,
        settings=settings,
        n_training_trials=max(plan.n_training_trials // 4, 4),
        n_heldout_trials=max(plan.n_heldout_trials // 8, 4),
        n_repeats=2,
        n_reservoir_draws=20,
        n_reservoir_trials=24,
        n_starts=2,
    )


SETTINGS = LoopSettings(
    conditions=CONDITIONS,
    designs={"leaky": DESIGN, "duffing": DESIGN},
    fits={
        "leaky": FitSettings(choice="plain", response_delays=1, drive_delays=1, hidden=(16, 16), max_seconds=3.0),
        "duffing": FitSettings(choice="plain", max_seconds=3.0),
    },
    tasks=[small(name) for name in DEMO_PLANS],
    optimise_budget_s=2.0,
    override_gates="a test of three seconds, whose twins cannot pass",
)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[LoopOutcome, Path, list[Event]]:
    out = tmp_path_factory.mktemp("demo")
    events: list[Event] = []
    outcome = run_demo(out, seed=3, on_event=events.append, settings=SETTINGS)
    return outcome, out, events


def test_the_summary_holds_what_programs_need(demo: tuple[LoopOutcome, Path, list[Event]]) -> None:
    _, out, _ = demo
    summary = json.loads((out / "summary.json").read_text())
    assert summary["simulated"] is True
    assert summary["outputs_safe"] is True
    assert summary["seconds"] > 0.0
    assert summary["device_seconds"] > 0.0
    assert {task["name"]: task["metric"] for task in summary["tasks"]} == {
        "narma10": "nrmse",
        "delayed_parity": "cross_entropy",
    }
    numbers = (
        "promised",
        "promised_std",
        "measured_mean",
        "measured_std",
        "reservoir_measured",
        "unoptimised_measured",
        "linear_same_taps",
        "linear_20_taps",
    )
    for task in summary["tasks"]:
        assert all(task[name] > 0.0 for name in numbers)
        assert task["details"]["nodes"] >= 12


def test_an_override_of_the_gates_is_told_everywhere(demo: tuple[LoopOutcome, Path, list[Event]]) -> None:
    outcome, out, events = demo
    reason = "a test of three seconds, whose twins cannot pass"
    assert json.loads((out / "summary.json").read_text())["clearance"]["override"] == reason
    assert f"GATES OVERRIDDEN: a twin did not pass its gates; its networks were applied because: {reason}" in (
        out / "report.html"
    ).read_text(encoding="utf-8")
    play = open_recording(Path(outcome.summary["data"]) / "narma10" / "measured-reservoir" / "layer0-play0.h5")
    assert play.provenance["extra"]["clearance"]["override"] == reason
    assert any(isinstance(event, Warned) and reason in event.message for event in events)


def test_without_an_override_nothing_is_optimised_or_applied(tmp_path: Path) -> None:
    settings = replace(SETTINGS, override_gates=None, tasks=SETTINGS.tasks[:1])
    with pytest.raises(GatesNotPassed, match="the twin of leaky"):
        run_demo(tmp_path, seed=3, on_event=lambda event: None, settings=settings)
    [data] = [path for path in tmp_path.iterdir() if path.is_dir()]
    assert (data / "twins" / "leaky.report.html").exists()
    assert not (data / "narma10").exists()


def test_at_least_500_sequences_are_held_out_for_classification() -> None:
    plan = plan_for("delayed_parity", ("leaky", "duffing"), dt_s=2e-4)
    _, heldout = plan.examples(seed=0)
    assert len(heldout.inputs) >= 500
    assert plan.n_nodes >= 12
    assert len(plan.architecture.layers) == 2


def test_promised_and_measured_are_about_the_same_examples(demo: tuple[LoopOutcome, Path, list[Event]]) -> None:
    outcome, _, _ = demo
    data = Path(outcome.summary["data"])
    for name in DEMO_PLANS:
        network = load_network(data / name)
        _, heldout = small(name).examples(seed=network.examples_seed)
        recording = open_recording(data / name / "measured-optimised" / "layer0-play0.h5")
        drive, _ = recording.scored()
        first = network.wirings["optimised"].layers[0].devices[0]
        expected = network.wirings["optimised"].drive_for(0, 0, heldout.inputs)[..., 0]
        played = drive[-len(heldout.inputs) :, :, recording.drive_names.index(f"{first}_drive")]
        np.testing.assert_allclose(played, expected, atol=1e-12)


def test_the_accuracy_stands_beside_the_cross_entropy(demo: tuple[LoopOutcome, Path, list[Event]]) -> None:
    outcome, _, _ = demo
    parity = next(task for task in outcome.tasks if task.metric == "cross_entropy")
    assert 0.0 <= parity.details["accuracy measured"] <= 1.0
    assert 0.0 <= parity.details["accuracy promised"] <= 1.0


def test_every_output_was_read_back_at_its_safe_value(demo: tuple[LoopOutcome, Path, list[Event]]) -> None:
    outcome, _, _ = demo
    assert {output["channel"] for output in outcome.outputs} == {"leaky_drive", "duffing_drive", "duffing_bias"}
    for output in outcome.outputs:
        assert output["ok"]
        assert output["read_back"] == pytest.approx(output["safe_value"], abs=2e-3)


def test_the_report_is_one_file_with_plots_and_says_simulated(demo: tuple[LoopOutcome, Path, list[Event]]) -> None:
    _, out, _ = demo
    page = (out / "report.html").read_text()
    assert "SIMULATED" in page
    assert page.count("data:image/png;base64,") >= 5
    assert "://" not in page  # base64 has no colon


def test_everything_measured_and_made_is_on_disk_and_opens(demo: tuple[LoopOutcome, Path, list[Event]]) -> None:
    outcome, _, _ = demo
    data = Path(outcome.summary["data"])
    entries = RunIndex(data).entries()
    plays = {
        name: sum(len(rounds(layer)) for layer in load_wiring(data / name / "optimised").layers) for name in DEMO_PLANS
    }
    assert len(entries) == 4 + 3 * sum(plays.values())  # recordings of the devices, then three networks a task
    assert all(entry.complete and entry.simulated for entry in entries)
    recording = open_recording(data / "recordings" / "duffing-training.h5")
    assert recording.conditions["duffing_bias"] == pytest.approx(CONDITIONS["duffing_bias"], abs=1e-3)
    assert load_twin(data / "twins" / "duffing").spec.dt_s == recording.dt_s
    assert read_provenance(data / "twins" / "duffing")["simulated"] is True
    wiring = load_wiring(data / "narma10" / "optimised")
    assert len(wiring.layers) == 2
    assert wiring.n_nodes >= 12
    assert {port.name for port in wiring.ports} == {"leaky", "duffing"}


def test_the_journal_tells_the_whole_story(demo: tuple[LoopOutcome, Path, list[Event]]) -> None:
    outcome, _, events = demo
    lines = [json.loads(line) for line in (Path(outcome.summary["data"]) / "journal.jsonl").read_text().splitlines()]
    assert {line["event"] for line in lines} >= {"StepStarted", "Progress", "Figures", "Reported", "StepFinished"}
    assert any(isinstance(event, Sampled) for event in events)
    assert any(isinstance(event, Progress) for event in events)
    reported = {event.key for event in events if isinstance(event, Reported)}
    assert {"twin/leaky", "twin/duffing", "deploy/narma10", "deploy/delayed_parity"} <= reported
    assert all(event.seconds >= 0.0 for event in events if isinstance(event, StepFinished))
