"""Rules in words: no equation where none was found, slopes where they are seen, lengths where a cell has one."""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from labctl.campaigns.nca_settings import NcaTraining
from labctl.cli import parser
from labctl.commands.nca_fit import _padded_as_the_equation
from labctl.nca_pde import PdeSource
from labctl.nca_readable import _library, _library_for
from labctl.nca_readable_words import alone, beside
from twins.nca import Automaton, Frames, NcaModel, NcaSpec, Scaling
from twins.nca.pde import pde_named
from twins.nca.readable import ChannelRule, Coefficient, ReadableRule, compared_with, samples_of_frames

FRAMES = Frames(np.random.default_rng(0).random((1, 3, 8, 8, 1)), 2.0, ("u",), ("",), "s", 0.5, "µm")


RATIONAL = """name = "eaten"
dt = 0.1
padding = "symmetric"
start = "random_blocks"
[fields.u]
background = 0.1
seed = 0.8
[rates]
u = "0.5*lap(u) + u*(1-u) - u/(u+0.05)"
"""


def automaton_with(kernels: str) -> NcaModel:
    spec = NcaSpec(n_channels=2, n_observed=1, kernels=kernels)
    automaton = Automaton(spec, generator=torch.Generator().manual_seed(0))
    return NcaModel(automaton, Scaling.of(FRAMES), 2, 2.0, FRAMES.names, FRAMES.units)


def rule_of(*terms: tuple[str, float], r2: float) -> ReadableRule:
    channel = ChannelRule("u", tuple(Coefficient(*one, 0.01) for one in terms), r2, r2 - 0.01, None, 1.0)
    return ReadableRule((channel,), tuple(name for name, _ in terms), "automaton", "s", False, 100)


def test_a_poor_fit_gives_no_equation_and_no_share_below_zero() -> None:
    told = alone(rule_of(("∇²u", -1215.0), r2=-0.3), FRAMES)
    said = " ".join(told["words"])
    assert "No readable rule was found for u: the terms tried explain nothing" in said
    assert "1215" not in said and told["rows"] == []
    assert told["by_channel"]["u"]["equation"] is None
    assert told["by_channel"]["u"]["explained"] == told["by_channel"]["u"]["explained_by_all_terms"] == 0.0


def test_a_good_fit_has_its_diffusion_in_the_images_lengths() -> None:
    told = alone(rule_of(("∇²u", 0.4), ("∂xu", -0.2), ("u", 1.0), r2=0.99), FRAMES)
    assert "With cells of 0.5 µm: ∇²u of u 0.1 µm²/s; ∂xu of u -0.1 µm/s." in told["words"]
    assert told["by_channel"]["u"]["explained_by_all_terms"] == 0.99
    in_cells = alone(rule_of(("∇²u", 0.4), r2=0.99), replace(FRAMES, pixel=1.0, pixel_unit="px"))
    assert not any("With cells" in words for words in in_cells["words"])


def test_the_equations_column_says_whether_it_is_the_equation(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(RATIONAL, encoding="utf-8")
    for name, exact in (("heat", True), (str(path), False)):
        source = PdeSource(pde=name, size=(12, 12), n_trials=2, n_frames=5, steps_per_frame=1)
        frames, equation = source.simulated().frames, source.equation()
        found = beside(compared_with(equation, samples_of_frames(frames)), equation, frames)
        assert found["equation"]["of_these_terms"] is exact
        assert any("is NOT made of these terms" in words for words in found["words"]) is not exact


def test_slopes_are_read_in_a_rule_that_sees_them() -> None:
    assert not any(term.operator == "∂x" for term in _library(automaton_with("ID_LAP")).terms(1))
    assert any(term.operator == "∂x" for term in _library(automaton_with("ID_DIFF")).terms(1))
    drift = pde_named("advection_diffusion")
    samples = samples_of_frames(PdeSource(pde="advection_diffusion", size=(12, 12), n_frames=4).simulated().frames)
    assert _library_for(drift, automaton_with("ID_LAP"), samples).slopes


def test_an_automaton_has_its_equations_padding_unless_told_otherwise(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(RATIONAL, encoding="utf-8")

    def options_of(*words: str) -> argparse.Namespace:
        return parser().parse_args(["nca", "fit", "--pde", str(path), "--out", str(tmp_path), *words])

    training, told = _padded_as_the_equation(options_of(), NcaTraining())
    assert training.spec_for(FRAMES).padding == "symmetric" and "as the equation's" in told[0]
    training, told = _padded_as_the_equation(options_of(), NcaTraining(spec={"padding": "zero"}))
    assert training.spec_for(FRAMES).padding == "zero" and "edges will differ" in told[0]
