"""Options of automata and of their training: every one by the name it has in NcaSpec and NcaFitSettings.

Tables rather than the classes themselves: making the command line must not load torch. A test holds them together.
"""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING, Any

from labctl.commands.arguments import positive_integer, positive_seconds
from labctl.commands.goku_arguments import number, pairs, span
from labctl.commands.nca_arguments import checked
from labctl.errors import UsageError

if TYPE_CHECKING:
    from labctl.campaigns.nca_settings import NcaTraining

PRESETS = ("pde", "images", "morph", "as-published")
_share = checked(number, lambda value: 0.0 <= value <= 1.0, "a share from 0 to 1")
_positive = checked(number, lambda value: value > 0.0, "a number above 0")
_zero_up = checked(number, lambda value: value >= 0.0, "a number of at least 0")
_stage = checked(
    lambda text: tuple(int(part) for part in text.split(":")), lambda value: len(value) == 2 and min(value) >= 1,
    "EPOCHS:HORIZON, as in 200:4",
)  # fmt: skip
_radius = checked(span, lambda value: value[0] >= 0.0, "LOW..HIGH, as in 0.1..0.25")
_shift = checked(
    lambda text: {"yes": True, "no": False}.get(text, int(text) if text.isdecimal() else -1), lambda value: value >= 0,
    "yes, no, or at most so many cells",
)  # fmt: skip
_pad_value = checked(
    lambda text: text if text == "edge" else number(text), lambda value: value is not None, "a number, or edge"
)
_injection = checked(
    lambda text: text if text == "first" else number(text), lambda value: value == "first" or 0.0 <= value <= 1.0,
    "first, or a share from 0 to 1",
)  # fmt: skip

BUDGET_S = 240.0
"""A training of an equation ends by then unless epochs, stages or seconds are asked for: a first one in five minutes in all."""

SPEC: dict[str, tuple[Any, str]] = {
    "n_channels": (positive_integer, "all channels of a cell, observed and hidden"),
    "kernels": (str, "what a cell sees of its neighbours: ID, LAP, AV, DIFF, NORM, MOORE joined by _, as in ID_LAP_AV"),
    "padding": (("periodic", "zero", "symmetric"), "what lies beyond the edge"),
    "fire_rate": (_share, "probability that a cell updates in a step"),
    "activation": (("relu", "linear", "swish", "tanh"), "of the network of every cell"),
    "layers": ((2, 3), "of the network of every cell"),
    "hidden_per_channel": (positive_integer, "width of the first layer, per channel"),
    "order": ((1, 2), "2: the cells also see products of two channels"),
    "bounds": (("none", "clip"), "clip: keep observed channels in [0, 1] and hidden ones in [-1, 1]"),
    "gated": (bool, "multiply the update by a gate that is learned"),
}
FIT: dict[str, tuple[Any, str]] = {
    "steps_per_frame": (positive_integer, "steps of the automaton from frame to frame"),
    "stride": (positive_integer, "use only every so many frames"),
    "epochs": (positive_integer, "passes through all transitions"),
    "warm_start": (_share, "share of the epochs that is spent on parts of frames first"),
    "batch": (positive_integer, "transitions in a minibatch"),
    "batches_per_epoch": (positive_integer, "an epoch is that many minibatches instead of a whole pass"),
    "max_seconds": (
        positive_seconds,
        f"stop a training after this time (preset pde: {BUDGET_S:g} where neither epochs nor stages are given)",
    ),
    "learning_rate": (_positive, "of Nadam"),
    "schedule": (("constant", "cosine", "exponential"), "of the learning rate"),
    "gradients": (("normalised", "plain"), "each tensor's over its own norm, or as they are"),
    "update_share": (_share, "of the minibatches that move the weights"),
    "propagate": (bool, "what the automaton made of a frame is the next one's input"),
    "injection": (_injection, "who gets the true frame instead: first, or a share of all"),
    "largest_jump": (_positive, "outputs of an epoch whose loss grew more than so many times are not handed on"),
    "cyclic": (bool, "after the last frame comes the first"),
    "replicas": (positive_integer, "copies of every sequence"),
    "loss": (str, "euclidean, spectral, sliced_wasserstein_grid … (twins.nca.losses)"),
    "target": (("full", "differential"), "frames, or how much they changed"),
    "state_weight": (_zero_up, "what leaving [0, 1] costs"),
    "weight_l1": (_zero_up, "what weights cost"),
    "checkpoint_every": (positive_integer, "keep only every so many states: memory for time"),
    "warm_up": (_share, "share of the training before which nothing counts as best"),
    "validate_every": (positive_integer, "epochs from one free run to the next"),
    "beyond": (_positive, "free runs that choose the best go on to so many times the length of the data"),
    "validation_share": (_share, "held out where no --validation is given"),
    "largest_state": (_positive, "beyond it a state has run away"),
    "most_skipped": (positive_integer, "updates in a row that may fail before the training ends"),
}
AUGMENTATION: dict[str, tuple[Any, str]] = {
    "pad": (checked(int, lambda value: value >= 0, "a number of cells"), "cells added on every side of all frames"),
    "pad_value": (
        _pad_value,
        "what they hold: a number in the images' units, or edge for the nearest cell's (default 0)",
    ),
    "shift": (_shift, "roll by any number of cells (yes), or at most so many"),
    "flip": (bool, "mirror at random"),
    "rotate": (bool, "turn by multiples of 90° at random"),
    "any_angle": (bool, "turn by any angle, which blurs"),
    "noise_sd": (_zero_up, "noise on the observed channels of the input, of the data's range"),
}
DAMAGE: dict[str, tuple[Any, str]] = {
    "damage": (("disc", "rectangle", "half", "noise", "none"), "wipe parts of the input at random, to learn to heal"),
    "damage_share": (_share, "of a minibatch that is damaged"),
    "damage_radius": (_radius, "smallest and largest radius, as shares of the shorter side"),
}
POOL: dict[str, tuple[Any, str]] = {
    "pool": (bool, "states at the last frame live on, so that a picture lasts (default: as the preset has it)"),
    "pool_kept": (_share, "of the sequences whose last state lives on"),
    "pool_renewed": (_share, "of the kept ones that begin anew after every epoch, the worst first"),
    "pool_share": (_share, "of an epoch's transitions that begin at kept states; the others are drawn"),
    "pool_damage_after": (_share, "of the training before which nothing of the pool is damaged"),
}


