"""Small campaigns for the window's tests."""

from __future__ import annotations

import contextlib
import threading
from pathlib import Path

import numpy as np

from labctl.bench import Bench
from labctl.campaign import Campaign
from labctl.campaigns.characterise import CharacterisationDesign, characterise
from labctl.events import Progress, Reported, Sampled, StepFinished, StepStarted, Warned

SMALL = CharacterisationDesign(n_trials=8, n_inputs=2, n_repeats=2)
DRIVEN_V = 0.15


def small(bench: Bench, folder: Path, seed: int) -> Campaign[object]:
    """A real characterisation, short."""
    return characterise(bench, "leaky", folder=folder, rng=np.random.default_rng(seed), design=SMALL)


def endless(bench: Bench, folder: Path, seed: int) -> Campaign[object]:
    """Real recordings, one after another, for ever."""
    rng = np.random.default_rng(seed)
    number = 0
    while True:
        yield from characterise(bench, "leaky", folder=folder / str(number), rng=rng, design=SMALL)
        number += 1


def saturating(bench: Bench, folder: Path, seed: int) -> Campaign[object]:
    """Drives two outputs, then yields events as fast as Python can."""
    bench.set("duffing_bias", DRIVEN_V)
    bench.set("leaky_drive", 1.0)
    yield StepStarted("flood", "Flood the window")
    block = Sampled("flood", 0, 0, 1e-6, ("leaky_drive",), ("leaky_response",), np.ones((50, 1)), np.zeros((50, 1)))
    done = 0
    while True:
        yield block
        yield Progress("flood", done % 100, 100)
        yield Warned("flood", f"block {done}")
        done += 1


def deaf(bench: Bench, folder: Path, seed: int) -> Campaign[object]:
    """Drives an output, then works for long without yielding, as a long computation does, until it looks at the bench."""
    bench.set("duffing_bias", DRIVEN_V)
    yield StepStarted("deaf", "Work without looking up")
    while bench.safe_report is None or bench.get("duffing_bias") != 0.0:
        threading.Event().wait(0.02)
    yield StepFinished("deaf", "Work without looking up", 1.0)


def failing(bench: Bench, folder: Path, seed: int) -> Campaign[object]:
    """Drives an output, then has a fault."""
    bench.set("duffing_bias", DRIVEN_V)
    yield StepStarted("fail", "Fail")
    yield Progress("fail", 1, 2)
    bench.set("duffing_bias", 5.0)


def reporting(bench: Bench, folder: Path, seed: int) -> Campaign[object]:
    """Reports a task as the closed loop does."""
    yield StepStarted("deploy/narma10", "Measure narma10")
    task = {
        "name": "narma10", "metric": "nrmse", "promised": 0.3, "promised_std": 0.01, "measured_mean": 0.31,
        "measured_std": 0.02, "reservoir_measured": 0.55, "unoptimised_measured": 0.9, "linear_same_taps": 0.6,
        "linear_20_taps": 0.4,
    }  # fmt: skip
    yield Reported("deploy/narma10", task)
    yield StepFinished("deploy/narma10", "Measure narma10", 0.1)


def swallowing(bench: Bench, folder: Path, seed: int) -> Campaign[object]:
    """Drives an output, and goes on driving it whatever it is told, for a while."""
    bench.set("leaky_drive", 1.0)
    yield StepStarted("swallow", "Hear nothing")
    for _ in range(100):
        threading.Event().wait(0.02)
        with contextlib.suppress(Exception):
            bench.set("leaky_drive", 1.0)
    yield StepFinished("swallow", "Hear nothing", 2.0)
