"""Provenance is plain data and complete."""

import json
from datetime import datetime
from pathlib import Path

from labctl.provenance import collect_provenance


def test_it_is_json_and_holds_what_is_needed_to_repeat_a_measurement() -> None:
    collected = collect_provenance(
        simulated=True,
        station_path=Path("bench.toml"),
        station_text="[station]",
        station_sha256="ab",
        identities={"awg": "Keysight,33522B,SIM-1,1"},
        settings={"awg": {"load": "inf"}},
        seed=11,
        argv=["labctl", "demo"],
        extra={"label": "x"},
    )
    again = json.loads(json.dumps(collected))
    assert again == collected
    assert again["seed"] == 11
    assert again["argv"] == ["labctl", "demo"]
    assert again["station"]["text"] == "[station]"
    assert {"python", "numpy", "h5py"} <= again["software"].keys()
    assert datetime.fromisoformat(again["started_utc"]).utcoffset() is not None
    assert isinstance(again["monotonic_s"], float)
    assert again["host"]["name"]


def test_the_git_commit_is_noted_where_there_is_one() -> None:
    git = collect_provenance(simulated=False)["git"]
    assert git is None or (len(git["commit"]) == 40 and git["modified"] in (True, False))


def test_with_twins_loaded_it_says_by_which_kernel_stacked_ones_ran() -> None:
    from twins.device import native

    assert collect_provenance(simulated=True)["software"]["twin kernel"] == native.in_words()
