"""Shared by the tests of twins: ground truth, and one fitted twin of each kind."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

import twins


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """Products this small only lose by sharing them out."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def ground_truth() -> ModuleType:
    """ground_truth.py beside this file, as a module."""
    name = "twins_ground_truth"
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name("ground_truth.py"))
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def leaky_traces(ground_truth: ModuleType) -> twins.Traces:
    """A small training set of the leaky integrator."""
    return ground_truth.record("leaky", np.random.default_rng(3), n_inputs=24, n_samples=300)


@pytest.fixture(scope="session")
def leaky_twin(leaky_traces: twins.Traces) -> twins.DeviceTwin:
    """A twin of it, fitted for about two seconds. Tests must not change it."""
    spec = twins.DeviceTwinSpec.for_traces(leaky_traces, response_delays=1, drive_delays=1, hidden=(16, 16))
    twin = twins.DeviceTwin(spec)
    for _ in twins.fit(twin, [leaky_traces], seed=0, max_epochs=60):
        pass
    return twin
