"""Whether files say that they come from simulated devices."""

from __future__ import annotations

import fcntl
import json
from pathlib import Path

import h5py
import pytest

from labctl.marked_simulated import marked_simulated


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
    (tmp_path / "broken.h5").write_bytes(b"no HDF5")
    assert marked_simulated(path) is True
    assert marked_simulated(path.with_suffix(".safetensors")) is True, "weights belong to the JSON beside them"
    assert marked_simulated(tmp_path) is True, "so does the folder, whatever else is in it"


@pytest.mark.parametrize("text", ['{"simulated": false}', '{"simulated": "no"}', '"simulated"'])
def test_json_that_does_not_say_so_is_not_marked(tmp_path: Path, text: str) -> None:
    path = tmp_path / "twin.json"
    path.write_text(text)
    assert marked_simulated(path) is False
    assert marked_simulated(tmp_path) is False


def test_of_a_file_that_cannot_be_read_it_is_not_known(tmp_path: Path) -> None:
    (tmp_path / "broken.h5").write_bytes(b"no HDF5")
    (tmp_path / "broken.json").write_text("{broken")
    for name in ("broken.h5", "broken.json", "none.h5", "none.json", "broken.safetensors"):
        assert marked_simulated(tmp_path / name) is None, name
    assert marked_simulated(tmp_path) is None, "nor of the folder"


def test_recordings_say_it_in_an_attribute(tmp_path: Path) -> None:
    for name, simulated in (("a.h5", True), ("b.h5", False)):
        with h5py.File(tmp_path / name, "w") as file:
            file.attrs["simulated"] = simulated
    assert marked_simulated(tmp_path / "a.h5") is True
    assert marked_simulated(tmp_path / "b.h5") is False
    assert marked_simulated(tmp_path / "x.txt") is False


def test_a_recording_is_looked_into_while_another_holds_its_lock(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file.attrs["simulated"] = True
    with path.open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)  # as HDF5 does while it writes
        assert marked_simulated(path) is True
