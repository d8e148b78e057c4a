"""Equations compared on measured traces: nothing that is held out reaches the refinement. All data are simulated."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import twins.goku.diagnosis.model_comparison
from labctl.campaign import run
from labctl.campaigns.compare_goku import SHOWN, compare_goku
from labctl.goku_channels import Wishes
from labctl.goku_equation import EquationSource
from labctl.goku_series import Measured
from tests.labctl.goku.conftest import measured_from
from twins.goku.diagnosis.model_comparison import ComparisonSettings


class _FarEnoughError(Exception):
    """Nothing more of the comparison is needed."""


@pytest.fixture
def settings_for(equation: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Measured], ComparisonSettings]:
    """What the comparison of one equation with itself is asked to do."""

    def settings(measured: Measured) -> ComparisonSettings:
        seen: list[ComparisonSettings] = []

        def stopped(*_: Any, settings: ComparisonSettings, **__: Any) -> None:
            seen.append(settings)
            raise _FarEnoughError

        monkeypatch.setattr(twins.goku.diagnosis.model_comparison, "compare_equations", stopped)
        source = EquationSource.of(str(equation))
        with pytest.raises(_FarEnoughError):
            run(compare_goku({"one": (source, Wishes()), "other": (source, Wishes())}, measured, seed=0))
        return seen[0]

    return settings


def with_a_wild_end(measured: Measured, noise_sd: float) -> Measured:
    """Far more noise on the part that is held out."""
    rng, traces = np.random.default_rng(0), []
    for one in measured.traces:
        values, cut = one.values.copy(), round(SHOWN * len(one.values))
        values[cut:] += noise_sd * rng.standard_normal(values[cut:].shape)
        traces.append(replace(one, values=values))
    return replace(measured, traces=tuple(traces))


def test_the_noise_of_what_is_held_out_does_not_move_what_is_thought_of_the_noise_before(
    traces: Path, settings_for: Callable[[Measured], ComparisonSettings]
) -> None:
    measured = measured_from(traces)
    calm = settings_for(measured).refine.noise_sd_range
    wild = settings_for(with_a_wild_end(measured, 5.0)).refine.noise_sd_range
    assert calm is not None and wild is not None
    assert np.array(wild) == pytest.approx(np.array(calm), rel=1e-12)
