"""The figures of a measurement as plain data."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from labctl.deployment import Measurement
from twins.network.scores import Score


def test_a_task_s_own_figures_stand_beside_its_score() -> None:
    own = tuple(Score("nrmse", value, details={"memory capacity": 10 * value}) for value in (0.4, 0.6))
    refitted = tuple(Score("nrmse", value, details={"memory capacity": 20 * value}) for value in (0.3, 0.5))
    measured = Measurement(np.zeros((2, 1, 1, 1)), own, refitted, None, 1.5, Path("nowhere"))
    figures = json.loads(json.dumps(measured.figures()))
    assert figures["measured_mean"] == pytest.approx(0.5)
    assert figures["memory capacity"] == pytest.approx(5.0)
    assert figures["memory capacity, refitted"] == pytest.approx(8.0)
    assert "accuracy" not in figures


def test_accuracy_and_word_accuracy_are_told_for_a_classification() -> None:
    own = (Score("cross_entropy", 0.4, 0.8, {"word accuracy": 0.95}),)
    figures = Measurement(np.zeros((1, 1, 1, 2)), own, (), None, 1.5, Path("nowhere")).figures()
    assert (figures["accuracy"], figures["word accuracy"]) == (0.8, 0.95)
    assert figures["measured_std"] == 0.0
    assert "refitted" not in figures
