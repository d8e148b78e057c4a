"""Set-points: every check is made before a byte leaves."""

import contextlib
import dataclasses
import itertools
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from drivers.errors import LineLost, LineTimeout
from labctl.channels import RAMP_STEP_S, InstrumentState, OutputChannel
from labctl.errors import InstrumentFault, MadeSafe, OutOfLimits, SafetyError, UnknownState
from labctl.ramping import LONGEST_STEP_S
from labctl.safety import SafeStateRegistry
from labctl.simulation import demo_station_template
from labctl.station import parse_station


class Bench:
    """One output on a fake instrument and a clock that only sleeping moves."""

    def __init__(self, set_point: type, line: type, **changes: str) -> None:
        text = demo_station_template()
        for old, new in changes.items():
            line_start = next(
                row for row in text[text.index("[channels.duffing_bias]") :].splitlines() if row.startswith(old)
            )
            head, tail = text.split("[channels.duffing_bias]", 1)
            text = head + "[channels.duffing_bias]" + tail.replace(line_start, f"{old} = {new}", 1)
        self.channel = parse_station(text).channels["duffing_bias"]
        self.set_point = set_point()
        self.line = line()
        self.safe_states = SafeStateRegistry()
        self.now_s = 100.0
        self.times: list[float] = []
        self.set_point.before = lambda: self.times.append(self.now_s)
        self.output = OutputChannel(
            self.channel,
            self.set_point,
            InstrumentState("smu", self.line, 2.0, 2.0),
            self.safe_states,
            clock=lambda: self.now_s,
            sleep=self.sleep,
        )
        self.output.get()

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds


@pytest.fixture
def make(fake_set_point: type, fake_line: type) -> Callable[..., Bench]:
    return lambda **changes: Bench(fake_set_point, fake_line, **changes)


@pytest.mark.parametrize("value", [0.21, -5.0, float("nan"), float("inf"), "much", None])
def test_nothing_out_of_range_reaches_the_instrument(make: Callable[..., Bench], value: object) -> None:
    bench = make()
    with pytest.raises(OutOfLimits, match="duffing_bias") as caught:
        bench.output.set(value)  # type: ignore[arg-type]
    assert bench.set_point.sent == []
    assert bench.set_point.on
    if isinstance(value, float):
        assert "-0.2..0.2 V (station:" in str(caught.value)


def test_a_change_is_ramped_in_steps_no_faster_than_allowed(make: Callable[..., Bench]) -> None:
    bench = make(ramp_per_s="0.5")
    began_s = bench.now_s
    bench.output.set(0.1)
    sent = [0.0, *bench.set_point.sent]
    steps = [abs(after - before) for before, after in itertools.pairwise(sent)]
    assert max(steps) <= 0.5 * RAMP_STEP_S * (1 + 1e-9)
    assert sent[-1] == 0.1
    assert bench.now_s - began_s == pytest.approx(0.2 - RAMP_STEP_S, abs=1e-3)


def test_many_small_steps_in_a_row_are_no_faster_than_the_ramp_either(make: Callable[..., Bench]) -> None:
    bench = make(ramp_per_s="0.5")
    began_s = bench.now_s
    for number in range(1, 101):
        bench.output.set(0.001 * number)
    assert bench.now_s - began_s >= 0.1 / 0.5 - 2 * RAMP_STEP_S


def test_after_a_fault_writing_is_blocked_until_the_channel_was_read(make: Callable[..., Bench]) -> None:
    bench = make()
    bench.set_point.fail = LineTimeout("ASRL1", ":SOUR:VOLT 0.01", "no answer")
    with pytest.raises(InstrumentFault, match=r"duffing_bias.*no answer") as caught:
        bench.output.set(0.01)
    assert isinstance(caught.value.__cause__, LineTimeout)
    bench.set_point.fail = None
    with pytest.raises(UnknownState, match=r"read it first with get\('duffing_bias'\)"):
        bench.output.set(0.0)
    bench.output.get()
    bench.output.set(0.01)
    assert bench.set_point.level == 0.01


def test_after_a_reconnection_writing_is_blocked_too(make: Callable[..., Bench]) -> None:
    bench = make()
    bench.line.generation += 1
    with pytest.raises(UnknownState):
        bench.output.set(0.01)
    assert bench.set_point.sent == []


def test_making_safe_does_not_ask_whether_the_state_is_known(make: Callable[..., Bench]) -> None:
    bench = make()
    bench.output.set(0.01)
    bench.line.generation += 1
    assert bench.output.go_safe() == 0.0
    assert not bench.set_point.on
    bench.output.set(0.01)


def test_the_safe_value_is_ramped_to_and_the_output_switched_off_at_the_end(make: Callable[..., Bench]) -> None:
    bench = make(ramp_per_s="0.5")
    bench.set_point.level = 0.2
    bench.output.go_safe()
    steps = [abs(b - a) for a, b in zip([0.2, *bench.set_point.sent], bench.set_point.sent, strict=False)]
    assert max(steps) <= 0.5 * RAMP_STEP_S * (1 + 1e-9)
    assert bench.set_point.sent[-1] == 0.0


