"""A user's own task, from a file that the user names: FILE.py:ClassName.

The file is run as any script is: nothing is ever loaded that the user did not name. The class is made without arguments
and tried on a small sample before anything long begins. What was used is kept: file, class and the SHA-256 of the file.
"""

from __future__ import annotations

import hashlib
import sys
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from labctl.errors import CampaignError

if TYPE_CHECKING:
    from twins.network.tasks import Metric, TaskData

_MEMBERS = ("name", "metric", "n_inputs", "n_outputs", "washout", "sample")
_METRICS = ("nrmse", "cross_entropy")
_TRIED_TRIALS = 3
_TRIED_STEPS_BEYOND_WASHOUT = 30
_ROUNDING = 1e-9


def is_own_task(name: str) -> bool:
    """Whether a task's name means a class in a file: FILE.py:ClassName."""
    path, separator, class_name = name.rpartition(":")
    return bool(separator) and path.endswith(".py") and class_name.isidentifier()


class OwnTask:
    """A user's task with where it came from; to the optimiser it is the task itself.

    It travels to other processes as the file's name, and is refused there if the file has changed since.
    """

    def __init__(self, task: Any, *, path: Path, class_name: str, sha256: str) -> None:
        self.task = task
        self.path = path
        self.class_name = class_name
        self.sha256 = sha256
        self._n_drawn = 0

    @property
    def name(self) -> str:
        """As the task says."""
        return str(self.task.name)

    @property
    def metric(self) -> Metric:
        """As the task says."""
        metric: Metric = self.task.metric
        return metric

    @property
    def n_inputs(self) -> int:
        """As the task says."""
        return int(self.task.n_inputs)

    @property
    def n_outputs(self) -> int:
        """As the task says."""
        return int(self.task.n_outputs)

    @property
    def washout(self) -> int:
        """As the task says."""
        return int(self.task.washout)

    @property
    def source(self) -> str:
        """FILE.py:ClassName, the file with its whole path: load_own_task(source) is this task again."""
        return f"{self.path}:{self.class_name}"

    @property
    def provenance(self) -> dict[str, str]:
        """File, class and SHA-256, for whatever is stored with a result."""
        return {"file": str(self.path), "class": self.class_name, "sha256": self.sha256}

    def sample(self, n_trials: int, n_steps: int, rng: np.random.Generator) -> TaskData:
        """As the task samples. Raises CampaignError, with the number of the draw in this process, for one that is no good."""
        self._n_drawn += 1
        which = f"draw {self._n_drawn}, of {n_trials} trials of {n_steps} steps"
        return _drawn(self.task, n_trials, n_steps, rng, f"{self.path}, class {self.class_name}", which)

    def __reduce__(self) -> tuple[Any, ...]:
        return _load_again, (self.source, self.sha256)


def load_own_task(named: str, *, sha256: str | None = None) -> OwnTask:
    """The task of FILE.py:ClassName, checked. sha256: what the file must have, where a result depends on it.

    Raises CampaignError that says what is wrong: no such file or class, an error in it, a member that a task needs and
    it lacks, another file than it was, or a sample that is no good.
    """
    if not is_own_task(named):
        raise CampaignError(f"{named!r}: a task of your own is named FILE.py:ClassName")
    file_name, _, class_name = named.rpartition(":")
    path = Path(file_name).resolve()
    try:
        source = path.read_bytes()  # once: what is checked is what is run
    except OSError as error:
        raise CampaignError(f"{path}: the file of a task cannot be read: {error}") from error
    found = hashlib.sha256(source).hexdigest()
    if sha256 is not None and found != sha256:
        raise CampaignError(f"{path}: the file has changed since (SHA-256 {found[:12]}…, it was {sha256[:12]}…)")
    task = _made(module_of(path, source), class_name, path)
    where = f"{path}, class {class_name}"
    _check_members(task, where)
    _check_sample(task, where)
    return OwnTask(task, path=path, class_name=class_name, sha256=found)


def _load_again(source: str, sha256: str) -> OwnTask:
    return load_own_task(source, sha256=sha256)


def module_of(path: Path, source: bytes) -> ModuleType:
    """A file's module, run once; another path is another module, for a task may look for data beside its file."""
    key = hashlib.sha256(bytes(path) + b"\0" + source).hexdigest()
    name = f"labctl_own_task_{key[:16]}"
    if name in sys.modules:
        return sys.modules[name]
    loader = SourceFileLoader(name, str(path))
    module = ModuleType(name)
    module.__file__ = str(path)
    sys.modules[name] = module  # dataclasses look their module up while they are made
    try:
        exec(loader.source_to_code(source, str(path)), module.__dict__)
    except Exception as error:
        del sys.modules[name]
        raise CampaignError(f"{path}: cannot be run: {type(error).__name__}: {error}") from error
    return module


