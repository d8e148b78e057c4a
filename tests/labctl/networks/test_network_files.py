"""A network on disk: the whole plan and its examples come back, and nothing that is read is trusted or run."""

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from labctl.campaigns import network_files
from labctl.campaigns.example_file import save_examples
from labctl.campaigns.network_files import FIRST_FORMAT, load_network, save_network
from labctl.campaigns.optimise_network import OptimisedNetwork
from labctl.campaigns.plans import TaskPlan
from labctl.errors import DeploymentError
from labctl.json_file import write_json
from labctl.network_file import load_network_file
from labctl.own_task import load_own_task
from twins.network.initialise import random_wiring
from twins.network.judging import Promise
from twins.network.ports import DevicePort
from twins.network.readout import Readout
from twins.network.scores import Score
from twins.network.tasks import DelayedParity, TaskError
from twins.network.wiring import Wiring

NETWORK = """
task = "TASK"

[layers.first]
nodes = { leaky = 2, duffing = 1 }

[layers.second]
nodes = ["duffing", "leaky"]
coupling_density = 0.5
gain_levels = { low = 0.5, high = 2.0, n = 4 }

[devices.duffing]
dac_bits = 6
dac_range = [-1.0, 1.0]

[conditions]
duffing_bias = { low = -0.1, high = 0.1 }

[sizes]
n_training_trials = 3
n_heldout_trials = 4
"""
OWN = """
import numpy as np
from twins.network import TaskData


class LastInput:
    name, metric, n_inputs, n_outputs, washout = "last_input", "nrmse", 1, 1, 1

    def sample(self, n_trials, n_steps, rng):
        u = rng.uniform(-1, 1, (n_trials, n_steps, 1))
        scored = np.broadcast_to(np.arange(n_steps) >= 1, (n_trials, n_steps)).copy()
        return TaskData(u, np.roll(u, 1, axis=1), scored)
"""


def optimised(plan: TaskPlan, *, seed: int = 5) -> OptimisedNetwork:
    """As if it had been optimised."""
    ports = [DevicePort.from_range(name, -0.3, 0.3) for name in plan.devices]
    rng = np.random.default_rng(0)

    def wiring() -> Wiring:
        made = random_wiring(plan.architecture, ports, rng, conditions={"duffing_bias": 0.02})
        kind = "linear" if plan.task.metric == "nrmse" else "softmax"
        weights = rng.normal(size=(plan.task.n_outputs, made.n_features))
        return made.with_readout(Readout(kind, weights, np.zeros(plan.task.n_outputs), 1e-3))

    promise = Promise((Score(plan.task.metric, 0.25), Score(plan.task.metric, 0.35)), np.zeros((1, 1, 1)))
    return OptimisedNetwork(plan, wiring(), wiring(), wiring(), promise, (1.0,), 0.5, 0.4, examples_seed=7, seed=seed)


@pytest.fixture
def plan(tmp_path: Path) -> Callable[[str], TaskPlan]:
    def planned(task: str) -> TaskPlan:
        (tmp_path / "mine.py").write_text(OWN, encoding="utf-8")
        path = tmp_path / "network.toml"
        path.write_text(NETWORK.replace("TASK", task), encoding="utf-8")
        return load_network_file(path).plan(dt_s=2e-4)

    return planned


@pytest.fixture
def folder(plan: Callable[[str], TaskPlan], tmp_path: Path) -> Path:
    """A saved network for delayed parity."""
    save(tmp_path / "saved", plan("delayed_parity"))
    return tmp_path / "saved"


def save(folder: Path, plan: TaskPlan) -> OptimisedNetwork:
    made = optimised(plan)
    save_network(folder, made, conditions={"field": 0.5}, gates={"leaky": {}}, provenance={"simulated": True})
    return made


