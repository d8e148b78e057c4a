"""A network file becomes a plan: what it says holds, what it does not say is as in the task's own plan."""

from pathlib import Path

import pytest

from labctl.campaigns.described_network import plan_of
from labctl.campaigns.device_options import DriveOptions
from labctl.campaigns.network_needs import in_words, network_needs
from labctl.campaigns.plans import PLANS
from labctl.errors import NetworkFileError
from labctl.network_file import load_network_file, parse_network_file
from labctl.station import Station, parse_station
from twins.network.initialise import LayerPlan
from twins.network.ports import Levels
from twins.network.tasks import DelayedParity

SMALL = """
task = "delayed_parity"

[layers.first]
nodes = { leaky = 2, duffing = 1 }

[layers.second]
nodes = ["duffing", "leaky"]
"""
LOOP = """
task = "narma10"

[layers.only]
nodes = ["leaky", "duffing"]
listens_to = ["input", "only"]
"""
OWN = """
import numpy as np
from twins.network import TaskData


class LastInput:
    name, metric, n_inputs, n_outputs, washout = "last_input", "nrmse", 1, 1, 1

    def sample(self, n_trials, n_steps, rng):
        u = rng.uniform(-1, 1, (n_trials, n_steps, 1))
        scored = np.broadcast_to(np.arange(n_steps) >= 1, (n_trials, n_steps)).copy()
        return TaskData(u, np.roll(u, 1, axis=1), scored)
"""
DEMO = (Path(__file__).parents[3] / "labctl" / "stations" / "demo.toml").read_text(encoding="utf-8")
DT_S = 2e-4


@pytest.fixture
def station() -> Station:
    return parse_station(DEMO, path=Path("bench.toml"))


def test_what_the_file_does_not_say_is_as_in_the_plan_of_the_task() -> None:
    plan = parse_network_file(SMALL).plan(dt_s=DT_S)
    usual = PLANS["delayed_parity"](("leaky", "duffing"), dt_s=DT_S)
    assert plan.task == usual.task
    assert plan.settings == usual.settings
    assert plan.scales == usual.scales
    assert plan.architecture.coupling_delays == usual.architecture.coupling_delays
    assert plan.architecture.sample_offsets == (0, 1, 2)
    assert plan.architecture.layers == (
        LayerPlan(("leaky", "leaky", "duffing"), "first", (), None, ()),
        LayerPlan(("duffing", "leaky"), "second", (0,), None, None),
    )


def test_what_it_says_holds() -> None:
    text = SMALL.replace(
        "[layers.first]",
        "task_options = { order = 2 }\nhold_s = 1e-3\nsample_offsets = [1, 4]\ninput_taps = [0, 3]\n[layers.first]",
    )
    text += """
input_taps = [1]
coupling_delays = [2]
coupling_density = 0.5
gain_levels = { low = 0.5, high = 2.0, n = 4 }
[devices.duffing]
range = [-0.2, 0.2]
dac_bits = 6
dac_range = [-1.0, 1.0]
[conditions]
duffing_bias = { low = -0.1, high = 0.1 }
[initial]
bias = 0.1
n_starts = 4
n_trained_starts = 2
[optimiser]
n_iterations = 7
learning_rate = 1
penalty_outside = 0.5
[sizes]
n_steps = 12
n_repeats = 9
"""
    plan = parse_network_file(text).plan(dt_s=DT_S)
    assert plan.task == DelayedParity(order=2, delay=2), "the delay is that of the plan"
    assert plan.architecture.samples_per_step == 5
    assert plan.architecture.sample_offsets == (1, 4)
    assert plan.architecture.input_taps == (0, 3)
    assert plan.architecture.washout == plan.task.washout == 3
    second = plan.architecture.plans[1]
    assert (second.input_taps, second.coupling_delays, second.coupling_density) == ((1,), (2,), 0.5)
    assert second.gain_levels == Levels(0.5, 2.0, 4)
    assert plan.device_options["duffing"].of("duffing_drive") == DriveOptions((-0.2, 0.2), Levels(-1.0, 1.0, 64))
    assert plan.trained_conditions == {"duffing_bias": (-0.1, 0.1)}
    assert (plan.scales.bias, plan.scales.input) == (0.1, 1.5)
    assert (plan.n_starts, plan.n_trained_starts, plan.n_steps, plan.n_repeats) == (4, 2, 12, 9)
    assert (plan.settings.n_iterations, plan.settings.learning_rate, plan.settings.penalty_outside) == (7, 1, 0.5)


def test_a_recurrent_network_hears_itself_a_step_later() -> None:
    plan = parse_network_file(LOOP).plan(dt_s=DT_S)
    assert plan.architecture.recurrent
    assert plan.architecture.coupling_delays == (1,)


def test_the_full_scale_of_an_output_is_that_of_the_station(station: Station) -> None:
    description = parse_network_file(SMALL + "[devices.leaky]\ndac_bits = 3\n")
    options = description.plan(dt_s=DT_S, station=station).device_options["leaky"]
    assert options.of("leaky_drive").levels == Levels(-2.0, 2.0, 8)
    with pytest.raises(
        NetworkFileError, match=r":9: devices\.leaky: the full scale is not known: give dac_range, or a"
    ):
        description.plan(dt_s=DT_S)


def test_a_drive_channel_may_be_told_apart_from_the_others_of_its_device() -> None:
    text = SMALL + "[devices.leaky]\nrange = [-0.5, 0.5]\ndac_bits = 3\ndac_range = [-1, 1]\n"
    text += "[devices.leaky.drives.gate]\ndac_step = 0.5\ndac_range = [0, 1]\n"
    options = parse_network_file(text).plan(dt_s=DT_S).device_options["leaky"]
    assert options.of("gate") == DriveOptions((-0.5, 0.5), Levels(0.0, 1.0, 3))
    assert options.of("other") == DriveOptions((-0.5, 0.5), Levels(-1.0, 1.0, 8))


