"""Parameters that are known are held: the equation is the same, and fewer are inferred."""

import pytest
import torch

from twins.errors import EquationInvalid
from twins.goku.held import HeldSystem
from twins.goku.quantity import Quantity, Values
from twins.goku.system import Symmetry, System
from twins.goku.systems import system_named
from twins.goku.trajectories import solve_system


class Coupled(System):
    states = (Quantity("x", "V", -1.0, 1.0, shape=(2,)),)
    parameters = (
        Quantity("rate", "1/s", 0.1, 2.0, shape=(2,)),
        Quantity("coupling", "", 0.0, 0.5, shape=(2, 2)),
        Quantity("shift", "V", -1.0, 1.0),
    )

    def drift(self, z: Values, p: Values, u: Values) -> object:
        pulled = (p.coupling * z.x[..., None, :]).sum(-1)
        return (-p.rate * (z.x - p.shift[..., None]) + pulled,)

    def symmetries(self) -> tuple[Symmetry, ...]:
        return (
            Symmetry("swap", lambda z: z.flip(-1), lambda p: p[..., [1, 0, 5, 4, 3, 2, 6]]),
            Symmetry("mirror", lambda z: -z, lambda p: torch.cat((p[..., :6], -p[..., 6:]), dim=-1)),
        )


def test_it_moves_as_the_equation_with_the_held_values() -> None:
    inner = Coupled()
    held = HeldSystem(inner, {"coupling[0,1]": 0.3, "shift": 0.25}).check()
    assert held.parameter_names == ("rate[0]", "rate[1]", "coupling[0,0]", "coupling[1,0]", "coupling[1,1]")
    free = held.draw_parameters(4, torch.Generator().manual_seed(1))
    whole = held.whole_parameters(free)
    assert whole[0, 3] == 0.3
    assert whole[0, 6] == 0.25
    torch.testing.assert_close(held.free_parameters(whole), free)
    start = inner.draw_states(4, torch.Generator().manual_seed(2))
    torch.testing.assert_close(
        solve_system(held, start, free, step_s=0.1, n_steps=10),
        solve_system(inner, start, whole, step_s=0.1, n_steps=10),
    )


def test_a_symmetry_stays_only_where_it_leaves_the_held_values_alone() -> None:
    assert [one.name for one in HeldSystem(Coupled(), {"shift": 0.0}).symmetries()] == ["swap", "mirror"]
    assert [one.name for one in HeldSystem(Coupled(), {"shift": 0.5}).symmetries()] == ["swap"]
    [swap] = HeldSystem(Coupled(), {"coupling": 0.2, "shift": 0.5}).symmetries()
    torch.testing.assert_close(swap.parameters(torch.tensor([1.0, 2.0])), torch.tensor([2.0, 1.0]))


def test_ranges_of_what_stays_free_can_be_changed() -> None:
    changed = HeldSystem(Coupled(), {"coupling": 0.2}).with_ranges({"rate": (1.0, 3.0)})
    assert changed.flat_parameters[0].high == 3.0
    assert changed.check().n_parameters == 3


@pytest.mark.parametrize(
    ("held", "told"),
    [
        ({"mass": 1.0}, "no parameter 'mass'"),
        ({"shift": float("nan")}, "finite"),
        ({"rate": 1.0, "coupling": 0.1, "shift": 0.0}, "nothing to infer"),
    ],
)
def test_what_cannot_be_held_is_refused(held: dict[str, float], told: str) -> None:
    with pytest.raises(EquationInvalid, match=told):
        HeldSystem(Coupled(), held)


def test_initial_states_are_drawn_as_the_equation_draws_them():
    held = HeldSystem(system_named("macrospin"), {"damping": 0.01}).with_ranges({"mz": (0.7, 0.9)})
    states = held.draw_states(20, torch.Generator().manual_seed(0))
    torch.testing.assert_close(states.norm(dim=-1), torch.ones(20, dtype=torch.float64))
    assert bool(((states[:, 2] >= 0.7) & (states[:, 2] <= 0.9)).all())
