"""An equation that was changed, wherever its Python reads the change, is solved as it is now; held values share a kernel."""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from twins.goku.compiled import cache as compiled_cache
from twins.goku.compiled import solve as compiled
from twins.goku.compiled.fingerprint import fingerprint
from twins.goku.compiled.watch import Unseen
from twins.goku.held import HeldSystem
from twins.goku.quantity import Quantity, Values
from twins.goku.system import System
from twins.goku.systems import SYSTEMS, system_named
from twins.goku.trajectories import solve_system

without_compiler = compiled.why_not(system_named("pendulum"))
pytestmark = pytest.mark.skipif(
    "compiler" in without_compiler or "switched off" in without_compiler, reason="no C compiler here"
)

constants = types.ModuleType("constants_of_a_user")
exec("STIFF = 1.0\ndef helper(value): return value * STIFF", constants.__dict__)
FACTOR = 1.0
NUMBERS = {"stiff": 1.0}
OBJECT = types.SimpleNamespace(stiff=1.0)


class Config:
    stiff = 1.0


class Decay(System):
    states = (Quantity("x", "", -2.0, 2.0),)
    parameters = (Quantity("rate", "", 0.5, 2.0),)

    def drift(self, z: Values, p: Any, u: Values) -> tuple[Tensor, ...]:
        return (-self.factor() * p.rate * z.x,)

    def factor(self) -> Any:
        return 1.0


class OfExpression(Decay):
    def factor(self) -> Any:
        return sum(FACTOR * one for one in (1.0,))


class OfModule(Decay):
    def factor(self) -> Any:
        return constants.STIFF


class OfModuleByName(Decay):
    def factor(self) -> Any:
        return getattr(constants, "STI" + "FF")


class OfHelper(Decay):
    def factor(self) -> Any:
        return constants.helper(1.0)


class OfClass(Decay):
    def factor(self) -> Any:
        return Config.stiff


class OfMapping(Decay):
    def factor(self) -> Any:
        return NUMBERS["stiff"]


class OfObject(Decay):
    def factor(self) -> Any:
        return OBJECT.stiff


class OfDefault(Decay):
    def factor(self, value: float = 1.0) -> Any:
        return value


class OfGlobals(Decay):
    def factor(self) -> Any:
        return globals()["FACTOR"]


class Replaced(Decay):
    pass


class OfItsFunction(Decay):
    def __init__(self) -> None:
        self.factor = lambda: FACTOR  # type: ignore[method-assign]


CHANGES: dict[type[Decay], Callable[[pytest.MonkeyPatch], None]] = {
    OfExpression: lambda patch: patch.setitem(globals(), "FACTOR", 3.0),
    OfItsFunction: lambda patch: patch.setitem(globals(), "FACTOR", 3.0),
    OfGlobals: lambda patch: patch.setitem(globals(), "FACTOR", 3.0),
    OfModule: lambda patch: patch.setattr(constants, "STIFF", 3.0),
    OfModuleByName: lambda patch: patch.setattr(constants, "STIFF", 3.0),
    OfHelper: lambda patch: patch.setattr(constants, "STIFF", 3.0),
    OfClass: lambda patch: patch.setattr(Config, "stiff", 3.0),
    OfMapping: lambda patch: patch.setitem(NUMBERS, "stiff", 3.0),
    OfObject: lambda patch: patch.setattr(OBJECT, "stiff", 3.0),
    OfDefault: lambda patch: patch.setattr(OfDefault.factor, "__defaults__", (3.0,)),
    Replaced: lambda patch: patch.setattr(Replaced, "factor", lambda _self: 3.0, raising=False),
}


def last(system: System, **options: Any) -> float:
    one = torch.ones(1, 1, dtype=torch.float64)
    return float(solve_system(system, one, one, step_s=0.1, n_steps=10, **options)[-1])


