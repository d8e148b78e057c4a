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
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from labctl.errors import UsageError

ALLOWED = ("labctl.", "numpy:", "numpy.random:")
"""Where functions may come from: a stored call is no way to have any program run."""
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
    """A checked call; raises UsageError for a target that is not allowed, or for a value that is not plain data."""
    made = Call(target, arguments, options)
    check(made)
    return made


def check(value: Any) -> None:
    """Raises UsageError for what a call may not hold, naming it."""
    if isinstance(value, Call):
        _check_target(value.target)
    elif not isinstance(value, (type(None), bool, int, float, str, Path, Given, list, tuple, Mapping)):
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
            return Given(name)
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


def _check_target(target: str) -> None:
    module, separator, name = target.partition(":")
    if not separator:
        owner, dot, method = target.partition(".")
        if owner == BENCH.name and dot and method.isidentifier() and not method.startswith("_"):
            return
    elif f"{module}:".startswith(ALLOWED) and name.isidentifier() and not name.startswith("_"):
        return
    raise UsageError(
        f"{target!r} cannot be called: write module:function with a public function of labctl or numpy, or bench.method"
    )


def _function(target: str, given: Mapping[str, Any]) -> Any:
    _check_target(target)
    module, separator, name = target.partition(":")
    if not separator:
        owner, _, method = target.partition(".")
        return getattr(perform(Given(owner), **given), method)
    try:
        return getattr(importlib.import_module(module), name)
    except AttributeError:
        raise UsageError(f"{module} has no {name}") from None
