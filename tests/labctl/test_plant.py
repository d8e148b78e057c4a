"""A twin in the place of a device answers the same call."""

from typing import Any

import numpy as np
import pytest

from labctl.errors import PlantError
from labctl.excitation import Excitation
from labctl.plant import Plant, TwinPlant, collect
from labctl.simulation import demo_station_template
from labctl.station import parse_station

torch = pytest.importorskip("torch")
twins = pytest.importorskip("twins")
DT_S = 2e-4
STATION = parse_station(demo_station_template())


class StubTwin:
    """What a plant asks of a twin: half the drive plus noise from the generator."""

    def __init__(self, dt_s: float = DT_S) -> None:
        self.spec = type("Spec", (), {"dt_s": dt_s, "n_drive": 1, "n_response": 1})()

    def respond(self, drive: Any, *, generator: Any, check_range: bool) -> Any:
        if check_range and drive.abs().max() > 1.5:
            raise twins.OutsideFittedRange(channel="leaky_drive", value=1.9, lower=-1.5, upper=1.5, unit="V")
        return 0.5 * drive + 0.01 * torch.randn(drive.shape, generator=generator, dtype=drive.dtype)


def plant(seed: int = 0, **options: Any) -> TwinPlant:
    return TwinPlant({"leaky": StubTwin()}, STATION, generator=torch.Generator().manual_seed(seed), **options)  # type: ignore[dict-item]


def excitation(level: float = 1.0) -> Excitation:
    return Excitation.from_channels({"leaky_drive": np.full((3, 20), level)}, dt_s=DT_S)


def test_a_twin_plant_is_a_plant_and_answers_with_a_recording() -> None:
    asked = plant()
    assert isinstance(asked, Plant)
    recording = collect(asked.respond(excitation()))
    assert recording.response_names == ("leaky_response",)
    assert recording.response.shape == (3, 20, 1)
    assert recording.simulated
    assert recording.complete
    assert recording.n_prepare == 0
    assert recording.traces().n_trials == 3
    assert recording.response.mean() == pytest.approx(0.5, abs=0.02)


def test_blocks_come_trial_by_trial() -> None:
    blocks = plant().respond(excitation())
    assert [(block.trial, block.start, len(block)) for block in blocks] == [(0, 0, 20), (1, 0, 20), (2, 0, 20)]


def test_the_same_generator_gives_the_same_answer() -> None:
    first, second, third = (collect(plant(seed).respond(excitation())).response for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, second)
    assert not np.array_equal(first, third)


def test_a_drive_beyond_the_fitted_range_is_refused_unless_asked_for() -> None:
    with pytest.raises(PlantError, match=r"leaky_drive: 1\.9 V lies outside the fitted range"):
        collect(plant().respond(excitation(1.9)))
    assert collect(plant(check_range=False).respond(excitation(1.9))).complete


def test_a_device_without_a_twin_or_with_another_sampling_time_is_told() -> None:
    duffing = Excitation.from_channels({"duffing_drive": np.zeros((1, 5))}, dt_s=DT_S)
    with pytest.raises(PlantError, match="no twin of device duffing; there are twins of leaky"):
        plant().respond(duffing)
    slow = TwinPlant({"leaky": StubTwin(1e-3)}, STATION, generator=torch.Generator())  # type: ignore[dict-item]
    with pytest.raises(PlantError, match="sampling time"):
        slow.respond(excitation())
