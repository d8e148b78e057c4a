"""Measured data of other programs kept as recordings, so that everything that takes recordings takes them too."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from labctl.background import in_background
from labctl.campaign import Campaign, Step
from labctl.errors import UsageError
from labctl.events import Reported, Warned
from labctl.recording import Block, Recording
from labctl.store import RecordingWriter
from labctl.twin_data import treatment_in_words


def import_data(
    path: Path, *, folder: Path, drive: Sequence[str], response: Sequence[str], **options: Any
) -> Campaign[list[Path]]:
    """Read a CSV, HDF5, netCDF or .mat file and write what is in it as recordings into `folder`; returns their files.

    There is one recording for each set of conditions (and length of trials), named after the file; `test_rows` become
    recordings of their own, whose names end in -heldout. drive, response: columns; options: as for
    labctl.outside_data.read_traces. What was done to the data stands in the recordings' provenance.

    Raises OutsideDataError and UsageError for data that cannot be used as they stand, RecordingError where a recording
    is there already or cannot be written.
    """
    from labctl.outside_data import as_recordings, is_recording, read_traces

    key = f"import/{path.stem}"
    step = Step(key, f"Import {path.name}")
    yield step.started()
    if is_recording(path):
        raise UsageError(f"{path} is a recording of labctl's own already; nothing needs to be imported")
    data = yield from in_background(lambda: read_traces(path, drive=drive, response=response, **options), key=key)
    for one in data.provenance.get("treatments", ()):
        yield Warned(key, treatment_in_words(one))
    lots = [(path.stem, as_recordings(data)), (f"{path.stem}-heldout", as_recordings(data, test=True))]
    written: list[Path] = []
    for stem, recordings in lots:
        for number, recording in enumerate(recordings):
            file = folder / f"{stem}{f'-{number + 1}' if len(recordings) > 1 else ''}.h5"
            yield from in_background(_writing(recording, file), key=key)
            written.append(file)
    yield Reported(key, {"recordings": len(written)}, tuple(str(file) for file in written))
    yield step.finished(f"{len(written)} recording{'s' if len(written) > 1 else ''}")
    return written


def _writing(recording: Recording, file: Path) -> Callable[[], None]:
    return lambda: write_recording(recording, file)


def write_recording(recording: Recording, file: Path) -> None:
    """Write a recording that is in memory, trial by trial; raises RecordingError where the file is there already."""
    writer = RecordingWriter(file, recording.header)
    try:
        for trial, n_valid in enumerate(recording.valid_samples):
            writer.append(Block(trial, 0, recording.drive[trial, :n_valid], recording.response[trial, :n_valid]))
        for note in recording.notes:
            writer.note(note)
    except BaseException as error:
        writer.finish(complete=False, ended=str(error))
        raise
    writer.finish(complete=recording.complete, ended="imported")
