"""An ensemble is checked like a twin."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from labctl.campaign import run
from labctl.excitation import Excitation
from labctl.plant import TwinPlant, collect
from labctl.simulation import demo_station_template
from labctl.station import parse_station

torch = pytest.importorskip("torch")
twins = pytest.importorskip("twins")
DT_S = 2e-4


def member(seed: int) -> Any:
    from twins.device.prepare import prepare_twin

    rng = np.random.default_rng(0)
    drive, response = rng.uniform(-1.5, 1.5, (12, 60, 1)), np.zeros((12, 60, 1))
    for k in range(59):
        response[:, k + 1] = 0.8 * response[:, k] + 0.2 * drive[:, k] + 0.05 * rng.normal(size=(12, 1))
    names = ("leaky_drive",), ("V",), ("leaky_response",), ("V",)
    traces = twins.Traces(drive, response, DT_S, *names, n_prepare=10)
    spec = twins.DeviceTwinSpec.for_traces(traces, hidden=(4,), response_delays=0, drive_delays=0)
    twin = twins.DeviceTwin(spec)
    prepare_twin(twin, [traces], generator=torch.Generator().manual_seed(seed))
    return twin


def test_the_gates_of_an_ensemble_are_judged_and_kept_in_its_list(tmp_path: Path) -> None:
    from labctl.campaigns.check_twin import check_twin

    ensemble = twins.TwinEnsemble([member(0), member(1)])
    path = twins.save_ensemble(ensemble, tmp_path / "leaky", provenance={"simulated": True})
    levels = np.repeat(np.random.default_rng(2).uniform(-1.3, 1.3, (6, 40)), 30, axis=0)
    excitation = Excitation.from_channels({"leaky_drive": levels}, dt_s=DT_S, input_id=np.repeat(np.arange(6), 30))
    plant = TwinPlant(
        {"leaky": ensemble}, parse_station(demo_station_template()), generator=torch.Generator().manual_seed(1)
    )
    recording = collect(plant.respond(excitation))
    checked = run(check_twin(path, {"other inputs": [recording]}, store=True))
    assert checked.judgements["other inputs"].gates["gates"]
    again = twins.load_any_twin(path)
    assert isinstance(again, twins.TwinEnsemble)
    assert twins.read_provenance(path)["gates"]["passed"] == checked.passed
