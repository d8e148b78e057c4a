"""The table of equations that needs no torch."""

from labctl.nca_equations import EQUATIONS
from labctl.nca_pde import listed


def test_the_table_is_of_the_equations_that_there_are() -> None:
    assert {one.name: list(one.fields) for one in EQUATIONS} == {one["name"]: one["fields"] for one in listed()}
