"""What infer, forecast, report and identifiability ask: a model, traces, and how to infer."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from labctl.commands.arguments import positive_integer, seed
from labctl.commands.goku_arguments import (
    add_refinement_arguments,
    add_share_argument,
    add_traces_arguments,
    measured_of,
    read_as,
)

if TYPE_CHECKING:
    from labctl.campaigns.goku_settings import InferSettings
    from labctl.goku_model import GokuModel
    from labctl.goku_series import Measured


def add_inference(parser: argparse.ArgumentParser) -> None:
    """What they have in common."""
    parser.add_argument("model", type=Path, help="the model (.json or .safetensors)")
    add_traces_arguments(parser)
    parser.add_argument(
        "--system",
        metavar="FILE",
        help="the file of the model's equation, where that is a class of your own (FILE.py:Class)",
    )
    parser.add_argument(
        "--refine",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="refine each trace by its own likelihood (default), or leave it at what the network says",
    )
    parser.add_argument(
        "--sampler",
        choices=("chains", "emcee", "none"),
        default="chains",
        help="draws where the refinement's own are not trusted (default chains); emcee, to be installed with labctl[samplers], "
        "draws for all traces",
    )
    parser.add_argument(
        "--initial",
        choices=("range", "free"),
        default="range",
        help="traces begin in the ranges of the states (default), or anywhere",
    )
    parser.add_argument(
        "--draws", type=positive_integer, default=1000, help="draws a trace by the network (default 1000)"
    )
    parser.add_argument("--seed", type=seed, default=0, help="seed (default 0)")
    add_refinement_arguments(parser, seconds="--seconds")
    add_share_argument(parser)


def asked(options: argparse.Namespace) -> tuple[GokuModel, Measured, InferSettings]:
    """The model, the traces as it takes them, and how to infer."""
    from labctl.campaigns.goku_settings import InferSettings
    from labctl.goku_model import load_goku_model

    settings = InferSettings(
        refine=options.refine,
        sampler=options.sampler,
        share=options.share,
        n_draws=options.draws,
        initial=options.initial,
        n_sweeps=options.sweeps,
        max_seconds=options.refine_seconds,
    )
    model = load_goku_model(options.model, system=options.system)
    read_as(options, model)
    return model, model.fitting(measured_of(options, options.data), options.segment), settings
