"""Calls: what somebody wants done, as plain data. The window performs it; a script has the same call as Python text.

    wanted = call("labctl.campaigns.diagnose_twin:diagnose_twin", "leaky", [call("labctl.store:open_recording", path)], seed=1)
    campaign = perform(wanted)          # a campaign, to be run
    text = labctl.script.expression_of(wanted)

A call holds numbers, texts, paths, lists, tuples, mappings and other calls, and nothing else, so that it can be stored,
sent to another process, shown and compared. It may ask for what is only there when it is performed: `BENCH`, the
opened bench, and `FOLDER`, where its files go.
"""

from __future__ import annotations

import importlib
import inspect
import keyword
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from labctl.errors import UsageError

ALLOWED = (
    "labctl.bench.film_plan:FilmRequest",
    "labctl.campaigns.",
    "labctl.demo:close_the_known_loop",
    "labctl.design_options:",
    "labctl.goku_channels:",
    "labctl.goku_equation:",
    "labctl.goku_example:",
    "labctl.goku_told:",
    "labctl.goku_traces:",
    "labctl.goku_writing:",
    "labctl.images:",
    "labctl.job:Job",
    "labctl.loop_files:",
    "labctl.loop_options:",
    "labctl.marked_simulated:",
    "labctl.nca_data:",
    "labctl.nca_live_frames:LiveSource",
    "labctl.nca_pde:",
    "labctl.proposal:",
    "labctl.provenance:utc_now",
    "labctl.recording_cards:",
    "labctl.runs_export:export_run",
    "labctl.simulation:bundled_station_file",
    "labctl.station_editing:edit_station",
    "labctl.store:open_recording",
    "labctl.twin_cards:",
    "numpy:array",
    "numpy:asarray",
    "numpy.random:default_rng",
)
"""What a stored call may name, so that it is no way to have any program run or any file written: a function (module:name),
all public functions and classes of a module (module:), all modules below a package (package.)."""
BENCH_METHODS = frozenset(
    {
        "check_instrument",
        "check_set",
        "get",
        "identify",
        "make_safe",
        "read",
        "reconnect",
        "set",
        "set_safe",
        "stop_ramp",
    }
)
"""What a stored call may ask of the bench itself."""
GIVEN = ("bench", "folder")
MARKS = ("call", "given", "path", "tuple", "map")


@dataclass(frozen=True, slots=True)
class Given:
    """Something that is handed over when the call is performed, by name: "bench" or "folder"."""

    name: str


BENCH = Given("bench")
FOLDER = Given("folder")


