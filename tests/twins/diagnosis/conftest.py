"""Devices with known noise, as the diagnosis is to find it: section "ground truth" of the tests of twins, and more."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="session")
def known() -> ModuleType:
    """known_devices.py beside this file, as a module."""
    name = "twins_known_devices"
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name("known_devices.py"))
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module
