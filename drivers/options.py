"""Option tables of the station file, checked before anything is opened."""

import difflib
from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from drivers.errors import BadOptions


class Options(BaseModel):
    """Base of every option table: frozen, and no key that it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=True)


_Table = TypeVar("_Table", bound=Options)


def read_options(table: type[_Table], options: Mapping[str, Any], *, where: str) -> _Table:
    """Validate; raises BadOptions that lists every problem at once, with the keys that are allowed.

    where: what the options belong to, for the message, such as "driver scpi".
    """
    try:
        return table.model_validate(dict(options))
    except ValidationError as error:
        problems = [_problem(table, entry) for entry in error.errors()]
        raise BadOptions(f"{where}: " + "; ".join(problems)) from error


def _problem(table: type[BaseModel], entry: Any) -> str:
    path = [str(part) for part in entry["loc"]]
    place = ".".join(path)
    if entry["type"] != "extra_forbidden":
        given = "" if entry["type"] == "missing" else f" (given: {entry['input']!r})"
        return f"{place or 'options'}: {entry['msg']}{given}"
    allowed = sorted(_fields_at(table, entry["loc"][:-1]))
    close = difflib.get_close_matches(path[-1], allowed, n=1)
    hint = f", did you mean {close[0]!r}?" if close else ""
    return f"unknown key {place!r}{hint} (allowed here: {', '.join(allowed)})"


def _fields_at(table: type[BaseModel], path: tuple[Any, ...]) -> list[str]:
    """The field names of the nested table at `path`, found by walking the annotations."""
    annotation: Any = table
    for part in path:
        nested = _models_in(annotation)
        if nested and part in nested[0].model_fields:
            annotation = nested[0].model_fields[str(part)].annotation
    nested = _models_in(annotation)
    return list(nested[0].model_fields) if nested else []


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    """The models inside an annotation such as dict[str, Model] | None."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for inner in getattr(annotation, "__args__", ()) for model in _models_in(inner)]