def _made(module: ModuleType, class_name: str, path: Path) -> Any:
    made = getattr(module, class_name, None)
    if not isinstance(made, type):
        classes = [
            name for name, one in vars(module).items() if isinstance(one, type) and one.__module__ == module.__name__
        ]
        raise CampaignError(f"{path}: has no class {class_name!r}; it defines {', '.join(classes) or 'none'}")
    try:
        return made()
    except Exception as error:
        raise CampaignError(
            f"{path}: {class_name}() cannot be made without arguments: {type(error).__name__}: {error}; give its fields "
            "defaults"
        ) from error


def _check_members(task: Any, where: str) -> None:
    missing = [name for name in _MEMBERS if not hasattr(task, name)]
    if missing:
        raise CampaignError(f"{where}: lacks {', '.join(missing)}; a task has {', '.join(_MEMBERS)}")
    if task.metric not in _METRICS:
        raise CampaignError(f"{where}: metric is {task.metric!r}; it must be one of {', '.join(_METRICS)}")
    for name, least in (("n_inputs", 1), ("n_outputs", 2 if task.metric == "cross_entropy" else 1), ("washout", 0)):
        value = getattr(task, name)
        if not isinstance(value, int | np.integer) or isinstance(value, bool) or value < least:
            raise CampaignError(f"{where}: {name} is {value!r}; it must be a whole number of at least {least}")
    if not isinstance(task.name, str) or not task.name.isidentifier():
        raise CampaignError(f"{where}: name is {task.name!r}; it must be a word of letters, digits and underscores")


def _check_sample(task: Any, where: str) -> None:
    """Two small samples of the same seed: of the right shapes and ranges, and the same."""
    n_steps = int(task.washout) + _TRIED_STEPS_BEYOND_WASHOUT
    one, two = (_drawn(task, _TRIED_TRIALS, n_steps, np.random.default_rng(0), where, "a sample") for _ in range(2))
    for name in ("inputs", "targets"):
        if not np.array_equal(getattr(one, name), getattr(two, name)):
            raise CampaignError(f"{where}: two samples of the same seed differ; draw from the rng that is given alone")
    rows = np.asarray(one.targets)[np.asarray(one.scored)]
    if task.metric == "nrmse" and not np.all(np.var(rows, axis=0) > 0):
        raise CampaignError(f"{where}: a target is constant over the scored steps, so that its nrmse is undefined")


def _drawn(task: Any, n_trials: int, n_steps: int, rng: np.random.Generator, where: str, which: str) -> TaskData:
    """A sample, checked; which: names it in errors. Raises CampaignError."""
    try:
        data: TaskData = task.sample(n_trials, n_steps, rng)
        wanted = {"inputs": task.n_inputs, "targets": task.n_outputs}
        arrays = {name: np.asarray(getattr(data, name)) for name in wanted}
        scored = np.asarray(data.scored)
    except Exception as error:
        call = f"sample({n_trials}, {n_steps}, rng)"
        raise CampaignError(f"{where}: {which}: {call} failed: {type(error).__name__}: {error}") from error
    for name, channels in wanted.items():
        if arrays[name].shape != (n_trials, n_steps, channels):
            raise CampaignError(
                f"{where}: {name} of {which} are {arrays[name].shape}; they must be (trial, step, channel) = "
                f"{(n_trials, n_steps, channels)}"
            )
        if not np.all(np.isfinite(arrays[name])):
            raise CampaignError(f"{where}: {name} of {which} contain NaN or infinity")
    _check_values(task, arrays["inputs"], arrays["targets"], scored, f"{where}: {which}")
    return data


def _check_values(task: Any, inputs: Any, targets: Any, scored: Any, where: str) -> None:
    largest = float(np.abs(inputs).max(initial=0.0))
    if largest > 1.0 + _ROUNDING:
        raise CampaignError(f"{where}: inputs reach {largest:g}; they must stay within -1..1")
    if scored.dtype != np.bool_ or scored.shape != inputs.shape[:2] or scored[:, : task.washout].any():
        raise CampaignError(
            f"{where}: scored must be bool (trial, step) = {inputs.shape[:2]}, and False in the washout of {task.washout} steps"
        )
    rows = targets[scored]
    if task.metric == "cross_entropy" and not (np.isin(rows, (0.0, 1.0)).all() and np.all(rows.sum(axis=-1) == 1.0)):
        raise CampaignError(
            f"{where}: targets of a classification must be one-hot: a 1 for the class, 0 for the others"
        )
