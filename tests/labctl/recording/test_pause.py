"""A pause acts between two plays, is told and noted, and Stop works meanwhile."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from labctl.bench import Bench
from labctl.bench.film_plan import FilmRequest
from labctl.campaign import Campaign, Journal, run
from labctl.campaigns.record_designed import record_designed
from labctl.campaigns.record_frames import record_frames
from labctl.console import Console
from labctl.design_options import RandomSteps
from labctl.errors import InstrumentFault, MadeSafe, Stopped
from labctl.events import Acquired, Event, Figures, FrameTaken, Paused, Resumed, Sampled
from labctl.pausing import AS_THEY_WERE, PauseFile
from labctl.simulation import SimulatedBench, bundled_bench, bundled_station
from labctl.store import open_recording

SHORT_PLAY_S = 0.05
"""Of the demo's leaky integrator: one trial a play."""


class Pauser:
    """Pauses when the first samples have come, and ends the pause so many looks later, after `meanwhile`."""

    def __init__(self, meanwhile: Callable[[], object] = lambda: None) -> None:
        self.events: list[Event] = []
        self.pause = threading.Event()
        self._meanwhile = meanwhile

    def __call__(self, event: Event) -> None:
        self.events.append(event)
        if isinstance(event, Sampled) and not self.pause.is_set() and not self.told(Paused):
            self.pause.set()
        if isinstance(event, Paused):
            self._meanwhile()
            threading.Timer(0.3, self.pause.clear).start()

    def told(self, kind: type[Event]) -> list[Event]:
        return [event for event in self.events if isinstance(event, kind)]


def recorded(bench: Bench, folder: Path, device: str = "leaky") -> Campaign[list[Path]]:
    design = RandomSteps(n_trials=6, n_samples=200) if device == "leaky" else RandomSteps(n_trials=3, n_samples=5)
    return record_designed(bench, device, design, folder=folder, seed=3, max_play_s=SHORT_PLAY_S)


def test_a_pause_falls_between_two_trials_and_the_recording_is_as_without_one(demo: Path, tmp_path: Path) -> None:
    levels: list[float] = []
    with Bench.open(demo) as bench:
        pauser = Pauser(lambda: levels.append(bench.get("leaky_drive")))
        with Journal(tmp_path / "journal.jsonl") as journal:
            (path,) = run(recorded(bench, tmp_path), on_event=pauser, journal=journal, pause=pauser.pause)
        (plain,) = run(recorded(bench, tmp_path / "plain"))
    assert len(pauser.told(Paused)) == len(pauser.told(Resumed)) == 1
    at = pauser.events.index(pauser.told(Paused)[0])
    samples = [event for event in pauser.events[:at] if isinstance(event, Sampled)]
    last = samples[-1]
    found = open_recording(path)
    assert last.start + len(last.response) == found.response.shape[1], "the play under way was measured to its end"
    assert levels == pytest.approx([0.0], abs=1e-9), "drives stand at rest"
    assert found.complete
    assert any(note.startswith("paused for ") and "outputs ON" in note for note in found.notes)
    np.testing.assert_array_equal(found.drive, open_recording(plain).drive)
    told = [json.loads(line)["event"] for line in (tmp_path / "journal.jsonl").read_text().splitlines()]
    assert told.count("Paused") == told.count("Resumed") == 1


def test_sample_by_sample_a_pause_brings_the_drive_to_rest(slow: Path, tmp_path: Path) -> None:
    levels: list[float] = []
    with Bench.open(slow) as bench:
        device = next(iter(bench.station.devices))
        channel = bench.station.device(device).drive[0]
        pauser = Pauser(lambda: levels.append(bench.get(channel)))
        (path,) = run(recorded(bench, tmp_path, device), on_event=pauser, pause=pauser.pause)
        rest = bench.station.channels[channel].rest
    assert levels == pytest.approx([rest], abs=1e-6)
    assert open_recording(path).complete
    assert len(pauser.told(Resumed)) == 1


