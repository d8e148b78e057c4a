"""A user's own task, from its file to what the twins promise of it."""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from labctl.campaign import run
from labctl.campaigns.optimise_network import OptimisedNetwork, optimise_network
from labctl.campaigns.plans import general_plan, plan_for
from labctl.errors import CampaignError
from labctl.own_task import is_own_task, load_own_task
from twins import DeviceTwin, DeviceTwinSpec, Traces, fit
from twins.network.tasks import Task

LAST = '''
import numpy as np
from twins.network import TaskData


class LastInput:
    """What was the input one step ago?"""

    name, metric, n_inputs, n_outputs, washout = "last_input", "nrmse", 1, 1, 1

    def sample(self, n_trials, n_steps, rng):
        u = rng.uniform(-1, 1, (n_trials, n_steps, 1))
        scored = np.broadcast_to(np.arange(n_steps) >= 1, (n_trials, n_steps))
        return TaskData(u, np.roll(u, 1, axis=1), scored)
'''


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., str]:
    """Write the task with some text replaced; how it is named then."""

    def written(*changes: tuple[str, str], class_name: str = "LastInput") -> str:
        text = LAST
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        (tmp_path / "mine.py").write_text(text, encoding="utf-8")
        return f"{tmp_path / 'mine.py'}:{class_name}"

    return written


def hardly_fitted() -> DeviceTwin:
    """A twin that is cheap to have: of a device that follows its drive with a lag."""
    rng = np.random.default_rng(0)
    drive = np.repeat(rng.uniform(-1.0, 1.0, size=(20, 20, 1)), 3, axis=1)
    drive[:, :6] = 0.0
    response = np.zeros_like(drive)
    for k in range(drive.shape[1] - 1):
        response[:, k + 1] = 0.7 * response[:, k] + 0.3 * drive[:, k] + 0.02 * rng.normal(size=(20, 1))
    traces = Traces(drive, response, 2e-4, ("drive",), ("V",), ("response",), ("V",), n_prepare=6)
    twin = DeviceTwin(DeviceTwinSpec.for_traces(traces, response_delays=0, drive_delays=0, hidden=(8,)))
    for _ in fit(twin, [traces], seed=0, max_epochs=20):
        pass
    return twin


def test_a_name_with_a_file_and_a_class_is_a_task_of_ones_own() -> None:
    assert is_own_task("mine.py:LastInput")
    assert is_own_task("/some/where/mine.py:LastInput")
    assert is_own_task(r"C:\data\mine.py:LastInput")
    for name in ("narma10", "mine.py", "mine:LastInput", "mine.py:", "mine.py:not a class"):
        assert not is_own_task(name)


def test_ten_lines_go_the_whole_way(write: Callable[..., str]) -> None:
    plan = plan_for(write(), ("lag",), dt_s=2e-4)
    quick = replace(plan.settings, n_iterations=40, n_trials=16, n_steps=12, n_validation_trials=16, validate_every=10)
    plan = replace(
        plan,
        settings=replace(quick, n_readout_trials=16, n_readout_draws=2),
        n_steps=20,
        n_training_trials=8,
        n_heldout_trials=8,
        n_reservoir_draws=20,
        n_reservoir_trials=8,
        n_starts=2,
    )
    campaign = optimise_network({"lag": hardly_fitted()}, plan, ranges={"lag": (-0.9, 0.9)}, seed=0, examples_seed=1)
    outcome: OptimisedNetwork = run(campaign, on_event=lambda event: None)
    assert outcome.plan.task.name == "last_input"
    assert outcome.promise.mean < 0.4, "a network with a tap of one step knows the input one step ago"


def test_what_was_used_is_told(write: Callable[..., str]) -> None:
    import hashlib

    named = write()
    task = load_own_task(named)
    assert isinstance(task, Task)
    path = Path(named.rpartition(":")[0])
    assert task.provenance == {
        "file": str(path),
        "class": "LastInput",
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
    }
    assert load_own_task(task.source).sha256 == task.sha256


def test_it_travels_to_a_worker_by_the_name_of_its_file(write: Callable[..., str]) -> None:
    task = load_own_task(write())
    parcel = pickle.dumps(general_plan(task, ("lag",), dt_s=2e-4))
    again = pickle.loads(parcel).task  # noqa: S301 - made in the line above
    one, two = (each.sample(2, 9, np.random.default_rng(3)).inputs for each in (task, again))
    np.testing.assert_array_equal(one, two)
    write(("one step ago", "one step before"))
    with pytest.raises(CampaignError, match="the file has changed since"):
        pickle.loads(parcel)  # noqa: S301 - made above


def test_a_changed_file_is_run_anew(write: Callable[..., str]) -> None:
    assert load_own_task(write()).name == "last_input"
    assert load_own_task(write(('"last_input"', '"last"'))).name == "last"


def test_what_was_checked_is_what_is_run(write: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    named = write(("last_input", "sound"))
    sound, read = (Path(named.rpartition(":")[0])).read_bytes(), Path.read_bytes

    def swapped_behind(path: Path) -> bytes:
        content = read(path)
        write(("last_input", "swapped"))
        return content

    monkeypatch.setattr(Path, "read_bytes", swapped_behind)
    task = load_own_task(named)
    assert (task.sha256, task.name) == (hashlib.sha256(sound).hexdigest(), "sound")


def test_two_copies_of_a_file_are_two_modules(tmp_path: Path) -> None:
    loaded = []
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "mine.py").write_text(LAST + "\n    where = __file__\n", encoding="utf-8")
        loaded.append(load_own_task(f"{tmp_path / name / 'mine.py'}:LastInput"))
    assert [Path(one.task.where).parent.name for one in loaded] == ["one", "other"]
    assert loaded[0].sha256 == loaded[1].sha256