def test_a_save_that_fails_leaves_the_network_that_was_there(
    plan: Callable[[str], TaskPlan], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {path.name: path.read_bytes() for path in folder.iterdir()}

    def full(_: int) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(os, "fsync", full)
    for part in (lambda: save(folder, plan("narma10")), lambda: write_json(folder / "network.json", {"half": 1})):
        with pytest.raises(OSError, match="no space"):
            part()
    training, heldout = plan("narma10").examples(seed=1)
    with pytest.raises(OSError, match="no space"):
        save_examples(folder, training, heldout)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def resolved(plan: TaskPlan) -> TaskPlan:
    """With everything said of every layer."""
    return replace(plan, architecture=replace(plan.architecture, layers=plan.architecture.plans))


def change(folder: Path, edit: Callable[[dict[str, Any]], object]) -> None:
    path = folder / "network.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    edit(content)
    path.write_text(json.dumps(content), encoding="utf-8")


def test_the_whole_plan_comes_back(plan: Callable[[str], TaskPlan], folder: Path) -> None:
    network = load_network(folder)
    assert resolved(network.plan) == resolved(plan("delayed_parity"))
    assert network.plan.trained_conditions == {"duffing_bias": (-0.1, 0.1)}
    assert (network.seed, network.examples_seed, network.simulated) == (5, 7, True)
    assert (network.promised, network.conditions) == (pytest.approx(0.3), {"field": 0.5})
    assert network.notes == ()
    for data, drawn in zip(network.examples, network.plan.examples(seed=7), strict=True):
        np.testing.assert_array_equal(data.inputs, drawn.inputs)
    second = network.wirings["optimised"].layers[1]
    assert second.mask is not None and not second.mask.all()
    assert network.wirings["optimised"].conditions == {"duffing_bias": 0.02}


@pytest.mark.parametrize("task", ["memory_capacity", "waveform_synthesis", "spoken_digits", "narma30", "lorenz"])
def test_every_task_comes_back_with_its_options(task: str, plan: Callable[[str], TaskPlan], tmp_path: Path) -> None:
    made = plan(task)
    save(tmp_path / task, made)
    network = load_network(tmp_path / task)
    assert resolved(network.plan) == resolved(made)
    assert network.notes == ()


def test_the_figures_that_a_task_has_beside_its_score_are_known_again(
    plan: Callable[[str], TaskPlan], tmp_path: Path
) -> None:
    save(tmp_path / "memory", plan("memory_capacity"))
    assert load_network(tmp_path / "memory").examples[1].details is not None


def test_the_examples_are_replayed_whatever_the_task_draws_now(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stored = load_network(folder).examples
    draw = DelayedParity.sample
    monkeypatch.setattr(DelayedParity, "sample", lambda self, n, m, rng: draw(self, n, m, np.random.default_rng(99)))
    network = load_network(folder)
    np.testing.assert_array_equal(network.examples[1].inputs, stored[1].inputs)
    assert network.notes == ("delayed_parity draws other examples than it did; the stored ones are played",)


def test_a_task_that_this_version_does_not_know_is_still_measured(folder: Path) -> None:
    change(folder, lambda content: content["plan"]["task"].update(name="delayed_parody"))
    network = load_network(folder)
    assert network.task == "delayed_parody"
    assert "task 'delayed_parody' is unknown" in network.notes[0]
    assert network.plan.task.metric == "cross_entropy"
    with pytest.raises(TaskError, match="only the stored examples of task 'delayed_parody' are at hand"):
        network.plan.task.sample(1, 10, np.random.default_rng(0))


def test_the_file_of_ones_own_task_is_named_but_never_run(plan: Callable[[str], TaskPlan], tmp_path: Path) -> None:
    made = plan("mine.py:LastInput")
    drawn = made.examples(seed=7)
    save(tmp_path / "own", made)
    file = tmp_path / "mine.py"
    file.write_text("raise SystemExit('this was run')", encoding="utf-8")
    network = load_network(tmp_path / "own")
    assert network.own_task is not None
    assert (network.own_task.file, network.own_task.class_name) == (str(file), "LastInput")
    np.testing.assert_array_equal(network.examples[0].targets, drawn[0].targets)
    assert (network.task, network.plan.task.metric, network.plan.task.washout) == ("last_input", "nrmse", 1)
    file.write_text(OWN, encoding="utf-8")
    whole = load_network(tmp_path / "own", task=load_own_task(f"{file}:LastInput", sha256=network.own_task.sha256))
    assert whole.plan.task.sample(1, 5, np.random.default_rng(0)).inputs.shape == (1, 5, 1)


def test_another_task_of_ones_own_is_refused_with_what_differs(
    plan: Callable[[str], TaskPlan], folder: Path, tmp_path: Path
) -> None:
    save(tmp_path / "own", plan("mine.py:LastInput"))
    file = tmp_path / "mine.py"
    text = file.read_text(encoding="utf-8")
    file.write_text(f"{text}\n\nclass Other(LastInput):\n    pass\n", encoding="utf-8")
    other = load_own_task(f"{file}:Other")
    with pytest.raises(DeploymentError, match=r"its class was LastInput, not Other; its file was .*SHA-256"):
        load_network(tmp_path / "own", task=other)
    with pytest.raises(DeploymentError, match=r"another task than .*mine\.py:LastInput: its file was"):
        load_network(tmp_path / "own", task=load_own_task(f"{file}:LastInput"))
    file.rename(tmp_path / "renamed.py").write_text(text, encoding="utf-8")
    assert load_network(tmp_path / "own", task=load_own_task(f"{tmp_path / 'renamed.py'}:LastInput")).notes == ()
    with pytest.raises(DeploymentError, match="which is no task of your own"):
        load_network(folder, task=other)


def first_format(content: dict[str, Any]) -> None:
    """As labctl wrote it before plans were kept."""
    content.update(format=FIRST_FORMAT, task=content["plan"]["task"]["name"], devices=["leaky", "duffing"])
    for name in ("plan", "metric", "n_outputs", "seed", "network_file"):
        del content[name]


def test_the_first_format_is_read_with_the_present_plan_and_says_so(folder: Path) -> None:
    change(folder, first_format)
    (folder / "examples.safetensors").unlink()
    network = load_network(folder)
    assert network.plan.task == DelayedParity(order=3, delay=2)
    assert len(network.examples[1].inputs) == network.plan.n_heldout_trials == 600
    assert "is of format 1, which does not keep the plan" in network.notes[0]


def test_the_first_format_runs_no_file_either(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "evil.py").write_text("raise SystemExit('this was run')", encoding="utf-8")
    change(folder, first_format)
    change(folder, lambda content: content.update(task=f"{tmp_path / 'evil.py'}:Evil"))
    with pytest.raises(DeploymentError, match="is unknown; there are narma10"):
        load_network(folder)


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (lambda c: c.update(format="labctl-network-3"), " of format 'labctl-network-2' or"),
        (lambda c: c.pop("plan"), "plan\n  Field required"),
        (lambda c: c.update(more=1), "Extra inputs are not permitted"),
        (lambda c: c.update(promised=float("nan")), "finite number"),
        (lambda c: c.update(examples_seed=-1), "greater than or equal to 0"),
        (lambda c: c.update(conditions={"bias": "1"}), "valid number"),
        (lambda c: c.update(metric="mse"), "nrmse"),
        (lambda c: c.update(metric="nrmse"), "judged by cross_entropy, the file says 2 judged by nrmse"),
        (lambda c: c.update(provenance={}), "does not say whether it was learned on simulated devices"),
        (
            lambda c: c.update(n_outputs=3),
            "delayed_parity has 2 output.s. judged by cross_entropy, the file says 3 judged by cross_entropy",
        ),
        (lambda c: c["plan"]["sizes"].update(n_steps=10**12), "less than or equal to 10000000"),
        (lambda c: c["plan"]["sizes"].update(n_training_trials=10**7), r"trial, step\) = \(3, 10\), the plan says"),
        (lambda c: c["plan"]["sizes"].update(n_more=1), "a plan has no n_more; it has n_steps"),
        (lambda c: c["plan"]["settings"].update(n_more=1), "Extra inputs are not permitted"),
        (lambda c: c["plan"]["settings"].update(clip=-1.0), "must be greater than 0"),
        (lambda c: c["plan"]["scales"].update(wide=1.0), "wide"),
        (lambda c: c["plan"]["task"]["options"].update(order={"deep": 1}), "options"),
        (lambda c: c["plan"]["architecture"].update(dt_s=0.0), "greater than 0"),
        (lambda c: c["plan"]["architecture"].update(samples_per_step=4), "are not those of the plan"),
        (lambda c: c["plan"]["architecture"]["layers"][0].update(devices=["leaky"] * 20_000), "at most 10000 items"),
        (lambda c: c["plan"]["architecture"]["layers"][0].update(devices=[]), "at least 1 item"),
        (
            lambda c: [layer.update(devices=["leaky"]) for layer in c["plan"]["architecture"]["layers"]],
            "plays on duffing",
        ),
        (lambda c: c["plan"].update(trained_conditions={"field": [0.0, 1.0]}), "says nothing of the trained field"),
        (lambda c: c["plan"]["device_options"]["duffing"]["every"]["levels"].update(n=1), "greater than or equal to 2"),
        (
            lambda c: c["plan"]["device_options"]["duffing"]["every"]["levels"].update(high=-3.0),
            "levels need finite low",
        ),
    ],
)
def test_damage_is_told_and_never_half_believed(
    folder: Path, edit: Callable[[dict[str, Any]], object], said: str
) -> None:
    change(folder, edit)
    with pytest.raises(DeploymentError, match=rf"network\.json: (is damaged|is no network)(.|\n)*{said}"):
        load_network(folder)


