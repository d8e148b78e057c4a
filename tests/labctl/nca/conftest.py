"""An automaton made by hand, as a file: what it does is known exactly."""

from __future__ import annotations

from pathlib import Path

import pytest

from labctl.nca_data import NcaData
from labctl.nca_live_frames import LiveSource
from labctl.nca_model import save_model
from labctl.nca_pde import PdeSource
from twins.nca import NcaModel, Scaling
from twins.nca.by_hand import heat_automaton

STEPS_PER_FRAME = 4


@pytest.fixture
def heat_source(tmp_path: Path) -> LiveSource:
    """The heat equation beside an automaton that does the same: one step for each time step of the equation."""
    model = NcaModel(
        heat_automaton(0.33), Scaling((-1.0,), (1.0,)), STEPS_PER_FRAME, float(STEPS_PER_FRAME), ("u",), ("1",), "1"
    )
    saved = save_model(model, tmp_path / "heat.json", {"simulated": True})
    heat = PdeSource(
        pde="heat", initial="noise", size=(12, 16), n_trials=2, n_frames=6, steps_per_frame=STEPS_PER_FRAME, seed=3
    )
    return LiveSource(model=saved.path, data=NcaData(pde=heat))
