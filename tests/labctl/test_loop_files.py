"""What of the closed loop lies in a folder of runs."""

from __future__ import annotations

import os
from pathlib import Path

from labctl.loop_files import LoopFiles, loop_files


def write(path: Path, text: str = "", *, age_s: float = 0.0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    os.utime(path, (1e9 - age_s, 1e9 - age_s))
    return path


def test_files_are_told_apart_and_the_newest_come_first(tmp_path: Path) -> None:
    old = write(tmp_path / "a" / "leaky-training.h5", age_s=100)
    new = write(tmp_path / "b" / "leaky-training.h5")
    twin = write(tmp_path / "twins" / "leaky.json", '{"format": "labctl.device_twin", "spec": {}}')
    write(tmp_path / "b" / "job.json", '{"format": "labctl job 1"}')
    write(tmp_path / "n" / "network.json", "{}")
    write(tmp_path / "n" / "optimised.json", '{"format": "labctl-wiring"}')
    write(tmp_path / "d" / "deployment.json", "{}", age_s=10)
    write(tmp_path / "n" / "measured-optimised" / "layer0-play0.h5")
    write(tmp_path / "n" / "measured-optimised" / "layer0-play1.h5", age_s=1)
    found = loop_files(tmp_path)
    assert found.recordings == (new, old)
    assert found.twins == (twin,)
    assert found.networks == (tmp_path / "n",)
    assert found.deployments == (tmp_path / "n" / "measured-optimised", tmp_path / "d" / "deployment.json")


def test_a_folder_that_does_not_exist_holds_nothing(tmp_path: Path) -> None:
    assert loop_files(tmp_path / "none") == LoopFiles()
