"""Whether files say that they come from simulated devices."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import pytest

from labctl.marked_simulated import any_marked_simulated, marked_simulated


@pytest.mark.parametrize(
    "data",
    [
        {"simulated": True},
        {"learned_on_simulated_devices": True},
        {"provenance": {"recordings": [{"simulated": False}, {"simulated": True}]}},
    ],
)
def test_json_that_says_so_anywhere_is_marked(tmp_path: Path, data: object) -> None:
    path = tmp_path / "twin.json"
    path.write_text(json.dumps(data))
    assert marked_simulated(path)
    assert marked_simulated(path.with_suffix(".safetensors")), "weights belong to the JSON beside them"
    assert marked_simulated(tmp_path), "so does the folder"
    assert any_marked_simulated([tmp_path / "none.h5", path])


@pytest.mark.parametrize("text", ['{"simulated": false}', '{"simulated": "no"}', '"simulated"', "{broken", ""])
def test_json_that_does_not_say_so_is_not_marked(tmp_path: Path, text: str) -> None:
    path = tmp_path / "twin.json"
    path.write_text(text)
    assert not marked_simulated(path)


def test_recordings_say_it_in_an_attribute(tmp_path: Path) -> None:
    for name, simulated in (("a.h5", True), ("b.h5", False)):
        with h5py.File(tmp_path / name, "w") as file:
            file.attrs["simulated"] = simulated
    (tmp_path / "broken.h5").write_bytes(b"no HDF5")
    assert marked_simulated(tmp_path / "a.h5")
    assert not any_marked_simulated(
        [tmp_path / "b.h5", tmp_path / "broken.h5", tmp_path / "none.h5", tmp_path / "x.txt"]
    )