def test_safe_now_jumps(make: Callable[..., Bench]) -> None:
    bench = make(safe='{ value = 0.0, how = "now" }')
    bench.set_point.level = 0.2
    bench.output.go_safe()
    assert bench.set_point.sent == [0.0]
    assert bench.set_point.on


def test_one_failure_of_the_line_is_forgiven_when_making_safe(make: Callable[..., Bench]) -> None:
    bench = make()
    failures = iter([LineLost("ASRL1", ":OUTP?", "gone")])

    def fail_once() -> None:
        for failure in failures:
            raise failure

    bench.set_point.before = fail_once
    assert bench.output.action(None).run() == 0.0


def test_an_output_is_switched_on_at_rest_and_not_with_a_jump(make: Callable[..., Bench]) -> None:
    bench = make()
    bench.set_point.level, bench.set_point.on = 0.15, False
    bench.line.generation += 1
    bench.output.get()
    seen: list[tuple[bool, float]] = []
    bench.set_point.before = lambda: seen.append((bench.set_point.on, bench.set_point.level))
    bench.output.set(0.1)
    on = [level for is_on, level in seen if is_on]
    assert abs(on[0]) <= 1.0 * RAMP_STEP_S
    assert bench.set_point.level == 0.1


def test_a_ramp_ends_when_the_outputs_are_made_safe_meanwhile(make: Callable[..., Bench]) -> None:
    bench = make(ramp_per_s="0.5")

    def someone_makes_safe(seconds: float) -> None:
        bench.sleep(seconds)
        if bench.now_s > 100.05:
            bench.safe_states.epoch += 1

    bench.output._sleep = someone_makes_safe
    with pytest.raises(MadeSafe):
        bench.output.set(0.2)
    assert bench.set_point.level < 0.1


def test_a_channel_that_plays_cannot_be_set(make: Callable[..., Bench]) -> None:
    bench = make()
    bench.output.playing = True
    with pytest.raises(SafetyError, match="playing"):
        bench.output.set(0.01)


def test_values_are_converted_to_the_unit_of_the_instrument(make: Callable[..., Bench]) -> None:
    bench = make(unit='"mV"', limits="[-200.0, 200.0]", ramp_per_s="1e6")
    bench.output.set(30.0)
    assert bench.set_point.level == 0.03
    assert bench.output.get() == pytest.approx(30.0)


class SlowRelay:
    """Holds whoever calls a set-point's method until told to go on."""

    def __init__(self, set_point: object, method: str) -> None:
        self.reached, self.go_on = threading.Event(), threading.Event()
        original = getattr(set_point, method)

        def slow(value: object) -> None:
            setattr(set_point, method, original)
            self.reached.set()
            assert self.go_on.wait(10.0)
            original(value)

        setattr(set_point, method, slow)


def real_time(bench: Bench) -> None:
    """Real seconds instead of the clock that only sleeping moves."""
    bench.output._clock, bench.output._sleep = time.monotonic, time.sleep


@pytest.mark.parametrize("method", ["enable", "set_value"])
def test_a_set_that_is_overtaken_by_making_safe_does_not_undo_it(make: Callable[..., Bench], method: str) -> None:
    bench = make(ramp_per_s="1e6")
    real_time(bench)
    bench.safe_states.add_output(bench.output.action(None))
    bench.set_point.on = method == "set_value"
    bench.line.generation += 1
    bench.output.get()
    relay = SlowRelay(bench.set_point, method)
    with ThreadPoolExecutor(2) as pool:
        setting = pool.submit(bench.output.set, 0.1)
        assert relay.reached.wait(10.0)
        making = pool.submit(bench.safe_states.make_safe)
        while not bench.safe_states.epoch:
            time.sleep(1e-3)
        relay.go_on.set()
        assert making.result(10.0).ok
        with pytest.raises(MadeSafe):
            setting.result(10.0)
    assert (bench.set_point.level, bench.set_point.on) == (0.0, False)
    assert not bench.safe_states.armed


def test_a_command_that_does_not_end_makes_the_output_not_safe_and_keeps_the_bench_armed(
    make: Callable[..., Bench],
) -> None:
    bench = make(ramp_per_s="1e6")
    real_time(bench)
    bench.output.state.timeout_s = bench.output.state.reconnect_s = 0.05
    bench.safe_states.add_output(bench.output.action(None))
    relay = SlowRelay(bench.set_point, "set_value")
    with ThreadPoolExecutor(1) as pool:
        setting = pool.submit(bench.output.set, 0.1)
        assert relay.reached.wait(10.0)
        report = bench.safe_states.make_safe()
        relay.go_on.set()
        with pytest.raises(MadeSafe):
            setting.result(10.0)
    assert not report.ok
    assert "another thread is in the middle of a command" in str(report)
    assert bench.safe_states.armed
    assert bench.safe_states.make_safe().ok
    assert (bench.set_point.level, bench.set_point.on) == (0.0, False)


