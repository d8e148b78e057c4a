"""What tests of several packages share."""

from __future__ import annotations

import multiprocessing
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "warm"))

import pytest
from warm_workers import context_of_forked


@pytest.fixture
def warm_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes that the program starts in this test begin without seconds of loading torch."""
    monkeypatch.setattr(multiprocessing, "get_context", context_of_forked)
