"""A twin served as a simulated instrument, and recorded from like the device it is a twin of."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from labctl.bench import Bench
from labctl.errors import InstrumentFault, OutOfLimits, SimulationError, UsageError
from labctl.excitation import Excitation
from labctl.plant import collect
from labctl.simulation import SimulatedBench, demo_station_template
from labctl.station import load_station, parse_station

torch = pytest.importorskip("torch")
twins = pytest.importorskip("twins")
DT_S = 2e-4
DEMO = demo_station_template().replace("{awg}", "TCPIP::10.0.0.5::5025::SOCKET")
DEMO = DEMO.replace("{digitiser}", "TCPIP::10.0.0.6::5025::SOCKET").replace("{smu}", "ASRL/dev/ttyUSB0::INSTR")
DEMO = DEMO.replace("simulated = true", "simulated = false").replace("SIM-33522B-001", "MY52000001")


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Products this small only lose by sharing them out."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def recorded(
    device: str, *, seed: int = 0, amplitude: float = 1.5, conditions: dict[str, float] | None = None, gain: float = 1.0
) -> Any:
    """A first-order device with multiplicative noise under random steps."""
    rng = np.random.default_rng(seed)
    drive = np.repeat(rng.uniform(-amplitude, amplitude, (40, 40)), 5, axis=1)[..., None]
    drive[:, :10] = 0.0
    response, bias = np.zeros_like(drive), sum((conditions or {}).values())
    for k in range(drive.shape[1] - 1):
        kick = (0.01 + 0.03 * np.abs(drive[:, k])) * rng.normal(size=(40, 1))
        response[:, k + 1] = 0.8 * response[:, k] + 0.2 * gain * np.tanh(drive[:, k] + bias) + kick
    names = (f"{device}_drive",), ("V",), (f"{device}_response",), ("V",)
    return twins.Traces(drive, response, DT_S, *names, n_prepare=10, conditions=conditions or {})


def prepared(parts: list[Any]) -> Any:
    """A twin that knows the data's ranges, linear part and noise, with nets that make it nonlinear."""
    from twins.device.prepare import prepare_twin

    spec = twins.DeviceTwinSpec.for_traces(parts, response_delays=1, drive_delays=1, hidden=(12, 12))
    twin, generator = twins.DeviceTwin(spec), torch.Generator().manual_seed(0)
    prepare_twin(twin, parts, generator=generator)
    with torch.no_grad():
        last = twin.nets.weights[-1]
        last.copy_(0.2 * torch.randn(last.shape, generator=generator))
    return twin


@pytest.fixture(scope="module")
def leaky(tmp_path_factory: pytest.TempPathFactory) -> Path:
    twin = prepared([recorded("leaky")])
    path: Path = twins.save_twin(
        twin, tmp_path_factory.mktemp("twins") / "leaky", provenance={"simulated": False, "conditions": {}}
    )
    return path


def serve(path: Path, station: str, folder: Path, **options: Any) -> Any:
    from labctl.served_twin import write_served_bench

    return write_served_bench({options.pop("device", "leaky"): path}, parse_station(station), folder, **options)


def opened(served: Any, sim: SimulatedBench, folder: Path) -> Path:
    return sim.write_station(folder / "station.toml", served.template.read_text())


def repeated_steps(amplitude: float) -> Excitation:
    """Three inputs of random steps, 60 repeats each."""
    levels = np.repeat(np.random.default_rng(8).uniform(-amplitude, amplitude, (3, 24)), 5, axis=1)
    drive = {"leaky_drive": np.repeat(levels, 60, axis=0)}
    return Excitation.from_channels(drive, dt_s=DT_S, input_id=np.repeat(np.arange(3), 60))


def record_served(served: Any, folder: Path, excitation: Excitation) -> Any:
    with SimulatedBench.start(served.bench) as sim:
        station = opened(served, sim, folder)
        assert load_station(station).simulated
        with Bench.open(station) as bench:
            return collect(bench.respond(excitation))


def assert_calibrated(twin: Any, recording: Any) -> None:
    figures = twins.calibrate(twin, recording.traces(), n_draws=300, generator=torch.Generator().manual_seed(1))
    assert figures.coverage_90 == pytest.approx(0.9, abs=0.015)
    assert figures.std_ratio == pytest.approx(1.0, abs=4 * figures.std_ratio_floor)
    assert figures.energy_relative < 4 * figures.energy_relative_floor


def test_what_is_recorded_over_tcp_is_what_the_twin_would_answer(leaky: Path, tmp_path: Path) -> None:
    recording = record_served(serve(leaky, DEMO, tmp_path), tmp_path, repeated_steps(1.3))
    assert recording.simulated
    assert recording.complete
    assert recording.notes == ()
    assert "SIMULATED: leaky is the twin leaky.json" in recording.provenance["station"]["text"]
    assert_calibrated(twins.load_twin(leaky), recording)


