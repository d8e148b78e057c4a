"""Station files: what is wrong is told with file, line, key, value and what is allowed."""

import json
import re
from pathlib import Path

import pytest

from labctl.errors import StationError
from labctl.simulation import demo_station_template
from labctl.station import load_station, parse_station, station_schema
from labctl.toml_lines import key_lines, line_of
from labctl.units import conversion, unit_of

PATH = Path("bench.toml")


def changed(old: str, new: str) -> str:
    text = demo_station_template()
    assert old in text
    return text.replace(old, new, 1)


def line_in(text: str, wanted: str) -> int:
    return next(number for number, line in enumerate(text.splitlines(), 1) if wanted in line)


def problem(text: str) -> str:
    with pytest.raises(StationError) as caught:
        parse_station(text, path=PATH)
    return str(caught.value)


def test_the_demo_station_is_valid_and_complete() -> None:
    station = parse_station(demo_station_template(), path=PATH)
    assert station.simulated
    assert station.channels["leaky_drive"].limits == (-2.0, 2.0)
    assert station.devices["leaky"].rest_s == pytest.approx(5e-3)
    assert len(station.sha256) == 64


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ('unit = "V"', 'unit = "volts"', r"channels\.leaky_drive\.unit: unknown unit 'volts'; known are V, A"),
        ("slew_per_s = 2.1e4", "slew_per_sec = 2.1e4", r"unknown key 'slew_per_sec'; known here are .*slew_per_s"),
        (
            'kind = "set"',
            'kind = "sett"',
            r"channels\.duffing_bias\.kind: .*'drive', 'set', 'sense' or 'image'.*'sett'",
        ),
        ("baud_rate = 57600", 'baud_rate = "fast"', r"instruments\.smu\.baud_rate: .*integer.*'fast'"),
        ("limits = [-0.2, 0.2]", "limits = [0.2, -0.2]", r"lower limit must be below the upper one"),
        ("limits = [-0.2, 0.2]", 'limits = ["-0.2", 0.2]', r"duffing_bias\.limits\.0: .*valid number"),
        ("limits = [-0.2, 0.2]", "limits = [nan, 0.2]", r"duffing_bias\.limits\.0: .*finite"),
        ('instrument = "smu"', 'instrument = "sum"', r"no instrument 'sum'; there are awg, digitiser, smu"),
        ("range = 2.0", "limits = [-1, 1]", r"a 'sense' channel has no limits"),
        ("pulse = { leaky_drive = 1.0 }", "pulse = { leaky_drive = 9.0 }", r"9 is outside limits -2\.\.2 V"),
        ("pulse = { leaky_drive = 1.0 }", "pulse = { duffing_drive = 1.0 }", r"no drive channel of leaky"),
        (
            'response = ["leaky_response"]',
            'response = ["leaky_drive"]',
            r"is a 'drive' channel; response needs 'sense'",
        ),
        ('response = ["leaky_response"]', 'response = ["nothing"]', r"no channel 'nothing'; there are leaky_drive"),
    ],
)
def test_a_mistake_is_told_with_its_line(old: str, new: str, expected: str) -> None:
    text = changed(old, new)
    told = problem(text)
    assert re.search(expected, told), told
    assert f"bench.toml:{line_in(text, new)}: " in told


@pytest.mark.parametrize("key", ["limits", "ramp_per_s", "safe"])
def test_nothing_may_write_to_a_channel_without_limits_ramp_and_safe_value(key: str) -> None:
    lines = demo_station_template().splitlines()
    start = lines.index("[channels.duffing_bias]")
    gone = next(number for number in range(start, len(lines)) if lines[number].startswith(key))
    told = problem("\n".join(lines[:gone] + lines[gone + 1 :]))
    assert f"must have {key}" in told
    assert f"bench.toml:{start + 1}: channels.duffing_bias" in told


def test_a_safe_value_outside_the_limits_is_refused() -> None:
    text = changed('safe = { value = 0.0, how = "ramp", output = "off" }', 'safe = { value = 5.0, how = "now" }')
    assert "the safe value 5 is outside limits -2..2 V" in problem(text)


def test_every_problem_is_told_at_once() -> None:
    text = changed('unit = "V"', 'unit = "volts"').replace("baud_rate", "baudrate")
    assert len(problem(text).splitlines()) == 2


def test_two_outputs_on_one_terminal_are_refused() -> None:
    assert "is driven by channel 'leaky_drive' already" in problem(changed('terminal = "2"', 'terminal = "1"'))


def test_broken_toml_names_its_line() -> None:
    text = changed('unit = "V"', 'unit = "V')
    assert f"bench.toml:{line_in(text, 'unit = ')}: not valid TOML" in problem(text)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(StationError, match=r"none\.toml: cannot be read"):
        load_station(tmp_path / "none.toml")


def test_the_schema_is_json_and_knows_the_tables() -> None:
    schema = json.loads(json.dumps(station_schema()))
    assert set(schema["properties"]) == {"station", "instruments", "channels", "devices"}
    assert schema["additionalProperties"] is False
    assert "Lowest and highest value" in json.dumps(schema)


def test_a_key_is_found_in_inline_tables_arrays_and_multi_line_values() -> None:
    text = '# [no]\na = """\n[not.a.header]\nb = 1\n"""\n\n[t."x y"]\nlist = [\n  1, # ]\n  2,\n]\nd.e = { f = 1 }\n'
    lines = key_lines(text)
    assert line_of(lines, ("a",)) == 2
    assert ("not", "a", "header") not in lines
    assert line_of(lines, ("t", "x y")) == 7
    assert line_of(lines, ("t", "x y", "list", 1)) == 8
    assert line_of(lines, ("t", "x y", "d", "e", "f")) == 12
    assert line_of(lines, ("nowhere",)) is None


def test_units_convert_only_within_their_kind() -> None:
    assert conversion("mV", "V") == 1e-3
    assert conversion("kHz", "Hz") == 1e3
    assert conversion("uA", "mA") == 1e-3
    with pytest.raises(ValueError, match="one measures V, the other A"):
        conversion("mV", "A")
    with pytest.raises(ValueError, match="unknown unit 'Volt'"):
        unit_of("Volt")


def test_an_empty_file_is_told_by_its_name_with_what_is_missing(tmp_path: Path) -> None:
    (tmp_path / "empty.toml").write_text("")
    with pytest.raises(StationError, match=r"(?s)empty\.toml: station: is missing.*empty\.toml: channels: is missing"):
        load_station(tmp_path / "empty.toml")
