"""netCDF's conventions for numbers in a file: missing values, and integers with a scale and an offset."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray


def unpack(values: NDArray[Any], attributes: Mapping[str, Any]) -> NDArray[Any]:
    """The numbers meant: NaN where _FillValue or missing_value stands, then times scale_factor plus add_offset.

    Without these attributes the values come back as they are.
    """
    if values.dtype.kind not in "iuf":
        return values
    missing = [attributes[name] for name in ("_FillValue", "missing_value") if name in attributes]
    marked = np.isin(values, np.concatenate([np.ravel(value) for value in missing])) if missing else None
    packed = "scale_factor" in attributes or "add_offset" in attributes
    if not packed and (marked is None or not marked.any()):
        return values
    numbers = values.astype(np.float64)
    if packed:
        scale, offset = (
            _number(attributes, name, plain) for name, plain in (("scale_factor", 1.0), ("add_offset", 0.0))
        )
        numbers = numbers * scale + offset
    if marked is not None:
        numbers[marked] = np.nan
    return numbers


def _number(attributes: Mapping[str, Any], name: str, otherwise: float) -> float:
    return float(np.ravel(attributes[name])[0]) if name in attributes else otherwise
