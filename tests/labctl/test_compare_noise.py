"""What knowing the noise is worth: rivals from a cleared twin, optimised alike, measured on one bench, told in full."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from labctl.bench import Bench
from labctl.campaign import run
from labctl.campaigns.characterise import CharacterisationDesign, excitations
from labctl.campaigns.compare_noise import compare_noise_knowledge
from labctl.campaigns.drive_ranges import allowed_ranges
from labctl.campaigns.plans import TaskPlan
from labctl.campaigns.record import record
from labctl.clearance import clear
from labctl.cli import main
from labctl.commands.compare_noise import training_traces
from labctl.errors import CampaignError, DeploymentError, GatesNotPassed, UsageError
from labctl.noise_comparison import KNOWLEDGES, NoiseComparison
from labctl.noise_report import write_noise_report
from labctl.simulation import SimulatedBench, write_demo_station
from labctl.store import open_recording
from labctl.twin_data import sha256_of
from twins import DeviceTwin, DeviceTwinSpec, Traces, fit, load_twin, save_twin
from twins.network.initialise import Architecture, InitialScales
from twins.network.optimise import OptimiserSettings
from twins.network.tasks import Narma10

RIDGES = (1e-5, 1e-3)
N_REPEATS = 3


def small_plan() -> TaskPlan:
    """NARMA-10 on 2 + 1 nodes: hardly optimised, for the way through it all."""
    return TaskPlan(
        task=Narma10(),
        architecture=Architecture((("leaky", "leaky"), ("leaky",)), 2, (0, 1), 2e-4, input_taps=(0, 9), washout=20),
        scales=InitialScales(),
        settings=OptimiserSettings(
            n_iterations=4, n_trials=8, n_steps=30, validate_every=2, n_validation_trials=8, n_readout_trials=16
        ),
        n_steps=40,
        n_training_trials=6,
        n_heldout_trials=8,
        n_repeats=N_REPEATS,
        n_reservoir_draws=20,
        n_reservoir_trials=8,
        n_starts=2,
    )


def slower(plan: TaskPlan) -> TaskPlan:
    """The same at a sampling time that the station does not have."""
    return dataclasses.replace(plan, architecture=dataclasses.replace(plan.architecture, dt_s=1e-3))


@dataclasses.dataclass
class Compared:
    folder: Path
    twin: Path
    traces: Traces
    comparison: NoiseComparison
    twin_before: bytes


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """Products this small only lose by sharing them out."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def compared(one_thread: None, shared_sim: SimulatedBench, tmp_path_factory: pytest.TempPathFactory) -> Compared:
    """One small comparison on the shared simulated bench."""
    folder = tmp_path_factory.mktemp("compared")
    station = write_demo_station(shared_sim, folder / "station.toml")
    with Bench.open(station) as bench:
        design = CharacterisationDesign(n_trials=12, n_samples=150, n_inputs=1, n_repeats=2)
        wanted, _ = excitations(bench, "leaky", design=design, rng=np.random.default_rng(0))
        traces = run(record(bench, wanted, path=folder / "leaky.h5", key="r", title="R")).traces()
        twin = DeviceTwin(DeviceTwinSpec.for_traces(traces, response_delays=0, drive_delays=0, hidden=(8,)))
        for _ in fit(twin, [traces], seed=0, max_epochs=20):
            pass
        path = save_twin(twin, folder / "leaky", provenance={"simulated": True, "conditions": {}, "gates": {}})
        before = path.read_bytes()
        comparison = run(
            compare_noise_knowledge(
                bench,
                {"leaky": path},
                {"leaky": [traces]},
                small_plan(),
                clearance=clear(("leaky",), {}, override="a test"),
                ranges=allowed_ranges({"leaky": twin}, bench.station),
                regularisations=RIDGES,
                seed=5,
                examples_seed=6,
                folder=folder / "out",
                n_workers=1,
                n_promise_draws=3,
            )
        )
    return Compared(folder / "out", path, traces, comparison, before)


