"""Jobs as Python: what the window does, as a script that does the same.

    Path("fit.py").write_text(script_of(job))

The text is made from the very call that the window performs, so the two cannot differ.
"""

from __future__ import annotations

import builtins
import keyword
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import labctl
from labctl.calls import BENCH, FOLDER, Call, Given
from labctl.job import Job

WIDTH = 100
SIMULATION = {("labctl.simulation", name) for name in ("SimulatedBench", "bundled_bench", "bundled_station")}
INDENT = "    "


def script_of(job: Job, *, simulated: str = "") -> str:
    """A complete script: opens the bench where it is needed, runs the campaign, keeps its journal, prints its events.

    simulated: a simulated bench that comes with labctl, which the script then starts and uses in place of the job's station.
    """
    simulated = simulated if job.needs_bench else ""
    station = f"Path({_quoted(str(job.station or 'station.toml'))})" if not simulated else "station"
    body = [f"{FOLDER.name} = Path({_quoted(str(job.folder))})"]
    journal = f'Journal({FOLDER.name} / "journal.jsonl") as journal'
    opened = f"Bench.open({station}) as {BENCH.name}, " if job.needs_bench else ""
    prefix = "result = run("
    campaign = expression_of(job.call, indent=2, room=WIDTH - 2 * len(INDENT) - len(prefix) - 44)
    work = [f"with {opened}{journal}:"]
    if "\n" in campaign:
        work += [
            f"{INDENT}campaign = {campaign}",
            f"{INDENT}result = run(campaign, on_event=Console(), journal=journal)",
        ]
    else:
        work += [f"{INDENT}{prefix}{campaign}, on_event=Console(), journal=journal)"]
    body += _on_simulated_bench(simulated, f'{FOLDER.name} / "station.toml"', work) if simulated else work
    body += ["print(result)"]
    imports = {("labctl.campaign", "Journal"), ("labctl.campaign", "run"), ("labctl.console", "Console")}
    imports |= {("labctl.bench", "Bench")} if job.needs_bench else set()
    imports |= SIMULATION if simulated else set()
    return _whole(job.title, imports | set(_imports(job.call)), body, numpy=_uses_numpy(job.call))


def script_of_calls(title: str, calls: list[Call], *, station: Path | None = None, simulated: str = "") -> str:
    """A complete script that makes these calls, one after another; for actions that are no campaigns.

    simulated: as of `script_of`.
    """
    needs_bench = station is not None or bool(simulated)
    lines = [expression_of(one, indent=2 if needs_bench else 1) for one in calls]
    body = lines
    imports = {pair for one in calls for pair in _imports(one)}
    if needs_bench:
        where = "station" if simulated else f"Path({_quoted(str(station))})"
        body = [f"with Bench.open({where}) as {BENCH.name}:", *[f"{INDENT}{line}" for line in lines]]
        imports |= {("labctl.bench", "Bench")}
    if simulated:
        body = _on_simulated_bench(simulated, 'Path("station.toml")', body)
        imports |= SIMULATION
    return _whole(title, imports, body, numpy=any(_uses_numpy(one) for one in calls))


def _on_simulated_bench(name: str, station: str, work: list[str]) -> list[str]:
    """The work within a simulated bench that is started for it, its station file written where `station` says."""
    shown = _quoted(name)
    return [
        f"with SimulatedBench.start(bundled_bench({shown})) as simulation:",
        f"{INDENT}station = simulation.write_station({station}, bundled_station({shown}))",
        *[textwrap.indent(line, INDENT) for line in work],
    ]


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
        case float() if value != value or value in (float("inf"), float("-inf")):  # noqa: PLR0124 - NaN
            return f'float("{value}")'
        case _:
            return repr(value)


def _quoted(text: str) -> str:
    """As Python's usual formatters have it: in double quotes where that needs no backslash."""
    return f'"{text}"' if text.isprintable() and not set(text) & {'"', "\\"} else repr(text)


def _shown(value: Call) -> str:
    module, separator, name = value.target.partition(":")
    if not separator:
        return value.target
    return f"{module.replace('numpy', 'np')}.{name}" if module.startswith("numpy") else _imported(name)


def _imported(name: str) -> str:
    return f"{name}_" if name in RESERVED else name


RESERVED = frozenset(
    {"run", "Journal", "Console", "Bench", "Path", "main", "result", "campaign", "folder", "bench"}
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


def _imports(value: Any) -> Iterator[tuple[str, str]]:
    for one in _calls(value):
        module, separator, name = one.target.partition(":")
        if separator and not module.startswith("numpy"):
            yield module, name


def _uses_numpy(value: Any) -> bool:
    return any(one.target.startswith("numpy") for one in _calls(value))


def _whole(title: str, imports: set[tuple[str, str]], body: list[str], *, numpy: bool) -> str:
    modules: dict[str, list[str]] = {}
    for module, name in sorted(imports):
        own = module in {"labctl.campaign", "labctl.console", "labctl.bench"} and name in RESERVED
        shown = name if own or _imported(name) == name else f"{name} as {_imported(name)}"
        modules.setdefault(module, []).append(shown)
    lines = [
        f'"""{title.replace(chr(92), "/").replace(chr(34), chr(39))}. Written by labctl {labctl.__version__}."""',
        "",
    ]
    lines += ["from pathlib import Path", ""]
    lines += ["import numpy as np", ""] if numpy else []
    lines += [f"from {module} import {', '.join(sorted(names))}" for module, names in sorted(modules.items())]
    lines += ["", "", "def main() -> None:"]
    lines += [f"{INDENT}{line}" for line in body]
    lines += ["", "", 'if __name__ == "__main__":', f"{INDENT}main()", ""]
    return "\n".join(lines)
