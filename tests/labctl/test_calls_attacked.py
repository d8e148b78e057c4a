"""A job file from elsewhere is no way to have a program run, nor a file of somebody's written over."""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from labctl.calls import Call, Given, call, call_from_json, call_to_json, perform, programs_named
from labctl.errors import QueueError, UsageError
from labctl.job import FORMAT, Job, job_from_json, load_job
from labctl.job_queue.entry import Queue, QueuedJob, queue_from_json, queue_to_json
from labctl.script import expression_of, script_of, script_of_calls

PLAIN = "labctl.loop_files:loop_files"
TARGETS = (
    "numpy:load",
    "numpy:save",
    "numpy:fromfile",
    "numpy:loadtxt",
    "numpy:genfromtxt",
    "numpy:os",
    "numpy.random:seed",
    "numpy.ctypeslib:load_library",
    "numpy.f2py:compile",
    "numpy\nimport os:asarray",
    "labctl.store:RecordingWriter",
    "labctl.store\nimport os:open_recording",
    "labctl.store as x; import os #:open_recording",
    "labctl.store;import os:open_recording",
    "labctl.store :open_recording",
    "labctl.store:open_recording\n",
    "labctl.store:open_recording:open_recording",
    "labctl.store:open_recording, os",
    "labctl..store:open_recording",
    "labctl.campaigns.:fit_twin",
    "labctl.campaigns.class:fit_twin",
    "labctl.campaigns.fit_twin:lambda",
    "labctl.campaigns.__init__:fit_twin",
    "labctl.campaigns.fit_twin:__builtins__",
    "labctl.campaigns.fit_twin:fit_twin.__globals__",
    "labctl.cli:main",
    "labctl.__main__:main",
    "labctl.calls:perform",
    "labctl.calls:call_from_json",
    "labctl.apart:apart",
    "labctl.commands.sim:run",
    "labctl.commands.queue:run_run",
    "labctl.simulation:SimulatedBench",
    "labctl.simulation:subprocess",
    "labctl.own_task:module_of",
    "labctl.own_task:load_own_task",
    "labctl.json_file:write_json",
    "labctl.job:save_job",
    "labctl.provenance:subprocess",
    "labctl.provenance:git_state",
    "labctl.goku_helper:Helper",
    "labctl.storefront:open_recording",
    "labctlx.campaigns.a:b",
    "gui.app:main",
    "drivers.registry:find_driver",
    "os:system",
    "builtins:eval",
    "bench.close",
    "bench.__class__",
    "bench.set.__func__",
    "bench.station",
    "bench.set;import os",
    "folder.unlink",
    "folder.write_text",
    "",
    ":",
    "bench.",
)  # fmt: skip
BORROWED = (
    "labctl.campaigns.fit_twin:Path",
    "labctl.campaigns.fit_twin:run",
    "labctl.campaigns.fit_twin:in_background",
    "labctl.campaigns.fit_twin:np",
    "labctl.campaigns.fit_twin:no_such_function",
    "labctl.campaigns.no_such_module:fit_twin",
    "labctl.campaigns.described_network:load_own_task",
    "labctl.campaigns.fit_twin:TYPE_CHECKING",
    "labctl.goku_equation:module_of",
    "labctl.images:annotations",
)
NAMES = ("a=1)\nimport os\n(b", "class", "a b", "", "1a", "a.b", "a,b", "**x")


def stored(target: str = PLAIN, **more: Any) -> dict[str, Any]:
    return {"call": target, "arguments": [], "options": {}, **more}