def test_every_knowledge_is_optimised_and_measured_at_every_ridge(compared: Compared) -> None:
    found = {(one.knowledge, one.regularisation) for one in compared.comparison.outcomes}
    assert found == {(name, ridge) for name in KNOWLEDGES for ridge in RIDGES}
    for one in compared.comparison.outcomes:
        assert one.repeats == N_REPEATS
        assert one.repeat_spread > 0.0, "plays of everything differ"
        assert one.gap == one.measured - one.promised
        assert 0.0 < one.refitted < 3.0


def test_read_outs_have_the_ridge_that_they_were_trained_with(compared: Compared) -> None:
    from twins.network.wiring_file import load_wiring

    for name in KNOWLEDGES:
        for ridge in RIDGES:
            readout = load_wiring(compared.folder / "wirings" / f"{name}-{ridge:g}").readout
            assert readout is not None
            assert readout.regularisation == ridge


def test_a_model_without_noise_promises_the_same_each_time_and_the_twin_foresees_worse(compared: Compared) -> None:
    for ridge in RIDGES:
        ode, sde = (compared.comparison.of(name, ridge) for name in ("ode", "sde"))
        assert ode.promised_std < 0.05 * sde.promised_std
        assert ode.foreseen > ode.promised
        assert sde.foreseen == sde.promised


def test_rivals_are_derived_from_the_cleared_twin_which_stays_as_it_was(compared: Compared) -> None:
    assert compared.twin.read_bytes() == compared.twin_before
    twin = load_twin(compared.twin)
    ode = load_twin(compared.folder / "twins" / "ode" / "leaky")
    constant = load_twin(compared.folder / "twins" / "constant_noise" / "leaky")
    assert ode.noise_type == "none"
    assert constant.noise_type == "diagonal"
    for rival in (ode, constant):
        assert rival.linear_weight.equal(twin.linear_weight)


def test_every_recording_says_what_its_network_knew_and_by_which_right_it_was_played(compared: Compared) -> None:
    for name in KNOWLEDGES:
        said = open_recording(compared.folder / f"measured-{name}-0.001" / "layer0-play0.h5").provenance["extra"]
        assert said["knowledge_of_noise"] == name
        assert said["derived_from_cleared_twins"]["leaky"]["model"] == KNOWLEDGES[name]
        assert said["derived_from_cleared_twins"]["leaky"]["twin"]["path"] == str(compared.twin)
        assert said["clearance"]["override"] == "a test"


def test_the_outcome_is_plain_data_and_the_page_says_that_it_is_simulated(compared: Compared) -> None:
    kept = json.loads((compared.folder / "comparison.json").read_text())
    assert kept == json.loads(json.dumps(compared.comparison.as_dict()))
    assert {"gap", "measured", "repeat_spread", "refitted", "promised"} <= set(kept["outcomes"][0])
    page = (compared.folder / "report.html").read_text()
    assert page.index("SIMULATED") < page.index("<table>")
    assert page.count("<figure>") == len(RIDGES)
    assert "GATES OVERRIDDEN" in page
    assert f"{compared.comparison.of('ode', 1e-3).measured:.4f}" in page


def test_the_page_of_passed_twins_on_real_devices_has_no_banner(compared: Compared, tmp_path: Path) -> None:
    real = dataclasses.replace(compared.comparison, simulated=False, clearance={"passed": True, "override": None})
    _, page = write_noise_report(tmp_path, real)
    assert 'class="banner"' not in page.read_text()


