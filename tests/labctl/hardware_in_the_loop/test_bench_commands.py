"""`labctl network close-gap` and `train-on-bench` leave a network that can be deployed."""

import json
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from labctl.bench import Bench
from labctl.campaign import Campaign
from labctl.campaigns.network_files import FIRST_FORMAT, load_network, save_network
from labctl.campaigns.network_to_play import network_to_play, warnings_of_play
from labctl.campaigns.optimise_network import OptimisedNetwork
from labctl.cli import main
from labctl.commands.close_gap import earlier_recordings, files_from
from labctl.errors import UsageError
from labctl.events import Warned
from labctl.own_task import load_own_task
from labctl.provenance import collect_provenance
from labctl.store import open_recording
from labctl.twin_data import TwinData, sha256_of
from labctl.workers import Job
from twins import load_twin, read_provenance, save_twin
from twins.network.judging import Promise
from twins.network.scores import Score


def stored(spoilt: Any, folder: Path) -> Path:
    """The spoilt network as a folder."""
    promise = Promise((Score("nrmse", 0.3), Score("nrmse", 0.31)), outputs=spoilt.wiring.readout.weights[None])
    optimised = OptimisedNetwork(
        plan=spoilt.plan,
        wiring=spoilt.wiring,
        initial=spoilt.wiring,
        reservoir=spoilt.wiring,
        promise=promise,
        learning_curve=(),
        linear_same_taps=0.6,
        linear_20_taps=0.4,
        seed=0,
        examples_seed=1,
    )
    provenance = collect_provenance(simulated=True, seed=0)
    save_network(folder, optimised, conditions={}, gates=spoilt.clearance.gates, provenance=provenance)
    return folder


@pytest.fixture
def network(spoilt: Any, tmp_path: Path) -> Path:
    return stored(spoilt, tmp_path / "network")


@pytest.fixture(autouse=True)
def one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is promised in the end is computed here: starting a process for it costs more than these networks."""

    def here(jobs: Mapping[str, Job]) -> Campaign[dict[str, Any]]:
        results = {}
        for name, job in jobs.items():
            results[name] = yield from job.make(**job.arguments)
        return results

    monkeypatch.setattr("labctl.campaigns.network_left.side_by_side", here)


def command(action: str, station: Path, network: Path, spoilt: Any, out: Path, *more: str) -> list[str]:
    return ["network", action, str(station), str(network), "--twin", f"leaky={spoilt.twin}", "--out", str(out), *more]


def test_close_gap_leaves_its_rounds_and_a_network_with_a_new_promise(
    demo_station: Path, tmp_path: Path, spoilt: Any, network: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    more = ("--budget-s", "100", "--spreads", "1e6", "--judged", "4", "--repeats", "3", "--no-earlier")
    assert main(command("close-gap", demo_station, network, spoilt, out, *more)) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["ended"] == "closed"
    assert said["simulated"] is True
    assert said["outputs_safe"] is True
    assert said == json.loads((out / "gap.json").read_text())
    left = load_network(out / "network")
    assert left.promised != load_network(network).promised
    assert left.plan.n_nodes == spoilt.plan.n_nodes
    assert main(command("close-gap", demo_station, network, spoilt, out, *more)) == 1
    assert "nothing measured is ever overwritten" in capsys.readouterr().err


def test_train_on_bench_leaves_a_network_with_the_trained_wiring(
    demo_station: Path, tmp_path: Path, spoilt: Any, network: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    more = ("--budget-s", "100", "--iterations", "2", "--examples", "4", "--validations", "1")
    assert main(command("train-on-bench", demo_station, network, spoilt, out, *more)) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["n_iterations"] == 2
    trained = load_network(out / "network").wirings["optimised"]
    assert (trained.layers[0].W_in != spoilt.wiring.layers[0].W_in).any()


def test_a_validation_of_before_is_never_played_into(
    demo_station: Path, tmp_path: Path, spoilt: Any, network: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "out" / "validation-1").mkdir(parents=True)
    assert main(command("train-on-bench", demo_station, network, spoilt, tmp_path / "out", "--budget-s", "100")) == 1
    assert "validation-1 exists already" in capsys.readouterr().err


@pytest.mark.parametrize("action", ["close-gap", "train-on-bench"])
def test_a_given_twin_that_was_not_judged_is_not_trained_on(
    tmp_path: Path, spoilt: Any, network: Path, action: str, capsys: pytest.CaptureFixture[str]
) -> None:
    twin = save_twin(load_twin(spoilt.twin), tmp_path / "unjudged", provenance={"simulated": True})
    no_station = tmp_path / "no-station.toml"  # it is refused before anything is opened
    given = ["--twin", f"leaky={twin}", "--out", str(tmp_path / "out"), "--budget-s", "100"]
    assert main(["network", action, str(no_station), str(network), *given]) == 1
    assert "the twin of leaky was never judged" in capsys.readouterr().err


def test_a_network_of_twins_that_were_not_judged_is_not_played_though_the_given_ones_passed(
    tmp_path: Path, spoilt: Any, network: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = network / "network.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "gates": {}}))
    no_station = tmp_path / "no-station.toml"
    for action in ("close-gap", "train-on-bench"):
        assert main(command(action, no_station, network, spoilt, tmp_path / "out", "--budget-s", "100")) == 1
        assert "that it was optimised on: the twin of leaky was never judged" in capsys.readouterr().err


def test_what_an_unjudged_twin_trained_is_left_with_its_gates_so_that_deploy_refuses_it(
    demo_station: Path, tmp_path: Path, spoilt: Any, network: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    twin = save_twin(load_twin(spoilt.twin), tmp_path / "unjudged", provenance={"simulated": True})
    out = tmp_path / "out"
    more = ("--budget-s", "100", "--iterations", "1", "--examples", "4", "--validations", "1")
    given = ["--twin", f"leaky={twin}", "--out", str(out), "--override-gates", "a test", *more]
    assert main(["network", "train-on-bench", str(demo_station), str(network), *given]) == 0
    assert "`labctl deploy` will refuse this network" in capsys.readouterr().err
    assert load_network(out / "network").gates == {"leaky": {}}
    assert main(["deploy", str(demo_station), str(out / "network"), "--out", str(tmp_path / "deployed")]) == 1
    assert "the twin of leaky was never judged" in capsys.readouterr().err


def test_a_network_of_the_first_format_without_gates_is_trained_under_an_override(
    demo_station: Path, tmp_path: Path, spoilt: Any, network: Path
) -> None:
    file = network / "network.json"
    content = json.loads(file.read_text())
    content.update(format=FIRST_FORMAT, task="narma10", devices=["leaky"])
    for later in ("plan", "metric", "n_outputs", "seed", "network_file", "gates"):
        del content[later]
    file.write_text(json.dumps(content))
    (network / "examples.safetensors").unlink()
    out = tmp_path / "out"
    more = ("--budget-s", "100", "--iterations", "1", "--examples", "2", "--validations", "1")
    arguments = command("train-on-bench", demo_station, network, spoilt, out, *more, "--override-gates", "a test")
    assert main(arguments) == 0
    assert load_network(out / "network").gates == {"leaky": {}}  # of those that it was optimised on nothing is known


OWN_TASK = """
import numpy as np
from twins.network.tasks import TaskData

