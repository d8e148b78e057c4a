"""What is played is checked to the last sample, joins included."""

import numpy as np
import pytest

from labctl.bench.plan import MEMORY_WORD, make_plan
from labctl.errors import ExcitationError, OutOfLimits, StationError, TooFast
from labctl.excitation import Excitation
from labctl.simulation import demo_station_template
from labctl.station import Station, parse_station

DT_S = 2e-4


def station(**replaced: str) -> Station:
    text = demo_station_template()
    for old, new in replaced.items():
        assert old in text
        text = text.replace(old, new)
    return parse_station(text)


def leaky(values: object, dt_s: float = DT_S) -> Excitation:
    return Excitation.from_channels({"leaky_drive": np.asarray(values, dtype=float)}, dt_s=dt_s)


def test_every_trial_begins_with_a_pulse_and_five_time_constants_of_rest() -> None:
    plan = make_plan(station(), leaky(np.full((3, 20), 0.5)), mode="buffered", prepare=True)
    segment = plan.drive[1, : plan.n_prepare, 0]
    assert segment[0] == 0.0
    assert (segment[1:11] == 1.0).all()
    assert (segment[11:] == 0.0).all()
    assert segment[11:].size * DT_S == pytest.approx(5e-3)
    assert (plan.drive[:, plan.n_prepare :, 0] == 0.5).all()


def test_the_edges_of_the_pulse_are_no_steeper_than_the_slew_allows() -> None:
    slow = station(**{"slew_per_s = 2.1e4": "slew_per_s = 1000.0"})
    plan = make_plan(slow, leaky(np.zeros((1, 20))), mode="buffered", prepare=True)
    steps = np.abs(np.diff(plan.drive[0, :, 0]))
    assert steps.max() == pytest.approx(0.2)
    assert plan.drive.max() == 1.0


def test_a_sample_outside_the_limits_is_named() -> None:
    values = np.zeros((2, 30))
    values[1, 7] = 2.5
    with pytest.raises(
        OutOfLimits, match=r"leaky_drive: 2\.5 V at trial 1, sample 7 is outside -2\.\.2 V \(station:\d+\)"
    ):
        make_plan(station(), leaky(values), mode="buffered", prepare=True)


@pytest.mark.parametrize(
    ("values", "where"),
    [
        ([0.0, 0.1, 1.0, 0.9, 0.0], "after sample 1"),
        ([0.9, 0.8, 0.5, 0.2, 0.0], "after sample -1"),
        ([0.0, 0.2, 0.5, 0.8, 0.9], "from its last sample back to rest"),
    ],
)
def test_slew_is_checked_within_trials_and_at_the_joins(values: list[float], where: str) -> None:
    slow = station(**{"slew_per_s = 2.1e4": "slew_per_s = 2000.0"})
    with pytest.raises(TooFast, match=f"slew_per_s = 2000.*{where}|{where}.*slew_per_s = 2000"):
        make_plan(slow, leaky([values]), mode="buffered", prepare=True)


def test_another_sampling_time_than_the_devices_is_refused() -> None:
    with pytest.raises(ExcitationError, match=r"0\.001 s; device leaky is sampled at 5000 Hz"):
        make_plan(station(), leaky(np.zeros((1, 5)), dt_s=1e-3), mode="buffered", prepare=True)


def test_a_channel_that_drives_nothing_is_refused() -> None:
    excitation = Excitation.from_channels({"duffing_bias": np.zeros((1, 5))}, dt_s=DT_S)
    with pytest.raises(ExcitationError, match=r"drives no device.*leaky_drive, duffing_drive"):
        make_plan(station(), excitation, mode="buffered", prepare=True)
    with pytest.raises(StationError, match="no channel 'nothing'"):
        make_plan(
            station(),
            Excitation.from_channels({"nothing": np.zeros((1, 5))}, dt_s=DT_S),
            mode="buffered",
            prepare=True,
        )


def test_plays_fit_into_memory_and_begin_and_end_at_rest() -> None:
    plan = make_plan(station(), leaky(np.full((25, 64), 0.5)), mode="buffered", prepare=True)
    groups = list(plan.groups(max_samples=1000, max_play_s=10.0))
    assert sum(count for _, count in groups) == 25
    for first, count in groups:
        waveform = plan.waveforms(first, count)
        assert waveform.shape[0] <= 1000
        assert waveform.shape[0] % MEMORY_WORD == 0
        assert waveform[0, 0] == waveform[-1, 0] == 0.0
    assert max(count for _, count in plan.groups(max_samples=10**6, max_play_s=0.05)) == 2
    with pytest.raises(ExcitationError, match="does not fit into the instruments' memory of 64 samples"):
        list(plan.groups(max_samples=64, max_play_s=1.0))


def test_devices_played_together_are_prepared_together() -> None:
    both = Excitation.from_channels({"leaky_drive": np.zeros((1, 10)), "duffing_drive": np.zeros((1, 10))}, dt_s=DT_S)
    plan = make_plan(station(), both, mode="buffered", prepare=True)
    pulses = plan.drive[0, : plan.n_prepare]
    assert np.flatnonzero(pulses[:, 0])[-1] == np.flatnonzero(pulses[:, 1])[-1]
    assert (plan.n_prepare - 1 - np.flatnonzero(pulses[:, 1])[-1]) * DT_S >= 5 * 2.7e-3 - 1e-9


def test_without_preparation_a_trial_still_begins_at_rest() -> None:
    plan = make_plan(station(), leaky(np.full((2, 10), 0.5)), mode="buffered", prepare=False)
    assert plan.n_prepare == 1
    assert (plan.drive[:, 0] == 0.0).all()
