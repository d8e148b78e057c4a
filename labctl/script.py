"""Jobs as Python: what the window does, as a script that does the same.

    Path("fit.py").write_text(script_of(job))

The text is made from the very call that the window performs, so the two cannot differ.
"""

from __future__ import annotations

import builtins
import keyword
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import labctl
from labctl.calls import BENCH, FOLDER, Call, Given, check
from labctl.errors import UsageError
from labctl.job import Job

WIDTH = 100
INDENT = "    "
USED = {
    "labctl.bench": ("Bench",),
    "labctl.campaign": ("Journal", "run"),
    "labctl.console": ("Console",),
    "labctl.job": ("unused_folder",),
    "labctl.simulation": ("simulated_station",),
}
"""What the scripts use besides what the call names."""
SAYS_NOTHING = ("bench.set", "bench.check_set")


def script_of(job: Job) -> str:
    """A complete script: opens the bench where it is needed, runs the campaign, keeps its journal, prints its events.

    It writes into the job's folder, or into one beside it where that is in use already: what is there is never written
    over. A job of a simulated bench (`Job.simulated`) starts that bench. Raises UsageError for a call that is not allowed.
    """
    check(job.call)
    campaign = expression_of(job.call, indent=2, room=WIDTH - 2 * len(INDENT) - len("result = run(") - 44)
    work = [f'with {_opened(job)}Journal({FOLDER.name} / "journal.jsonl") as journal:']
    if "\n" in campaign:
        work += [f"{INDENT}campaign = {campaign}"]
        campaign = "campaign"
    work += [f"{INDENT}result = run({campaign}, on_event=Console(), journal=journal)"]
    body = [f"{FOLDER.name} = unused_folder({_flat(job.folder)})", *work, "print(result)"]
    return _whole(job.title, {"Journal", "run", "Console", "unused_folder", *_bench_names(job)}, [job.call], body)


def script_of_calls(title: str, calls: list[Call], *, station: Path | None = None, simulated: str = "") -> str:
    """A complete script that makes these calls, one after another, and prints what they return; for what is no campaign.

    station, simulated: as of a Job; the bench is opened where a call needs it, and its outputs are safe at the end.
    """
    check(calls)
    job = Job(title, Call("", tuple(calls)), Path(), station, simulated=simulated)
    indent = 2 if job.needs_bench else 1
    lines = [expression_of(one, indent=indent) for one in calls]
    lines = [line if one.target in SAYS_NOTHING else f"print({line})" for one, line in zip(calls, lines, strict=True)]
    if job.needs_bench:
        opened = (
            _opened(job).removesuffix(", ").replace("Bench.open(", "Bench.open_available(", 1)
        )  # as the window has it
        lines = [f"with {opened}:", *[f"{INDENT}{line}" for line in lines]]
    return _whole(title, _bench_names(job), calls, lines)


def _opened(job: Job) -> str:
    """How the script opens the bench, for its `with`."""
    if not job.needs_bench:
        return ""
    if job.simulated:
        return f"simulated_station({_quoted(job.simulated)}) as station, Bench.open(station) as {BENCH.name}, "
    return f"Bench.open({_flat(job.station or Path('station.toml'))}) as {BENCH.name}, "


def _bench_names(job: Job) -> set[str]:
    if not job.needs_bench:
        return set()
    return {"Bench", "simulated_station"} if job.simulated else {"Bench"}


def expression_of(value: Any, *, indent: int = 0, room: int = WIDTH) -> str:
    """The call as a Python expression, over several lines where one is too long."""
    flat = _flat(value)
    if len(flat) <= room:
        return flat
    inner, outer = INDENT * (indent + 1), INDENT * indent
    deeper = WIDTH - len(inner) - 1
    match value:
        case Call():
            items = [expression_of(one, indent=indent + 1, room=deeper) for one in value.arguments]
            items += [
                f"{name}={expression_of(one, indent=indent + 1, room=deeper - len(name) - 1)}"
                for name, one in value.options.items()
            ]
            if not items:
                return flat
            opening, closing = f"{_shown(value)}(", ")"
        case list() | tuple():
            items = [expression_of(one, indent=indent + 1, room=deeper) for one in value]
            opening, closing = "[]" if isinstance(value, list) else "()"
        case Mapping():
            items = [
                f"{_quoted(name)}: {expression_of(one, indent=indent + 1, room=deeper - len(name) - 4)}"
                for name, one in value.items()
            ]
            opening, closing = "{}"
        case _:
            return flat
    lines = "".join(f"{inner}{item},\n" for item in items)
    return f"{opening}\n{lines}{outer}{closing}"