class LastInput:
    name, metric, n_inputs, n_outputs, washout = "last_input", "nrmse", 1, 1, 3

    def sample(self, n_trials, n_steps, rng):
        inputs = rng.uniform(-1.0, 1.0, (n_trials, n_steps, 1))
        scored = np.zeros((n_trials, n_steps), bool)
        scored[:, self.washout:] = True
        return TaskData(inputs, np.roll(inputs, 1, axis=1), scored)
"""


@pytest.fixture
def own_task(tmp_path: Path) -> str:
    (tmp_path / "mine.py").write_text(OWN_TASK, encoding="utf-8")
    return f"{tmp_path / 'mine.py'}:LastInput"


@pytest.mark.parametrize("action", ["close-gap", "train-on-bench"])
def test_a_task_of_ones_own_is_named_and_draws_fresh_examples(
    demo_station: Path, tmp_path: Path, spoilt: Any, own_task: str, action: str, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = replace(spoilt.plan, task=load_own_task(own_task))
    folder = stored(replace(spoilt, plan=plan), tmp_path / "own")
    more = {
        "close-gap": ("--spreads", "1e6", "--judged", "4", "--repeats", "3", "--no-earlier"),
        "train-on-bench": ("--iterations", "1", "--examples", "4", "--validations", "1"),
    }[action]
    out = tmp_path / "out"
    without = command(action, demo_station, folder, spoilt, out, "--budget-s", "100", *more)
    assert main(without) != 0
    assert f"give --task {own_task}" in capsys.readouterr().err
    assert not out.exists()  # nothing was opened
    assert main([*without, "--task", own_task]) == 0
    assert json.loads(capsys.readouterr().out)["task"] == "last_input"
    assert load_network(out / "network").task == "last_input"


def test_what_was_learned_on_simulated_devices_is_told_on_a_real_bench(spoilt: Any, network: Path) -> None:
    played = network_to_play(network, {"leaky": spoilt.twin})
    benches: list[Any] = [SimpleNamespace(simulated=one) for one in (False, True)]
    real, simulated = (
        [event.message for event in warnings_of_play(bench, played) if isinstance(event, Warned)] for bench in benches
    )
    assert [told.split(" learned on SIMULATED")[0] for told in real] == ["this network was", "these twins were"]
    assert simulated == []


def test_a_device_of_the_network_without_a_twin_is_told_before_anything_is_opened(
    tmp_path: Path, spoilt: Any, network: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--twin", f"other={spoilt.twin}", "--out", str(tmp_path / "out"), "--budget-s", "100"]
    assert main(["network", "close-gap", str(tmp_path / "no.toml"), str(network), *arguments]) != 0
    assert "give --twin leaky=FILE" in capsys.readouterr().err


def fitted_to(spoilt: Any, path: Path, *sources: dict[str, Any]) -> Path:
    """The spoilt twin in another file, which says that it was fitted to these."""
    provenance = {**read_provenance(spoilt.twin), "extra": {"recordings": list(sources)}}
    path.parent.mkdir(parents=True, exist_ok=True)
    return save_twin(load_twin(spoilt.twin), path, provenance=provenance)


def test_a_twin_names_the_recordings_that_it_was_fitted_to_and_those_used_in_part_are_told(
    tmp_path: Path, spoilt: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    known = {"path": str(spoilt.recording), "sha256": sha256_of(spoilt.recording), "trials": 16}
    twin = fitted_to(spoilt, tmp_path / "leaky", known, {**known, "trials": 9})
    assert earlier_recordings("leaky", twin) == [spoilt.recording]
    assert capsys.readouterr().err.count("WARNING leaky: its twin was fitted to a part of") == 1


@pytest.mark.parametrize("other", [{"path": "nowhere/gone.h5"}, {"sha256": "0"}, {"path": None, "sha256": None}])
def test_a_recording_that_is_gone_or_has_changed_stops_it(tmp_path: Path, spoilt: Any, other: dict[str, Any]) -> None:
    known = {"path": str(spoilt.recording), "sha256": sha256_of(spoilt.recording), "trials": 16}
    twin = fitted_to(spoilt, tmp_path / "leaky", known, {**known, **other})
    with pytest.raises(UsageError, match=r"--training leaky=FILE.*--no-earlier"):
        earlier_recordings("leaky", twin)


def test_the_recordings_of_a_twin_are_found_from_any_folder_and_after_both_were_moved(
    tmp_path: Path, spoilt: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = tmp_path / "project" / "recordings" / "leaky.h5"
    where.parent.mkdir(parents=True)
    shutil.copy(spoilt.recording, where)
    sha256 = sha256_of(where)
    relative = {"path": "recordings/leaky.h5", "sha256": sha256, "trials": 16}
    twin = fitted_to(spoilt, tmp_path / "project" / "twins" / "leaky", relative)
    absolute = {"path": "/elsewhere/project/recordings/leaky.h5", "sha256": sha256, "trials": 16}
    moved = fitted_to(spoilt, tmp_path / "project" / "twins" / "moved", absolute)
    away = tmp_path / "away"
    away.mkdir()
    monkeypatch.chdir(away)
    for one in (twin, moved):
        assert earlier_recordings("leaky", one) == [where]


def test_a_twin_keeps_where_its_recordings_are_whole(
    tmp_path: Path, spoilt: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(spoilt.recording, tmp_path / "here.h5")
    monkeypatch.chdir(tmp_path)
    data = TwinData.of([open_recording(Path("here.h5"))])
    assert data.sources[0]["path"] == str(tmp_path / "here.h5")


@pytest.mark.parametrize("option", ["--training", "--heldout"])
def test_a_recording_that_is_of_no_use_is_told_before_the_bench_is_opened(
    demo_station: Path,
    tmp_path: Path,
    spoilt: Any,
    network: Path,
    option: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def opened(_: object) -> Bench:
        raise AssertionError("the bench was opened")

    monkeypatch.setattr(Bench, "open", opened)
    (tmp_path / "words.h5").write_text("no recording")
    other = tmp_path / "other.toml"  # of which the device is named otherwise
    other.write_text(demo_station.read_text().replace("leaky_response", "leaky_answer"))
    for given, station, told in (
        (f"leaky={tmp_path / 'gone.h5'}", demo_station, "there is no file"),
        (f"leaky={tmp_path / 'words.h5'}", demo_station, "words.h5"),
        (f"duffing={spoilt.recording}", demo_station, "the network has nodes on leaky"),
        (f"leaky={spoilt.recording}", other, "is no recording of leaky: leaky_answer is not in it"),
    ):
        more = ("--budget-s", "100", "--no-earlier", option, given)
        assert main(command("close-gap", station, network, spoilt, tmp_path / "out", *more)) != 0
        said = capsys.readouterr().err
        assert told in said and option in said


def test_devices_and_files_are_given_in_pairs_and_a_device_has_one_twin(tmp_path: Path) -> None:
    one, other = tmp_path / "x.h5", tmp_path / "y.h5"
    one.touch()
    other.touch()
    assert files_from([f"a={one}", f"a={other}"], "--training") == {"a": [one, other]}
    with pytest.raises(UsageError, match="there is no file"):
        files_from(["a=gone.h5"], "--heldout")
    with pytest.raises(UsageError, match="expected DEVICE=FILE"):
        files_from(["a"], "--training")
    with pytest.raises(UsageError, match="more than one twin"):
        files_from(["a=x", "a=y"], "--twin")
