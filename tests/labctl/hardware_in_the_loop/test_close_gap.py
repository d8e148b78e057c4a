"""Deploy, compare, refit, fine-tune: within the budget, and with what was measured on disk whatever happens."""

import json
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from labctl.bench import Bench
from labctl.campaign import run
from labctl.campaigns.close_gap import close_the_gap
from labctl.campaigns.gap import Gap
from labctl.campaigns.gap_design import ClosedGap, GapBudget, GapSettings
from labctl.campaigns.play_cost import network_seconds
from labctl.clearance import clear
from labctl.errors import CampaignError, GatesNotPassed, Stopped
from labctl.events import Event, Reported, Sampled
from labctl.store import open_recording
from twins.network.wiring_file import load_wiring

SETTINGS = GapSettings(n_training_trials=10, n_judged_trials=6, n_repeats=3, n_promise_draws=6, refit_epochs=25)


def closing(
    bench: Bench, spoilt: Any, folder: Path, *, budget: GapBudget, settings: GapSettings = SETTINGS, **other: Any
) -> Any:
    return close_the_gap(
        bench,
        spoilt.wiring,
        {"leaky": spoilt.twin},
        spoilt.plan,
        clearance=other.pop("clearance", spoilt.clearance),
        budget=budget,
        seed=3,
        folder=folder,
        settings=settings,
        **other,
    )


def never_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that it goes on until something else ends it."""
    monkeypatch.setattr(Gap, "closed", property(lambda _: False))


def one_round_s(bench: Bench, spoilt: Any) -> float:
    return network_seconds(bench, spoilt.wiring, n_trials=10 + 3 * 6, n_steps=spoilt.plan.n_steps)


def test_a_budget_that_does_not_hold_the_first_round_is_refused_before_anything_is_played(
    demo_station: Path, tmp_path: Path, spoilt: Any
) -> None:
    with Bench.open(demo_station) as bench:
        budget = GapBudget(0.99 * one_round_s(bench, spoilt))
        with pytest.raises(CampaignError, match="nothing was played"):
            run(closing(bench, spoilt, tmp_path, budget=budget))
        assert bench.device_seconds == 0.0


def test_a_gap_inside_what_is_allowed_ends_it_after_one_deployment(
    demo_station: Path, tmp_path: Path, spoilt: Any
) -> None:
    wide = replace(SETTINGS, spreads=1e6)
    with Bench.open(demo_station) as bench:
        result: ClosedGap = run(closing(bench, spoilt, tmp_path, budget=GapBudget(1e3), settings=wide))
        assert result.ended == "closed"
        assert len(result.rounds) == 1
        assert result.device_seconds == pytest.approx(bench.device_seconds)
    assert json.loads((tmp_path / "rounds.json").read_text())["rounds"][0]["closed"] is True
    assert load_wiring(tmp_path / "best").readout is not None


def test_the_loop_does_better_on_the_device_and_never_overruns_its_budget(
    demo_station: Path, tmp_path: Path, spoilt: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[Event] = []
    never_closed(monkeypatch)
    with Bench.open(demo_station) as bench:
        budget_s = 2.5 * one_round_s(bench, spoilt)
        result: ClosedGap = run(
            closing(bench, spoilt, tmp_path, budget=GapBudget(budget_s), settings=SETTINGS,
                    clearance=clear(["leaky"], {}, override="a test")),
            on_event=events.append,
        )  # fmt: skip
        assert bench.device_seconds <= budget_s
    assert result.ended == "budget spent"
    assert [one.number for one in result.rounds] == [1, 2]
    first, second = result.rounds
    assert second.gap.measured < first.gap.measured - first.gap.allowed
    assert first.twins is not None
    assert first.twins["leaky"]["surprise"] < first.twins["leaky"]["surprise_before"]
    assert abs(first.explained or 1e9) < abs(first.gap.gap)  # the refitted twin foresees what was measured before it
    assert result.best_round == 2
    told = [one.outcome["round"] for one in events if isinstance(one, Reported) and "promised" in one.outcome]
    assert told == [1, 2]


def test_a_stop_in_the_middle_of_a_play_leaves_the_recordings_and_safe_outputs(
    demo_station: Path, tmp_path: Path, spoilt: Any
) -> None:
    stop = threading.Event()

    def watch(event: Event) -> None:
        if isinstance(event, Sampled) and "layer1" in event.key:
            stop.set()

    bench = Bench.open(demo_station)
    with pytest.raises(Stopped), bench:
        run(closing(bench, spoilt, tmp_path, budget=GapBudget(1e3)), on_event=watch, stop=stop)
    assert bench.safe_report is not None
    assert bench.safe_report.ok
    whole = [open_recording(path) for path in sorted((tmp_path / "round-1" / "plays").glob("layer0-*.h5"))]
    assert len(whole) == 3
    assert all(one.complete for one in whole)
    begun = open_recording(tmp_path / "round-1" / "plays" / "layer1-play0.h5")
    assert begun.valid_samples.sum() > 0


def test_a_wiring_whose_devices_were_not_cleared_is_not_played(demo_station: Path, tmp_path: Path, spoilt: Any) -> None:
    other = clear(["duffing"], {}, override="a test")
    with Bench.open(demo_station) as bench:
        with pytest.raises(GatesNotPassed, match="leaky"):
            run(closing(bench, spoilt, tmp_path, budget=GapBudget(1e3), clearance=other))
        assert bench.device_seconds == 0.0


def test_refitted_twins_that_fail_their_gates_are_not_tuned_on_without_an_override(
    demo_station: Path, tmp_path: Path, spoilt: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    never_closed(monkeypatch)
    hardly = replace(SETTINGS, refit_epochs=1)  # no time to learn what the device does now
    with Bench.open(demo_station) as bench:
        result: ClosedGap = run(closing(bench, spoilt, tmp_path, budget=GapBudget(1e3, rounds=2), settings=hardly))
    assert result.ended == "gates not passed"
    assert result.rounds[0].cleared is False
    assert result.clearance.as_dict()["passed"] is True  # what was played came from the twins that passed,
    assert result.gates["leaky"]["passed"] is False  # and the promise comes from those that did not
    sent = [open_recording(tmp_path / f"round-{n}" / "plays" / "layer0-play0.h5") for n in (1, 2)]
    judged = slice(SETTINGS.n_training_trials, None)
    assert (sent[0].drive[judged] == sent[1].drive[judged]).all()  # the wiring stayed as it was