def test_the_twin_of_a_device_recorded_today_is_rehearsed_on_tomorrow(
    shared_sim: SimulatedBench, tmp_path: Path
) -> None:
    station = shared_sim.write_station(tmp_path / "today.toml")
    rng = np.random.default_rng(1)
    levels = np.repeat(rng.uniform(-1.6, 1.6, (60, 40)), 5, axis=1)
    with Bench.open(station) as bench:
        today = collect(bench.respond(Excitation.from_channels({"leaky_drive": levels}, dt_s=DT_S)))
        heldout = collect(bench.respond(repeated_steps(1.3)))
    spec = twins.DeviceTwinSpec.for_traces(today.traces(), response_delays=1, drive_delays=1, hidden=(12, 12))
    twin = twins.DeviceTwin(spec)
    for _ in twins.fit(twin, [today.traces()], seed=0, max_epochs=60):
        pass
    path = twins.save_twin(twin, tmp_path / "leaky", provenance={"simulated": True})
    served = serve(path, station.read_text(), tmp_path / "tomorrow")
    rehearsed = record_served(served, tmp_path / "tomorrow", repeated_steps(1.3))
    assert_calibrated(twin, rehearsed)
    device, copy = (one.scored()[1].reshape(3, 60, -1) for one in (heldout, rehearsed))
    np.testing.assert_allclose(copy.mean(1), device.mean(1), atol=0.05)  # 360 means of 60, four errors each
    assert copy.std(1).mean() == pytest.approx(device.std(1).mean(), rel=0.1)


def test_the_served_station_is_the_users_own_with_limits_that_the_twin_knows(leaky: Path, tmp_path: Path) -> None:
    served = serve(leaky, DEMO, tmp_path / "deep" / "folder")
    station = parse_station(served.template.read_text())
    assert station.name == "demo bench (twins)"
    assert set(station.devices) == {"leaky"}
    assert set(station.channels) == {"leaky_drive", "leaky_response"}
    assert set(station.instruments) == {"awg", "digitiser"}
    assert station.instruments["awg"].serial == "SIM-33522B-001"
    low, high = station.channels["leaky_drive"].limits
    assert -1.55 < low < -1.45
    assert 1.45 < high < 1.55
    assert station.channels["leaky_drive"].slew_per_s == 2.1e4
    assert station.devices["leaky"].pulse == {"leaky_drive": 1.0}
    assert any("limits" in note for note in served.notes)
    assert any("duffing" in note for note in served.notes)
    with SimulatedBench.start(served.bench) as sim, Bench.open(opened(served, sim, tmp_path)) as bench:
        beyond = Excitation.from_channels({"leaky_drive": np.full((1, 40), 1.9)}, dt_s=DT_S)
        with pytest.raises(OutOfLimits, match="leaky_drive"):
            collect(bench.respond(beyond))


@pytest.mark.parametrize("outside", ["error", "log"])
def test_a_drive_beyond_the_fitted_range_is_extrapolated_and_said(leaky: Path, tmp_path: Path, outside: Any) -> None:
    served = serve(leaky, DEMO, tmp_path, outside_range=outside)
    text = served.template.read_text()
    limits = parse_station(text).channels["leaky_drive"].limits
    served.template.write_text(text.replace(f"limits = [{limits[0]!r}, {limits[1]!r}]", "limits = [-2.0, 2.0]"))
    beyond = Excitation.from_channels({"leaky_drive": np.full((1, 40), 1.9)}, dt_s=DT_S)
    log: list[str] = []
    with (
        SimulatedBench.start(served.bench, on_log=log.append) as sim,
        Bench.open(opened(served, sim, tmp_path)) as bench,
    ):
        if outside == "log":
            assert collect(bench.respond(beyond)).complete
        else:
            with pytest.raises(InstrumentFault, match=r"leaky_drive went to 1\.9, beyond .* extrapolated"):
                collect(bench.respond(beyond))
    assert any("leaky: leaky_drive went to 1.9" in line for line in log)


def test_conditions_are_set_through_the_source_meter(tmp_path: Path) -> None:
    parts = [
        recorded("duffing", seed=n, amplitude=0.8, conditions={"duffing_bias": b}) for n, b in enumerate((0.0, 0.1))
    ]
    twin = prepared(parts)
    path = twins.save_twin(twin, tmp_path / "duffing", provenance={"simulated": True})
    served = serve(path, DEMO, tmp_path / "served", device="duffing")
    still = Excitation.from_channels({"duffing_drive": np.zeros((30, 100))}, dt_s=DT_S)
    means = []
    with SimulatedBench.start(served.bench) as sim, Bench.open(opened(served, sim, tmp_path / "served")) as bench:
        for bias in (0.0, 0.1):
            bench.set("duffing_bias", bias)
            recording = collect(bench.respond(still))
            assert recording.conditions["duffing_bias"] == pytest.approx(bias, abs=1e-4)
            means.append(recording.scored()[1][:, 50:].mean())
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        expected = [
            float(
                twin.respond(torch.zeros(300, 150, 1), generator=generator, conditions={"duffing_bias": bias})[
                    :, 100:
                ].mean()
            )
            for bias in (0.0, 0.1)
        ]
    np.testing.assert_allclose(means, expected, atol=0.01)
    assert means[1] - means[0] > 0.05