@pytest.mark.parametrize("kind", list(CHANGES), ids=lambda kind: kind.__name__)
def test_a_change_anywhere_is_seen(kind: type[Decay], monkeypatch: pytest.MonkeyPatch) -> None:
    system = kind()
    before = last(system, backend="compiled")
    CHANGES[kind](monkeypatch)
    after = last(system, backend="compiled")
    assert after < 0.2 * before
    assert after == pytest.approx(last(system, backend="loop"), rel=1e-12)


def test_no_equation_of_ours_is_traced_twice() -> None:
    for name in SYSTEMS:
        assert fingerprint(system_named(name)) == fingerprint(system_named(name))


def test_what_an_equation_does_not_read_does_not_make_it_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    system = OfExpression()
    before = fingerprint(system)
    monkeypatch.setitem(globals(), "NUMBERS", {})
    monkeypatch.setattr(Config, "stiff", 7.0)
    assert fingerprint(system) == before


def test_one_that_cannot_be_watched_is_compiled_once_all_the_same() -> None:
    system = OfObject()
    with pytest.raises(Unseen, match="SimpleNamespace"):
        fingerprint(system)
    last(system, backend="compiled")
    kernels = len(compiled._kernels)
    last(system, backend="compiled")
    assert len(compiled._kernels) == kernels


def test_all_held_values_share_a_kernel_and_are_solved_as_they_are() -> None:
    inner, n_steps = system_named("stuart_landau_network", n_oscillators=2), 5
    generator = torch.Generator().manual_seed(0)
    initial = inner.draw_states(4, generator)
    last_of: list[Tensor] = []
    kernels = 0
    for value in (0.1, 0.2, 0.0):
        system = HeldSystem(HeldSystem(inner, {"growth[1]": value}), {"coupling": 0.3})
        parameters = system.draw_parameters(4, torch.Generator().manual_seed(1)).requires_grad_()
        answers = []
        for backend in ("compiled", "loop"):
            path = solve_system(system, initial, parameters, step_s=0.05, n_steps=n_steps, backend=backend)
            answers += [path, *torch.autograd.grad(path.square().sum(), parameters)]
        torch.testing.assert_close(answers[0], answers[2], rtol=1e-12, atol=1e-14)
        torch.testing.assert_close(answers[1], answers[3], rtol=1e-10, atol=1e-13)
        last_of.append(answers[0][-1])
        kernels = kernels or len(compiled._kernels)
        assert len(compiled._kernels) == kernels
    assert not torch.allclose(last_of[0], last_of[1])


def test_a_held_equation_that_was_changed_is_not_taken_for_the_one_within() -> None:
    system = HeldSystem(system_named("stuart_landau_network", n_oscillators=2), {"coupling": 0.1})
    generator = torch.Generator().manual_seed(0)
    initial, parameters = system.draw_states(2, generator), system.draw_parameters(2, generator)
    before = solve_system(system, initial, parameters, step_s=0.05, n_steps=3)
    drift = system.drift
    system.drift = lambda z, p, u: tuple(2.0 * part for part in drift(z, p, u))  # type: ignore[method-assign, attr-defined]
    after, by_loop = (
        solve_system(system, initial, parameters, step_s=0.05, n_steps=3, backend=backend)
        for backend in ("auto", "loop")
    )
    torch.testing.assert_close(after, by_loop)
    assert not torch.allclose(before, after)


def test_few_kernels_are_kept_and_one_that_was_let_go_is_loaded_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled_cache, "_MOST_KERNELS", 1)
    monkeypatch.setattr(compiled, "_kernels", compiled_cache.KernelCache(compiled._written, compiled._made))
    plain, driven = Decay(), OfDefault()
    system = torch.ones(1, 1, dtype=torch.float64).requires_grad_()
    path = solve_system(plain, system, system, step_s=0.1, n_steps=3, backend="compiled")
    found = last(plain)
    last(driven)
    assert len(compiled._kernels) == 1
    assert last(plain) == found
    path.sum().backward()  # type: ignore[no-untyped-call] # by the kernel that was let go
    assert system.grad is not None and bool(torch.isfinite(system.grad).all())
