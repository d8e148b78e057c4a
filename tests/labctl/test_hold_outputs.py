"""Outputs are held as long as somebody wants, and a ramp that nobody waits for any more ends where it is."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from labctl.bench import Bench
from labctl.campaign import run
from labctl.campaigns.hold_outputs import hold_outputs
from labctl.errors import CampaignError, OutOfLimits, Stopped
from labctl.events import Event, StepStarted
from labctl.simulation import SimulatedBench


@pytest.fixture
def bench(shared_sim: SimulatedBench, tmp_path: Path) -> Iterator[Bench]:
    with Bench.open(shared_sim.write_station(tmp_path / "station.toml")) as made:
        yield made


def test_outputs_are_brought_there_and_stay_on_until_the_bench_is_closed(bench: Bench) -> None:
    assert run(hold_outputs(bench, {"duffing_bias": 0.05}, seconds=0.15)) == {"duffing_bias": pytest.approx(0.05)}
    assert bench.get("duffing_bias") == pytest.approx(0.05)


def test_nothing_moves_where_one_level_may_not_be(bench: Bench) -> None:
    with pytest.raises(OutOfLimits):
        run(hold_outputs(bench, {"duffing_bias": 0.05, "leaky_drive": 1e3}, seconds=0.1))
    assert bench.get("duffing_bias") == pytest.approx(0.0)
    with pytest.raises(CampaignError, match="at least one"):
        run(hold_outputs(bench, {}))
    with pytest.raises(CampaignError, match="not for -1 s"):
        run(hold_outputs(bench, {"duffing_bias": 0.05}, seconds=-1.0))


def test_ctrl_c_ends_holding_without_an_end_and_no_other_signal_does(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def signalled(error: KeyboardInterrupt) -> None:
        def sleep(_: float) -> None:
            raise error

        monkeypatch.setattr("labctl.campaigns.hold_outputs.time.sleep", sleep)

    for error in (KeyboardInterrupt(), Stopped("Ctrl-C", signal_number=signal.SIGINT)):
        signalled(error)
        assert run(hold_outputs(bench, {"duffing_bias": 0.05})) == {"duffing_bias": pytest.approx(0.05)}
        with pytest.raises(KeyboardInterrupt):
            run(hold_outputs(bench, {"duffing_bias": 0.05}, seconds=10.0))
    signalled(Stopped("ended", signal_number=signal.SIGTERM))
    with pytest.raises(Stopped):
        run(hold_outputs(bench, {"duffing_bias": 0.05}))


def test_a_ramp_ends_where_it_is_when_the_campaign_is_stopped(bench: Bench) -> None:
    campaign = hold_outputs(bench, {"duffing_bias": 0.2})
    events: list[Event] = []
    while not (events and isinstance(events[-1], StepStarted)):
        events.append(next(campaign))
    next(campaign)
    campaign.close()
    assert bench.ramp_under_way("duffing_bias") is None
    assert 0.0 <= bench.get("duffing_bias") < 0.2
