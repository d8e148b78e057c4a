"""What is said of an automaton: for how long, and never that it is good where predicting no change is better."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from labctl.campaign import run
from labctl.campaigns.evaluate_nca import EvaluationSettings, evaluate_frames, write_evaluation
from labctl.campaigns.fit_nca import fit_nca
from labctl.errors import CampaignError
from labctl.images import Images, ImageTreatments
from labctl.nca_model import SavedNca
from labctl.nca_noise import noise_figures
from labctl.nca_words import one_line, worse_from
from twins.nca import Automaton, Frames, NcaModel, NcaSpec, Scaling


def drifting(n_frames: int, size: int = 12) -> Frames:
    """A stripe that moves, dark to bright within its range; simulated."""
    x = np.arange(size)
    rows = [0.5 + 0.5 * np.sin(2 * np.pi * (x - time) / size) for time in range(n_frames)]
    values = np.repeat(np.array(rows, np.float32)[None, :, None, :, None], size, axis=2)
    return Frames(values, 1.0, ("u",), ("",), pixel=0.5, pixel_unit="µm", simulated=True)


def model_of(frames: Frames, *, growth: float) -> SavedNca:
    """An automaton that does nothing but add so much to each cell a step, in units of the range."""
    spec = NcaSpec(n_channels=2, n_observed=1, kernels="ID_LAP", activation="linear")
    automaton = Automaton(spec, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        if growth:
            automaton.out_bias[0] = growth
    model = NcaModel(automaton, Scaling.of(frames), 1, frames.dt_s, frames.names, frames.units)
    return SavedNca(Path("none.json"), model, {})


def judged(saved: SavedNca, frames: Frames):  # type: ignore[no-untyped-def]
    settings = EvaluationSettings(readable=False, n_holes=1)
    return run(evaluate_frames(saved, frames, key="nca/evaluate/one", seed=0, settings=settings))


def test_the_frame_from_which_no_change_is_better_is_the_last_crossing() -> None:
    assert worse_from([1.0, 3.0, 1.0, 3.0], [2.0, 2.0, 2.0, 2.0]) == 4
    assert worse_from([3.0, 3.0], [2.0, 2.0]) == 1
    assert worse_from([1.0, math.nan], [2.0, 2.0]) == 2
    assert worse_from([3.0, 1.0], [2.0, 2.0]) is None


def test_an_automaton_that_runs_away_is_reported_and_its_healing_not_judged(tmp_path: Path) -> None:
    frames = drifting(6)
    found = judged(model_of(frames, growth=1e38), frames)
    write_evaluation(found, report=tmp_path / "a.html", data=tmp_path / "a.json")
    page, words = (tmp_path / "a.html").read_text(), one_line(found.figures)
    assert "NOT stable for 10 frames (the data have 5 after the first)" in words
    assert "WORSE than predicting no change from frame 1 on" in words and "WORSE than predicting" in page
    assert found.figures["regeneration"] is None
    assert any("healing was not judged" in remark for remark in found.remarks)


def test_a_slow_runaway_is_found_far_beyond_the_data() -> None:
    frames = drifting(6)
    found = judged(model_of(frames, growth=0.02), frames)
    assert found.figures["stable"]
    left = found.figures["longer"]["left_after"]
    assert 25 <= left <= 27  # 1 + 0.02 n > 1.5
    assert f"leaves its bounds at frame {left}" in one_line(found.figures)


def test_frames_that_do_not_change_are_refused_in_a_sentence(tmp_path: Path) -> None:
    still = Frames(np.full((1, 10, 8, 8, 1), 7.0), 1.0, ("u",), ("",))
    images = Images(still, (), (), (), ImageTreatments())
    with pytest.raises(CampaignError, match="the frames do not change"):
        run(fit_nca("still", images, seed=0, folder=tmp_path))


def test_noise_that_is_new_each_time_is_told_from_a_stripe_that_moves() -> None:
    noisy = drifting(12)
    draws = np.random.default_rng(0).normal(size=noisy.values.shape)
    with_noise = replace(noisy, values=(noisy.values + 0.5 * draws).astype(np.float32))
    found = noise_figures(with_noise, transition_ratio=0.9)
    assert found is not None and found["looks_noisy"]
    assert not noise_figures(noisy, transition_ratio=0.9)["looks_noisy"]  # type: ignore[index]
    assert not noise_figures(with_noise, transition_ratio=0.3)["looks_noisy"]  # type: ignore[index]
    assert noise_figures(drifting(4), transition_ratio=0.9) is None