def test_steps_of_an_output_begin_at_its_lowest_value() -> None:
    text = SMALL + "[devices.leaky]\ndac_step = 0.3\ndac_range = [-1, 1]\n"
    levels = parse_network_file(text).plan(dt_s=DT_S).device_options["leaky"].every.levels
    assert levels is not None and (levels.low, levels.n) == (-1.0, 7)
    assert levels.step == pytest.approx(0.3)


@pytest.mark.parametrize(
    ("change", "line", "said"),
    [
        (('task = "delayed_parity"', 'task = "narma11"'), 2, r"task: task 'narma11' is unknown; there are narma10"),
        (("[layers.first]", "task_options = { ordr = 2 }\n[layers.first]"), 4, "has no option ordr; it has order = 3"),
        (("[layers.first]", "task_options = { order = 0 }\n[layers.first]"), 4, "order >= 1"),
        (("[layers.first]", "hold_s = 5e-4\n[layers.first]"), 4, "near are 0.0004 s and 0.0006 s"),
        (("[layers.first]", "sample_offsets = [3]\n[layers.first]"), 4, r"samples 0\.\.2, not 3"),
        (("[layers.first]", "optimiser = { n_iteration = 3 }\n[layers.first]"), 4, "known here are n_iterations, n_tr"),
        (("[layers.first]", "optimiser = { n_trials = 1.5 }\n[layers.first]"), 4, r"n_trials: .*valid integer.*1\.5"),
        (("[layers.first]", "optimiser = { clip = 0.0 }\n[layers.first]"), 4, "must be greater than 0"),
        (
            ("[layers.first]", "optimiser = { n_steps = 4 }\n[layers.first]"),
            4,
            "4 steps are all within the washout of 4",
        ),
        (("[layers.first]", "sizes = { n_steps = 3 }\n[layers.first]"), 4, "3 steps are all within the washout of 4"),
        (
            ("[layers.first]", "initial = { n_trained_starts = 17 }\n[layers.first]"),
            4,
            "17 starts .* of 16 that are drawn",
        ),
    ],
)
def test_what_does_not_fit_the_task_is_told_with_its_line(change: tuple[str, str], line: int, said: str) -> None:
    with pytest.raises(NetworkFileError, match=rf"^network file:{line}: .*{said}"):
        parse_network_file(SMALL.replace(*change)).plan(dt_s=DT_S)


def test_a_task_of_ones_own_lies_beside_the_file(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(OWN, encoding="utf-8")
    path = tmp_path / "network.toml"
    path.write_text(SMALL.replace("delayed_parity", "mine.py:LastInput"), encoding="utf-8")
    plan = load_network_file(path).plan(dt_s=DT_S)
    assert plan.task.name == "last_input"
    path.write_text(SMALL.replace("delayed_parity", "other.py:LastInput"), encoding="utf-8")
    with pytest.raises(
        NetworkFileError, match=r"network\.toml:2: task: .*other\.py: the file of a task cannot be read"
    ):
        load_network_file(path).plan(dt_s=DT_S)
    given = SMALL.replace('"delayed_parity"', '"mine.py:LastInput"\ntask_options = { gain = 2 }')
    path.write_text(given, encoding="utf-8")
    with pytest.raises(NetworkFileError, match=r"network\.toml:3: task_options: are for tasks by name"):
        load_network_file(path).plan(dt_s=DT_S)


def test_what_a_network_needs_is_told_before_anything_is_trained(station: Station) -> None:
    plan = parse_network_file(SMALL + "input_density = 1.0\ncoupling_delays = [0, 1]\n").plan(dt_s=DT_S)
    needs = network_needs(plan, station=station)
    first, second = needs.layers
    assert (needs.n_nodes, needs.n_features, needs.n_readout) == (5, 15, 32)
    assert first.n_weights == 3 * (1 + 2)
    assert second.n_weights == 2 * (1 + 2 * 3 * 3 + 2)
    assert needs.n_parameters == first.n_weights + second.n_weights
    assert (first.n_plays, second.n_plays) == (2, 1)
    assert needs.device_seconds is not None and needs.device_seconds > 0
    told = "\n".join(in_words(plan, needs))
    assert "layer second: 1 duffing, 1 leaky; hears input (taps 0), first (delays 0, 1)" in told
    assert "RECURRENT" not in told


def test_the_estimate_of_device_time_is_what_the_plays_take(station: Station) -> None:
    plan = parse_network_file(SMALL).plan(dt_s=DT_S)
    needs = network_needs(plan, station=station)
    samples = plan.n_steps * 3
    # preparations: leaky 2 ms and duffing 8 ms of pulse with its edges, then five time constants of the slower one
    played = plan.n_training_trials + plan.n_repeats * plan.n_heldout_trials
    least = played * DT_S * (2 * (samples + (8e-3 + 13.5e-3) / DT_S) + samples + (2e-3 + 5e-3) / DT_S)
    assert least <= needs.device_seconds <= 1.1 * least


def test_a_recurrent_network_says_so_and_is_played_once() -> None:
    plan = parse_network_file(LOOP).plan(dt_s=DT_S)
    needs = network_needs(plan)
    assert needs.layers[0].recurrent and needs.layers[0].n_plays == 1
    assert needs.device_seconds is None
    assert any(line.endswith("RECURRENT") for line in in_words(plan, needs))


def test_a_plan_is_the_same_from_the_module_and_from_the_description() -> None:
    description = parse_network_file(SMALL)
    assert plan_of(description, dt_s=DT_S, station=None) == description.plan(dt_s=DT_S)