def test_tasks_that_are_dataclasses_and_have_figures_of_their_own_are_fine(write: Callable[..., str]) -> None:
    task = load_own_task(
        write(
            (
                "import numpy as np",
                "from __future__ import annotations\nfrom dataclasses import dataclass\nimport numpy as np",
            ),
            ("class LastInput:", "@dataclass(frozen=True)\nclass LastInput:"),
            ("scored)\n", "scored, lambda outputs, data: {'largest': float(outputs.max())})\n"),
        )
    )
    data = task.sample(2, 9, np.random.default_rng(0))
    assert data.details is not None and data.details(data.targets, data) == {"largest": float(data.targets.max())}


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ([("class LastInput", "class Other")], "has no class 'LastInput'; it defines Other"),
        ([("import numpy", "import no_such_package, numpy")], "cannot be run: ModuleNotFoundError"),
        ([("    def sample", "    def draw")], "lacks sample; a task has name, metric"),
        ([("washout = ", "skipped = ")], "lacks washout"),
        ([('"nrmse"', '"mse"')], "metric is 'mse'; it must be one of nrmse, cross_entropy"),
        ([("1, 1, 1\n", "1, 0, 1\n")], "n_outputs is 0; it must be a whole number of at least 1"),
        ([("1, 1, 1\n", "1.0, 1, 1\n")], r"n_inputs is 1\.0"),
        ([('"last_input"', '"last input"')], "must be a word"),
        ([("uniform(-1, 1", "uniform(-2, 2")], r"they must stay within -1\.\.1"),
        ([("rng.uniform", "np.random.uniform")], "two samples of the same seed differ"),
        ([("(n_trials, n_steps, 1)", "(n_trials, n_steps, 2)")], r"inputs of a sample are \(3, 31, 2\)"),
        ([("np.roll(u, 1, axis=1)", "np.full_like(u, np.nan)")], "targets of a sample contain NaN"),
        ([("np.roll(u, 1, axis=1)", "np.ones_like(u)")], "a target is constant"),
        ([(">= 1, (n_trials", ">= 0, (n_trials")], "False in the washout of 1 steps"),
        (
            [("return TaskData", "raise KeyError('x')\n        return TaskData")],
            r"sample\(3, 31, rng\) failed: KeyError",
        ),
        (
            [("    def sample", "    def __init__(self, gain): pass\n\n    def sample")],
            "cannot be made without arguments",
        ),
        ([('"nrmse", 1, 1', '"cross_entropy", 1, 1')], "n_outputs is 1; it must be a whole number of at least 2"),
    ],
)
def test_what_is_wrong_with_it_is_told(write: Callable[..., str], changes: list[tuple[str, str]], told: str) -> None:
    with pytest.raises(CampaignError, match=told):
        load_own_task(write(*changes))


@pytest.mark.parametrize(
    ("spoilt", "told"),
    [
        (
            "u * (50.0 if n_trials > 3 else 1.0)",
            r"class LastInput: draw 2, of 4 trials of 20 steps: inputs reach .*-1\.\.1",
        ),
        ("u * (np.nan if n_trials > 3 else 1.0)", r"inputs of draw 2, of 4 trials of 20 steps contain NaN"),
        ("u[:, :9] if n_trials > 3 else u", r"draw 2, of 4 trials .*task data disagree"),
    ],
)
def test_every_later_draw_is_checked_as_well(write: Callable[..., str], spoilt: str, told: str) -> None:
    task = load_own_task(write(("return TaskData(u,", f"return TaskData({spoilt},")))
    task.sample(3, 20, np.random.default_rng(0))
    with pytest.raises(CampaignError, match=told):
        task.sample(4, 20, np.random.default_rng(0))


def test_a_draw_that_fails_is_named(write: Callable[..., str]) -> None:
    fails = "if n_trials > 3: raise KeyError('x')\n        return TaskData"
    task = load_own_task(write(("return TaskData", fails)))
    with pytest.raises(CampaignError, match=r"draw 1, of 4 trials .*failed: KeyError"):
        task.sample(4, 20, np.random.default_rng(0))


def test_classes_must_be_one_hot(write: Callable[..., str]) -> None:
    two = ('"nrmse", 1, 1', '"cross_entropy", 1, 2')
    soft = ("np.roll(u, 1, axis=1)", "np.concatenate([(1 + u) / 2, (1 - u) / 2], axis=-1)")
    hard = ("np.roll(u, 1, axis=1)", "np.concatenate([u > 0, u <= 0], axis=-1).astype(float)")
    with pytest.raises(CampaignError, match="one-hot"):
        load_own_task(write(two, soft))
    assert load_own_task(write(two, hard)).n_outputs == 2


def test_a_missing_file_and_a_wrong_form_are_told(tmp_path: Path) -> None:
    with pytest.raises(CampaignError, match="cannot be read"):
        load_own_task(f"{tmp_path}/nowhere.py:Task")
    with pytest.raises(CampaignError, match=r"FILE\.py:ClassName"):
        load_own_task("narma10")