@pytest.mark.parametrize("text", ["", "[1, 2]", "{", "[" * 100_000, '{"format": "labctl-network-2"', "\x00"])
def test_what_is_no_json_object_is_told(folder: Path, text: str) -> None:
    (folder / "network.json").write_text(text, encoding="utf-8")
    with pytest.raises(DeploymentError, match=r"network\.json: is"):
        load_network(folder)


def test_a_folder_without_a_network_and_a_file_too_large_are_told(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(DeploymentError, match=r"no such file; `labctl network optimise --out"):
        load_network(tmp_path / "nowhere")
    monkeypatch.setattr(network_files, "LARGEST_FILE_BYTES", 100)
    with pytest.raises(DeploymentError, match=r"are too many \(at most 100\)"):
        load_network(folder)


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (lambda arrays: arrays.pop("heldout.scored"), "instead of"),
        (lambda arrays: arrays.update(more=np.zeros(1)), "instead of"),
        (lambda arrays: arrays["training.inputs"].fill(np.nan), "training.inputs contains NaN"),
        (lambda arrays: arrays.update({"training.inputs": np.zeros((3, 10, 1), np.float32)}), "must be float64, not"),
        (lambda arrays: arrays.update({"training.inputs": np.zeros((3, 9, 1))}), "task data disagree"),
        (lambda arrays: arrays["heldout.scored"].fill(False), "no step of the task data is scored"),
    ],
)
def test_damaged_examples_are_told(folder: Path, edit: Callable[[dict[str, Any]], object], said: str) -> None:
    path = folder / "examples.safetensors"
    arrays = {name: array.copy() for name, array in load_file(path).items()}
    edit(arrays)
    save_file(arrays, path)
    with pytest.raises(DeploymentError, match=rf"is damaged: .*examples\.safetensors: .*{said}"):
        load_network(folder)


def test_missing_and_foreign_example_files_are_told(folder: Path) -> None:
    (folder / "examples.safetensors").write_bytes(b"\xff" * 64)
    with pytest.raises(DeploymentError, match="not a readable safetensors file"):
        load_network(folder)
    (folder / "examples.safetensors").unlink()
    with pytest.raises(DeploymentError, match="holds the examples that the network was promised on"):
        load_network(folder)


def test_a_task_that_is_neither_known_nor_from_a_file_is_not_saved(
    plan: Callable[[str], TaskPlan], tmp_path: Path
) -> None:
    class Other(DelayedParity):
        pass

    with pytest.raises(TaskError, match="Other is none of the tasks"):
        save(tmp_path / "other", replace(plan("delayed_parity"), task=Other()))
    assert not (tmp_path / "other").exists()
