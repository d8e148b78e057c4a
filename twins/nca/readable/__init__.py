"""A learned rule made readable: effective reaction and diffusion terms, what they leave unexplained, what hidden channels hold.

samples = samples_of_model(model, frames, n_frames=20, every=4)
rule = read_rule(samples)                       # sparse regression of the rates on a Library of terms
rule.markdown(), rule.coefficient("A", "∇²A")
compared_with(GrayScott(), samples).markdown()  # beside the true equation
read_frames(frames)                             # the same from the images themselves
read_hidden(model, frames, n_frames=20)         # what the hidden channels encode
"""

from __future__ import annotations

from twins.nca.readable.comparison import ComparedTerm, Comparison, compared_with
from twins.nca.readable.hidden import HiddenChannel, HiddenReading, read_hidden
from twins.nca.readable.library import Library, Term
from twins.nca.readable.reading import read_frames, read_model, read_pde, read_rule
from twins.nca.readable.rule import ChannelRule, Coefficient, ReadableRule
from twins.nca.readable.samples import Samples, samples_of_frames, samples_of_model, samples_of_pde

__all__ = [
    "ChannelRule",
    "Coefficient",
    "ComparedTerm",
    "Comparison",
    "HiddenChannel",
    "HiddenReading",
    "Library",
    "ReadableRule",
    "Samples",
    "Term",
    "compared_with",
    "read_frames",
    "read_hidden",
    "read_model",
    "read_pde",
    "read_rule",
    "samples_of_frames",
    "samples_of_model",
    "samples_of_pde",
]