def test_a_condition_that_was_the_same_in_all_recordings_is_a_port_that_knows_one_value(tmp_path: Path) -> None:
    twin = prepared([recorded("duffing", amplitude=0.8)])
    path = twins.save_twin(
        twin, tmp_path / "duffing", provenance={"conditions": {"duffing_bias": 0.05, "room_temperature": 293.0}}
    )
    served = serve(path, DEMO, tmp_path / "served", device="duffing")
    assert any("duffing_bias: the twin of duffing knows only 0.05" in note for note in served.notes)
    assert any("room_temperature cannot be set" in note and "293" in note for note in served.notes)
    still = Excitation.from_channels({"duffing_drive": np.zeros((1, 40))}, dt_s=DT_S)
    with SimulatedBench.start(served.bench) as sim, Bench.open(opened(served, sim, tmp_path / "served")) as bench:
        bench.set("duffing_bias", 0.05)
        assert collect(bench.respond(still)).complete
        bench.set("duffing_bias", 0.15)
        with pytest.raises(InstrumentFault, match=r"duffing_bias went to 0\.15, beyond 0\.05\.\.0\.05"):
            collect(bench.respond(still))


FOREIGN = """
[station]
name = "other bench"
simulated = false
[instruments.lockin]
driver = "scpi"
address = "TCPIP::10.0.0.9::5025::SOCKET"
scpi = { anything = "goes" }
[channels.leaky_drive]
kind = "drive"
instrument = "lockin"
terminal = "aux out"
unit = "V"
limits = [-2.0, 2.0]
slew_per_s = 2.1e4
ramp_per_s = 100.0
safe = { value = 0.0, how = "ramp" }
[channels.leaky_response]
kind = "sense"
instrument = "lockin"
terminal = "in"
unit = "V"
[devices.leaky]
drive = ["leaky_drive"]
response = ["leaky_response"]
time_constant_s = 1e-3
sample_rate_Hz = 5000.0
"""


def test_instruments_without_a_simulated_model_are_replaced_and_named(leaky: Path, tmp_path: Path) -> None:
    served = serve(leaky, FOREIGN, tmp_path)
    station = parse_station(served.template.read_text())
    assert {name: table.driver for name, table in station.instruments.items()} == {
        "lockin_generator": "keysight_33500b",
        "lockin_digitiser": "keysight_l4532a",
    }
    assert station.channels["leaky_response"].range in (2.0, 4.0)
    told = [note for note in served.notes if "lockin (driver scpi) has no simulated model" in note]
    assert len(told) == 2
    excitation = Excitation.from_channels({"leaky_drive": np.ones((2, 40))}, dt_s=DT_S)
    with SimulatedBench.start(served.bench) as sim, Bench.open(opened(served, sim, tmp_path)) as bench:
        recording = collect(bench.respond(excitation))
    assert recording.response[:, -1].mean() > 0.4


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({'unit = "V"\nlimits': 'unit = "uA"\nlimits'}, "leaky_drive is in uA in the station, in V for the twin"),
        ({"sample_rate_Hz = 5000.0": "sample_rate_Hz = 4321.0"}, "4321 Hz; the simulated digitiser"),
        ({"leaky_response": "other_response"}, "the station's response is other_response, the twin's leaky_response"),
    ],
)
def test_what_does_not_fit_is_refused_in_words(
    leaky: Path, tmp_path: Path, changes: dict[str, str], message: str
) -> None:
    text = FOREIGN
    for old, new in changes.items():
        text = text.replace(old, new)
    with pytest.raises(SimulationError, match=message):
        serve(leaky, text, tmp_path / "served")
    assert not (tmp_path / "served").exists()


def test_the_command_writes_the_files_and_finds_the_device_by_its_channels(
    leaky: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from labctl.cli import main

    (tmp_path / "station.toml").write_text(DEMO)
    begin = ["twin", "serve", str(leaky), "--station", str(tmp_path / "station.toml"), "--write-only", "--out"]
    assert main([*begin, str(tmp_path / "served")]) == 0
    assert "labctl sim" in capsys.readouterr().out
    assert json.loads((tmp_path / "served" / "leaky.exported.json").read_text())["fitted_on_simulated"] is False
    assert main([*begin, str(tmp_path / "served"), "--device", "duffing"]) == 1
    assert "the station's drive is duffing_drive" in capsys.readouterr().err
    with pytest.raises(UsageError, match="two twins"):
        from argparse import Namespace

        from labctl.commands.twin_serve import _twins

        _twins(Namespace(device=None, twin=[f"leaky={leaky}", str(leaky)], member=0), parse_station(DEMO))


def test_a_member_of_an_ensemble_can_be_served(leaky: Path, tmp_path: Path) -> None:
    twin = twins.load_twin(leaky)
    path = twins.save_ensemble(twins.TwinEnsemble([twin, twin]), tmp_path / "leaky", provenance={})
    assert serve(path, DEMO, tmp_path / "served", member=1).bench.exists()
    with pytest.raises(SimulationError, match=r"members 0\.\.1, not 2"):
        serve(path, DEMO, tmp_path / "served", member=2)
