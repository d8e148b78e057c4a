"""What the benchmarks share: the options, facts about the machine, interleaved timing, the file of results.

    options = read_options(__doc__, more=lambda parser: parser.add_argument("--data", type=Path))
    figures = {"aim": 1.7, "reached": 1.9}
    write_results(options, figures)

Every script takes --json FILE, --seed N and --quick. Scripts run as `python benchmarks/x.py`, so that
`import measuring` finds this file.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import resource
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

PACKAGES = ("torch", "numpy", "torchsde", "jax", "diffrax")


def read_options(
    description: str | None,
    *,
    more: Callable[[argparse.ArgumentParser], object] | None = None,
    arguments: Sequence[str] | None = None,
) -> argparse.Namespace:
    """--json, --seed and --quick, and what `more` adds to the parser."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here")
    parser.add_argument("--seed", type=int, default=1, help="of everything random (default 1)")
    parser.add_argument("--quick", action="store_true", help="at most 10 minutes: fewer seeds, sizes or rounds")
    if more is not None:
        more(parser)
    return parser.parse_args(arguments)


def machine_facts() -> dict[str, Any]:
    """Processor, cores, threads, load, versions: what a timing means nothing without."""
    facts: dict[str, Any] = {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "load_1min": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "system": platform.platform(),
        "python": platform.python_version(),
        "versions": {name: version for name in PACKAGES if (version := _version(name)) is not None},
    }
    torch = sys.modules.get("torch")
    if torch is not None:
        facts["torch_threads"] = torch.get_num_threads()
    return facts


def write_results(options: argparse.Namespace, figures: Mapping[str, Any]) -> None:
    """The figures with how and where they were measured, to --json if it was given. NaN is written as null."""
    if options.json is None:
        return
    asked = {name: str(value) if isinstance(value, Path) else value for name, value in vars(options).items()}
    asked.pop("json")
    document = {**figures, "options": asked, "machine": machine_facts()}
    options.json.parent.mkdir(parents=True, exist_ok=True)
    partial = options.json.with_suffix(options.json.suffix + ".partial")  # an interrupted run leaves the old file whole
    partial.write_text(json.dumps(plain(document), indent=2, allow_nan=False) + "\n")
    partial.replace(options.json)


def read_results(path: Path | None) -> dict[str, Any]:
    """What an earlier run wrote, or {}: full sweeps go on from there."""
    if path is None or not path.exists():
        return {}
    earlier: dict[str, Any] = json.loads(path.read_text())
    return earlier


def plain(value: Any) -> Any:
    """Numbers, lists and dictionaries that JSON can hold: arrays and tensors become lists, NaN and inf null."""
    if isinstance(value, Mapping):
        return {str(key): plain(inner) for key, inner in value.items()}
    if hasattr(value, "tolist"):  # numpy and torch, arrays and scalars
        return plain(value.tolist())
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


@dataclass(frozen=True, slots=True)
class Spent:
    """What one call took."""

    wall_s: float
    cpu_s: float  # all threads of this process


def timed(work: Callable[[], object]) -> Spent:
    """Wall and CPU seconds of one call."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return Spent(time.perf_counter() - wall, time.process_time() - cpu)


def interleaved(
    works: Mapping[str, Callable[[], object]], *, rounds: int, warm_ups: int = 1, longest_s: float = math.inf
) -> dict[str, list[Spent]]:
    """Every work once a round, in turns and in alternating order, so that a busy moment hits all of them.

    Stops early, after a whole round, when longest_s have gone by. Compare medians, or ratios within rounds.
    """
    for work in works.values():
        for _ in range(warm_ups):
            work()
    spent: dict[str, list[Spent]] = {name: [] for name in works}
    began = time.perf_counter()
    for number in range(rounds):
        names = list(works) if number % 2 == 0 else list(reversed(works))
        for name in names:
            spent[name].append(timed(works[name]))
        if time.perf_counter() - began > longest_s:
            break
    return spent


def median_ms(spent: Sequence[Spent]) -> float:
    """Median wall time in ms."""
    return 1000.0 * statistics.median(one.wall_s for one in spent)


def median_ratio(slow: Sequence[Spent], fast: Sequence[Spent]) -> float:
    """Median over rounds of slow/fast wall time, taken within the same round."""
    return statistics.median(a.wall_s / b.wall_s for a, b in zip(slow, fast, strict=True))


def forget_peak_memory() -> None:
    """Let peak_memory_MB start afresh from what is held now. Does nothing where the system cannot (not Linux)."""
    knob = Path("/proc/self/clear_refs")
    if knob.exists():
        knob.write_text("5")


def peak_memory_MB() -> float:
    """The most memory that this process held, resident, since it began or since forget_peak_memory()."""
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM"):
                return int(line.split()[1]) * 1024 / 1e6
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
