"""Jobs for a queue: short, failing, and long ones, none of which needs a bench unless it says so."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from labctl.calls import BENCH, FOLDER, call
from labctl.job import Job


@pytest.fixture
def short(tmp_path: Path) -> Callable[[str], Job]:
    """Over at once."""
    return lambda name: Job(name, call("labctl.provenance:utc_now"), tmp_path / name)


@pytest.fixture
def failing(tmp_path: Path) -> Callable[[str], Job]:
    """Reads a recording that is not there."""
    return lambda name: Job(name, call("labctl.store:open_recording", tmp_path / "none.h5"), tmp_path / name)


@pytest.fixture
def long(tmp_path: Path) -> Callable[[str], Job]:
    """Simulates for minutes, unless it is stopped."""
    source = call("labctl.nca_pde:PdeSource", pde="gray_scott", size=(128, 128), n_frames=400, steps_per_frame=400)
    return lambda name: Job(name, call("labctl.campaigns.simulate_nca:simulate_images", source), tmp_path / name)


@pytest.fixture
def on_bench(tmp_path: Path) -> Callable[[str], Job]:
    """Characterises a device of the demo's bench in a second."""
    design = call(
        "labctl.campaigns.characterise:CharacterisationDesign", n_trials=2, n_samples=60, n_inputs=2, n_repeats=2
    )
    wanted = call(
        "labctl.campaigns.characterise:characterise",
        BENCH,
        "leaky",
        folder=FOLDER,
        rng=call("numpy.random:default_rng", 1),
        design=design,
        seed=1,
    )
    return lambda name: Job(name, wanted, tmp_path / name, seed=1)
