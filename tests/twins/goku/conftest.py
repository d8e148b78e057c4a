"""Equations that tests of any file use."""

import importlib.util
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import ModuleType

import pytest
import torch

from twins.goku.quantity import Quantity, Values
from twins.goku.system import System


class Pendulum(System):
    """An undamped pendulum."""

    states = (Quantity("angle", "rad", -3.0, 3.0), Quantity("rate", "rad/s", -5.0, 5.0))
    parameters = (Quantity("length", "m", 0.5, 3.0),)

    def drift(self, z: Values, p: Values, u: Values) -> object:
        return z.rate, -9.81 / p.length * torch.sin(z.angle)


class Decay(System):
    """Decay to a drive, with noise: an Ornstein–Uhlenbeck process."""

    states = (Quantity("level", "V", -2.0, 2.0),)
    parameters = (Quantity("rate", "1/s", 0.1, 10.0, scale="log"), Quantity("strength", "V/s^0.5", 0.01, 1.0))
    drives = (Quantity("input", "V"),)
    noise = "additive"

    def drift(self, z: Values, p: Values, u: Values) -> object:
        return (p.rate * (u.input - z.level),)

    def diffusion(self, z: Values, p: Values, u: Values) -> object:
        return (p.strength,)


class Explosion(System):
    """Reaches infinity in a finite time from above 0: 1 / (1 / level - rate t)."""

    states = (Quantity("level", "", -1.0, 1.0),)
    parameters = (Quantity("rate", "1/s", 0.5, 2.0),)

    def drift(self, z: Values, p: Values, u: Values) -> object:
        return (p.rate * z.level**2,)


@dataclass(frozen=True)
class Chain(System):
    """n coupled relaxations, with a matrix as a parameter and outputs of its own."""

    n: int = 2

    @cached_property
    def states(self) -> tuple[Quantity, ...]:  # type: ignore[override]
        return (Quantity("x", "V", -1.0, 1.0, (self.n,)),)

    @cached_property
    def parameters(self) -> tuple[Quantity, ...]:  # type: ignore[override]
        return Quantity("coupling", "1/s", 0.0, 1.0, (self.n, self.n)), Quantity("gain", "", 0.5, 2.0)

    @cached_property
    def outputs(self) -> tuple[Quantity, ...]:  # type: ignore[override]
        return (Quantity("sum", "V"),)

    def drift(self, z: Values, p: Values, u: Values) -> object:
        return ((p.coupling @ z.x.unsqueeze(-1)).squeeze(-1) - z.x,)

    def observe(self, z: Values, p: Values) -> object:
        return (p.gain * z.x.sum(-1),)


@pytest.fixture
def pendulum() -> System:
    return Pendulum().check()


@pytest.fixture
def decay() -> System:
    return Decay().check()


@pytest.fixture
def explosion() -> System:
    return Explosion().check()


@pytest.fixture
def chain() -> System:
    return Chain(n=3).check()


@pytest.fixture(scope="session")
def examples() -> ModuleType:
    """goku_examples.py beside this file, as a module."""
    name = "twins_goku_examples"
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name("goku_examples.py"))
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module