def job_data(made: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    return {"format": FORMAT, "title": "a", "folder": "x", "station": None, "seed": 1, "call": made, **more}


def refused(made: Any, tmp_path: Path) -> None:
    """By every door: as a call, in a job's file, in a queue's, in being performed, in being written."""
    with pytest.raises(UsageError):
        perform(made, bench=object(), folder=tmp_path)
    for write in (
        lambda: script_of(Job("a", made, tmp_path)),
        lambda: script_of_calls("a", [made]),
        lambda: script_of(Job("a", Call(PLAIN, (made,)), tmp_path)),
        lambda: call(PLAIN, [{"a": made}]),
    ):
        with pytest.raises(UsageError):
            write()
    data = job_data(stored(arguments=[call_to_json(made)]))
    path = tmp_path / "job.json"
    path.write_text(json.dumps(data))
    with pytest.raises(UsageError, match=r"job\.json"):
        load_job(path)
    queue = queue_to_json(Queue((QueuedJob(1, Job("a", call(PLAIN), tmp_path)),), next_number=2))
    assert queue_from_json(queue).entries
    queue["jobs"][0]["job"] = data
    with pytest.raises(QueueError):
        queue_from_json(queue)


@pytest.mark.parametrize("target", TARGETS)
def test_what_is_not_on_the_list_is_never_called_nor_written(target: str, tmp_path: Path) -> None:
    refused(Call(target), tmp_path)


@pytest.mark.parametrize("target", BORROWED)
def test_what_a_module_has_from_elsewhere_is_not_its_own(target: str) -> None:
    with pytest.raises(UsageError, match="cannot be called"):
        perform(Call(target))


@pytest.mark.parametrize("name", NAMES)
def test_the_name_of_an_option_is_a_name(name: str, tmp_path: Path) -> None:
    refused(Call(PLAIN, (), {name: 1}), tmp_path)


@pytest.mark.parametrize(
    "name", ["os.system('x')", "folder\nimport os", "bench.station", "__import__('os')", "", "sys"]
)
def test_only_bench_and_folder_are_ever_given(name: str, tmp_path: Path) -> None:
    refused(Given(name), tmp_path)


def test_what_is_no_plain_data_is_not_written_as_its_own_words_have_it(tmp_path: Path) -> None:
    class Sly(dict[str, int]):
        def __repr__(self) -> str:
            return "__import__('os')"

    class Number(float):
        def __repr__(self) -> str:
            return "__import__('os')"

    class Text(str):
        def __repr__(self) -> str:
            return "__import__('os')"

    class Key:
        def __str__(self) -> str:
            return "__import__('os')"

    written = expression_of([Sly(a=1), Number(0.5), Text("\n"), Text("b")])
    assert eval(written) == [{"a": 1}, 0.5, "\n", "b"]  # noqa: S307 - our own text
    with pytest.raises(UsageError, match="plain data"):
        script_of(Job("a", Call(PLAIN, (Key(),)), tmp_path))
    with pytest.raises(UsageError, match="texts"):
        script_of(Job("a", Call(PLAIN, ({Key(): 1},)), tmp_path))


@pytest.mark.parametrize(
    "text", ['"""\nimport os\nos._exit(3)\n"""', "\\", 'a"', "\n'''\nx", "\x00", "\u2028import os", "\r\nx"]
)
def test_any_text_of_a_job_stays_a_text_of_its_script(text: str, tmp_path: Path) -> None:
    options = {"a": {text: text}, "b": (text,), "c": Path(f"x{text}")}
    written = script_of(Job(text, Call(PLAIN, (text,), options), Path(text), Path(text)))
    whole = ast.parse(written)
    imported = [one.module for one in ast.walk(whole) if isinstance(one, ast.ImportFrom)]
    assert imported == ["pathlib", "labctl.campaign", "labctl.console", "labctl.job", "labctl.loop_files"]
    assert not [one for one in ast.walk(whole) if isinstance(one, ast.Import)]
    called = {ast.unparse(one.func) for one in ast.walk(whole) if isinstance(one, ast.Call)}
    assert called == {"main", "print", "run", "Console", "Journal", "Path", "loop_files", "unused_folder"}


def test_a_job_of_a_thousand_calls_within_each_other_is_refused_in_words(tmp_path: Path) -> None:
    path = tmp_path / "job.json"
    path.write_text(json.dumps(job_data({})).replace("{}", '{"call": "' + PLAIN + '", "arguments": [' * 20000))
    with pytest.raises(UsageError, match=r"job\.json"):
        load_job(path)
    deep: Any = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(UsageError):
        job_from_json(job_data(stored(arguments=deep)))


@pytest.mark.parametrize("made", [[], "x", {"given": "bench"}, {"path": "x"}, {"a": {"call": "os:system"}}, None, 3])
def test_a_job_without_a_call_is_none(made: Any) -> None:
    with pytest.raises(UsageError):
        job_from_json(job_data(made))


def test_a_job_names_a_simulated_bench_that_there_is() -> None:
    assert job_from_json(job_data(stored(), simulated="demo")).simulated == "demo"
    assert job_from_json(job_data(stored())).simulated == ""  # written before there was the field
    with pytest.raises(UsageError, match="no simulated bench"):
        job_from_json(job_data(stored(), simulated='demo") as x:\nimport os'))


def test_files_that_a_call_would_run_are_found_at_any_depth() -> None:
    made = call(PLAIN, "a.py:Task", [{"b": ("/tmp/x/b.py:Task", "b.py")}], c=call(PLAIN, "a.py:Task"))
    assert programs_named(made) == ("a.py:Task", "/tmp/x/b.py:Task")
    assert programs_named(call_from_json(call_to_json(made))) == programs_named(made)
    assert programs_named(call(PLAIN, "memory", 3)) == ()


def test_a_job_whose_folder_has_a_nul_character_is_refused_in_words(tmp_path: Path) -> None:
    path = tmp_path / "job.json"
    path.write_text(json.dumps({**job_data(stored()), "folder": "a\0b"}))
    with pytest.raises(UsageError, match=r"job\.json: a path of it contains a NUL character"):
        load_job(path)
