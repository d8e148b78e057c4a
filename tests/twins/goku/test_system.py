"""Equations as users write them: names, ranges, units, and complaints that say what is wrong."""

import math

import pytest
import torch

from twins.errors import EquationInvalid
from twins.goku.quantity import Quantity, Values, joined
from twins.goku.system import System


def test_arrays_are_flattened_rows_first_under_their_own_names(chain):
    assert chain.parameter_names[:4] == ("coupling[0,0]", "coupling[0,1]", "coupling[0,2]", "coupling[1,0]")
    assert chain.n_parameters == 10
    assert chain.n_states == 3
    assert chain.options() == {"n": 3}
    flat = torch.arange(10.0)
    values = Values.of(flat, chain.parameters)
    assert values.coupling[1, 0] == 3.0
    assert values.gain == 9.0
    assert torch.equal(joined((values.coupling, values.gain), chain.parameters, torch.Size(()), flat), flat)


def test_outputs_are_the_states_unless_declared(chain, pendulum):
    states = torch.tensor([[0.1, 0.2, 0.3]])
    parameters = torch.cat((torch.zeros(9), torch.tensor([2.0]))).unsqueeze(0)
    assert torch.allclose(chain.outputs_of(states, parameters), torch.tensor([[1.2]]))
    assert [quantity.name for quantity in pendulum.flat_outputs] == ["angle", "rate"]


def test_unit_coordinates_go_through_the_logarithm_where_it_was_asked_for(decay):
    middle = decay.parameters_from_unit(torch.full((2,), 0.5, dtype=torch.float64))
    assert torch.allclose(middle, torch.tensor([1.0, 0.505], dtype=torch.float64))
    assert torch.allclose(decay.parameters_to_unit(middle), torch.full((2,), 0.5, dtype=torch.float64))


def test_draws_fill_the_prior_and_repeat_with_the_seed(decay):
    drawn = decay.draw_parameters(4000, torch.Generator().manual_seed(3))
    again = decay.draw_parameters(4000, torch.Generator().manual_seed(3))
    assert torch.equal(drawn, again)
    assert float(drawn[:, 0].log10().mean()) == pytest.approx(0.0, abs=0.05)
    assert float(drawn[:, 1].mean()) == pytest.approx(0.505, abs=0.02)
    assert bool(((drawn >= torch.tensor([0.1, 0.01])) & (drawn <= torch.tensor([10.0, 1.0]))).all())


def test_ranges_can_be_narrowed_without_touching_the_equation(chain, pendulum):
    narrow = chain.with_ranges({"coupling": (0.2, 0.3), "x": (0.0, 0.1)})
    assert {quantity.low for quantity in narrow.flat_parameters[:9]} == {0.2}
    assert narrow.flat_states[2].high == 0.1
    assert chain.flat_parameters[0].low == 0.0
    assert pendulum.with_ranges({"length": (1.0, 2.0)}).flat_parameters[0].low == 1.0
    with pytest.raises(EquationInvalid, match="no 'mass' to give a range; it has length, angle, rate"):
        pendulum.with_ranges({"mass": (1.0, 2.0)})


def _system(**members: object) -> System:
    base = {
        "states": (Quantity("x", "V", -1.0, 1.0),),
        "parameters": (Quantity("k", "1/s", 0.0, 1.0),),
        "drift": lambda self, z, p, u: (-p.k * z.x,),
    }
    return type("Mine", (System,), {**base, **members})()


def test_a_well_formed_equation_passes_its_check():
    assert _system().check().name == "mine"


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ({"drift": lambda self, z, p, u: (z.x, z.x)}, "expected 1 values"),
        ({"drift": lambda self, z, p, u: (z.y,)}, "there is no 'y' here; there are x"),
        ({"drift": lambda self, z, p, u: (z.x / 0.0,)}, "not finite in the middle"),
        ({"drift": lambda self, z, p, u: (1 / [],)}, "fails on a small sample"),
        ({"noise": "white"}, "noise must be one of"),
        ({"time_unit_s": 0.0}, "time_unit_s must be positive"),
        ({"parameters": (Quantity("k", "1/s"),)}, "needs a finite range"),
        ({"parameters": (Quantity("x", "1/s", 0.0, 1.0),)}, "'x' is given twice"),
        ({"states": ()}, "at least one state and one parameter"),
    ],
)
def test_an_ill_formed_equation_is_told_so(members, said):
    with pytest.raises(EquationInvalid, match=said):
        _system(**members).check()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"name": "two words"}, "must be an identifier"),
        ({"name": "k", "low": 2.0, "high": 1.0}, "range 2..1 is empty"),
        ({"name": "k", "low": math.nan}, "is empty"),
        ({"name": "k", "low": 0.0, "high": 1.0, "scale": "log"}, "log scale needs 0 < low"),
        ({"name": "k", "shape": (0,)}, "length of at least 1"),
    ],
)
def test_a_quantity_without_sense_is_refused(options, said):
    with pytest.raises(EquationInvalid, match=said):
        Quantity(**options)