def test_making_safe_does_not_wait_for_a_ramp_of_another_thread(make: Callable[..., Bench]) -> None:
    bench = make(ramp_per_s="1e-3")
    real_time(bench)
    bench.safe_states.add_output(bench.output.action(None))
    with ThreadPoolExecutor(1) as pool:
        setting = pool.submit(bench.output.set, 0.2)  # would take 200 s
        while len(bench.set_point.sent) < 3:
            time.sleep(1e-3)
        assert bench.safe_states.make_safe().ok
        with pytest.raises(MadeSafe):
            setting.result(10.0)
    assert bench.set_point.level == 0.0


def test_every_write_arms_the_registry_again(make: Callable[..., Bench]) -> None:
    bench = make(ramp_per_s="0.5")
    bench.output.set(0.01)
    bench.safe_states.armed = False
    bench.output.set(0.02)
    assert bench.safe_states.armed
    bench.safe_states.disarm()


def slow_commands(bench: Bench, seconds: float) -> None:
    """Every command takes so long, on the clock of the bench."""

    def take_long() -> None:
        bench.sleep(seconds)
        bench.times.append(bench.now_s)

    bench.set_point.before = take_long


@pytest.mark.parametrize("way", ["set", "go_safe"])
def test_slow_commands_do_not_stretch_a_ramp_as_long_as_a_step_can_make_up_for_them(
    make: Callable[..., Bench], way: str
) -> None:
    bench = make(ramp_per_s="0.1", safe='{ value = 0.0, how = "ramp" }')
    bench.set_point.level = 0.2
    bench.output.get()
    slow_commands(bench, 0.08)
    began_s = bench.now_s
    if way == "set":
        bench.output.set(0.0)
    else:
        bench.output.go_safe()
    assert bench.now_s - began_s == pytest.approx(2.0, abs=0.5)
    assert bench.set_point.level == 0.0
    levels = [0.2, *bench.set_point.sent]
    assert max(abs(after - before) for before, after in itertools.pairwise(levels)) <= 0.1 * 0.08 * (1 + 1e-5)


def test_a_stall_in_a_ramp_is_not_made_up_for_with_a_jump(make: Callable[..., Bench]) -> None:
    bench = make(ramp_per_s="0.1")
    stalls = iter([0.0, 0.0, 5.0])
    bench.set_point.before = lambda: bench.sleep(next(stalls, 0.0))
    bench.output.set(0.1)
    steps = [abs(after - before) for before, after in itertools.pairwise([0.0, *bench.set_point.sent])]
    assert max(steps) <= 0.1 * LONGEST_STEP_S * (1 + 1e-9)


@pytest.mark.alone
def test_a_safe_ramp_whose_commands_are_slow_is_waited_for(make: Callable[..., Bench]) -> None:
    bench = make(ramp_per_s="10.0")
    real_time(bench)
    bench.set_point.level = 0.2
    bench.set_point.before = lambda: time.sleep(0.03)
    bench.safe_states.add_output(dataclasses.replace(bench.output.action(None), budget_s=0.08))
    bench.output._ramp_per_s = 1.0  # 0.2 s, longer than the budget of silence
    report = bench.safe_states.make_safe()
    assert report.ok, str(report)
    assert report.seconds > 0.08


def test_a_sample_of_a_stepped_recording_never_comes_faster_than_the_ramp(make: Callable[..., Bench]) -> None:
    bench = make(ramp_per_s="0.5")
    bench.output.step(0.001, 0)
    assert bench.output.too_early_s(0.011) == pytest.approx(0.02)
    with pytest.raises(InstrumentFault, match=r"duffing_bias: going from 0.001 to 0.011 V now.*lower the device's"):
        bench.output.step(0.011, 0)
    bench.sleep(0.0201)
    bench.output.step(0.011, 0)
    assert bench.set_point.sent == [0.001, 0.011]


def test_a_command_that_stalls_in_stepped_mode_delays_the_next_one(make: Callable[..., Bench]) -> None:
    bench = make(ramp_per_s="0.5")
    slow_commands(bench, 0.001)
    bench.output.step(0.001, 0)
    bench.sleep(0.05)
    slow_commands(bench, 0.04)
    bench.output.step(0.011, 0)
    assert bench.output.too_early_s(0.021) == pytest.approx(0.02 - 0.001, abs=2e-3)


def test_a_condition_of_a_recording_cannot_be_set_but_made_safe(make: Callable[..., Bench]) -> None:
    bench = make()
    with bench.output.held_for("the recording 'first look' of duffing"):
        with pytest.raises(SafetyError, match=r"duffing_bias: is a condition of the recording 'first look' of duffing"):
            bench.output.set(0.01)
        assert bench.set_point.sent == []
        assert bench.output.go_safe() == 0.0
    bench.output.set(0.01)


def test_a_ramp_ends_when_its_channel_becomes_a_condition(make: Callable[..., Bench]) -> None:
    bench = make(ramp_per_s="0.5")
    with contextlib.ExitStack() as held:

        def a_recording_begins(seconds: float) -> None:
            bench.sleep(seconds)
            if bench.now_s > 100.05:
                held.enter_context(bench.output.held_for("the recording of duffing"))

        bench.output._sleep = a_recording_begins
        with pytest.raises(SafetyError, match="is a condition of"):
            bench.output.set(0.2)
    assert bench.set_point.level < 0.1
