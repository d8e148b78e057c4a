"""Traces of known equations in files of other programs, and a model that is cheap to have."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from labctl.campaign import run
from labctl.campaigns.fit_goku import fit_goku
from labctl.campaigns.goku_settings import GokuSettings
from labctl.goku_equation import EquationSource
from labctl.goku_reading import of_loose
from labctl.goku_series import Measured
from labctl.outside_data import Treatments
from labctl.outside_data.loose import LooseColumnMap, read_loose

DECAY = """
name = "relaxing"

[states.x]
unit = "V"
range = [-2.0, 2.0]

[parameters.rate]
unit = "1/s"
range = [0.2, 4.0]

[drift]
x = "-rate * x"
"""
RATES = (0.5, 1.0, 1.5, 2.0)
DT_S = 0.1


def relaxing(rates: tuple[float, ...] = RATES, *, n: int = 30, noise_sd: float = 0.02, seed: int = 0) -> np.ndarray:
    """(trace, time): exponentials that begin at 1.5 or -1.5."""
    rng = np.random.default_rng(seed)
    starts = 1.5 * np.where(np.arange(len(rates)) % 2, 1.0, -1.0)
    clean = starts[:, None] * np.exp(-np.outer(rates, DT_S * np.arange(n)))
    return clean + noise_sd * rng.standard_normal(clean.shape)


def write_csv(path: Path, values: np.ndarray) -> Path:
    """One row a sample: trial, time, value."""
    rows = [(trial, DT_S * k, value) for trial, one in enumerate(values) for k, value in enumerate(one)]
    np.savetxt(path, rows, delimiter=",", header="trial,t [s],x [V]", comments="", fmt="%.8g")
    return path


@pytest.fixture(scope="session")
def equation(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An equation written as text."""
    path = tmp_path_factory.mktemp("equation") / "relaxing.toml"
    path.write_text(DECAY, encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def traces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four traces, as another program would write them."""
    return write_csv(tmp_path_factory.mktemp("traces") / "traces.csv", relaxing())


@pytest.fixture(scope="session")
def alike(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three traces of one rate."""
    return write_csv(tmp_path_factory.mktemp("alike") / "alike.csv", relaxing((1.2, 1.2, 1.2), seed=1))


def measured_from(path: Path) -> Measured:
    """As `labctl goku fit --response x --time t --trial trial --simulated` reads it."""
    columns = LooseColumnMap(drive=(), response=("x",), time="t", trial="trial")
    return of_loose(0, read_loose(path, columns, Treatments(), simulated=True))


@pytest.fixture(scope="session")
def model(equation: Path, traces: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that was trained for a moment: what it says is only where refinement begins."""
    from twins.goku.amortised.settings import AmortisedSettings

    campaign = fit_goku(
        "goku",
        measured_from(traces),
        None,
        EquationSource.of(str(equation)),
        seed=0,
        settings=GokuSettings(n_judged=2),
        folder=tmp_path_factory.mktemp("model"),
        reading={"response": ["x"], "time": "t", "trial": "trial"},
        amortised=AmortisedSettings(
            chunk=500, chunks=2, passes=2, batch=100, width=32, blocks=1, components=2, held_out=100, calibration=200
        ),
    )
    return run(campaign)[0].model.path
