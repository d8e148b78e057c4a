"""The optimiser's settings as a table that people and files write: every field of OptimiserSettings, strict."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields
from functools import cache
from typing import Any, get_type_hints

from pydantic import BaseModel, ConfigDict, create_model

from twins.network.optimise_settings import OptimiserSettings


@cache
def settings_model() -> type[BaseModel]:
    """The table, made of the dataclass itself, so that neither can know a setting that the other does not."""
    hints = get_type_hints(OptimiserSettings)
    columns: dict[str, Any] = {one.name: (hints[one.name], one.default) for one in fields(OptimiserSettings)}
    config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)
    model: type[BaseModel] = create_model("OptimiserTable", __config__=config, **columns)
    return model


def settings_from(given: Mapping[str, Any], base: OptimiserSettings) -> OptimiserSettings:
    """`base` with what is given. Raises pydantic's ValidationError, or TaskError for a value out of range."""
    return OptimiserSettings(**settings_model().model_validate({**asdict(base), **given}).model_dump())
