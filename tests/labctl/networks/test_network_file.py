"""What a network file may say, and what is told of one that is wrong: file, line, key, and what is allowed."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from labctl.errors import NetworkFileError, StationError
from labctl.network_checks import heard_by
from labctl.network_file import load_network_file, network_schema, parse_network_file
from labctl.station import Station, load_station, parse_station

SMALL = """
task = "delayed_parity"

[layers.first]
nodes = { leaky = 2, duffing = 1 }

[layers.second]
nodes = ["duffing", "leaky"]
"""
LOOP = """
task = "delayed_parity"

[layers.first]
nodes = ["leaky"]

[layers.second]
nodes = ["duffing"]
"""
DEMO = (Path(__file__).parents[3] / "labctl" / "stations" / "demo.toml").read_text(encoding="utf-8")


def told(text: str) -> str:
    with pytest.raises(NetworkFileError) as error:
        parse_network_file(text)
    return str(error.value)


def a_twin(*, low: float = -1.0, high: float = 1.0, conditions: dict[str, tuple[float, float]] | None = None):
    known = conditions or {}
    spec = SimpleNamespace(
        dt_s=2e-4, drive_names=("d",), drive_units=("V",), condition_names=tuple(known), response_names=("r",)
    )
    return SimpleNamespace(spec=spec, drive_range=[(low, high)], condition_range=list(known.values()))


@pytest.fixture
def station() -> Station:
    return parse_station(DEMO, path=Path("bench.toml"))


def test_a_few_lines_are_enough() -> None:
    description = parse_network_file(SMALL)
    assert description.devices == ("leaky", "duffing")
    assert description.file.layers["first"].nodes == ("leaky", "leaky", "duffing")
    assert description.recurrent == ()
    assert description.examples_seed == 1


def test_a_layer_hears_the_input_and_the_layer_before_unless_it_says_otherwise() -> None:
    heard = heard_by(parse_network_file(LOOP + 'listens_to = ["first", "second"]\n').file)
    assert heard["first"].hears_input and heard["first"].sources == ()
    assert not heard["second"].hears_input and heard["second"].sources == (0, 1)
    assert heard_by(parse_network_file(SMALL).file)["second"].sources == (0,)


def test_a_layer_that_hears_itself_or_a_later_one_is_recurrent() -> None:
    assert parse_network_file(LOOP + 'listens_to = ["input", "second"]\n').recurrent == ("second",)
    later = LOOP.replace("[layers.second]", 'listens_to = ["input", "second"]\n\n[layers.second]')
    assert parse_network_file(later).recurrent == ("first",)


def test_a_file_that_is_not_there_and_one_that_is_no_toml_say_so(tmp_path: Path) -> None:
    with pytest.raises(NetworkFileError, match=r"nowhere\.toml: cannot be read"):
        load_network_file(tmp_path / "nowhere.toml")
    path = tmp_path / "broken.toml"
    path.write_text('task = "narma10"\nlayers = [\n', encoding="utf-8")
    with pytest.raises(NetworkFileError, match=r"broken\.toml:\d+: not valid TOML|broken\.toml: not valid TOML"):
        load_network_file(path)


@pytest.mark.parametrize(
    "text", ["a = " + "[" * 3000, "task = " + "[" * 3000 + "]" * 3000, "task = [{" + "a." * 5000 + "a = 1}]"]
)
def test_brackets_and_keys_without_end_are_told(text: str) -> None:
    with pytest.raises(NetworkFileError, match=r"net\.toml: .*nested far too deeply"):
        parse_network_file(text, path=Path("net.toml"))
    with pytest.raises(StationError, match="nested far too deeply"):
        parse_station(text.replace("task", "station"), path=Path("station.toml"))


def test_a_file_that_no_person_wrote_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "huge.toml"
    path.write_text("# " + "x" * 2**20)
    with pytest.raises(NetworkFileError, match=r"huge\.toml: 1048578 bytes are too many \(at most 1048576\)"):
        load_network_file(path)
    with pytest.raises(StationError, match="too many"):
        load_station(path)


@pytest.mark.parametrize(
    ("change", "line", "said"),
    [
        (("nodes = [", "knodes = ["), 8, "unknown key 'knodes'; known here are nodes, listens_to, input_taps"),
        (("leaky = 2", "leaky = 0"), 5, "leaky: a number of nodes is a whole number from 1 to 10000, not 0"),
        (("leaky = 2", 'leaky = "2"'), 5, "a whole number"),
        (('task = "delayed_parity"', ""), None, "task: is missing"),
        (("[layers.second]", "[layers.input]"), 7, "'input' means the task's input"),
        (("[layers.first]", "samples_per_step = 2\nsample_offsets = [0, 2]\n[layers.first]"), 5, "samples 0..1"),
        (("[layers.first]", "sample_offsets = [1, 0]\n[layers.first]"), 4, "must rise"),
        (("[layers.first]", "input_taps = [1, 1]\n[layers.first]"), 4, "each once, not [1, 1]"),
        (("[layers.first]", "input_taps = [-1]\n[layers.first]"), 4, "greater than or equal to 0"),
        (("[layers.first]", "hold_s = 1e-3\nsamples_per_step = 3\n[layers.first]"), None, "either samples_per_step"),
        (("[layers.first]", "seed = -1\n[layers.first]"), 4, "seed"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(change: tuple[str, str], line: int | None, said: str) -> None:
    assert change[0] in SMALL
    message = told(SMALL.replace(*change))
    assert said in message
    assert f"network file{f':{line}' if line else ''}: " in message


@pytest.mark.parametrize(
    ("more", "line", "said"),
    [
        ('listens_to = ["third"]', 9, "there is no layer 'third'; a layer can listen to input, first, second"),
        ('listens_to = ["first", "first"]', 9, "twice"),
        ("listens_to = []", 9, "at least 1 item"),
        ('listens_to = ["second"]\ncoupling_delays = [0, 1]', 10, "layer second listens to itself or to a later layer"),
        ('listens_to = ["first"]\ninput_taps = [0]', 10, 'put "input" into listens_to'),
        ('listens_to = ["input"]\ncoupling_delays = [1]', 10, "listens to no layer"),
        ('listens_to = ["input"]\ncoupling_density = 0.5', 10, "listens to no layer"),
        ("input_density = 0.0", 9, "greater than 0"),
        ("coupling_density = 1.5", 9, "less than or equal to 1"),
        ("gain_levels = { low = 0, high = 1 }", 9, "give either bits or n"),
        ("gain_levels = { low = 1, high = 0, n = 4 }", 9, "low must be below high"),
        ("[devices.vortex]\nrange = [0, 1]", 9, "no layer has a node on vortex; nodes are on leaky, duffing"),
        ("[devices.leaky]\nrange = [1, 0]", 9, "range: low must be below high"),
        ("[devices.leaky]\ndac_bits = 30", 10, "less than or equal to 24"),
        ("[devices.leaky]\ndac_bits = 8\ndac_step = 0.1", 9, "either dac_bits or dac_step"),
        ("[devices.leaky]\ndac_range = [0, 1]", 9, "dac_range needs dac_bits or dac_step"),
        ("[conditions]\nbias = {}", 10, "give a value to hold it at"),
        ("[conditions]\nbias = { low = 0.0 }", 10, "low and high belong together"),
        ("[conditions]\nbias = { low = 1.0, high = 0.0 }", 10, "low must be below high"),
        ("[conditions]\nbias = { low = 0.0, high = 1.0, value = 2.0 }", 10, "lies outside 0..1"),
        ("[conditions]\nbias = nan", 10, "finite"),
        ("[sizes]\nn_reservoir_draws = 3", 10, "greater than or equal to 20"),
    ],
)
def test_contradictions_are_told_with_their_lines(more: str, line: int, said: str) -> None:
    message = told(SMALL + more + "\n")
    assert said in message
    assert f"network file:{line}: " in message


def test_all_problems_are_told_at_once() -> None:
    message = told(SMALL + 'listens_to = ["third"]\n[devices.vortex]\n[devices.ring]\n')
    assert len(message.splitlines()) == 3


def test_in_a_recurrent_network_a_device_is_one_node() -> None:
    message = told(SMALL + 'listens_to = ["first", "second"]\n')
    assert "network file:5: layers.first.nodes: leaky would be several nodes" in message
    assert "network file:8: layers.second.nodes: duffing, leaky would be several nodes" in message


def test_a_delay_of_nothing_in_the_whole_network_is_refused_with_recurrence_too() -> None:
    message = told(
        LOOP.replace("[layers.first]", "coupling_delays = [0]\n[layers.first]") + 'listens_to = ["second"]\n'
    )
    assert message.startswith("network file:4: coupling_delays: contains 0")


def test_conditions_are_held_or_trained() -> None:
    description = parse_network_file(SMALL + "[conditions]\nbias = 0.05\nclock = { low = 1.0, high = 3.0 }\n")
    assert description.held_conditions == {"bias": 0.05, "clock": 2.0}
    assert description.trained_conditions == {"clock": (1.0, 3.0)}


@pytest.mark.parametrize(
    ("more", "line", "said"),
    [
        (
            "[devices.leaky]\nrange = [-3.0, 1.0]",
            10,
            r"goes beyond the limits -2\.\.2 V of leaky_drive \(bench\.toml:\d+\)",
        ),
        ("[devices.leaky]\ndac_step = 5.0", 9, r"leaves no second level within -2\.\.2"),
        ("[devices.leaky]\ndac_step = 1e-8", 9, "is finer than 16777216 levels"),
        ("[devices.leaky]\nrange = [0.1, 0.2]\ndac_step = 0.5", 9, r"leave 0 level\(s\) within 0\.1\.\.0\.2"),
        ("[devices.leaky]\ndac_bits = 4\ndac_range = [-0.5, 0.5]", 11, "narrow the range"),
        ("[devices.leaky.drives.gate]\ndac_bits = 4", 9, "drives no leaky; its drive channels are leaky_drive"),
        (
            "[conditions]\nfield = 1.0",
            10,
            "no such channel; a condition is a 'set' channel, of which there are duffing_bias",
        ),
        ("[conditions]\nleaky_drive = 1.0", 10, "it is a 'drive' channel"),
        (
            "[conditions]\nduffing_bias = { low = -0.3, high = 0.1 }",
            10,
            r"-0\.3\.\.0\.1 V goes beyond the limits -0\.2\.\.0\.2",
        ),
    ],
)
def test_what_the_station_does_not_allow_is_told(more: str, line: int, said: str, station: Station) -> None:
    with pytest.raises(NetworkFileError, match=rf"network file:{line}: .*{said}"):
        parse_network_file(SMALL + more + "\n").check(station=station)


def test_a_device_that_station_or_twins_lack_is_told(station: Station) -> None:
    description = parse_network_file(SMALL.replace("leaky = 2", "vortex = 2"))
    with pytest.raises(NetworkFileError, match=r":5: .*no device 'vortex'; there are leaky, duffing"):
        description.check(station=station)
    with pytest.raises(NetworkFileError, match=r":5: .*there is no twin of vortex; there are leaky, duffing"):
        description.check(twins={"leaky": a_twin(), "duffing": a_twin()})


def test_a_trained_condition_needs_a_twin_that_knows_it_over_that_range() -> None:
    description = parse_network_file(SMALL + "[conditions]\nbias = { low = 0.0, high = 1.0 }\n")
    with pytest.raises(NetworkFileError, match=r":10: conditions\.bias: no twin knows bias.*record devices at several"):
        description.check(twins={"leaky": a_twin(), "duffing": a_twin()})
    narrow = a_twin(conditions={"bias": (0.0, 0.5)})
    with pytest.raises(NetworkFileError, match=r"0\.\.1 goes beyond 0\.\.0\.5, over which the twin of duffing"):
        description.check(twins={"leaky": a_twin(), "duffing": narrow})
    description.check(twins={"leaky": a_twin(), "duffing": a_twin(conditions={"bias": (0.0, 1.0)})})


def test_a_range_that_the_twin_was_not_fitted_on_is_told() -> None:
    description = parse_network_file(SMALL + "[devices.duffing]\nrange = [-1.0, 1.0]\n")
    with pytest.raises(
        NetworkFileError, match=r":10: .*beyond -0\.3\.\.0\.3 V, on which the twin of duffing was fitted"
    ):
        description.check(twins={"leaky": a_twin(), "duffing": a_twin(low=-0.3, high=0.3)})


def test_a_sound_file_passes_on_the_demo_station(station: Station) -> None:
    text = SMALL + "[devices.duffing]\nrange = [-0.3, 0.3]\ndac_bits = 10\n[conditions]\nduffing_bias = 0.05\n"
    parse_network_file(text).check(station=station)


def test_the_schema_names_every_key() -> None:
    schema = network_schema()
    assert {"task", "layers", "devices", "conditions"} <= set(schema["properties"])
    assert schema["$defs"]["LayerTable"]["properties"]["gain_levels"]["description"]


def test_reading_a_network_file_loads_no_torch() -> None:
    program = "import sys; import labctl.network_file, labctl.network_fit; print('torch' in sys.modules)"
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "False"
