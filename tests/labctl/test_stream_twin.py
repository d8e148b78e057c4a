"""Fitting while recording, and choosing what to record, on the simulated bench of the demo."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from labctl.bench import Bench
from labctl.campaign import run
from labctl.campaigns.choose_excitations import candidate_drives, choose_excitations, greedy_cover, playable
from labctl.campaigns.fit_twin import FitSettings
from labctl.campaigns.stream_design import StreamBudget, StreamDesign, StreamedTwin
from labctl.campaigns.stream_twin import stream_twin
from labctl.clearance import clear
from labctl.cli import main
from labctl.errors import CampaignError, GatesNotPassed, Stopped
from labctl.events import Event, Figures, Sampled
from labctl.excitation import Excitation
from labctl.store import open_recording
from twins import DeviceTwin, DeviceTwinSpec, Traces, fit, read_provenance
from twins.gates import Gate, GateReport

DESIGN = StreamDesign(
    n_first=8,
    n_trials=4,
    n_samples=60,
    n_inputs=4,
    n_heldout_samples=50,
    n_repeats=4,
    n_more_repeats=1,
    sure_repeats=7,
    fit_epochs=2,
)
SETTINGS = FitSettings(choice="plain", response_delays=0, drive_delays=0, hidden=(6,), n_calibration_draws=40)


@pytest.fixture
def bench(demo_station: Path) -> Iterator[Bench]:
    with Bench.open(demo_station) as opened:
        yield opened


@pytest.fixture
def verdicts(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """What the next judgements will be, one after another; the last one stays."""
    given = [False]

    def judged(calibration: object) -> GateReport:
        passed = given.pop(0) if len(given) > 1 else given[0]
        return GateReport((Gate("std_ratio", 1.0, 0.9, 1.1, passed, "as the test says"),))

    monkeypatch.setattr("labctl.judging.judge_gates", judged)
    return given


def streamed(
    bench: Bench,
    folder: Path,
    *,
    budget_s: float = 60.0,
    on_event: Callable[[Event], None] | None = None,
    **options: Any,
) -> StreamedTwin:
    campaign = stream_twin(
        bench,
        "leaky",
        folder=folder,
        rng=np.random.default_rng(3),
        seed=3,
        budget=StreamBudget(device_seconds=budget_s),
        design=DESIGN,
        settings=SETTINGS,
        **options,
    )
    return run(campaign, on_event=on_event)


def test_recording_ends_after_two_judgements_passed_in_succession(
    bench: Bench, tmp_path: Path, verdicts: list[bool]
) -> None:
    verdicts[:] = [False, True, False, True, True]
    result = streamed(bench, tmp_path)
    assert [one.passed for one in result.rounds] == [False, True, False, True, True]
    assert result.passed
    assert result.ended == "the gates were passed"
    assert result.device_seconds == pytest.approx(bench.device_seconds)
    assert [one.n_training_trials for one in result.rounds] == [8, 12, 16, 20, 24]


def test_a_pass_on_few_repeats_is_made_sure_of(bench: Bench, tmp_path: Path, verdicts: list[bool]) -> None:
    verdicts[:] = [True]
    result = streamed(bench, tmp_path)
    # Passed at once; one more round was under way, and the next one brought all the repeats that were missing.
    assert [one.n_heldout_trials for one in result.rounds] == [16, 20, 28]
    assert result.passed


def test_recording_ends_when_the_budget_is_spent_and_all_of_it_was_learned_from(
    bench: Bench, tmp_path: Path, verdicts: list[bool]
) -> None:
    result = streamed(bench, tmp_path, budget_s=1.0)
    assert not result.passed
    assert result.ended == "the budget was spent"
    assert result.device_seconds <= 1.0
    assert result.rounds[-1].n_training_trials == sum(one.n_trials for one in result.training)
    provenance = read_provenance(result.fitted.path)
    assert provenance["gates"]["passed"] is False
    assert provenance["simulated"] is True
    assert len(provenance["extra"]["recordings"]) == len(result.training)


def test_a_last_judgement_passed_by_luck_is_not_kept_as_passed(
    bench: Bench, tmp_path: Path, verdicts: list[bool]
) -> None:
    verdicts[:] = [False, True]
    result = streamed(bench, tmp_path, budget_s=0.75)
    assert result.rounds[-1].passed
    assert not result.passed
    assert result.ended == "the budget was spent"
    gates = read_provenance(result.fitted.path)["gates"]
    assert gates["passed"] is False
    assert "judgements in succession" in gates["gates"][0]["why"]
    with pytest.raises(GatesNotPassed, match="judgements in succession"):
        clear(["leaky"], {"leaky": gates})
    assert not result.fitted.passed


def test_held_out_inputs_are_never_trained_on(bench: Bench, tmp_path: Path, verdicts: list[bool]) -> None:
    verdicts[:] = [True]
    result = streamed(bench, tmp_path)

    def starts(recordings: tuple[Any, ...]) -> set[bytes]:
        return {one[: DESIGN.n_heldout_samples].tobytes() for part in recordings for one in part.scored()[0]}

    assert not starts(result.training) & starts(result.heldout)
    assert len(starts(result.heldout)) == DESIGN.n_inputs


def test_a_budget_below_the_first_round_is_refused_before_anything_is_played(bench: Bench, tmp_path: Path) -> None:
    with pytest.raises(CampaignError, match=r"budget of 0\.1 s"):
        streamed(bench, tmp_path, budget_s=0.1)
    assert bench.device_seconds == 0.0


def test_stop_ends_recording_and_training_and_the_outputs_are_safe(
    demo_station: Path, tmp_path: Path, verdicts: list[bool]
) -> None:
    import threading

    stop = threading.Event()

    def on_event(event: Event) -> None:
        if isinstance(event, Figures) and event.key == "stream/leaky":  # a training under way
            stop.set()

    with Bench.open(demo_station) as bench:
        campaign = stream_twin(
            bench,
            "leaky",
            folder=tmp_path,
            rng=np.random.default_rng(3),
            seed=3,
            budget=StreamBudget(device_seconds=60.0),
            design=DESIGN,
            settings=SETTINGS,
        )
        with pytest.raises(Stopped):
            run(campaign, on_event=on_event, stop=stop)
        assert bench.make_safe().ok
    assert open_recording(tmp_path / "recordings" / "leaky-heldout-00.h5").n_trials == 16


def test_chosen_drives_say_so_in_their_recordings(bench: Bench, tmp_path: Path, verdicts: list[bool]) -> None:
    verdicts[:] = [False, True, True]
    events: list[Event] = []
    result = streamed(bench, tmp_path, drives="chosen", on_event=events.append)
    designs = [one.provenance["extra"]["excitation"]["design"] for one in result.training]
    assert designs[0] == "shuffled"
    assert "chosen by disagreement" in designs
    assert result.fitted.ensemble is not None
    assert any(isinstance(event, Sampled) for event in events)


def test_the_command_streams_and_tells(
    demo_station: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], verdicts: list[bool]
) -> None:
    out = tmp_path / "out"
    small = ["--trials", "2", "--samples", "50", "--inputs", "4", "--plain", "--budget", "2s"]
    command = ["twin", "stream", str(demo_station), "--device", "leaky", "--out", str(out), *small]
    assert main(command) == 3
    told = json.loads(capsys.readouterr().out)
    assert told["gates_passed"] is False
    assert told["simulated"] is True
    assert 0.0 < told["device_seconds"] <= 2.0
    assert Path(told["report"]).read_text(encoding="utf-8").startswith("<!doctype html>")
    assert main(command) == 1
    assert "exists already" in capsys.readouterr().err


def bumpy_twins(n: int) -> list[DeviceTwin]:
    """Twins of a static device that was recorded for drives below zero only: above, they are free to differ."""
    rng = np.random.default_rng(0)
    drive = np.repeat(rng.uniform(-1.0, 0.0, (30, 20, 1)), 2, axis=1)
    response = np.zeros_like(drive)
    for k in range(drive.shape[1] - 1):
        response[:, k + 1] = 0.5 * response[:, k] + np.tanh(2 * drive[:, k]) + 0.05 * rng.standard_normal((30, 1))
    traces = Traces(drive, response, 1e-3, ("u",), ("V",), ("x",), ("V",))
    twins = []
    for seed in range(n):
        spec = DeviceTwinSpec.for_traces(traces, response_delays=0, drive_delays=0, hidden=(8,))
        twins.append(DeviceTwin(spec))
        for _ in fit(twins[-1], [traces], seed=seed, max_epochs=40):
            pass
    return twins


def test_drives_are_chosen_where_the_device_was_not_recorded() -> None:
    rng = np.random.default_rng(1)
    low, high = rng.uniform(-0.9, -0.1, (12, 40, 1)), rng.uniform(0.1, 0.9, (4, 40, 1))
    candidates = Excitation(np.concatenate([low, high]), ("u",), 1e-3)
    chosen = run(choose_excitations(bumpy_twins(3), candidates, n=2, seed=0))
    assert chosen.excitation.n_trials == 2
    assert (chosen.excitation.drive > 0).all()
    assert chosen.candidates[12:].min() > chosen.candidates[:12].max()
    again = run(choose_excitations(bumpy_twins(3), candidates, n=2, seed=0))
    assert np.array_equal(again.excitation.drive, chosen.excitation.drive)


def test_a_batch_is_not_all_alike() -> None:
    maps = np.array([[5.0, 0.0], [4.9, 0.0], [4.8, 0.0], [0.0, 2.0]])
    assert greedy_cover(maps, 2) == [0, 3]
    assert sorted(greedy_cover(maps, 4)) == [0, 1, 2, 3]


def test_choosing_needs_an_ensemble_and_enough_candidates() -> None:
    twins = bumpy_twins(1)
    candidates = Excitation(np.zeros((3, 40, 1)), ("u",), 1e-3)
    with pytest.raises(CampaignError, match="two twins"):
        run(choose_excitations(twins, candidates, n=1, seed=0))
    with pytest.raises(CampaignError, match="4 trials"):
        run(choose_excitations([*twins, *twins], candidates, n=4, seed=0))


def test_candidates_lie_within_their_range_and_some_stay_in_a_part_of_it() -> None:
    drives = candidate_drives(
        [("u", -2.0, 1.0)], n_trials=12, n_samples=60, holds=(2, 5), dt_s=1e-3, generator=np.random.default_rng(0)
    )
    values = drives.values("u")
    assert values.shape == (12, 60)
    assert values.min() >= -2.0 and values.max() <= 1.0
    widths = np.ptp(values, axis=1)
    assert widths.min() <= 0.75 and widths.max() > 1.5


def test_candidates_that_the_bench_would_refuse_are_left_out(bench: Bench) -> None:
    drive = np.zeros((3, 20, 1))
    drive[1] = 5.0  # beyond the limits of leaky_drive
    left = playable(bench, Excitation(drive, ("leaky_drive",), 2e-4))
    assert left.n_trials == 2
    with pytest.raises(CampaignError, match="leaky_drive"):
        playable(bench, Excitation(np.full((2, 20, 1), 5.0), ("leaky_drive",), 2e-4))
