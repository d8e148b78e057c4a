"""Facts about the benchmark on Gray-Scott: what it measures of a cell, what a lost seed costs, and that it goes on."""

import importlib
import json
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture
def scripts(monkeypatch: pytest.MonkeyPatch) -> tuple[ModuleType, ModuleType]:
    """The script and its cells; its folder is on the path, as when one of them runs."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("nca_gray_scott"), importlib.import_module("nca_gray_scott_cell")


def tiny(cells: ModuleType) -> Any:
    return cells.Size(
        cells=16, n_trained=2, n_judged=1, trained_steps=64, epochs=2, batches_per_epoch=2, batch=2, test_cells=20,
        n_tested=2, test_steps=128, far_cells=24, far_steps=96, n_far=2,
    )  # fmt: skip


def outcome(campaign: Any) -> Any:
    while True:
        try:
            next(campaign)
        except StopIteration as end:
            return end.value


def measured(seed: int, **changes: Any) -> dict[str, Any]:
    """A cell that meets every aim."""
    return {
        "pattern": "maze", "seed": seed, "stable": True, "transition_ratio_to_no_change": 0.1,
        "free_run_error": {"32": 1.0}, "free_run_nrmse": {"32": 0.1}, "no_change_error": {"32": 2.0}, **changes,
    }  # fmt: skip


def test_no_initial_condition_is_in_two_sets(scripts: tuple[ModuleType, ModuleType]) -> None:
    _, cells = scripts
    seeds = (cells._TRAINED, cells._JUDGED, cells._TESTED, cells._FAR)
    starts = [start for seed in seeds for start in cells.frames_of("maze", 2, 16, 32, seed).values[:, 0]]
    assert not any(np.array_equal(one, other) for n, one in enumerate(starts) for other in starts[:n])


def test_a_cell_is_tested_twice_as_long_and_on_larger_fields(scripts: tuple[ModuleType, ModuleType]) -> None:
    _, cells = scripts
    found = outcome(cells.measured("maze", 1, tiny(cells)))
    assert list(found["free_run_error"]) == ["32", "64", "128"] and found["epochs"] == 2
    assert found["transition_ratio_to_no_change"] == pytest.approx(
        found["transition_error"] / found["transition_no_change"]
    )
    assert found["stable"] == (found["stable"] and found["far_stable"]) and found["wavelength_spread"] > 0


def test_a_lost_seed_meets_no_aim_and_is_named(scripts: tuple[ModuleType, ModuleType]) -> None:
    _, cells = scripts
    good = cells.summary([measured(1), measured(2)])
    assert good["aim_met"] == {"stable": True, "transition_ratio_to_no_change": True} and good["diverged_seeds"] == []
    lost = cells.summary([measured(1), {"pattern": "maze", "seed": 2, "stable": False, "diverged": "ran away"}])
    assert lost["diverged_seeds"] == ["maze-2"] and lost["seeds"] == 2 and lost["stable_seeds"] == 1
    assert lost["transition_ratio_to_no_change"] == 0.1 and not any(lost["aim_met"].values())
    worse = cells.summary([measured(1), measured(2, transition_ratio_to_no_change=0.5, stable=False)])
    assert not any(worse["aim_met"].values())
    assert not any(cells.summary([])["aim_met"].values())


def test_a_full_run_goes_on_where_it_ended(
    scripts: tuple[ModuleType, ModuleType], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    script, cells = scripts
    size = replace(tiny(cells), far_cells=0)
    monkeypatch.setattr(script, "FULL", size)
    told: list[list[str]] = []

    def together(jobs: dict[str, Any], *, n_workers: int) -> Any:
        told.append(list(jobs))
        for job in jobs.values():
            yield from job.make(**job.arguments)

    monkeypatch.setattr(script, "side_by_side", together)
    path = tmp_path / "found.json"
    for n_seeds in (1, 2, 2):
        assert script.main(["--json", str(path), "--patterns", "maze", "--seeds", str(n_seeds)]) == 0
    assert told == [["maze-1"], ["maze-2"]]
    found = json.loads(path.read_text())
    assert found["seeds"] == 2 and [cell["seed"] for cell in found["cells"]] == [1, 2] and found["simulated"]
    monkeypatch.setattr(script, "FULL", replace(size, epochs=1))  # another size is measured anew
    script.main(["--json", str(path), "--patterns", "maze", "--seeds", "1"])
    assert told[-1] == ["maze-1"] and len(told) == 3
