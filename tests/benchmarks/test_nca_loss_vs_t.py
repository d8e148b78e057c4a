"""Facts about the sweep of losses against steps of a frame: what it compares is comparable, and it goes on where it ended."""

import importlib
import json
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from twins.errors import TransportNotConverged

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture
def scripts(monkeypatch: pytest.MonkeyPatch) -> tuple[ModuleType, ModuleType]:
    """The script and its cells; its folder is on the path, as when one of them runs."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("nca_loss_vs_t"), importlib.import_module("nca_loss_vs_t_cell")


def tiny(cells: ModuleType) -> object:
    return cells.Size(n_cells=12, horizon=16, epochs=2, updates=4, learning_rate=1e-3)


def test_predicting_no_change_is_as_bad_as_was_measured_before(scripts: tuple[ModuleType, ModuleType]) -> None:
    sweep, _ = scripts
    found = sweep.checked_no_change()
    assert found["largest_relative_difference"] < 0.01
    assert found["pattern_norm"] == pytest.approx(16.7, abs=0.1)


@pytest.mark.parametrize("t", [1, 4, 16])
def test_every_t_has_as_many_updates_and_steps_as_every_other(scripts: tuple[ModuleType, ModuleType], t: int) -> None:
    sweep, cells = scripts
    for size in (sweep.QUICK, sweep.FULL):
        n_transitions = 4 * (size.horizon // t)
        batch = max(1, n_transitions // size.updates)
        assert n_transitions == batch * size.updates
    training, validation, test = cells.data(t, 1, tiny(cells))
    assert training.simulated and training.n_frames == 16 // t + 1 and test.n_frames == 32 // t + 1
    starts = [frames.values[:, 0] for frames in (training, validation, test)]
    assert not any(np.array_equal(one, other) for one in starts[0] for part in starts[1:] for other in part)
    assert not any(np.array_equal(starts[1][0], other) for other in starts[2])


def test_a_cell_is_trained_and_tested_within_and_beyond_its_horizon(scripts: tuple[ModuleType, ModuleType]) -> None:
    _, cells = scripts
    measured = cells.cell(4, "spectral_euclidean", 1, tiny(cells))
    assert measured["failed"] is None and list(measured["free_run_error"]) == ["4", "8", "16", "32"]
    assert measured["trained_loss"] == pytest.approx(measured["trained_loss_to_no_change"] * measured["no_change_loss"])
    again = cells.cell(4, "spectral_euclidean", 1, tiny(cells))
    assert {**again, "cpu_seconds": 0} == {**measured, "cpu_seconds": 0}


def test_a_training_that_fails_is_told_and_stops_no_other(
    scripts: tuple[ModuleType, ModuleType], monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep, cells = scripts

    def failing(*args: object, **options: object) -> object:
        raise TransportNotConverged("too far")

    monkeypatch.setattr(cells, "fit_nca", failing)
    measured = cells.cell(4, "euclidean", 1, tiny(cells))
    assert measured["failed"] == "TransportNotConverged: too far"
    curve = sweep.curves_of([measured])["euclidean"]["4"]
    assert (
        curve["n_failed"] == 1 and curve["transition_ratio_to_no_change"] is None and curve["seeds_stable_within"] == 0
    )


def test_medians_count_what_ran_away_as_larger_than_everything(scripts: tuple[ModuleType, ModuleType]) -> None:
    sweep, _ = scripts
    assert sweep.median([3.0, None, 1.0]) == 3.0
    assert sweep.median([3.0, None, None]) is None


def test_cells_that_were_measured_are_read_and_those_of_another_size_are_not(
    scripts: tuple[ModuleType, ModuleType], tmp_path: Path
) -> None:
    sweep, cells = scripts
    size = tiny(cells)
    measured = {"t": 4, "loss": "euclidean", "seed": 1, "failed": None, "transition_ratio_to_no_change": float("inf")}
    sweep.write_part(sweep.part_at(tmp_path, (4, "euclidean", 1)), measured, size)
    assert sweep.read_part(sweep.part_at(tmp_path, (4, "euclidean", 1)), size)["transition_ratio_to_no_change"] is None
    assert sweep.read_part(sweep.part_at(tmp_path, (4, "euclidean", 2)), size) is None
    assert sweep.read_part(sweep.part_at(tmp_path, (4, "euclidean", 1)), sweep.QUICK) is None


@pytest.mark.slow
def test_a_sweep_that_was_cut_short_goes_on(
    scripts: tuple[ModuleType, ModuleType],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    sweep, cells = scripts
    monkeypatch.setattr(sweep, "QUICK", tiny(cells))
    asked = ["--quick", "--t", "4", "8", "--losses", "euclidean", "--json", str(tmp_path / "found.json")]
    for printed in ("2 cells, 0 of them", "2 cells, 2 of them"):
        assert sweep.main(asked) == 0
        assert printed in capsys.readouterr().out
        found = json.loads((tmp_path / "found.json").read_text())
        assert found["n_cells_missing"] == 0 and set(found["curves"]["euclidean"]) == {"4", "8"}
        assert found["simulated"]
