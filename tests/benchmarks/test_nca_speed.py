"""benchmarks/nca_speed.py: the floor counts what a step needs, ratios are the worst of all sizes, rivals may be missing."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

from twins.nca import NcaSpec

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture
def nca_speed(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("nca_speed")


def test_multiply_adds_are_those_of_kernels_and_network(nca_speed: ModuleType) -> None:
    spec = NcaSpec(n_channels=8, n_observed=2, kernels="ID_LAP")
    forward = 8 * 9 + 16 * 32 + 32 * 8
    assert nca_speed.multiply_adds(spec, "forward") == forward
    # the state's features and hidden units again, the kernels' adjoint, and two adjoints of each product
    again = 8 * 9 + 16 * 32
    assert nca_speed.multiply_adds(spec, "forward_backward") == forward + again + 8 * 9 + 2 * (16 * 32 + 32 * 8)


def test_ratios_are_the_smallest_over_the_sizes(nca_speed: ModuleType) -> None:
    def one(ratio: float) -> dict[str, object]:
        return {mode: {"cell_steps_per_s": {"auto": 1.0}, "ratio_to_plain": ratio} for mode in nca_speed.MODES}

    figures = nca_speed.summary({"c8": {"64": one(3.0), "512": one(2.0)}}, 1e9)
    assert figures["ratio_to_plain"] == {"forward_c8": 2.0, "forward_backward_c8": 2.0}
    assert figures["ratio_to_cax"] == {}
    assert figures["floor"]["forward_c8"] == pytest.approx(1e9 / 840)


def test_a_small_sweep_writes_what_it_promises(
    nca_speed: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "speed.json"
    monkeypatch.setattr(
        sys, "argv", ["nca_speed.py", "--quick", "--json", str(file), "--threads", "1", "--cases", "c8"]
    )
    for name, value in (("QUICK_SIZES", (16,)), ("BATCH_CELLS", 512), ("SHORTEST_RUN_S", 1e-3)):
        monkeypatch.setattr(nca_speed, name, value)
    monkeypatch.setattr(nca_speed, "cax_python", lambda _options: None)
    nca_speed.main()
    found = json.loads(file.read_text())
    assert found["ratio_to_plain"].keys() == {"forward_c8", "forward_backward_c8"} and found["simulated"]
    assert {"auto", "plain", "folded", "sliced"} <= found["cell_steps_per_s"]["forward_backward_c8"]["16"].keys()
    assert max(found["cases"]["c8"]["16"]["errors"].values()) < nca_speed.ALLOWED_ERROR
