"""A cascade on the simulated demo bench: what is played, what is not played again, what comes out. All data are SIMULATED."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from labctl.bench import Bench
from labctl.campaign import run
from labctl.campaigns.cascade import cascade
from labctl.campaigns.cascade_options import CascadedNetwork, CascadeOptions
from labctl.campaigns.plans import TaskPlan
from labctl.campaigns.record_once import INTERRUPTED, record_once, recorded_seconds, set_aside
from labctl.clearance import clear
from labctl.errors import CampaignError, GatesNotPassed
from labctl.events import Event, Sampled, StepFinished, StepStarted
from labctl.excitation import Excitation
from labctl.store import open_recording
from twins.network.initialise import LayerPlan
from twins.network.ports import WiringError
from twins.network.scores import score

RANGES = {"leaky": (-1.9, 1.9)}
OPTIONS = CascadeOptions(n_training_trials=12, n_validation_trials=6, n_repeats=2)


@pytest.fixture
def plan(spoilt: Any) -> TaskPlan:
    """Three layers of two leaky nodes; little training."""
    whole: TaskPlan = spoilt.plan
    return replace(
        whole,
        architecture=replace(
            whole.architecture, layers=(("leaky",) * 2,) * 3, input_taps=(0, 1, 2), coupling_delays=(0, 3)
        ),
        settings=replace(whole.settings, n_iterations=6, validate_every=3, n_validation_draws=1),
        n_heldout_trials=5,
        n_starts=2,
    )


@pytest.fixture
def cascaded(demo_station: Path, tmp_path: Path, spoilt: Any, plan: TaskPlan) -> Callable[..., CascadedNetwork]:
    def make(on_event: Any = None, **changed: Any) -> CascadedNetwork:
        arguments: dict[str, Any] = {
            "plan": plan,
            "twins": {"leaky": spoilt.twin},
            "clearance": spoilt.clearance,
            "ranges": RANGES,
            "conditions": {},
            "seed": 3,
            "examples_seed": 4,
            "folder": tmp_path / "cascade",
            "options": OPTIONS,
            **changed,
        }
        with Bench.open(demo_station) as bench:
            return run(cascade(bench, **arguments), on_event=on_event)

    return make


@pytest.mark.slow
def test_every_layer_is_played_once_and_the_next_learns_from_what_came_back(
    cascaded: Callable[..., CascadedNetwork], tmp_path: Path, plan: TaskPlan
) -> None:
    events: list[Event] = []
    found = cascaded(events.append)
    recordings = {
        number: [open_recording(path) for path in sorted((tmp_path / f"cascade/layer-{number}").glob("*.h5"))]
        for number in (1, 2, 3)
    }
    n_trials = 12 + 6 + 2 * 5
    assert all(len(plays) == 2 and {play.n_trials for play in plays} == {n_trials} for plays in recordings.values())
    for number, plays in recordings.items():
        assert {play.provenance["extra"]["excitation"]["layer"] for play in plays} == {number - 1}
    wiring = found.wiring
    training, _ = replace(plan, n_training_trials=12).examples(seed=4)
    features: list[np.ndarray] = []
    for number, plays in recordings.items():
        for node, play in enumerate(plays):
            wanted = wiring.drive_for(number - 1, node, training.inputs, features)
            np.testing.assert_allclose(play.scored()[0][:12], wanted, atol=1e-9)
        parts = [wiring.features_of(number - 1, node, play.scored()[1][:12]) for node, play in enumerate(plays)]
        features.append(np.concatenate(parts, axis=2))
    assert wiring.readout is not None and wiring.readout.n_features == 3 * 2 * 3
    assert len(found.layers) == 3 == len([one for one in found.layers if one.n_passes == 6])
    assert found.device_seconds == pytest.approx(
        sum(play.device_seconds for plays in recordings.values() for play in plays)
    )
    assert found.measurement.mean == found.layers[-1].heldout_measured
    assert found.measurement.device_seconds == found.device_seconds
    told = json.loads((tmp_path / "cascade/cascade.json").read_text())
    assert told["asked"]["simulated"] is True and len(told["layers"]) == 3
    heldout = plan.examples(seed=4)[1]
    again = score("nrmse", found.measurement.outputs[0], heldout)
    assert again.value == pytest.approx(found.measurement.scores[0].value)


@pytest.mark.slow
def test_an_interrupted_cascade_plays_and_trains_nothing_twice(
    cascaded: Callable[..., CascadedNetwork], tmp_path: Path
) -> None:
    """Stopped in the middle of a recording of the second layer, and again in the training of the third."""
    blocks = 0

    def stop_in_second_layer(event: Event) -> None:
        nonlocal blocks
        blocks += isinstance(event, Sampled) and "layer1/play1" in event.key and "layer2" in event.key
        if blocks == 3:
            raise KeyboardInterrupt

    def stop_in_third_training(event: Event) -> None:
        if isinstance(event, StepStarted) and event.key.endswith("layer3/train"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cascaded(stop_in_second_layer)
    folder = tmp_path / "cascade"
    before = {path: path.stat().st_mtime_ns for path in folder.glob("layer-*/*.h5")}
    whole = [path for path in before if open_recording(path).complete]
    assert len(before) == 4 and len(whole) == 3
    played: list[str] = []

    def keep(event: Event) -> None:
        if isinstance(event, Sampled):
            played.append(event.key)
        stop_in_third_training(event)

    with pytest.raises(KeyboardInterrupt):
        cascaded(keep)
    assert {key.split("/", 2)[2] for key in played} == {"layer2/layer1/play1"}
    assert len(list((folder / "layer-2" / INTERRUPTED).glob("*.h5"))) == 1
    assert all(path.stat().st_mtime_ns == before[path] for path in whole)
    played.clear()
    events: list[Event] = []
    found = cascaded(events.append)
    titles = [one.title for one in events if isinstance(one, StepStarted) and "play" in one.key]
    assert titles and all("of 3, play" in one for one in titles), "as the training counts the layers"
    sampled = {event.key.split("/", 2)[2] for event in events if isinstance(event, Sampled)}
    assert sampled == {"layer3/layer2/play0", "layer3/layer2/play1"}
    trained = [one.note for one in events if isinstance(one, StepFinished) and one.key.endswith("/train")]
    assert trained[:2] == ["trained before"] * 2 and "->" in trained[2]
    assert found.layers[1].device_seconds > found.layers[0].device_seconds, "the interrupted play has cost time, too"
    events.clear()
    again = cascaded(events.append)
    assert not any(isinstance(event, Sampled) for event in events)
    assert again.measurement.mean == found.measurement.mean
    assert again.wiring.readout is not None and found.wiring.readout is not None
    np.testing.assert_array_equal(again.wiring.readout.weights, found.wiring.readout.weights)
    with pytest.raises(CampaignError, match="a cascade of other seed was begun there"):
        cascaded(seed=5)


def test_what_cannot_be_taken_layer_by_layer_is_refused_before_anything_is_played(
    cascaded: Callable[..., CascadedNetwork], tmp_path: Path, plan: TaskPlan
) -> None:
    recurrent = replace(
        plan.architecture, layers=(LayerPlan(("leaky",), sources=(0,), coupling_delays=(1,)),), coupling_delays=(1,)
    )
    with pytest.raises(WiringError, match="recurrent"):
        cascaded(plan=replace(plan, architecture=recurrent))
    with pytest.raises(CampaignError, match="in a cascade conditions are held"):
        cascaded(plan=replace(plan, trained_conditions={"duffing_bias": (0.0, 0.1)}))
    with pytest.raises(GatesNotPassed, match="leaky"):
        cascaded(clearance=clear(("duffing",), {}, override="a test"))
    with pytest.raises(CampaignError, match="twins are given of duffing"):
        cascaded(twins={"duffing": Path("nowhere")})
    assert not list(tmp_path.rglob("*.h5")) and not (tmp_path / "cascade/cascade.json").exists()
    with pytest.raises(CampaignError, match="at least 1"):
        CascadeOptions(n_validation_trials=0)


FIGURES = {"before": 1.0, "promised": 0.5, "n_passes": 6, "seconds": 0.1, "learning_curve": [1.0, 0.9]}


@pytest.mark.parametrize(
    "content",
    ["[1]", "{}", "[" * 5000, *(json.dumps(FIGURES | one) for one in (
        {"learning_curve": "abc"}, {"promised": "0.5"}, {"n_passes": -6}, {"seconds": None}, {"further": 1},
    ))],
)  # fmt: skip
def test_damaged_figures_of_a_layer_are_told_before_anything_is_played(
    cascaded: Callable[..., CascadedNetwork], tmp_path: Path, content: str
) -> None:
    figures = tmp_path / "cascade" / "layer-1" / "figures.json"
    figures.parent.mkdir(parents=True)
    figures.write_text(content)
    with pytest.raises(CampaignError, match=r"figures\.json: is damaged: "):
        cascaded()
    assert not list(tmp_path.rglob("*.h5"))


def test_layers_that_were_measured_through_other_instruments_are_not_gone_on_from(
    cascaded: Callable[..., CascadedNetwork], tmp_path: Path
) -> None:
    figures = tmp_path / "cascade" / "layer-1" / "figures.json"
    figures.parent.mkdir(parents=True)
    figures.write_text("{}")  # so that it ends before anything is trained
    with pytest.raises(CampaignError, match="is damaged"):
        cascaded()
    path = tmp_path / "cascade" / "cascade.json"
    begun = json.loads(path.read_text())
    assert set(begun["asked"]["instruments"]) == {"leaky_drive", "leaky_response"}
    begun["asked"]["instruments"]["leaky_drive"] = "Maker, AWG, SIM-OTHER, terminal 1"
    path.write_text(json.dumps(begun))
    with pytest.raises(CampaignError, match=r"of other instruments \(leaky_drive: Maker, AWG, SIM-OTHER.*then.*now\)"):
        cascaded()


@pytest.mark.parametrize("content", ["[1]", "{}", '{"asked": [1]}', "[" * 5000, "{"])
def test_a_damaged_file_of_what_was_asked_is_told(
    cascaded: Callable[..., CascadedNetwork], tmp_path: Path, content: str
) -> None:
    (tmp_path / "cascade").mkdir()
    (tmp_path / "cascade" / "cascade.json").write_text(content)
    with pytest.raises(CampaignError, match=r"cascade\.json: (cannot be read|is none of the files of a cascade)"):
        cascaded()


def test_a_whole_recording_is_read_and_an_interrupted_one_set_aside(demo_station: Path, tmp_path: Path) -> None:
    path = tmp_path / "one.h5"

    def recorded(bench: Bench, level: float) -> list[Event]:
        events: list[Event] = []
        drive = Excitation.from_channels({"leaky_drive": np.full((2, 40), level)}, dt_s=2e-4)
        run(record_once(bench, drive, path=path, key="k", title="T"), on_event=events.append)
        return events

    with Bench.open(demo_station) as bench:
        assert any(isinstance(event, Sampled) for event in recorded(bench, 0.5))
        once_s = bench.device_seconds
        assert not any(isinstance(event, Sampled) for event in recorded(bench, 0.5))
        assert bench.device_seconds == once_s == pytest.approx(recorded_seconds(tmp_path), rel=0.1)
        with pytest.raises(CampaignError, match="of another drive"):
            recorded(bench, 0.6)
        path.write_bytes(path.read_bytes()[:200])  # as if it had been killed while it was being made
        assert any(isinstance(event, Sampled) for event in recorded(bench, 0.6))
    assert (tmp_path / INTERRUPTED / "one-1.h5").stat().st_size == 200
    assert recorded_seconds(tmp_path) == pytest.approx(once_s, rel=0.1), "of what cannot be read nobody knows"
    assert set_aside(path).name == "one-2.h5"


def test_a_recording_of_other_conditions_or_preparation_is_not_taken(demo_station: Path, tmp_path: Path) -> None:
    path = tmp_path / "one.h5"
    drive = Excitation.from_channels({"duffing_drive": np.full((1, 40), 0.2)}, dt_s=2e-4)

    def recorded(bench: Bench) -> None:
        run(record_once(bench, drive, path=path, key="k", title="T"))

    with Bench.open(demo_station) as bench:
        bench.set("duffing_bias", 0.05)
        recorded(bench)
        recorded(bench)
        bench.set("duffing_bias", 0.1)
        with pytest.raises(CampaignError, match=r"another duffing_bias \(0\.05\d* V then, 0\.1 now\)"):
            recorded(bench)
    text = demo_station.read_text(encoding="utf-8")
    assert "pulse = { duffing_drive = 0.7 }" in text
    demo_station.write_text(text.replace("pulse = { duffing_drive = 0.7 }", "pulse = { duffing_drive = 0.6 }"))
    with Bench.open(demo_station) as bench:
        bench.set("duffing_bias", 0.05)
        with pytest.raises(CampaignError, match="is of another preparation than"):
            recorded(bench)
