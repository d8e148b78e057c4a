"""benchmarks/nca_symmetry.py from automata to a line of its table, on trainings that are over at once."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script as a module, on small pictures."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    module = importlib.import_module("nca_symmetry")
    monkeypatch.setattr(module, "N_STEPS", (1, 5))
    monkeypatch.setattr(module, "N_TRAINED_STEPS", 3)
    maze, drift = module.maze, module.drift
    monkeypatch.setattr(
        module,
        "PICTURES",
        {"maze": lambda s, _: maze(s, 12).span(0, 4), "drift": lambda s, _: drift(s, 12).span(0, 4)},
    )
    return module


def test_symmetric_kinds_commute_and_slopes_do_not(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    out = tmp_path / "out.json"
    monkeypatch.setattr("sys.argv", ["nca_symmetry.py", "--quick", "--train-seconds", "0.2", "--json", str(out)])
    script.main()
    rows = json.loads(out.read_text())
    assert rows["simulated"] is True
    assert rows["holds"] == {"ID_LAP_AV": True, "ID_DIFF_LAP": False, "ID_DIFF_LAP symmetrised": True}
    assert set(rows["turned"]) == {f"{pictures}/{kind}/1" for pictures in ("maze", "drift") for kind in script.KINDS}
    for key, row in rows["turned"].items():
        assert row["epochs"] >= 1
        if "ID_DIFF_LAP/" not in key:
            assert row["ratio"] == pytest.approx(1.0, abs=1e-3)
    assert "symmetrised" in capsys.readouterr().out


def test_a_full_run_goes_on_where_it_stopped(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, trained = tmp_path / "out.json", []

    def once(pictures: str, kind: str, seed: int, **_: Any) -> dict[str, Any]:
        if len(trained) == 5:
            raise KeyboardInterrupt
        trained.append((pictures, kind, seed))
        return {"error": 1.0, "error_turned": 1.0, "ratio": 1.0, "equivariance": {"float32": 0.0, "float64": 0.0}}

    monkeypatch.setattr(script, "trained", once)
    monkeypatch.setattr(
        script, "measured", lambda _: {f"{k}/float32/1": {"turns": 0, "translations": 0} for k in script.KINDS}
    )
    monkeypatch.setattr(script, "equivariance_table", lambda _: "")
    monkeypatch.setattr("sys.argv", ["nca_symmetry.py", "--json", str(out)])
    with pytest.raises(KeyboardInterrupt):
        script.main()
    first = list(trained)
    trained.clear()
    with pytest.raises(KeyboardInterrupt):
        script.main()
    assert len(first) == 5 and not set(first) & set(trained)


def test_turned_pictures_are_turned(script: ModuleType) -> None:
    frames = script.drift(1, 12)
    turned = script.turned_frames(frames)
    np.testing.assert_array_equal(turned.values[0, 0, :, :, 0], np.rot90(frames.values[0, 0, :, :, 0]))
    assert not np.allclose(turned.values, frames.values)