def add_training_arguments(parser: argparse.ArgumentParser, *, preset: str) -> None:
    """The preset, and what differs from it."""
    parser.add_argument(
        "--preset", choices=PRESETS, help=f"what the other options are where they are not given (default {preset})"
    )
    parser.add_argument(
        "--seeds", type=positive_integer, default=1, help="trainings that differ by chance alone (default 1)"
    )
    parser.add_argument(
        "--scaling", choices=("global", "channel"), default="global",
        help="what becomes 0 and 1: the range of all channels together (default), or of each",
    )  # fmt: skip
    for title, table in (
        ("automaton", SPEC),
        ("training", FIT),
        ("augmentation", AUGMENTATION),
        ("damage", DAMAGE),
        ("pool", POOL),
    ):
        _add_table(parser.add_argument_group(title), table)
    parser.add_argument(
        "--stage", type=_stage, action="append", metavar="EPOCHS:HORIZON",
        help="a part of the training whose gradients go back through HORIZON frames; repeatable, instead of --epochs",
    )  # fmt: skip
    parser.add_argument("--loss-option", action="append", metavar="NAME=VALUE", help="option of the loss")


def _add_table(group: Any, table: dict[str, tuple[Any, str]]) -> None:
    for name, (kind, words) in table.items():
        option = f"--{name.replace('_', '-')}"
        if kind is bool:
            group.add_argument(option, action=argparse.BooleanOptionalAction, help=words)
        elif isinstance(kind, tuple):
            group.add_argument(option, choices=kind, type=type(kind[0]), help=words)
        else:
            group.add_argument(option, type=kind, help=words)


def training_of(options: argparse.Namespace, *, preset: str) -> NcaTraining:
    """What was asked for, beside the preset. Raises UsageError, CampaignError."""
    from labctl.campaigns.nca_settings import PRESETS as PRESET_VALUES
    from labctl.campaigns.nca_settings import NcaTraining

    spec, fit, augmentation = (_given(options, table) for table in (SPEC, FIT, AUGMENTATION))
    if options.stage:
        fit["stages"] = tuple(options.stage)
    if options.loss_option:
        fit["loss_options"] = pairs(options.loss_option, "--loss-option", _literal)
    if augmentation:
        fit["augmentation"] = augmentation
    chosen = options.preset or preset
    values = PRESET_VALUES[chosen][1]
    fit |= _pool_and_damage(options, values.get("pool"), values.get("damage"))
    if chosen == "pde" and not {"epochs", "stages", "max_seconds"} & set(fit):
        fit["max_seconds"] = BUDGET_S
    return NcaTraining(preset=chosen, spec=spec, fit=fit, n_seeds=options.seeds, scaling=options.scaling)


def _pool_and_damage(options: argparse.Namespace, pool: Any, damage: Any) -> dict[str, Any]:
    """What differs of both; where there is a pool, it is the pool's states that are damaged."""
    changes = {
        name.removeprefix("pool_"): getattr(options, name)
        for name in POOL
        if getattr(options, name) not in (None, True, False)
    }
    if options.pool is False and changes:
        raise UsageError("--no-pool: there is none whose options could be given")
    wanted = (
        None if options.pool is False else {**(pool or {}), **changes} if (pool or changes or options.pool) else None
    )
    if wanted is None:
        harm = _damage(options, damage)
        return ({"pool": None} if pool else {}) | ({"damage": harm} if harm != damage else {})
    wanted["damage"] = _damage(options, wanted.get("damage"))
    return {"pool": wanted} if wanted != pool else {}


def _given(options: argparse.Namespace, table: dict[str, tuple[Any, str]]) -> dict[str, Any]:
    return {name: getattr(options, name) for name in table if getattr(options, name) is not None}


def _damage(options: argparse.Namespace, before: dict[str, Any] | None) -> dict[str, Any] | None:
    if options.damage == "none":
        return None
    changes = {
        name: value
        for name, value in (
            ("kind", options.damage),
            ("share", options.damage_share),
            ("radius", options.damage_radius),
        )
        if value is not None
    }
    return {**(before or {}), **changes} if changes else before


def _literal(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
