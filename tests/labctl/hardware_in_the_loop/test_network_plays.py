"""What a network's plays say of each device, and what they cost of the device's time."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from labctl.bench import Bench
from labctl.campaign import run
from labctl.campaigns.fresh_examples import fresh_examples
from labctl.campaigns.network_plays import plays_of, some_inputs
from labctl.campaigns.play_cost import network_seconds
from labctl.errors import CampaignError
from labctl.network_bench import play_network
from labctl.store import open_recording
from twins.network.initialise import Architecture, random_wiring
from twins.network.tasks import DelayedParity
from twins.network.wiring import DevicePort, Wiring

PORTS = (DevicePort.from_range("leaky", -2.0, 2.0), DevicePort.from_range("duffing", -1.0, 1.0))
ARCHITECTURE = Architecture(
    layers=(("leaky", "duffing", "leaky"), ("duffing", "leaky")),
    samples_per_step=3,
    sample_offsets=(0, 1, 2),
    dt_s=2e-4,
    input_taps=(0, 1),
    coupling_delays=(0, 1),
)


@pytest.fixture
def wiring() -> Wiring:
    return random_wiring(ARCHITECTURE, PORTS, np.random.default_rng(0))


def played(station: Path, wiring: Wiring, inputs: np.ndarray, folder: Path) -> tuple[list[np.ndarray], float, float]:
    with Bench.open(station) as bench:
        most_s = network_seconds(bench, wiring, n_trials=len(inputs), n_steps=inputs.shape[1])
        features = run(play_network(bench, wiring, inputs, folder=folder, key="k", title="T"))
        return features, bench.device_seconds, most_s


def test_the_cost_foreseen_is_never_less_than_what_was_played_and_at_most_a_word_a_trial_more(
    demo_station: Path, tmp_path: Path, wiring: Wiring
) -> None:
    inputs = np.random.default_rng(1).uniform(-1, 1, size=(7, 30, 1))
    _, used_s, most_s = played(demo_station, wiring, inputs, tmp_path / "plays")
    n_plays = 3  # two of the first layer, one of the second
    assert used_s <= most_s <= used_s + n_plays * 7 * 16 * wiring.dt_s


def test_a_device_gets_its_own_channels_and_conditions_and_repeats_of_a_drive_share_an_input(
    demo_station: Path, tmp_path: Path, wiring: Wiring
) -> None:
    once = np.random.default_rng(1).uniform(-1, 1, size=(2, 20, 1))
    played(demo_station, wiring, np.concatenate([once, once]), tmp_path / "plays")
    with Bench.open(demo_station) as bench:
        leaky = plays_of(tmp_path / "plays", bench.station.device("leaky"), slice(None))
        duffing = plays_of(tmp_path / "plays", bench.station.device("duffing"), slice(None))
    assert len(leaky) == 3
    assert len(duffing) == 2
    assert leaky[0].drive_names == ("leaky_drive",)
    assert dict(leaky[0].conditions) == {}
    assert set(duffing[0].conditions) == {"duffing_bias"}
    first, last = leaky[0], leaky[-1]
    assert len(np.unique(first.input_id)) == 2  # the inputs alone drive the first layer
    assert len(np.unique(last.input_id)) == 4  # noise of the first layer is in the drives of the second
    assert [one.n_trials for one in some_inputs([first], 1)] == [2]


def test_plays_beside_a_device_with_a_longer_preparation_are_cut_to_the_shortest(
    demo_station: Path, tmp_path: Path, wiring: Wiring
) -> None:
    inputs = np.random.default_rng(1).uniform(-1, 1, size=(2, 20, 1))
    played(demo_station, wiring, inputs, tmp_path / "plays")
    together, alone = (open_recording(tmp_path / "plays" / f"layer0-play{number}.h5") for number in range(2))
    assert together.n_prepare > alone.n_prepare
    with Bench.open(demo_station) as bench:
        plays = plays_of(tmp_path / "plays", bench.station.device("leaky"), slice(None))
    assert {one.n_prepare for one in plays} == {alone.n_prepare}
    assert {one.header.shape for one in plays} == {alone.header.shape}
    assert all(one.complete and len(one.whole_trials) == 2 for one in plays)
    column = together.response_names.index("leaky_response")
    np.testing.assert_array_equal(plays[0].scored()[1][..., 0], together.scored()[1][..., column])


def test_fresh_examples_avoid_the_judged_ones_though_the_task_has_few_inputs() -> None:
    task, rng = DelayedParity(order=2, delay=1), np.random.default_rng(0)
    judged = task.sample(8, 6, rng)
    fresh = fresh_examples(task, 20, 6, rng, avoid=judged)
    known = {one.tobytes() for one in judged.inputs}
    assert len(fresh.inputs) == 20
    assert not [one for one in fresh.inputs if one.tobytes() in known]
    whole = replace(judged, **vars_of(task.sample(2000, 6, rng)))
    with pytest.raises(CampaignError, match="hardly any inputs"):
        fresh_examples(task, 20, 6, rng, avoid=whole)


def vars_of(data: object) -> dict[str, np.ndarray]:
    return {name: getattr(data, name) for name in ("inputs", "targets", "scored")}
