"""Recordings that do not belong together are told before a twin is fitted, not after."""

from pathlib import Path

import numpy as np
import pytest

from labctl.campaign import run
from labctl.campaigns.fit_twin import FitSettings, fit_twin
from labctl.campaigns.optimise_network import allowed_ranges
from labctl.errors import CampaignError, RecordingError
from labctl.recording import Recording, RecordingHeader
from labctl.twin_data import TwinData
from twins import DeviceTwin, DeviceTwinSpec, read_provenance


def a_recording(*, dt_s: float = 1e-3, response: str = "x", conditions: dict[str, float] | None = None) -> Recording:
    rng = np.random.default_rng(0)
    drive = np.repeat(rng.uniform(-1, 1, size=(6, 20, 1)), 3, axis=1)
    state = np.zeros((6, 60, 1))
    for k in range(59):
        state[:, k + 1] = 0.8 * state[:, k] + 0.2 * drive[:, k] + 0.02 * rng.standard_normal((6, 1))
    header = RecordingHeader(
        shape=(6, 60),
        dt_s=dt_s,
        drive_names=("u",),
        drive_units=("V",),
        response_names=(response,),
        response_units=("V",),
        n_prepare=5,
        input_id=np.arange(6),
        simulated=True,
        conditions=conditions or {},
        provenance={"seed": 5, "identities": {"awg": "SIM"}, "station": {"text": "[station]", "sha256": "abc"}},
    )
    return Recording(header, drive, state, np.full(6, 60), complete=True)


def test_other_sampling_times_are_refused_before_the_fit(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="sampling times"):
        run(fit_twin("d", [a_recording()], a_recording(dt_s=2e-3), seed=0, folder=tmp_path))
    assert not list(tmp_path.iterdir())


def test_a_held_out_recording_of_another_device_is_refused_before_the_fit(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="channels"):
        run(fit_twin("d", [a_recording()], a_recording(response="y"), seed=0, folder=tmp_path))


def test_conditions_that_scatter_are_held_and_those_that_differ_are_not() -> None:
    one, near, far = (a_recording(conditions={"bias": bias}) for bias in (0.1, 0.1005, 0.2))
    assert TwinData.of([one, near]).conditions == {"bias": 0.1}
    assert TwinData.of([one, far]).conditions == {}
    with pytest.raises(RecordingError, match="conditions"):
        TwinData.of([one, a_recording()])


def test_a_twin_knows_its_recordings_bench_and_conditions(tmp_path: Path) -> None:
    recording = a_recording(conditions={"bias": 0.1})
    settings = FitSettings(choice="plain", max_seconds=0.5)
    fitted = run(fit_twin("d", [recording], None, seed=7, settings=settings, folder=tmp_path))
    provenance = read_provenance(fitted.path)
    assert provenance["conditions"] == {"bias": 0.1}
    assert provenance["seed"] == 7
    assert provenance["simulated"] is True
    assert provenance["identities"] == {"awg": "SIM"}
    assert provenance["station"]["sha256"] == "abc"
    assert provenance["extra"]["recordings"][0]["seed"] == 5


def test_a_range_for_an_unknown_device_is_refused() -> None:
    twin = DeviceTwin(DeviceTwinSpec.for_traces(a_recording().traces()))
    twin.drive_range[0] = twin.drive_range.new_tensor([-1.0, 1.0])
    assert allowed_ranges({"d": twin}, None, {"d": (-0.5, 0.5)}) == {"d": (-0.5, 0.5)}
    with pytest.raises(CampaignError, match="leakyy"):
        allowed_ranges({"d": twin}, None, {"leakyy": (-0.5, 0.5)})
    with pytest.raises(CampaignError, match="fitted over -1"):
        allowed_ranges({"d": twin}, None, {"d": (-2.0, 0.5)})
