"""A learned rule made readable: effective reaction and diffusion terms, what they leave unexplained, what hidden channels hold.

pairs = pairs_of_model(model, frames, n_frames=20)
rule = read_flow(pairs)                         # the equation whose own steps over a frame lead where the automaton's lead
rule.markdown(), rule.coefficient("A", "∇²A")
left_over(rule, pairs_of_model(model, frames, n_frames=20, along="run"))  # and where it runs freely
compared_with(GrayScott(), pairs).markdown()    # beside the true equation
read_frames(frames, n_steps=16)                 # the same from the images themselves
read_rule(samples_of_model(model, frames, n_frames=20))  # of single steps: sparse regression of the rates
read_hidden(model, frames, n_frames=20)         # what the hidden channels encode
"""

from __future__ import annotations

from twins.nca.readable.comparison import ComparedTerm, Comparison, compared_with
from twins.nca.readable.flow_reading import left_over, read_flow
from twins.nca.readable.hidden import HiddenChannel, HiddenReading, read_hidden
from twins.nca.readable.library import Library, Term
from twins.nca.readable.pairs import FramePairs, pairs_of_frames, pairs_of_model
from twins.nca.readable.readers import read_frames, read_model
from twins.nca.readable.reading import read_pde, read_rule
from twins.nca.readable.rule import ChannelRule, Coefficient, ReadableRule
from twins.nca.readable.samples import Samples, samples_of_frames, samples_of_model, samples_of_pde

__all__ = [
    "ChannelRule",
    "Coefficient",
    "ComparedTerm",
    "Comparison",
    "FramePairs",
    "HiddenChannel",
    "HiddenReading",
    "Library",
    "ReadableRule",
    "Samples",
    "Term",
    "compared_with",
    "left_over",
    "pairs_of_frames",
    "pairs_of_model",
    "read_flow",
    "read_frames",
    "read_hidden",
    "read_model",
    "read_pde",
    "read_rule",
    "samples_of_frames",
    "samples_of_model",
    "samples_of_pde",
]
