"""A twin in the place of a device answers the same call."""

from collections.abc import Iterator
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


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Products this small only lose by sharing them out."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


class StubTwin:
    """What a plant asks of a twin: half the drive plus noise from the generator."""

    def __init__(self, dt_s: float = DT_S) -> None:
        parts = {"dt_s": dt_s, "n_drive": 1, "n_response": 1, "condition_names": ()}
        self.spec = type("Spec", (), {**parts, "observation": False, "trial_drift": False})()

    def respond(self, drive: Any, *, generator: Any, conditions: Any, check_range: bool) -> Any:
        assert conditions == {}
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


def prepared(conditions: dict[str, float], seed: int = 0) -> Any:
    """Traces of something that follows the mean of drive and bias, loudly measured."""
    rng = np.random.default_rng(seed)
    drive, response = rng.uniform(-1.0, 1.0, (8, 60, 1)), np.zeros((8, 60, 1))
    for k in range(59):
        response[:, k + 1] = 0.8 * response[:, k] + 0.1 * (drive[:, k] + sum(conditions.values()))
    noisy = response + 0.02 * rng.normal(size=response.shape)
    names = ("duffing_drive",), ("V",), ("duffing_response",), ("V",)
    return twins.Traces(drive, noisy, DT_S, *names, n_prepare=10, conditions=conditions)


def real_twin(parts: list[Any], seed: int = 0, **structure: Any) -> Any:
    from twins.device.prepare import prepare_twin

    spec = twins.DeviceTwinSpec.for_traces(parts, hidden=(4,), response_delays=1, drive_delays=0, **structure)
    twin = twins.DeviceTwin(spec)
    prepare_twin(twin, parts, generator=torch.Generator().manual_seed(seed))
    return twin


def duffing(level: float = 0.5) -> Excitation:
    return Excitation.from_channels({"duffing_drive": np.full((200, 40), level)}, dt_s=DT_S)


def duffing_plant(twin: Any, **options: Any) -> TwinPlant:
    return TwinPlant({"duffing": twin}, STATION, generator=torch.Generator().manual_seed(3), **options)


def test_conditions_reach_the_twin_and_the_recording() -> None:
    twin = real_twin([prepared({"duffing_bias": value}) for value in (0.0, 0.1)])
    with pytest.raises(PlantError, match=r"fitted at several values of duffing_bias; pass conditions=\{'duffing_bias'"):
        collect(duffing_plant(twin).respond(duffing()))
    means = []
    for bias in (0.0, 0.1):
        recording = collect(duffing_plant(twin, conditions={"duffing_bias": bias}).respond(duffing(0.2)))
        assert recording.conditions == {"duffing_bias": bias}
        means.append(recording.response[:, -1].mean())
    assert means[1] - means[0] == pytest.approx(0.5 * 0.1, abs=0.01)
    with pytest.raises(PlantError, match=r"duffing_bias: 0\.4"):
        collect(duffing_plant(twin, conditions={"duffing_bias": 0.4}).respond(duffing()))


def test_samples_are_as_measured_and_the_recording_says_what_they_hold() -> None:
    twin = real_twin([prepared({})], noise_diagonal=False, observation=True)
    with torch.no_grad():
        twin.observation_log_std.fill_(np.log(0.5))
    recording = collect(duffing_plant(twin).respond(duffing()))
    spread = recording.response[:, 20:].std(0).mean()
    assert spread == pytest.approx(0.5 * float(twin.response_scale), rel=0.05)
    described = recording.provenance["samples"]["duffing"]
    assert described["measurement_noise"] is True
    assert described["members"] == 1


def test_an_ensemble_answers_each_trial_by_one_of_its_members() -> None:
    members = [real_twin([prepared({}, seed)], noise_diagonal=False) for seed in range(3)]
    with torch.no_grad():
        for number, twin in enumerate(members):
            twin.linear_bias.add_(0.2 * (number - 1))
    recording = collect(duffing_plant(twins.TwinEnsemble(members)).respond(duffing()))
    assert len(np.unique(recording.response[:, -1, 0].round(3))) > 2
    groups = np.sort(recording.response[:, -1, 0])
    assert np.sum(np.diff(groups) > 0.05) == 2
    assert recording.provenance["samples"]["duffing"]["members"] == 3
