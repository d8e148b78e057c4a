"""A device whose law is known, recordings of it on disk, and a twin that was fitted to one of them."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from labctl.campaign import run
from labctl.campaigns.fit_settings import FitSettings
from labctl.campaigns.fit_twin import fit_twin
from labctl.recording import Block, Recording, RecordingHeader
from labctl.store import RecordingWriter, open_recording

STATION = '[devices.box]\ndrive = ["u"]\nresponse = ["x"]\n'


def write_recording(
    path: Path, *, n_inputs: int, n_repeats: int = 1, seed: int = 0, response: str = "x", n_samples: int = 64
) -> Path:
    """x' = 0.8 x + 0.2 u + 0.02 w, in the state where it begins; saved as a recording of the device "box"."""
    rng = np.random.default_rng(seed)
    steps = np.repeat(rng.uniform(-1, 1, (n_inputs, n_samples // 4, 1)), 4, axis=1)
    drive = np.repeat(steps, n_repeats, axis=0)
    state = np.zeros_like(drive)
    for k in range(n_samples - 1):
        state[:, k + 1] = 0.8 * state[:, k] + 0.2 * drive[:, k] + 0.02 * rng.standard_normal((len(drive), 1))
    header = RecordingHeader(
        shape=drive.shape[:2],
        dt_s=1e-3,
        drive_names=("u",),
        drive_units=("V",),
        response_names=(response,),
        response_units=("V",),
        n_prepare=4,
        input_id=np.repeat(np.arange(n_inputs), n_repeats),
        simulated=True,
        started_utc=f"2026-01-01T00:00:{seed:02d}+00:00",
        provenance={"station": {"text": STATION.replace('"x"', f'"{response}"'), "sha256": "abc"}},
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = RecordingWriter(path, header)
    for trial in range(len(drive)):
        writer.append(Block(trial, 0, drive[trial], state[trial]))
    writer.finish(complete=True, ended="done")
    return path


@dataclass(frozen=True)
class Shelf:
    """A folder of recordings, and a twin."""

    folder: Path
    training: Path
    heldout: Path
    twin: Path

    def open(self, path: Path) -> Recording:
        return open_recording(path)


@pytest.fixture(scope="session")
def recorded() -> Callable[..., Path]:
    return write_recording


@pytest.fixture(scope="session")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Shelf:
    """Shared: tests leave it as they found it."""
    folder = tmp_path_factory.mktemp("runs")
    training = write_recording(folder / "one" / "box-training.h5", n_inputs=60, seed=1)
    heldout = write_recording(folder / "one" / "box-heldout.h5", n_inputs=6, n_repeats=10, seed=2)
    settings = FitSettings(choice="plain", response_delays=0, drive_delays=0, hidden=(4,), max_seconds=0.8)
    campaign = fit_twin(
        "box", [open_recording(training)], open_recording(heldout), seed=1, settings=settings, folder=folder / "fit"
    )
    return Shelf(folder, training, heldout, run(campaign).path)
