"""What is written as TOML is read back the same."""

import tomllib

import pytest

from labctl.simulation import demo_station_template
from labctl.toml_text import toml_text


def test_tables_come_back_as_they_were() -> None:
    tables = {
        "name": 'a "bench" \\ of\nours: Ω\x7f',
        "seed": 7,
        "settle_s": 1e-9,
        "far": float("inf"),
        "on": True,
        "devices": {"one": {"path": "x", "hold": {"a b": 1.5, "c": [1, 2.5, "x"]}}, "two.three": {}},
        "plain": {"x": -1},
    }
    assert tomllib.loads(toml_text(tables)) == tables
    station = tomllib.loads(demo_station_template())
    assert tomllib.loads(toml_text(station)) == station


def test_what_toml_lacks_is_refused_and_none_is_left_out() -> None:
    assert tomllib.loads(toml_text({"table": {"gone": None, "there": 1}})) == {"table": {"there": 1}}
    with pytest.raises(TypeError, match="TOML has no object"):
        toml_text({"x": object()})
