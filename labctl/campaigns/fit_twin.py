"""Fit a twin to a device's recordings and judge it on held-out inputs."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from labctl.campaign import Campaign, Step
from labctl.errors import RecordingError
from labctl.events import Figures, Progress, Reported
from labctl.provenance import collect_provenance
from labctl.recording import Recording, check_alike, traces_of

if TYPE_CHECKING:
    from twins import DeviceTwin


@dataclass(frozen=True, slots=True)
class FitSettings:
    """How to fit: the twin's structure (`twins.DeviceTwinSpec`) and the budget (`twins.fit`)."""

    response_delays: int = 3
    drive_delays: int = 2
    hidden: tuple[int, ...] = (24, 24)
    max_seconds: float | None = None
    phases: tuple[str, ...] = ("likelihood",)
    n_calibration_draws: int = 99


@dataclass(frozen=True, slots=True)
class FittedTwin:
    """Where a twin was saved, and how well it is calibrated on held-out inputs (empty without a held-out recording).

    sampled: free runs (draw, time) of the first held-out input, as many as the device repeated it.
    """

    device: str
    figures: Mapping[str, float | int | None]
    sampled: NDArray[np.float64]
    path: Path

    def load(self) -> DeviceTwin:
        """The twin."""
        from twins import load_twin

        return load_twin(self.path)


def fit_twin(
    device: str,
    training: Sequence[Recording],
    heldout: Recording | None,
    *,
    seed: int,
    settings: FitSettings | None = None,
    folder: Path,
) -> Campaign[FittedTwin]:
    """Fit a twin to `training`, judge it on `heldout`, and save it as `<device>.safetensors` and `.json` in `folder`.

    Raises RecordingError for recordings that do not belong together, and twins.TwinError.
    """
    from twins import DeviceTwin, DeviceTwinSpec, fit, save_twin

    settings = settings or FitSettings()
    traces = traces_of(training)
    recordings = [*training, *([heldout] if heldout else [])]
    conditions = check_belong_together(recordings)
    key = f"twin/{device}"
    step = Step(key, f"Fit the twin of {device}")
    yield step.started()
    spec = DeviceTwinSpec.for_traces(
        traces[0],
        response_delays=settings.response_delays,
        drive_delays=settings.drive_delays,
        hidden=settings.hidden,
    )
    twin = DeviceTwin(spec)
    epochs = fit(twin, traces, seed=seed, max_seconds=settings.max_seconds, phases=settings.phases)
    while True:
        try:
            epoch = next(epochs)
        except StopIteration as finished:
            result = finished.value
            break
        figures = {"train_loss": epoch.train_loss, "free_run_score": epoch.free_run_score}
        yield Figures(key, epoch.epoch, figures)
        yield Progress(key, epoch.progress, 1.0, f"held-out free-run score {epoch.free_run_score:.4f}")
    calibration = calibration_of(twin, heldout, n_draws=settings.n_calibration_draws, seed=seed) if heldout else {}
    details = {**asdict(settings), **asdict(result)}
    provenance = {"conditions": conditions, **_provenance(recordings, seed, details, calibration)}
    folder.mkdir(parents=True, exist_ok=True)
    path = save_twin(twin, folder / device, provenance=provenance)
    yield Reported(key, {**calibration, "free_run_score": result.free_run_score}, (str(path),))
    yield step.finished(_one_line(calibration, result.free_run_score))
    sampled = free_runs(twin, heldout, seed=seed) if heldout else np.zeros((0, 0))
    return FittedTwin(device, calibration, sampled, path)


def calibration_of(twin: DeviceTwin, recording: Recording, *, n_draws: int, seed: int) -> dict[str, float | int | None]:
    """The twin's calibration figures on a recording that it has not seen, by name (see `twins.Calibration`)."""
    import torch

    from twins import calibrate

    generator = torch.Generator().manual_seed(seed)
    # A recording a hair beyond the fitted range is for the figures to judge.
    return calibrate(twin, recording.traces(), n_draws=n_draws, generator=generator, check_range=False).as_dict()


def free_runs(twin: DeviceTwin, recording: Recording, *, seed: int) -> NDArray[np.float64]:
    """One free run (draw, time) of the first input for each of its measured repeats, from their own histories."""
    import torch

    from twins.device.history import histories_of, start_sample

    traces = recording.traces()
    same = traces.select(traces.inputs == traces.inputs[0])
    start = start_sample(twin.spec, same)
    with torch.no_grad():
        drawn = twin.respond(
            torch.tensor(same.drive[:, start:]).to(twin.linear_weight),
            history=histories_of(twin.spec, same),
            generator=torch.Generator().manual_seed(seed),
            check_range=False,
        )
    return drawn[:, :, 0].double().numpy()


def _provenance(
    recordings: Sequence[Recording], seed: int, training: Mapping[str, Any], calibration: Mapping[str, Any]
) -> dict[str, Any]:
    """Where the twin comes from: its recordings, with their benches, and how it was fitted."""
    sources = [
        {
            "path": str(recording.path),
            "sha256": _sha256(recording.path),
            "started_utc": recording.started_utc,
            "trials": recording.n_trials,
            "seed": recording.provenance.get("seed"),
            "identities": recording.provenance.get("identities", {}),
            "station_sha256": recording.provenance.get("station", {}).get("sha256"),
            "outside_data": recording.provenance.get("outside_data"),
        }
        for recording in recordings
    ]
    simulated = any(recording.simulated for recording in recordings)
    extra = {"training": dict(training), "recordings": sources, "calibration": dict(calibration)}
    first = recordings[0].provenance
    station = first.get("station", {})
    return collect_provenance(
        simulated=simulated,
        seed=seed,
        station_text=station.get("text", ""),
        station_sha256=station.get("sha256", ""),
        identities=first.get("identities", {}),
        extra=extra,
    )


def check_belong_together(recordings: Sequence[Recording]) -> dict[str, float]:
    """The conditions that the recordings share; raises RecordingError unless channels, sampling times and conditions
    agree (conditions within two per cent, since some are measured)."""
    check_alike(recordings)
    conditions = dict(recordings[0].conditions)
    for recording in recordings[1:]:
        others = dict(recording.conditions)
        alike = conditions.keys() == others.keys() and all(
            np.isclose(others[name], value, rtol=0.02, atol=1e-4) for name, value in conditions.items()
        )
        if not alike:
            raise RecordingError(
                f"recordings of different conditions cannot be mixed: {conditions} and {others} ({recording.path})"
            )
    return conditions


def _sha256(path: Path | None) -> str | None:
    if path is None:
        return None
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _one_line(calibration: Mapping[str, float | int | None], score: float) -> str:
    if not calibration:
        return f"held-out free-run score {score:.4f}"
    return (
        f"held-out 90 % coverage {calibration['coverage_90']:.3f}, std ratio {calibration['std_ratio']:.3f}, "
        f"free-run score {score:.4f}"
    )