def test_stop_works_during_a_pause_and_what_was_measured_is_kept(demo: Path, tmp_path: Path) -> None:
    stop = threading.Event()
    with Bench.open(demo) as bench:
        pauser = Pauser(stop.set)
        with pytest.raises(Stopped) as stopped:
            run(recorded(bench, tmp_path), on_event=pauser, pause=pauser.pause, stop=stop)
        assert bench.safe_report is not None
        assert bench.safe_report.ok
    assert "safe" in "\n".join(stopped.value.__notes__)
    found = open_recording(tmp_path / "leaky-random-steps.h5")
    assert not found.complete
    assert 1 <= found.whole_trials.size < 6


def test_making_safe_during_a_pause_ends_the_recording(demo: Path, tmp_path: Path) -> None:
    with Bench.open(demo) as bench:
        pauser = Pauser(bench.make_safe)
        with pytest.raises(MadeSafe):
            run(recorded(bench, tmp_path), on_event=pauser, pause=pauser.pause)


def test_what_somebody_else_switches_off_during_a_pause_ends_the_recording(demo: Path, tmp_path: Path) -> None:
    """`labctl safe` in another terminal, say: this process knows nothing of it."""

    def elsewhere() -> None:
        with Bench.open_for_safety(demo) as other:
            told = {one.channel: one.ok for one in other.make_safe().channels}
        assert told["leaky_drive"]  # a serial port can be opened once only, so the others are none of its business

    with Bench.open(demo) as bench:
        pauser = Pauser(elsewhere)
        with pytest.raises(InstrumentFault, match="switched off during the pause"):
            run(recorded(bench, tmp_path), on_event=pauser, pause=pauser.pause)
    assert not open_recording(tmp_path / "leaky-random-steps.h5").complete


def test_a_film_rests_between_two_trials(tmp_path: Path) -> None:
    pause = threading.Event()
    events: list[Event] = []

    def told(event: Event) -> None:
        events.append(event)
        if isinstance(event, FrameTaken) and event.trial == 0:
            pause.set()
        if isinstance(event, Paused):
            threading.Timer(0.2, pause.clear).start()

    with SimulatedBench.start(bundled_bench("reaction_cell")) as sim:
        station = sim.write_station(tmp_path / "station.toml", bundled_station("reaction_cell"))
        with Bench.open(station) as bench:
            request = FilmRequest(device=next(iter(bench.station.devices)), n_trials=2, n_frames=3)
            film = run(record_frames(bench, request, path=tmp_path / "film.h5"), on_event=told, pause=pause)
    kinds = [type(event) for event in events if isinstance(event, FrameTaken | Paused | Resumed)]
    assert kinds == [FrameTaken] * 3 + [Paused, Resumed] + [FrameTaken] * 3
    assert any(note.startswith("paused for ") for note in film.notes)


def test_while_a_file_exists_the_recording_rests(demo: Path, tmp_path: Path) -> None:
    wish = tmp_path / "pause"
    wish.touch()
    events: list[Event] = []

    def told(event: Event) -> None:
        events.append(event)
        if isinstance(event, Paused):
            wish.unlink()

    with Bench.open(demo) as bench:
        run(recorded(bench, tmp_path), on_event=told, pause=PauseFile(wish))
    assert isinstance(events[0], Paused), "nothing was played before the file was gone"
    assert any(isinstance(event, Acquired) for event in events)


def test_the_terminal_tells_of_a_pause() -> None:
    stream = io.StringIO()
    console = Console(stream)
    console(Paused("record/leaky", "before trial 3: drives at rest"))
    console(Resumed("record/leaky", 2.0))
    assert stream.getvalue() == "PAUSED before trial 3: drives at rest\ngoes on after 2.0 s\n"


def test_a_campaign_that_only_computes_rests_between_two_events() -> None:
    pause = threading.Event()
    seen: list[Event] = []

    def computing() -> Campaign[int]:
        for step in range(3):
            yield Figures("fit", step, {"loss": 1.0})
        return 7

    def told(event: Event) -> None:
        seen.append(event)
        if isinstance(event, Figures) and event.step == 1:
            pause.set()
        if isinstance(event, Paused):
            pause.clear()

    assert run(computing(), on_event=told, pause=pause) == 7
    assert [type(event) for event in seen] == [Figures, Figures, Paused, Resumed, Figures]
    assert isinstance(seen[2], Paused)
    assert seen[2].how == AS_THEY_WERE