@dataclass(frozen=True, slots=True)
class Call:
    """`target(*arguments, **options)`; the target is "module:name" or a method of something given, as "bench.set"."""

    target: str
    arguments: tuple[Any, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The function's own name, as a script has it: "fit_twin"; "bench.set" for a method."""
        return self.target.rpartition(":")[2]


def call(target: str, /, *arguments: Any, **options: Any) -> Call:
    """A checked call; raises UsageError for a target that is not allowed, or for a value that is not plain data.

    Whether the target exists, and is a function or class of labctl's own there, is found when it is performed.
    """
    made = Call(target, arguments, options)
    check(made)
    return made


def check(value: Any) -> None:
    """Raises UsageError for what a call may not hold, naming it: nothing else is ever performed, stored or written as text."""
    match value:
        case Call():
            _check_target(value.target)
            for name in value.options:
                if not (isinstance(name, str) and _is_name(name)):
                    raise UsageError(f"{value.target!r}: {name!r} is no name of an option")
        case Given():
            if value.name not in GIVEN:
                raise UsageError(f"{value.name!r} is never given to a call; it may ask for {' and '.join(GIVEN)}")
        case Mapping():
            for name in value:
                if not isinstance(name, str):
                    raise UsageError(f"{name!r} ({type(name).__name__}): the keys of a call's mappings are texts")
        case None | bool() | int() | float() | str() | Path() | list() | tuple():
            pass
        case _:
            raise UsageError(f"{value!r} ({type(value).__name__}): a call holds plain data, paths and calls only")
    for inner in _inner(value):
        check(inner)


def needs_bench(value: Any) -> bool:
    """Whether an opened bench must be given."""
    if value == BENCH or (isinstance(value, Call) and value.target.startswith("bench.")):
        return True
    return any(needs_bench(inner) for inner in _inner(value))


def perform(value: Any, **given: Any) -> Any:
    """Do what the call says, inner calls first, and return what it returns: for a campaign, the campaign.

    given: what `Given` stands for, `bench=...`, `folder=...`. Raises UsageError where something is not given, and what
    the function raises.
    """
    if isinstance(value, Call):
        check(value)
        function = _function(value.target, given)
        arguments = [perform(one, **given) for one in value.arguments]
        return function(*arguments, **{name: perform(one, **given) for name, one in value.options.items()})
    if isinstance(value, Given):
        if given.get(value.name) is None:
            raise UsageError(f"this needs the {value.name}, and none is given")
        return given[value.name]
    if isinstance(value, Mapping):
        return {name: perform(one, **given) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(perform(one, **given) for one in value)
    return value


def call_to_json(value: Any) -> Any:  # noqa: PLR0911 - one return for each kind of value
    """The call as JSON data; paths, tuples, calls and what is given are marked by a one-key mapping."""
    match value:
        case Call():
            marked = {"call": value.target, "arguments": [call_to_json(one) for one in value.arguments]}
            return {**marked, "options": {name: call_to_json(one) for name, one in value.options.items()}}
        case Given():
            return {"given": value.name}
        case Path():
            return {"path": str(value)}
        case tuple():
            return {"tuple": [call_to_json(one) for one in value]}
        case list():
            return [call_to_json(one) for one in value]
        case Mapping():
            plain = {name: call_to_json(one) for name, one in value.items()}
            return {"map": plain} if any(mark in plain for mark in MARKS) else plain
        case _:
            return value


def call_from_json(data: Any) -> Any:  # noqa: PLR0911 - one return for each kind of value
    """What `call_to_json` wrote; raises UsageError for a target that is not allowed."""
    if isinstance(data, list):
        return [call_from_json(one) for one in data]
    if not isinstance(data, dict):
        return data
    match data:
        case {"call": str(target)}:
            arguments = tuple(call_from_json(one) for one in data.get("arguments", ()))
            options = {str(name): call_from_json(one) for name, one in data.get("options", {}).items()}
            made = Call(target, arguments, options)
            check(made)
            return made
        case {"given": str(name)}:
            asked = Given(name)
            check(asked)
            return asked
        case {"path": str(path)}:
            return Path(path)
        case {"tuple": list(items)}:
            return tuple(call_from_json(one) for one in items)
        case {"map": dict(plain)}:
            return {name: call_from_json(one) for name, one in plain.items()}
        case _:
            return {name: call_from_json(one) for name, one in data.items()}


def _inner(value: Any) -> Iterator[Any]:
    if isinstance(value, Call):
        yield from value.arguments
        yield from value.options.values()
    elif isinstance(value, Mapping):
        yield from value.values()
    elif isinstance(value, (list, tuple)):
        yield from value


def programs_named(value: Any) -> tuple[str, ...]:
    """Files of a person's own that performing this runs (FILE.py:ClassName of a task or an equation), as the call names them.

    For whoever performs a call that came from elsewhere: somebody must want these files run.
    """
    from labctl.own_task import is_own_task

    if isinstance(value, (str, Path)):
        return (str(value),) if is_own_task(str(value)) else ()
    return tuple(dict.fromkeys(one for inner in _inner(value) for one in programs_named(inner)))


def _is_name(text: str) -> bool:
    return text.isidentifier() and not keyword.iskeyword(text)


def _is_allowed(module: str, name: str) -> bool:
    """Whether it is one of ALLOWED, spelled as it must be: what is not a plain public name could be any text."""
    parts = [*module.split("."), name]
    if not all(_is_name(part) and not part.startswith("_") for part in parts):
        return False
    whole = f"{module}:{name}"
    return any(whole.startswith(one) if one.endswith((".", ":")) else whole == one for one in ALLOWED)


def _check_target(target: str) -> None:
    module, separator, name = target.partition(":")
    if not separator:
        owner, dot, method = target.partition(".")
        if owner == BENCH.name and dot and method in BENCH_METHODS:
            return
    elif _is_allowed(module, name):
        return
    raise UsageError(
        f"{target!r} cannot be called: write module:function with a public function of labctl for which labctl.calls.ALLOWED "
        f"has room, or bench.METHOD, one of {', '.join(sorted(BENCH_METHODS))}"
    )


def _function(target: str, given: Mapping[str, Any]) -> Any:
    module, separator, name = target.partition(":")
    if not separator:
        owner, _, method = target.partition(".")
        return getattr(perform(Given(owner), **given), method)
    try:
        function = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError):
        raise UsageError(f"{target!r} cannot be called: there is no {name} in {module}") from None
    if not module.startswith("numpy"):
        _check_home(target, function)
    return function


def _check_home(target: str, function: Any) -> None:
    """What a module has from elsewhere (it imports subprocess, say) is not its own."""
    home = str(getattr(function, "__module__", ""))
    own = isinstance(function, type) or inspect.isfunction(function)
    if not (own and _is_allowed(home, str(function.__name__))):
        raise UsageError(f"{target!r} cannot be called: it is no function or class of labctl's own")