def test_an_unknown_network_is_named_with_those_that_there_are(compared: Compared) -> None:
    with pytest.raises(CampaignError, match=r"'gan'.*sde at 1e-05"):
        compared.comparison.of("gan", 1e-3)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"clearance": clear(("duffing",), {}, override="a test")}, "leaky, whose twins were not cleared"),
        ({"plan": slower(small_plan())}, r"0\.001 s and the station at 5000 Hz"),
        ({"training": {}}, "training data is given for none: leaky"),
        (
            {"ranges": {"leaky": (-1.0, 1.0), "duffing": (-1.0, 1.0)}},
            "drive range is given for leaky, duffing: duffing",
        ),
        ({"further_models": {"gan": {}}}, "model of 'gan' is given for none: leaky"),
        ({"further_models": {"ode": {"leaky": Path("ode.json")}}}, "other names than sde"),
        ({"regularisations": (1e-3, 1e-3)}, "different numbers"),
        ({"regularisations": (0.0,)}, "greater than 0"),
        (
            {
                "plan": dataclasses.replace(small_plan(), trained_conditions={"bias": (0.0, 0.1)}),
                "conditions": {"bias": 0.2},
            },
            r"condition bias is trained within 0\.\.0\.1 and cannot begin at 0\.2",
        ),
    ],
)
def test_what_does_not_belong_together_is_refused_before_anything_is_played(
    compared: Compared, demo_station: Path, tmp_path: Path, changed: dict[str, Any], told: str
) -> None:
    clearance = clear(("leaky",), {}, override="a test")
    usual = {"training": {"leaky": [compared.traces]}, "ranges": {"leaky": (-1.0, 1.0)}, "clearance": clearance}
    arguments = {"plan": small_plan(), **usual, **changed}
    training = arguments.pop("training")
    with Bench.open(demo_station) as bench:
        with pytest.raises((CampaignError, DeploymentError, GatesNotPassed), match=told):
            run(
                compare_noise_knowledge(
                    bench,
                    {"leaky": compared.twin},
                    training,
                    arguments.pop("plan"),
                    seed=0,
                    examples_seed=1,
                    folder=tmp_path,
                    **arguments,
                )
            )
        assert bench.device_seconds == 0.0
    assert not list(tmp_path.glob("twins/*"))


def with_recording(compared: Compared, folder: Path, **source: object) -> Path:
    """The twin again, as fit_twin saves it: with what it was fitted on."""
    provenance = {"simulated": True, "conditions": {}, "gates": {}, "extra": {"recordings": [source]}}
    return save_twin(load_twin(compared.twin), folder / "named", provenance=provenance)


def test_the_recordings_that_a_twin_names_are_found(compared: Compared, tmp_path: Path) -> None:
    recording = compared.twin.with_name("leaky.h5")
    twin = with_recording(compared, tmp_path, path=str(recording), sha256=sha256_of(recording))
    [found] = training_traces({"leaky": twin}, {})["leaky"]
    np.testing.assert_array_equal(found.response, compared.traces.response)
    [given] = training_traces({"leaky": compared.twin}, {"leaky": [recording]})["leaky"]
    np.testing.assert_array_equal(given.response, compared.traces.response)


def test_recordings_that_are_gone_or_changed_must_be_given(compared: Compared, tmp_path: Path) -> None:
    recording = compared.twin.with_name("leaky.h5")
    with pytest.raises(UsageError, match=r"names no recording.*--recording leaky=FILE"):
        training_traces({"leaky": compared.twin}, {})
    gone = with_recording(compared, tmp_path, path=str(tmp_path / "gone.h5"), sha256=None)
    with pytest.raises(UsageError, match=r"gone\.h5: no such file"):
        training_traces({"leaky": gone}, {})
    changed = with_recording(compared, tmp_path, path=str(recording), sha256="0" * 64)
    with pytest.raises(UsageError, match="has changed"):
        training_traces({"leaky": changed}, {})
    with pytest.raises(UsageError, match="there are twins of leaky"):
        training_traces({"leaky": compared.twin}, {"duffing": [recording]})


@pytest.mark.slow
def test_the_command_prints_the_comparison_and_leaves_the_outputs_safe(
    compared: Compared,
    demo_station: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("labctl.campaigns.plans.plan_for", lambda *_, **__: small_plan())
    recording = compared.twin.with_name("leaky.h5")
    words = ["network", "compare-noise", str(demo_station), "--twin", f"leaky={compared.twin}", "--task", "narma10"]
    words += ["--recording", f"leaky={recording}", "--ridge", "1e-3", "--out", str(tmp_path / "out")]
    assert main(words) != 0, "the twin was never judged"
    assert "never judged" in capsys.readouterr().err
    assert main([*words, "--override-gates", "a test"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert set(told["ridge"]["0.001"]) == set(KNOWLEDGES)
    assert told["outputs_safe"]
    assert told["simulated"]
    assert Path(told["report"]).is_file()
