"""Runs for others: a folder as zip, a recording as CSV or as a copy that netCDF readers open, a page that tells of it."""

from __future__ import annotations

import csv
import json
import shutil
import zipfile
from collections.abc import Sequence
from pathlib import Path

from labctl.campaign import Campaign, Step
from labctl.errors import UsageError
from labctl.events import Progress, Reported
from labctl.runs_file import RunFile
from labctl.runs_provenance import Link, Provenance

HOW = ("zip", "csv", "nc", "html")
ROWS_A_TURN = 20_000


def export_run(source: Path, target: Path) -> Campaign[Path]:
    """Write `source` to `target`, whose ending says how.

    .zip: the folder (or that of the file) with everything in it. .csv: a recording, one line a sample of a trial, the
    preparation with negative times; units stand in the header. .nc: the recording's own file, copied: it is laid out as
    netCDF 4 is. .html: a page with what is known of it. Raises UsageError, RecordingError.
    """
    how = target.suffix.lstrip(".").lower()
    if how not in HOW:
        raise UsageError(f"{target}: exported by its ending, one of {', '.join('.' + one for one in HOW)}")
    if not source.exists():
        raise UsageError(f"{source}: no such file or folder")
    if target.exists():
        raise UsageError(f"{target} exists already; nothing is overwritten")
    if how in ("csv", "nc") and source.suffix != ".h5":
        raise UsageError(f"{source}: only recordings (.h5) can be written as .{how}")
    target.parent.mkdir(parents=True, exist_ok=True)
    step = Step(f"export/{target.name}", f"Export {source.name} as {target.name}")
    yield step.started()
    try:
        if how == "zip":
            yield from _zip(source if source.is_dir() else source.parent, target, step.key)
        elif how == "csv":
            yield from _csv(source, target, step.key)
        elif how == "nc":
            shutil.copyfile(source, target)
        else:
            _page(source, target)
    except BaseException:
        target.unlink(missing_ok=True)  # half a file would pass for a whole one
        raise
    yield Reported(step.key, {}, (str(target),))
    yield step.finished(f"{target.stat().st_size / 1e6:.3g} MB")
    return target


def _zip(folder: Path, target: Path, key: str) -> Campaign[None]:
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.resolve() != target.resolve()]
    total = sum(path.stat().st_size for path in paths)
    done = 0
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as packed:
        for path in paths:
            packed.write(path, f"{folder.name}/{path.relative_to(folder).as_posix()}")
            done += path.stat().st_size
            yield Progress(key, done, max(total, 1), path.name)


def _csv(source: Path, target: Path, key: str) -> Campaign[None]:
    from labctl.store import open_recording

    recording = open_recording(source)
    time_s = recording.time_s
    header = ["trial", "time (s)", "input"]
    for names, units in (
        (recording.drive_names, recording.drive_units),
        (recording.response_names, recording.response_units),
    ):
        header += [f"{name} ({unit})" for name, unit in zip(names, units, strict=True)]
    total = int(recording.valid_samples.sum())
    done = told = 0
    with target.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        for trial in range(recording.n_trials):
            for sample in range(int(recording.valid_samples[trial])):
                values = (*recording.drive[trial, sample].tolist(), *recording.response[trial, sample].tolist())
                writer.writerow((trial, f"{time_s[sample]:.9g}", int(recording.input_id[trial]), *values))
                done += 1
                if done - told >= ROWS_A_TURN:
                    told = done
                    yield Progress(key, done, total, "samples")


def _page(source: Path, target: Path) -> None:
    """What is known of one file, and of what it came from."""
    from labctl.runs_catalogue import RunsCatalogue

    folder = source if source.is_dir() else source.parent
    entries = RunsCatalogue(folder).entries()
    chosen = entries if source.is_dir() else [one for one in entries if one.name == source.name and not one.folder]
    if not chosen:
        raise UsageError(f"{source} is no file that labctl knows")
    write_page(chosen, Provenance(entries), folder, target)


def write_page(entries: Sequence[RunFile], provenance: Provenance, folder: Path, target: Path) -> None:
    """A page of these files: a table, then of each recording its first trials and of each file what it came from."""
    from labctl.html_page import HtmlPage

    page = HtmlPage(f"labctl: {folder.name}")
    if any(one.simulated for one in entries):
        page.banner("SIMULATED: files marked so were measured on, or learned from, simulated devices.")
    rows = [
        (
            one.file,
            one.kind,
            one.when_utc[:19],
            one.device,
            "" if one.seed is None else one.seed,
            told_simulated(one),
            one.outcome,
        )
        for one in entries
    ]
    page.table(("file", "kind", "when (UTC)", "device", "seed", "simulated", "outcome"), rows)
    for one in entries:
        links = links_text(provenance.made_from(one))
        if links or one.notes:
            page.heading(one.file)
            if one.notes:
                page.paragraph(one.notes, note=True)
            for line in links:
                page.paragraph(line)
    page.write(target)


def links_text(links: Sequence[Link], depth: int = 0) -> list[str]:
    """A tree of provenance, one line a file."""
    lines = []
    for link in links:
        away = "" if link.entry else "  (not below this folder)"
        lines.append(f"{'    ' * depth}{link.role}: {link.told}{away}")
        lines += links_text(link.beneath, depth + 1)
    return lines


def told_simulated(one: RunFile) -> str:
    """Whether it is simulated, in a word."""
    return {True: "SIMULATED", False: "measured", None: ""}[one.simulated]


def details_text(one: RunFile, provenance: Provenance) -> str:
    """All that is known of a file, for a terminal."""
    rows = [
        ("kind", one.kind),
        ("when (UTC)", one.when_utc[:19]),
        ("device", one.device),
        ("seed", "" if one.seed is None else str(one.seed)),
        ("data", told_simulated(one)),
        ("outcome", one.outcome),
        ("notes", one.notes.replace("\n", "; ")),
        ("beside it", ", ".join(one.files)),
        ("size", f"{one.size_bytes / 1e6:.3g} MB"),
    ]
    lines = [one.file, *(f"  {name + ':':12s} {text}" for name, text in rows if text)]
    for title, links in (("made from", provenance.made_from(one)), ("used by", provenance.used_by(one))):
        told = links_text(links)
        lines += [f"  {title}:", *(f"    {line}" for line in told)] if told else []
    return "\n".join(lines) + "\n"


def details_json(one: RunFile, provenance: Provenance) -> str:
    """The same as JSON."""

    def tree(links: Sequence[Link]) -> list[dict[str, object]]:
        return [{"role": link.role, "file": link.told, "beneath": tree(link.beneath)} for link in links]

    links = {"made_from": tree(provenance.made_from(one)), "used_by": tree(provenance.used_by(one))}
    return json.dumps({**one.as_dict(), **links}, indent=2) + "\n"
