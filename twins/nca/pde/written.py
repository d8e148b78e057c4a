"""Equations written as text.

    name = "Schnakenberg"
    dt = 0.02

    [fields.u]
    background = 1.0

    [parameters.production]
    default = 0.9
    range = [0.1, 2.0]

    [rates]
    u = "lap(u) + production - u"

Formulas know the fields, parameters, [constants] and, in their order, the named parts of [let]; + - * / **, the functions of
twins.goku.written.expression (sqrt, exp, tanh, min …) and lap, bilap (the laplacian twice), dx and dy of anything, in cells.
They are read by a whitelist, never executed.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import torch
from jaxtyping import Float
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from torch import Tensor

from twins.errors import EquationInvalid
from twins.goku.written.equation_file import made_of_file
from twins.goku.written.expression import FUNCTIONS, Expression, Function, is_free_name, read_expression
from twins.nca.pde.equation import Pde
from twins.nca.pde.initial import INITIAL_CONDITIONS
from twins.nca.pde.neighbourhood import Neighbourhood
from twins.nca.spec import Padding

DIFFERENTIALS = ("lap", "bilap", "dx", "dy")
_MOST_NAMES = 100


class FieldModel(BaseModel):
    """One field: unit, and its value where nothing happens, in a seed, and at rest (the background if not given)."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)
    unit: str = Field("1", max_length=100)
    background: float = 0.0
    seed: float = 1.0
    rest: float | None = None


class ParameterModel(BaseModel):
    """One parameter: its usual value, and the range outside of which it is refused."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)
    default: float
    unit: str = Field("1", max_length=100)
    range: list[float] | None = Field(None, min_length=2, max_length=2)


class WrittenPdeModel(BaseModel):
    """A whole file. start: the usual initial condition. rates: one formula a field; let: named parts, each of those above it."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)
    name: str = Field("equation", min_length=1, max_length=100)
    dt: float = Field(1.0, gt=0.0)
    padding: Padding = "periodic"
    start: str = Field("random_blocks", max_length=100)
    fields: dict[str, FieldModel] = Field(min_length=1, max_length=32)
    parameters: dict[str, ParameterModel] = Field(default_factory=dict)
    constants: dict[str, float] = Field(default_factory=dict)
    let: dict[str, str] = Field(default_factory=dict)
    rates: dict[str, str]


class WrittenPde(Pde):
    """An equation made from plain data, as its TOML file holds it; ``pde_from`` and ``load_pde`` make it."""

    def __init__(self, model: WrittenPdeModel) -> None:
        self._model = model
        self.name, self.dt, self.padding = model.name, model.dt, model.padding
        self.fields = tuple(model.fields)
        self.units = tuple(field.unit for field in model.fields.values())
        self.background = tuple(field.background for field in model.fields.values())
        self.seed = tuple(field.seed for field in model.fields.values())
        self._values = {name: one.default for name, one in model.parameters.items()}
        self._known = {
            name: torch.tensor(value, dtype=torch.float64)
            for name, value in (*model.constants.items(), *self._values.items())
        }
        self._formulas: dict[Padding, tuple[dict[str, Expression], tuple[Expression, ...]]] = {}
        self._read("periodic")

    @property
    def start(self) -> str:
        """As the file says."""
        return self._model.start

    @property
    def parameters(self) -> dict[str, float]:
        """Every parameter's value; constants are none."""
        return dict(self._values)

    def as_mapping(self) -> dict[str, Any]:
        """Plain data from which ``pde_from`` makes it again, with its parameters now."""
        return self._model.model_dump(exclude_none=True)

    def rest(self) -> tuple[float, ...]:
        """As the file says; the background where it does not."""
        return tuple(one.background if one.rest is None else one.rest for one in self._model.fields.values())

    def change(self, state: Float[Tensor, "batch field y x"], near: Neighbourhood) -> Float[Tensor, "batch field y x"]:
        """The formulas of [rates]."""
        let, rates = self._read(near.padding)
        known: dict[str, Any] = {name: value.to(state) for name, value in self._known.items()}
        known.update(zip(self.fields, state.unbind(1), strict=True))
        for name, part in let.items():
            known[name] = part.evaluate(known)
        like = state[:, 0]
        return torch.stack([_spread(rate.evaluate(known), like) for rate in rates], dim=1)

    def _replaced(self, values: dict[str, float]) -> Self:
        parameters = dict(self._model.parameters)
        for name, value in values.items():
            _check_range(name, value, parameters[name].range)
            parameters[name] = parameters[name].model_copy(update={"default": value})
        return type(self)(self._model.model_copy(update={"parameters": parameters}))

    def _read(self, padding: Padding) -> tuple[dict[str, Expression], tuple[Expression, ...]]:
        """The formulas, with differences that know this padding."""
        if padding not in self._formulas:
            functions = {**FUNCTIONS, **_differentials(Neighbourhood(padding))}
            names, let = {*self._known, *self.fields}, dict[str, Expression]()
            for name, text in self._model.let.items():
                let[name] = read_expression(text, names | set(let), f"let: {name}", functions=functions)
            rates = tuple(
                read_expression(self._model.rates[name], names | set(let), f"rate of {name}", functions=functions)
                for name in self.fields
            )
            self._formulas[padding] = (let, rates)
        return self._formulas[padding]