def _flat(value: Any) -> str:  # noqa: PLR0911 - one return for each kind of value
    match value:
        case Call():
            items = [_flat(one) for one in value.arguments]
            items += [f"{name}={_flat(one)}" for name, one in value.options.items()]
            return f"{_shown(value)}({', '.join(items)})"
        case Given():
            return value.name
        case Path():
            return f"Path({_quoted(str(value))})"
        case str():
            return _quoted(value)
        case list():
            return f"[{', '.join(_flat(one) for one in value)}]"
        case tuple():
            return f"({', '.join(_flat(one) for one in value)}{',' if len(value) == 1 else ''})"
        case Mapping():
            return f"{{{', '.join(f'{_quoted(name)}: {_flat(one)}' for name, one in value.items())}}}"
        case bool() | None:
            return repr(value)
        case int():
            return repr(int(value))  # also of kinds of numbers that would name their class
        case float() if value != value or value in (float("inf"), float("-inf")):  # noqa: PLR0124 - NaN
            return f'float("{value}")'
        case float():
            return repr(float(value))
        case _:
            raise UsageError(f"{value!r} ({type(value).__name__}) cannot be written in a script")


def _quoted(text: str) -> str:
    """As Python's usual formatters have it: in double quotes where that needs no backslash."""
    text = str(text)
    return f'"{text}"' if text.isprintable() and not set(text) & {'"', "\\"} else str.__repr__(text)


def _shown(value: Call) -> str:
    module, separator, name = value.target.partition(":")
    if not separator:
        return value.target
    return f"{module.replace('numpy', 'np')}.{name}" if module.startswith("numpy") else _imported(name)


def _imported(name: str) -> str:
    return f"{name}_" if name in RESERVED else name


RESERVED = frozenset(
    {"Path", "np", "main", "result", "campaign", "folder", "bench", "journal", "station"}
    | {name for names in USED.values() for name in names}
) | {name for name in (*dir(builtins), *keyword.kwlist) if not name.startswith("_")}


def _calls(value: Any) -> Iterator[Call]:
    if isinstance(value, Call):
        yield value
        inner: Any = [*value.arguments, *value.options.values()]
    elif isinstance(value, Mapping):
        inner = value.values()
    elif isinstance(value, (list, tuple)):
        inner = value
    else:
        return
    for one in inner:
        yield from _calls(one)


def _imports(calls: list[Call]) -> dict[str, str]:
    """What the calls name, each with the module it comes from. Raises UsageError where two modules have the same name."""
    found: dict[str, str] = {}
    for one in _calls(calls):
        module, separator, name = one.target.partition(":")
        if not separator or module.startswith("numpy"):
            continue
        if found.setdefault(name, module) != module:
            raise UsageError(f"{name} of {found[name]} and of {module} cannot stand in one script")
    return found


def _whole(title: str, used: set[str], calls: list[Call], body: list[str]) -> str:
    modules: dict[str, set[str]] = {}
    for module, names in USED.items():
        modules.setdefault(module, set()).update(used.intersection(names))
    for name, module in _imports(calls).items():
        modules.setdefault(module, set()).add(name if _imported(name) == name else f"{name} as {_imported(name)}")
    shown = "".join(one if one.isprintable() else " " for one in title)
    shown = shown.replace(chr(92), "/").replace(chr(34), chr(39)).strip()
    lines = [f'"""{shown}. Written by labctl {labctl.__version__}."""', "", "from pathlib import Path", ""]
    lines += ["import numpy as np", ""] if any(one.target.startswith("numpy") for one in _calls(calls)) else []
    lines += [f"from {module} import {', '.join(sorted(names))}" for module, names in sorted(modules.items()) if names]
    lines += ["", "", "def main() -> None:"]
    lines += [f"{INDENT}{line}" for line in body]
    lines += ["", "", 'if __name__ == "__main__":', f"{INDENT}main()", ""]
    return "\n".join(lines)
