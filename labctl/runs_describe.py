"""Finds out what a file of a runs folder is, from what it says itself; a name alone decides nothing but where to look."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from labctl.runs_describe_models import describe_json
from labctl.runs_file import FILM, JOURNAL, RECORDING, REPORT, Origin, RunFile

SUFFIXES = (".h5", ".json", ".jsonl", ".html")
LARGEST_JSON_BYTES = 64 * 2**20
HEAD_BYTES = 4096
TAIL_BYTES = 65536


def describe(path: Path, root: Path) -> RunFile | None:
    """The file described; None where it is none of labctl's. What cannot be read says so in `trouble`."""
    file = path.relative_to(root).as_posix()
    try:
        status = path.stat()
    except OSError:  # gone meanwhile
        return None
    found: RunFile | None
    try:
        found = _describe(path, file)
    except (OSError, KeyError, ValueError, TypeError, AttributeError, RuntimeError) as error:
        kind = {".h5": RECORDING, ".jsonl": JOURNAL, ".html": REPORT}.get(path.suffix)
        found = RunFile(file, kind, trouble=str(error), outcome=f"cannot be read: {error}") if kind else None
    if found is None:
        return None
    when = found.when_utc or datetime.fromtimestamp(status.st_mtime, UTC).isoformat(timespec="seconds")
    return replace(found, when_utc=when, changed_ns=status.st_mtime_ns, size_bytes=status.st_size)


def _describe(path: Path, file: str) -> RunFile | None:
    match path.suffix:
        case ".h5":
            return _recording(path, file)
        case ".jsonl":
            return _journal(path, file)
        case ".html":
            return _page(path, file)
        case ".json" if path.stat().st_size <= LARGEST_JSON_BYTES:
            with contextlib.suppress(UnicodeDecodeError, json.JSONDecodeError):
                content = json.loads(path.read_text(encoding="utf-8"))
                return describe_json(path, file, content) if isinstance(content, dict) else None
    return None


def _recording(path: Path, file: str) -> RunFile | None:
    import h5py

    from labctl import frame_layout, hdf5_layout

    with h5py.File(path, "r", locking=False) as opened:
        form = opened.attrs.get("format")
        if form not in (hdf5_layout.FORMAT, frame_layout.FORMAT):
            return None
        filmed = form == frame_layout.FORMAT
        provenance = hdf5_layout.mapping(opened, "provenance")
        shape = opened["counts" if filmed else "response"].shape
        names = hdf5_layout.texts(opened, "channel" if filmed else "response_channel")
        complete = bool(opened.attrs["complete"])
        notes = hdf5_layout.remark(opened, "notes")
        ended = "" if complete else f", INTERRUPTED: {hdf5_layout.remark(opened, 'ended')}"
        interval_s = float(opened.attrs["interval_s" if filmed else "dt_s"])
        if filmed:
            outcome = f"{shape[0]} trials × {shape[1]} frames of {shape[3]} × {shape[2]} pixels every {interval_s:g} s"
        else:
            drives = ", ".join(hdf5_layout.texts(opened, "drive_channel"))
            rate = f"{shape[0]} trials × {shape[1]} samples at {1 / interval_s:g} Hz"
            outcome = f"{rate}, {drives} → {', '.join(names)}"
        started = str(opened.attrs["started_utc"])
        simulated = bool(opened.attrs["simulated"])
    return RunFile(
        file,
        FILM if filmed else RECORDING,
        when_utc=started,
        device=_device(path.stem, names),
        seed=seed_of(provenance),
        simulated=simulated,
        outcome=outcome + ended,
        notes=notes,
        origins=tuple(_cleared(provenance)),
        marks=(f"started:{started}",),
    )


def _device(stem: str, channels: tuple[str, ...]) -> str:
    """The devices whose channels these are: by the usual names, device_response, else the channels themselves."""
    found = [re.sub(r"_(response|sense|out|output)$", "", name) for name in channels]
    return ", ".join(dict.fromkeys(found)) or stem


def _cleared(provenance: Mapping[str, Any]) -> Iterator[Origin]:
    """The twins by whose leave a network was played: known by their gates."""
    from labctl.runs_describe_models import gates_mark

    extra = provenance.get("extra")
    clearance = extra.get("clearance") if isinstance(extra, Mapping) else None
    twins = clearance.get("twins") if isinstance(clearance, Mapping) else None
    for device, gates in (twins or {}).items() if isinstance(twins, Mapping) else ():
        yield Origin(f"played with the twin of {device}", mark=gates_mark(gates))


def seed_of(provenance: Mapping[str, Any]) -> int | None:
    """The seed that a provenance names."""
    seed = provenance.get("seed")
    return seed if isinstance(seed, int) and not isinstance(seed, bool) else None


def _journal(path: Path, file: str) -> RunFile | None:
    head, tail = _ends(path)
    first, rest = next(iter(_events(head)), None), list(_events(tail))
    if first is None or not rest:
        return None
    last = rest[-1]
    match last.get("event"):
        case "Failed":
            stopped = last.get("error") == "Stopped"
            message = " ".join(str(last.get("message", "")).split())
            outcome = f"{'stopped' if stopped else 'FAILED'}: {message}"
        case _:
            title = last.get("title") or last.get("key") or ""
            outcome = f"last: {title}{': ' + str(last['note']) if last.get('note') else ''}"
    return RunFile(file, JOURNAL, when_utc=str(first.get("utc", "")), outcome=outcome)


def _ends(path: Path) -> tuple[str, str]:
    with path.open("rb") as opened:
        head = opened.read(HEAD_BYTES)
        opened.seek(max(path.stat().st_size - TAIL_BYTES, 0))
        tail = opened.read(TAIL_BYTES)
    return head.decode("utf-8", "replace"), tail.decode("utf-8", "replace")


def _events(text: str) -> Iterator[dict[str, Any]]:
    for line in text.splitlines():
        with contextlib.suppress(ValueError):  # the first and last line may be cut
            event = json.loads(line)
            if isinstance(event, dict) and "event" in event:
                yield event


def _page(path: Path, file: str) -> RunFile | None:
    with path.open("rb") as opened:
        head = opened.read(HEAD_BYTES).decode("utf-8", "replace")
    title = re.search(r"<title>(.*?)</title>", head, re.S)
    return RunFile(file, REPORT, outcome=title[1].strip() if title else "")
