"""The registry of safe states: each action isolated, bounded in time, verified by read-back."""

import threading
import time

import pytest

from labctl.errors import Stopped
from labctl.guard import _Handler, guard
from labctl.safety import SafeAction, SafeStateRegistry


def action(name: str, run: object, *, budget_s: float = 5.0, player: str | None = None) -> SafeAction:
    return SafeAction(name, "V", 0.0, 1e-3, budget_s, run, player)  # type: ignore[arg-type]


def fail() -> float:
    raise OSError("cable pulled")


def test_a_failing_action_neither_stops_nor_hides_the_others() -> None:
    made: list[str] = []
    registry = SafeStateRegistry()
    registry.add_output(action("first", fail))
    registry.add_output(action("second", lambda: made.append("second") or 0.0))
    registry.add_output(action("third", lambda: 0.5))
    report = registry.make_safe()
    assert made == ["second"]
    assert not report.ok
    told = {outcome.channel: outcome for outcome in report.channels}
    assert "cable pulled" in told["first"].message
    assert told["first"].read_back is None
    assert told["second"].ok
    assert "should be 0 ± 0.001 V" in told["third"].message
    assert "NOT SAFE" in str(report)


def test_a_hung_instrument_holds_nothing_up() -> None:
    release = threading.Event()
    registry = SafeStateRegistry()
    registry.add_output(action("hung", lambda: release.wait(30.0) or 0.0, budget_s=0.2))
    registry.add_output(action("well", lambda: 0.0))
    report = registry.make_safe()
    release.set()
    told = {outcome.channel: outcome for outcome in report.channels}
    assert told["well"].ok
    assert "does not answer" in told["hung"].message
    assert report.seconds < 10.0


def test_an_output_that_goes_on_answering_is_waited_for_beyond_its_budget_of_silence() -> None:
    answered = [0.0]

    def run() -> float:
        for _ in range(8):
            time.sleep(0.05)
            answered[0] = time.monotonic()
        return 0.0

    registry = SafeStateRegistry()
    registry.add_output(SafeAction("slow", "V", 0.0, 1e-3, 0.2, run, answered_s=lambda: answered[0]))
    assert registry.make_safe().ok


def test_an_output_that_is_on_its_way_for_too_long_is_not_said_to_be_silent() -> None:
    release = threading.Event()
    registry = SafeStateRegistry()
    registry.add_output(
        SafeAction(
            "endless", "V", 0.0, 1e-3, 5.0, lambda: release.wait(30.0) or 0.0, longest_s=0.1, answered_s=time.monotonic
        )
    )
    report = registry.make_safe()
    release.set()
    assert "still on its way after 0.1 s" in str(report)
    assert "does not answer" not in str(report)


def test_a_writer_never_sees_the_new_epoch_before_it_is_told_not_to_write() -> None:
    seen: list[bool] = []

    class Watched(SafeStateRegistry):
        def __setattr__(self, name: str, value: object) -> None:
            if name == "epoch" and value:
                seen.append(self.making_safe)
            if name == "making_safe" and not value and hasattr(self, "epoch") and self.epoch:
                seen.append(not self.armed)
            super().__setattr__(name, value)

    registry = Watched()
    registry.arm()
    assert registry.make_safe().ok
    assert seen == [True, True]
    registry.disarm()


def test_a_play_is_ended_before_its_outputs_are_set_and_others_do_not_wait_for_it() -> None:
    order: list[str] = []
    ended = threading.Event()
    other_done = threading.Event()
    registry = SafeStateRegistry()

    def stop() -> None:
        assert other_done.wait(5.0)
        order.append("stop")
        ended.set()

    registry.add_player("awg", stop, budget_s=6.0)
    registry.add_output(action("played", lambda: order.append("played") or 0.0, player="awg"))
    registry.add_output(action("other", lambda: other_done.set() or order.append("other") or 0.0))
    assert registry.make_safe().ok
    assert order == ["other", "stop", "played"]


def test_a_play_that_cannot_be_ended_is_told_and_its_outputs_are_set_all_the_same() -> None:
    registry = SafeStateRegistry()
    registry.add_player("awg", fail, budget_s=1.0)
    registry.add_output(action("played", lambda: 0.0, player="awg"))
    report = registry.make_safe()
    assert report.channels[0].ok
    assert not report.ok
    assert "awg: its play could not be ended: cable pulled" in str(report)


def test_the_registry_stays_armed_until_everything_is_safe() -> None:
    registry = SafeStateRegistry()
    level = [0.7]
    registry.add_output(action("gate", lambda: level[0]))
    registry.arm()
    registry.make_safe()
    assert registry.armed
    level[0] = 0.0
    registry.make_safe()
    assert not registry.armed
    registry.disarm()


def test_a_signal_during_an_undisturbed_section_is_raised_at_its_end() -> None:
    registry = SafeStateRegistry()
    done: list[str] = []

    def section() -> None:
        with registry.undisturbed():
            registry.pending_signal = 15
            done.append("finished")

    with pytest.raises(Stopped) as caught:
        section()
    assert done == ["finished"]
    assert caught.value.signal_number == 15


def test_guard_makes_safe_at_the_end_of_its_block_if_anything_was_written() -> None:
    registry = SafeStateRegistry()
    made: list[float] = []
    registry.add_output(action("gate", lambda: made.append(time.monotonic()) or 0.0))
    with guard(registry):
        pass
    assert not made
    with pytest.raises(RuntimeError, match="mine"), guard(registry):
        registry.arm()
        raise RuntimeError("mine")
    assert len(made) == 1


def test_guard_in_another_thread_does_without_signals() -> None:
    registry = SafeStateRegistry()
    made: list[str] = []
    registry.add_output(action("gate", lambda: made.append("safe") or 0.0))

    def work() -> None:
        with guard(registry):
            registry.arm()

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert made == ["safe"]


def test_a_program_that_swallows_the_first_signal_is_made_safe_by_the_second_and_ended_by_the_third(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    registry = SafeStateRegistry()
    made: list[str] = []
    registry.add_output(action("gate", lambda: made.append("safe") or 0.0))
    registry.arm()
    handler = _Handler(registry)
    with pytest.raises(Stopped, match="SIGTERM"):
        handler(15, None)
    assert not made
    with pytest.raises(Stopped):
        handler(15, None)
    assert made == ["safe"]
    ended: list[int] = []
    monkeypatch.setattr("os._exit", ended.append)
    with pytest.raises(Stopped):
        handler(15, None)
    assert ended == [143]


def test_a_signal_while_outputs_are_made_safe_waits() -> None:
    registry = SafeStateRegistry()
    handler = _Handler(registry)
    registry.making_safe = True
    handler(2, None)
    assert registry.pending_signal == 2