def pde_from(content: Mapping[str, Any]) -> WrittenPde:
    """The equation of a mapping, as tomllib reads it or ``WrittenPde.as_mapping`` gives it.

    Raises EquationInvalid, naming the place, and quoting the formula where it is one.
    """
    try:
        model = WrittenPdeModel.model_validate(dict(content))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "the equation"
        raise EquationInvalid(
            f"{place}: {first['msg']}; an equation has {', '.join(WrittenPdeModel.model_fields)}"
        ) from error
    _check(model)
    return WrittenPde(model)


def load_pde(path: str | Path) -> WrittenPde:
    """The equation of a TOML file. Raises EquationInvalid, naming the file."""
    return made_of_file(path, pde_from)


def _check(model: WrittenPdeModel) -> None:
    names = [*model.fields, *model.parameters, *model.constants, *model.let]
    for name in names:
        if not is_free_name(name) or name in DIFFERENTIALS:
            raise EquationInvalid(
                f"nothing can be called {name!r}: it is no identifier, or means something else in formulas"
            )
        if names.count(name) > 1:
            raise EquationInvalid(f"the name {name!r} is given twice")
    if len(names) > _MOST_NAMES:
        raise EquationInvalid(f"an equation can have {_MOST_NAMES} names, not {len(names)}")
    if model.start not in (allowed := ("blocks", *INITIAL_CONDITIONS)):
        raise EquationInvalid(f"start must be one of {', '.join(allowed)}, not {model.start!r}")
    if set(model.rates) != set(model.fields):
        raise EquationInvalid(
            f"[rates] must have one formula for each of {', '.join(model.fields)}; it has {', '.join(model.rates) or 'none'}"
        )
    for name, one in model.parameters.items():
        if one.range is not None and not one.range[0] < one.range[1]:
            raise EquationInvalid(f"parameters.{name}: the range {one.range} is empty; give low < high")
        _check_range(name, one.default, one.range)


def _check_range(name: str, value: float, bounds: list[float] | None) -> None:
    if bounds is not None and not bounds[0] <= value <= bounds[1]:
        raise EquationInvalid(f"{name} = {value:g} lies outside its range {bounds[0]:g}..{bounds[1]:g}")


def _differentials(near: Neighbourhood) -> dict[str, Function]:
    def of_field(function: Any) -> Function:
        # what is no field (a parameter, a number) is the same everywhere
        return 1, lambda value: function(value) if isinstance(value, Tensor) and value.ndim > 1 else 0.0

    return {
        "lap": of_field(near.laplacian),
        "bilap": of_field(near.biharmonic),
        "dx": of_field(near.slope_x),
        "dy": of_field(near.slope_y),
    }


def _spread(value: Any, like: Tensor) -> Tensor:
    return value.expand_as(like) if isinstance(value, Tensor) else torch.full_like(like, value)
